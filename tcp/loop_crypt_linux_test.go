package tcp_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The types of TLS records that matter after the handshake, RFC 8446 section 5.1.
const (
	recordAlert       = 21
	recordHandshake   = 22
	recordApplication = 23
)

// keyUpdate is the handshake message, RFC 8446 section 4.6.3.
func keyUpdate(requested bool) []byte {
	b := []byte{24, 0, 0, 1, 0}
	if requested {
		b[4] = 1
	}
	return b
}

// direction protects or opens the records of one direction, RFC 8446 section 5.2,
// without allocating once it is made.
type direction struct {
	hash   func() hash.Hash
	keyLen int
	secret []byte
	aead   cipher.AEAD
	iv     [12]byte
	nonce  [12]byte
	seq    uint64
}

// expandLabel is HKDF-Expand-Label with an empty context, RFC 8446 section 7.1.
func (d *direction) expandLabel(label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label...)
	b, err := hkdf.Expand(d.hash, d.secret, string(append(info, 0)), n)
	if err != nil {
		panic(err)
	}
	return b
}

func (d *direction) rekey(secret []byte) {
	d.secret, d.seq = secret, 0
	block, err := aes.NewCipher(d.expandLabel("key", d.keyLen))
	if err != nil {
		panic(err)
	}
	if d.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
	copy(d.iv[:], d.expandLabel("iv", len(d.iv)))
}

// update goes on to the next secret, RFC 8446 section 7.2.
func (d *direction) update() { d.rekey(d.expandLabel("traffic upd", d.hash().Size())) }

func (d *direction) next() []byte {
	d.nonce = d.iv
	for i := range 8 {
		d.nonce[4+i] ^= byte(d.seq >> (8 * (7 - i)))
	}
	d.seq++
	return d.nonce[:]
}

// seal appends a record of the given type.
func (d *direction) seal(dst []byte, kind byte, plain []byte) []byte {
	n := len(plain) + 1 + d.aead.Overhead()
	dst = append(dst, recordApplication, 3, 3, byte(n>>8), byte(n))
	at := len(dst)
	dst = append(append(dst, plain...), kind)
	return d.aead.Seal(dst[:at], d.next(), dst[at:], dst[at-5:at])
}

// open opens a record in place.
func (d *direction) open(record []byte) (kind byte, plain []byte, err error) {
	plain, err = d.aead.Open(record[5:5], d.next(), record[5:], record[:5])
	if err != nil {
		return 0, nil, err
	}
	n := len(plain)
	for n > 0 && plain[n-1] == 0 {
		n--
	}
	return plain[n-1], plain[:n-1], nil
}

// crypter is a client that has taken its TLS connection over after the handshake.
type crypter struct {
	t       *testing.T
	raw     net.Conn
	in, out direction
	record  [5 + 16384 + 256]byte
	plain   []byte // application data that was opened and not parsed
	updates int    // KeyUpdates that were received
}

// crypt connects a client that does the records itself. The site's listener gives
// no session tickets.
func (s *site) crypt() (*crypter, *ear) {
	s.t.Helper()
	var log bytes.Buffer
	cfg := clientTLS()
	cfg.KeyLogWriter = &log
	st, err := dial(s.listener.Addr(), cfg)
	require.NoError(s.t, err)
	s.caller(st)
	secrets := map[string][]byte{}
	for line := range strings.Lines(log.String()) {
		f := strings.Fields(line)
		secrets[f[0]], err = hex.DecodeString(f[2])
		require.NoError(s.t, err)
	}
	d := direction{hash: sha256.New, keyLen: 16}
	switch suite := st.ConnectionState().CipherSuite; suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		d = direction{hash: sha512.New384, keyLen: 32}
	default:
		require.Fail(s.t, "the test needs AES", tls.CipherSuiteName(suite))
	}
	c := &crypter{t: s.t, raw: st.raw, in: d, out: d}
	c.out.rekey(secrets["CLIENT_TRAFFIC_SECRET_0"])
	c.in.rekey(secrets["SERVER_TRAFFIC_SECRET_0"])
	return c, s.ear()
}

func noTickets(t *tls.Config) *tls.Config {
	t.SessionTicketsDisabled = true
	return t
}

func (c *crypter) write(b []byte) {
	c.t.Helper()
	_, err := c.raw.Write(b)
	require.NoError(c.t, err)
}

// read reads one record and follows the gateway's key updates.
func (c *crypter) read() (kind byte, plain []byte, err error) {
	if _, err = io.ReadFull(c.raw, c.record[:5]); err != nil {
		return 0, nil, err
	}
	n := 5 + int(binary.BigEndian.Uint16(c.record[3:]))
	if _, err = io.ReadFull(c.raw, c.record[5:n]); err != nil {
		return 0, nil, err
	}
	kind, plain, err = c.in.open(c.record[:n])
	if err == nil && kind == recordHandshake {
		if !bytes.Equal(plain, keyUpdate(false)) {
			return 0, nil, fmt.Errorf("a handshake message that is no KeyUpdate: %x", plain)
		}
		c.updates++
		c.in.update()
	}
	return kind, plain, err
}

// Read gives application data.
func (c *crypter) Read(b []byte) (int, error) {
	for len(c.plain) == 0 {
		kind, plain, err := c.read()
		switch {
		case err != nil:
			return 0, err
		case kind == recordApplication:
			c.plain = plain
		case kind != recordHandshake:
			return 0, fmt.Errorf("a record of type %d: %x", kind, plain)
		}
	}
	n := copy(b, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}
