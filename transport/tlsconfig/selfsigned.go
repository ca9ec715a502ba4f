package tlsconfig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

const (
	// selfSignedLife keeps below the 14 days that browsers accept of a certificate
	// which they are given by its hash (WebTransport, serverCertificateHashes); they
	// want ECDSA P-256 for it, too.
	selfSignedLife = 13 * 24 * time.Hour
	// selfSignedSpare is how long before its end a certificate is replaced.
	selfSignedSpare = 3 * 24 * time.Hour
	// clockSkew is how far in the past a certificate begins, for clients whose clocks
	// are late.
	clockSkew = time.Hour

	selfSignedKey = x509.ECDSA

	// maxAddresses bounds a certificate on machines with very many addresses: it
	// crosses the network at every handshake.
	maxAddresses = 32
)

// selfSigned makes a certificate with a key of its own.
func selfSigned(hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	begin := now.Add(-clockSkew)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "strait self-signed"},
		NotBefore:             begin,
		NotAfter:              begin.Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// machineHosts returns the names and addresses by which this machine may be reached.
// What cannot be found out is left out.
func machineHosts() []string {
	out := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && validName(name) && !slices.Contains(out, name) {
		out = append(out, name)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		if len(out) == maxAddresses {
			break
		}
		out = append(out, n.IP.String())
	}
	return out
}

// validName reports whether a name can stand in a certificate; some machines are
// called what no host name may be.
func validName(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return name != ""
}
