package configs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TLSVersion is a version of TLS as crypto/tls numbers it.
type TLSVersion uint16

// String returns 1.2 or 1.3.
func (v TLSVersion) String() string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return fmt.Sprintf("0x%04x", uint16(v))
}

// UnmarshalText takes 1.2 and 1.3.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "1.2":
		*v = tls.VersionTLS12
	case "1.3":
		*v = tls.VersionTLS13
	default:
		return errors.New("not a version of TLS that the gateway speaks")
	}
	return nil
}

// CipherSuites are suites of TLS 1.2 as crypto/tls numbers them; none of them means
// Go's own choice.
type CipherSuites []uint16

// String returns the IANA names, separated by commas.
func (cs CipherSuites) String() string {
	out := make([]string, len(cs))
	for i, id := range cs {
		out[i] = tls.CipherSuiteName(id)
	}
	return strings.Join(out, ",")
}

// UnmarshalText takes IANA names, separated by commas. The error names everything
// that is wrong with the list.
func (cs *CipherSuites) UnmarshalText(text []byte) error {
	var list CipherSuites
	var wrong []error
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		id, err := cipherSuite(name)
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case slices.Contains(list, id):
			wrong = append(wrong, fmt.Errorf("%s is listed twice", name))
		default:
			list = append(list, id)
		}
	}
	if len(wrong) > 0 {
		return oneLine(wrong)
	}
	*cs = list
	return nil
}

func cipherSuite(name string) (uint16, error) {
	if name == "" {
		return 0, errors.New("an item of the list is empty")
	}
	for _, s := range tls.CipherSuites() {
		if s.Name != name {
			continue
		}
		if !slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			return 0, fmt.Errorf("%s belongs to TLS 1.3, whose suites are all good and cannot be chosen", name)
		}
		return s.ID, nil
	}
	for _, s := range tls.InsecureCipherSuites() {
		if s.Name == name {
			return 0, fmt.Errorf("%s is not secure", name)
		}
	}
	if near := nearest(name, suiteNames()); near != "" {
		return 0, fmt.Errorf("%q does not exist; did you mean %s?", name, near)
	}
	return 0, fmt.Errorf("%q does not exist", name)
}

// suiteNames returns the names that may be given.
func suiteNames() []string {
	var out []string
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			out = append(out, s.Name)
		}
	}
	return out
}
