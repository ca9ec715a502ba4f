package configs

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// QUIC is the policy of the QUIC transport. Sizes are in bytes.
type QUIC struct {
	Datagrams        Switch        `env:"QUIC_DATAGRAMS" envDefault:"on"`
	Retry            string        `env:"QUIC_RETRY" envDefault:"auto"` // one of the Retry constants
	HandshakeTimeout time.Duration `env:"QUIC_HANDSHAKE_TIMEOUT" envDefault:"0s"`
	IdleTimeout      time.Duration `env:"QUIC_IDLE_TIMEOUT" envDefault:"0s"`
	KeepAlive        time.Duration `env:"QUIC_KEEPALIVE" envDefault:"0s"`
	StreamWindow     int64         `env:"QUIC_STREAM_WINDOW_BYTES" envDefault:"131072"`
	ConnWindow       int64         `env:"QUIC_CONN_WINDOW_BYTES" envDefault:"524288"`
	MaxStreams       int64         `env:"QUIC_MAX_STREAMS" envDefault:"256"`
	GSO              Switch        `env:"QUIC_GSO" envDefault:"on"`
	MTUDiscovery     Switch        `env:"QUIC_MTU_DISCOVERY" envDefault:"on"`
	ReadBuffer       int64         `env:"QUIC_READ_BUFFER_BYTES" envDefault:"7340032"`
	WriteBuffer      int64         `env:"QUIC_WRITE_BUFFER_BYTES" envDefault:"7340032"`
	QLogDir          string        `env:"QUIC_QLOG_DIR"`
	QLogEvery        int64         `env:"QUIC_QLOG_EVERY" envDefault:"100"`
}

// zeroOrDuration accepts 0, which has a meaning of its own.
func zeroOrDuration(meaning string, from, to time.Duration) rule {
	r := duration(from, to)
	return rule{
		accepts: fmt.Sprintf("0s (%s) or %s", meaning, r.accepts),
		check: func(v any) error {
			if v.(time.Duration) == 0 {
				return nil
			}
			return r.check(v)
		},
	}
}

func folder() rule {
	return rule{
		accepts: "the path of a folder in which files can be made",
		check: func(v any) error {
			info, err := os.Stat(v.(string))
			if err != nil {
				return reason(err)
			}
			if !info.IsDir() {
				return errors.New("is a file, not a folder")
			}
			f, err := os.CreateTemp(v.(string), ".strait-*")
			if err != nil {
				return fmt.Errorf("no file can be made in it: %w", reason(err))
			}
			return errors.Join(f.Close(), os.Remove(f.Name()))
		},
	}
}
