package e2e

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"
)

// The packet types of WIRE.md section 6.3.
const (
	uHello = 0
	uRetry = 1
	uData  = 2
	uReset = 3
)

// helloBytes is the size of every HELLO, and the largest of any datagram.
const helloBytes = 1200

// The AEADs of WIRE.md section 6.2.
const (
	aesGCM = 1
	chaCha = 2
)

// sealing protects one direction of one epoch.
type sealing struct {
	aead    cipher.AEAD
	key, iv []byte
}

func (s sealing) nonce(number uint64) []byte {
	n := slices.Clone(s.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, number) {
		n[4+i] ^= b
	}
	return n
}

// epochKeys are the keys of one epoch of a lane.
type epochKeys struct {
	epoch             byte
	toGateway, toUser sealing
}

func deriveKeys(aead uint32, secret, session []byte, epoch byte) (k epochKeys, err error) {
	size := map[uint32]int{aesGCM: 16, chaCha: 32}[aead]
	if size == 0 || len(secret) != 32 || len(session) != 16 {
		return k, fmt.Errorf("no keys from aead %d, a secret of %d bytes and a session id of %d", aead, len(secret), len(session))
	}
	info := "strait/1 udp" + string(session) + string([]byte{epoch})
	okm, err := hkdf.Key(sha256.New, secret, nil, info, 2*(size+12))
	if err != nil {
		return k, err
	}
	k.epoch = epoch
	for i, s := range []*sealing{&k.toGateway, &k.toUser} {
		half := okm[i*(size+12):][:size+12]
		s.key, s.iv = half[:size], half[size:]
		if aead == chaCha {
			s.aead, err = chacha20poly1305.New(s.key)
		} else if block, e := aes.NewCipher(s.key); e == nil {
			s.aead, err = cipher.NewGCM(block)
		} else {
			err = e
		}
		if err != nil {
			return k, err
		}
	}
	return k, nil
}

// byte0 is the first byte of a packet.
func byte0(epoch byte, kind byte) byte { return 0x10 | epoch&1<<3 | kind }

// hello is a HELLO; a nil cookie is zero.
func (k epochKeys) hello(cid, token, cookie []byte, number uint64, now time.Time) []byte {
	return k.helloOf(1, helloBytes, cid, token, cookie, number, now)
}

// helloOf is a HELLO of a version and a size that need not be right.
func (k epochKeys) helloOf(version uint16, size int, cid, token, cookie []byte, number uint64, now time.Time) []byte {
	b := append([]byte{byte0(k.epoch, uHello)}, cid...)
	b = binary.BigEndian.AppendUint16(b, version)
	if cookie == nil {
		cookie = make([]byte, 24)
	}
	b = append(b, cookie...)
	b = binary.BigEndian.AppendUint32(b, uint32(number))
	b = binary.BigEndian.AppendUint16(b, uint16(len(token)))
	b = append(b, token...)
	plain := make([]byte, max(8, size-len(b)-16))
	binary.BigEndian.PutUint64(plain, uint64(now.UnixMicro()))
	return k.toGateway.aead.Seal(b, k.toGateway.nonce(number), plain, b)
}

// up is a DATA packet of a client.
func (k epochKeys) up(cid []byte, number uint64, frames []byte) []byte {
	b := append([]byte{byte0(k.epoch, uData)}, cid...)
	b = binary.BigEndian.AppendUint32(b, uint32(number))
	return k.toGateway.aead.Seal(b, k.toGateway.nonce(number), frames, b)
}

// down is a DATA packet of a gateway.
func (k epochKeys) down(cid []byte, number uint64, frames []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{byte0(k.epoch, uData)}, uint32(number))
	return k.toUser.aead.Seal(b, k.toUser.nonce(number), frames, append(slices.Clone(b), cid...))
}

// openDown opens a DATA packet of a gateway; next is the highest number received
// and one, or 0.
func (k epochKeys) openDown(cid, packet []byte, next uint64) (number uint64, frames []byte, err error) {
	if len(packet) < 5+16 {
		return 0, nil, errors.New("too short for DATA")
	}
	number = nearest(next, binary.BigEndian.Uint32(packet[1:]))
	frames, err = k.toUser.aead.Open(nil, k.toUser.nonce(number), packet[5:], append(slices.Clone(packet[:5]), cid...))
	return number, frames, err
}

