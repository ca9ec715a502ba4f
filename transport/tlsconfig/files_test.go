package tlsconfig_test

import (
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport/tlsconfig"
)

func TestCertificateFromFiles(t *testing.T) {
	p := goodPair(t)
	f := newFiles(t, p)
	s := newSource(t, tlsconfig.Config{CertFile: f.cert, KeyFile: f.key})
	assert.Equal(t, p.cert.Raw, seenBy(t, s.Server(alpn)).Raw)
	sum := fingerprint(p.cert)
	assert.Equal(t, sum, s.Fingerprint())
	assert.Equal(t, "file "+f.cert+", subject CN=edge.example, SHA-256 "+hex.EncodeToString(sum[:])+", until "+p.cert.NotAfter.UTC().Format(time.RFC3339), s.Description())
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	good, other := goodPair(t), goodPair(t)
	expired := newPair(t, ecdsaKey(t), time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour))
	future := newPair(t, ecdsaKey(t), time.Now().Add(time.Hour), time.Now().Add(48*time.Hour))
	block := func(kind string, headers map[string]string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: []byte("secret")})
	}
	for name, tc := range map[string]struct {
		certPEM, keyPEM []byte
		key             bool // to blame
		says            string
		is              error
	}{
		"mismatch":       {certPEM: good.certPEM, keyPEM: other.keyPEM, key: true, says: "not usable as the key of"},
		"expired":        {certPEM: expired.certPEM, keyPEM: expired.keyPEM, is: tlsconfig.ErrExpired, says: expired.cert.NotAfter.UTC().Format(time.RFC3339)},
		"not yet valid":  {certPEM: future.certPEM, keyPEM: future.keyPEM, is: tlsconfig.ErrNotYetValid, says: future.cert.NotBefore.UTC().Format(time.RFC3339)},
		"encrypted":      {certPEM: good.certPEM, keyPEM: block("ENCRYPTED PRIVATE KEY", nil), key: true, says: "is encrypted"},
		"encrypted, old": {certPEM: good.certPEM, keyPEM: block("RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED"}), key: true, says: "is encrypted"},
		"broken key":     {certPEM: good.certPEM, keyPEM: block("PRIVATE KEY", nil), key: true, says: "not usable"},
		"broken cert":    {certPEM: block("CERTIFICATE", nil), keyPEM: good.keyPEM, says: "certificate 1 cannot be parsed"},
		"broken chain":   {certPEM: append(good.certPEM[:len(good.certPEM):len(good.certPEM)], block("CERTIFICATE", nil)...), keyPEM: good.keyPEM, says: "certificate 2 cannot be parsed"},
		"swapped":        {certPEM: good.keyPEM, keyPEM: good.certPEM, key: true, says: "holds no private key"},
		"key as cert":    {certPEM: good.keyPEM, keyPEM: good.keyPEM, says: "holds no certificate"},
		"empty cert":     {certPEM: []byte("\n"), keyPEM: good.keyPEM, says: "is empty"},
		"empty key":      {certPEM: good.certPEM, keyPEM: []byte{}, key: true, says: "is empty"},
		"binary cert":    {certPEM: good.cert.Raw, keyPEM: good.keyPEM, says: "is binary (DER)"},
		"text":           {certPEM: []byte("hello"), keyPEM: good.keyPEM, says: "is not in PEM form"},
		"absent cert":    {keyPEM: good.keyPEM, says: "cannot be read", is: fs.ErrNotExist},
		"absent key":     {certPEM: good.certPEM, key: true, says: "cannot be read", is: fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
			if tc.certPEM != nil {
				replaceFile(t, f.cert, tc.certPEM)
			}
			if tc.keyPEM != nil {
				replaceFile(t, f.key, tc.keyPEM)
			}
			c := tlsconfig.Config{CertFile: f.cert, KeyFile: f.key}
			_, err := tlsconfig.New(c)
			require.ErrorContains(t, err, tc.says)
			assert.NotContains(t, err.Error(), "secret")
			var fileErr *tlsconfig.FileError
			require.True(t, errors.As(err, &fileErr))
			want := f.cert
			if tc.key {
				want = f.key
			}
			assert.Equal(t, want, fileErr.Path)
			assert.Equal(t, tc.key, fileErr.Key)
			assert.ErrorContains(t, err, want+": ")
			if tc.is != nil {
				assert.ErrorIs(t, err, tc.is)
			}
			assert.Equal(t, err.Error(), c.Validate().Error(), "Validate refuses what New refuses")

			_, err = tlsconfig.Upstream("", f.cert, f.key)
			assert.ErrorContains(t, err, tc.says)
		})
	}
}

