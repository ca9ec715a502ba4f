package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quicBystander plays over QUIC all the time, to notice what others do to him.
type quicBystander struct {
	*quicPlayer
	rounds  atomic.Int64
	longest atomic.Int64 // nanoseconds
	failed  atomic.Pointer[error]
}

// accompanyQUIC starts a bystander on a gateway that echoes. When the test ends he must
// not have noticed anything.
func accompanyQUIC(t testing.TB, gw *process) *quicBystander {
	t.Helper()
	p, err := dialQUIC(t, gw, quicSetup{})
	require.NoError(t, err)
	p.control, err = p.conn.OpenStream()
	require.NoError(t, err)
	p.write(clientHello())
	f, err := readFrame(p.control)
	require.NoError(t, err)
	require.EqualValues(t, tServerHello, f.typ)
	b := &quicBystander{quicPlayer: p}
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { b.run(stop) })
	t.Cleanup(func() {
		close(stop)
		done.Wait()
		if err := b.failed.Load(); err != nil {
			t.Errorf("a player who did nothing wrong was disturbed: %v", *err)
		}
		if longest := time.Duration(b.longest.Load()); longest > 5*time.Second {
			t.Errorf("a player who did nothing wrong waited %v for an answer", longest)
		}
	})
	return b
}

func (b *quicBystander) run(stop <-chan struct{}) {
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	for i := uint64(0); ; i++ {
		began := time.Now()
		if err := b.round(i); err != nil {
			b.failed.Store(&err)
			return
		}
		b.rounds.Add(1)
		b.longest.Store(max(b.longest.Load(), int64(time.Since(began))))
		select {
		case <-stop:
			return
		case <-pace.C:
		}
	}
}

func (b *quicBystander) round(i uint64) error {
	sent := binary.BigEndian.AppendUint64(nil, i)
	if _, err := b.control.Write(data(0, sent)); err != nil {
		return err
	}
	for {
		f, err := readFrame(b.control)
		switch {
		case err != nil:
			return err
		case f.typ == tPing:
			b.answer(raw(tPong, append(f.payload, 0, 0, 0, 0)))
			continue
		case f.typ != tData || !bytes.Equal(f.payload, sent):
			return errors.New("another frame than the echo")
		}
		return nil
	}
}

// undisturbed returns after two more rounds, of which the second began after the call.
func (b *quicBystander) undisturbed(t testing.TB) {
	t.Helper()
	from := b.rounds.Load()
	require.Eventually(t, func() bool { return b.rounds.Load() >= from+2 || b.failed.Load() != nil }, patience, time.Millisecond)
	if err := b.failed.Load(); err != nil {
		require.NoError(t, *err, "a player who did nothing wrong")
	}
}