// openUp opens a DATA packet of a client.
func (k epochKeys) openUp(packet []byte, next uint64) (number uint64, frames []byte, err error) {
	if len(packet) < 13+16 {
		return 0, nil, errors.New("too short for DATA")
	}
	number = nearest(next, binary.BigEndian.Uint32(packet[9:]))
	frames, err = k.toGateway.aead.Open(nil, k.toGateway.nonce(number), packet[13:], packet[:13])
	return number, frames, err
}

// nearest is the number with these low 32 bits that is nearest to next.
func nearest(next uint64, low uint32) uint64 {
	const turn = 1 << 32
	best := next&^(turn-1) | uint64(low)
	distance := func(n uint64) uint64 { return max(n, next) - min(n, next) }
	for _, n := range []uint64{best + turn, best - turn} { // below 0 is very far away
		if distance(n) < distance(best) {
			best = n
		}
	}
	return best
}

func TestNearestPacketNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		next uint64
		low  uint32
		want uint64
	}{
		{0, 0, 0}, {0, 5, 5}, {0, 0xffffffff, 0xffffffff}, {1 << 31, 0, 0}, {1<<31 + 1, 0, 1 << 32},
		{0xffffffff, 0, 1 << 32}, {1 << 32, 0xffffffff, 0xffffffff}, {1<<32 + 5, 3, 1<<32 + 3},
		{5<<32 + 7, 0xfffffff0, 5<<32 - 16},
	} {
		assert.Equal(t, c.want, nearest(c.next, c.low), "%x at %x", c.low, c.next)
	}
}

// hexed is bytes in a JSON file.
type hexed []byte

func (h *hexed) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// The client of these tests is held against the known answers first.
func TestSealedVectors(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(filepath.Join("..", "proto", "testdata", "vectors.json"))
	require.NoError(t, err)
	var vectors struct {
		SealedUDP []struct {
			AEAD               uint32
			Epoch              byte
			SessionID          hexed `json:"session_id"`
			Secret, CID, Token hexed
			ToGatewayKey       hexed `json:"c2g_key"`
			ToGatewayIV        hexed `json:"c2g_iv"`
			ToUserKey          hexed `json:"g2c_key"`
			ToUserIV           hexed `json:"g2c_iv"`
			Time               int64 `json:"hello_plain_time_us"`
			Hello              hexed
			Data               []struct {
				Number uint64 `json:"packet_number"`
				Frames hexed
				Up     hexed `json:"client_to_gateway"`
				Down   hexed `json:"gateway_to_client"`
			}
		} `json:"sealed_udp"`
	}
	require.NoError(t, json.Unmarshal(file, &vectors))
	require.NotEmpty(t, vectors.SealedUDP)
	for _, v := range vectors.SealedUDP {
		t.Run(fmt.Sprintf("aead %d epoch %d", v.AEAD, v.Epoch), func(t *testing.T) {
			k, err := deriveKeys(v.AEAD, v.Secret, v.SessionID, v.Epoch)
			require.NoError(t, err)
			assert.EqualValues(t, v.ToGatewayKey, k.toGateway.key)
			assert.EqualValues(t, v.ToGatewayIV, k.toGateway.iv)
			assert.EqualValues(t, v.ToUserKey, k.toUser.key)
			assert.EqualValues(t, v.ToUserIV, k.toUser.iv)
			assert.EqualValues(t, v.Hello, k.hello(v.CID, v.Token, nil, 0, time.UnixMicro(v.Time)))
			require.NotEmpty(t, v.Data)
			for _, d := range v.Data {
				assert.EqualValues(t, d.Up, k.up(v.CID, d.Number, d.Frames))
				assert.EqualValues(t, d.Down, k.down(v.CID, d.Number, d.Frames))
				number, frames, err := k.openDown(v.CID, d.Down, d.Number)
				require.NoError(t, err)
				assert.Equal(t, d.Number, number)
				assert.EqualValues(t, d.Frames, frames)
				number, frames, err = k.openUp(d.Up, d.Number)
				require.NoError(t, err)
				assert.Equal(t, d.Number, number)
				assert.EqualValues(t, d.Frames, frames)
				for i := range d.Down {
					spoiled := slices.Clone(d.Down)
					spoiled[i] ^= 1
					_, _, err = k.openDown(v.CID, spoiled, d.Number)
					assert.Error(t, err, "byte %d", i)
				}
			}
		})
	}
}
