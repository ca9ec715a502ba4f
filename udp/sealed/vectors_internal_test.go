package sealed

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vector is one known answer of another implementation.
type vector struct {
	AEAD      AEAD
	Epoch     uint8
	SessionID hexBytes `json:"session_id"`
	Secret    hexBytes
	CID       hexBytes
	Token     hexBytes
	UpIV      hexBytes `json:"c2g_iv"`
	DownIV    hexBytes `json:"g2c_iv"`
	UpKey     hexBytes `json:"c2g_key"`
	DownKey   hexBytes `json:"g2c_key"`
	Micros    uint64   `json:"hello_plain_time_us"`
	Hello     hexBytes
	Data      []struct {
		Number uint64 `json:"packet_number"`
		Frames hexBytes
		Up     hexBytes `json:"client_to_gateway"`
		Down   hexBytes `json:"gateway_to_client"`
	}
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("../../proto/testdata/vectors.json")
	require.NoError(t, err)
	var file struct {
		Sealed []vector `json:"sealed_udp"`
	}
	require.NoError(t, json.Unmarshal(text, &file))
	require.Len(t, file.Sealed, 6)
	return file.Sealed
}

// end is one end of the vector's lane.
func (v *vector) end(out Direction) *core {
	s := (&Shared{}).settings(time.Second)
	c := &core{settings: &s, session: SessionID(v.SessionID), cid: CID(v.CID), aead: v.AEAD, out: out}
	c.cur = &epoch{number: v.Epoch, secret: [32]byte(v.Secret)}
	c.cur.ready(c)
	return c
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		client, gateway := v.end(ToGateway), v.end(ToClient)
		require.Equal(t, []byte(v.UpIV), client.cur.send.iv[:])
		require.Equal(t, []byte(v.DownIV), client.cur.recv.iv[:])
		require.Equal(t, v.AEAD.cipher(v.UpKey), client.cur.send.aead)
		require.Equal(t, v.AEAD.cipher(v.DownKey), gateway.cur.send.aead)

		b, sealed := appendHello(nil, v.Epoch, client.cid, [CookieLen]byte{}, 0, v.Token, v.Micros)
		b = client.cur.send.aead.Seal(b[:sealed], client.nonce(&client.cur.send.iv, 0), b[sealed:], b[:sealed])
		require.Equal(t, []byte(v.Hello), b)
		h, drop := ParseHello(b)
		require.Equal(t, DropNone, drop)
		require.Equal(t, []byte(v.Token), h.Token)
		require.Equal(t, client.cid, h.CID)
		plain, highest, drop := gateway.open(gateway.cur, b, sealed, h.number, b[:sealed])
		require.Equal(t, DropNone, drop)
		require.True(t, highest)
		require.True(t, allZero(plain[helloTime:]))

		for _, d := range v.Data {
			for _, way := range []struct {
				from, to *core
				want     []byte
			}{{client, gateway, d.Up}, {gateway, client, d.Down}} {
				out := way.from.out
				var p Packet
				p.Start(make([]byte, MaxPacket), out)
				require.True(t, p.Message(2, uint16(d.Number), []byte("hello")))
				require.True(t, p.opaque(framePing, 0, MaxPacket))
				at := out.header()
				require.Equal(t, []byte(d.Frames), p.buf[at:p.n])
				way.from.cur.next = d.Number
				b := way.from.seal(&p)
				require.Equal(t, way.want, b)

				// The number is found again from its low bits, across 2^32.
				low := uint32(d.Number)
				plain, highest, drop := way.to.open(way.to.cur, b, at, low, way.to.extra(b[:at], out))
				require.Equal(t, DropNone, drop, "%d", d.Number)
				require.True(t, highest)
				require.Equal(t, d.Number+1, way.to.cur.window.next)
				require.Equal(t, []byte(d.Frames), plain)
				require.Equal(t, DropNone, check(plain, out))
			}
		}
	}
}