func TestOneFileForBoth(t *testing.T) {
	p := goodPair(t)
	name := filepath.Join(t.TempDir(), "both.pem")
	replaceFile(t, name, append(append([]byte(nil), p.keyPEM...), p.certPEM...))
	s := newSource(t, tlsconfig.Config{CertFile: name, KeyFile: name})
	assert.Equal(t, fingerprint(p.cert), s.Fingerprint())
}

func TestChangedFilesAreLoadedByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		first, second := goodPair(t), goodPair(t)
		f := newFiles(t, first)
		s, err := tlsconfig.New(tlsconfig.Config{CertFile: f.cert, KeyFile: f.key, Logger: log})
		require.NoError(t, err)
		defer s.Close()
		server := s.Server(alpn)
		look := func() [32]byte {
			time.Sleep(31 * time.Second)
			synctest.Wait()
			return fingerprint(seenBy(t, server))
		}
		assert.Equal(t, fingerprint(first.cert), look())

		// Half of a renewal: the old pair stays, and that is said once.
		replaceFile(t, f.cert, second.certPEM)
		for range 3 {
			assert.Equal(t, fingerprint(first.cert), look())
		}
		require.Len(t, lines.all(), 1)
		assert.Contains(t, lines.all()[0], "level=ERROR")
		assert.Contains(t, lines.all()[0], "not usable as the key of")
		require.NoError(t, os.Remove(f.cert))
		assert.Equal(t, fingerprint(first.cert), look())
		require.Len(t, lines.all(), 2, "another failure is said, too")
		assert.Contains(t, lines.all()[1], "no such file")

		// The other half.
		f.write(t, second)
		assert.Equal(t, fingerprint(second.cert), look())
		require.Len(t, lines.all(), 3)
		oldSum, newSum := fingerprint(first.cert), fingerprint(second.cert)
		assert.Contains(t, lines.all()[2], "old="+hex.EncodeToString(oldSum[:]))
		assert.Contains(t, lines.all()[2], "new="+hex.EncodeToString(newSum[:]))

		// Touched, and the same as before.
		f.write(t, second)
		assert.Equal(t, fingerprint(second.cert), look())
		assert.Len(t, lines.all(), 3)
	})
}

// A link that is turned to another folder is how Kubernetes updates a secret.
func TestTurnedLinkIsAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := goodPair(t), goodPair(t)
		dir := t.TempDir()
		for name, p := range map[string]pair{"1": first, "2": second} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
			files{filepath.Join(dir, name, "tls.crt"), filepath.Join(dir, name, "tls.key")}.write(t, p)
		}
		current := filepath.Join(dir, "current")
		if err := os.Symlink("1", current); err != nil {
			t.Skip("no symbolic links here:", err)
		}
		s, err := tlsconfig.New(tlsconfig.Config{CertFile: filepath.Join(current, "tls.crt"), KeyFile: filepath.Join(current, "tls.key")})
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, os.Symlink("2", current+".new"))
		require.NoError(t, os.Rename(current+".new", current))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		assert.Equal(t, fingerprint(second.cert), s.Fingerprint())
	})
}

func TestReload(t *testing.T) {
	log, lines := newLog()
	first, second := goodPair(t), goodPair(t)
	f := newFiles(t, first)
	s := newSource(t, tlsconfig.Config{CertFile: f.cert, KeyFile: f.key, Logger: log})
	require.NoError(t, s.Reload())
	assert.Empty(t, lines.all(), "nothing has changed")

	replaceFile(t, f.key, second.keyPEM)
	for range 2 {
		require.ErrorContains(t, s.Reload(), "not usable as the key of")
	}
	assert.Len(t, lines.all(), 2, "who asks is told every time")
	assert.Equal(t, fingerprint(first.cert), s.Fingerprint())

	f.write(t, second)
	require.NoError(t, s.Reload())
	assert.Equal(t, fingerprint(second.cert), s.Fingerprint())
	assert.Equal(t, second.cert.Raw, seenBy(t, s.Server(alpn)).Raw)
}

func TestEndOfACertificateFromAFileIsWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		p := newPair(t, ecdsaKey(t), time.Now(), time.Now().Add(60*24*time.Hour))
		f := newFiles(t, p)
		s, err := tlsconfig.New(tlsconfig.Config{CertFile: f.cert, KeyFile: f.key, Logger: log})
		require.NoError(t, err)
		defer s.Close()
		time.Sleep(56 * 24 * time.Hour)
		synctest.Wait()
		assert.Empty(t, lines.all())
		time.Sleep(2 * 24 * time.Hour)
		synctest.Wait()
		require.Len(t, lines.all(), 1)
		assert.Contains(t, lines.all()[0], "level=WARN")
		assert.Contains(t, lines.all()[0], "ends soon")
	})
}
