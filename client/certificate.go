package client

import (
	"crypto/tls"
	"errors"
	"net"
	"reflect"

	quicgo "github.com/quic-go/quic-go"
)

// ClientCertificateError says that the gateway ended the TLS handshake because of the
// client's certificate: it wants one and none was shown, or it does not take the one
// that was. With TLS 1.3 a client learns of it only when its own handshake is done.
type ClientCertificateError struct {
	// Set says that Options.Certificate is set. It is shown unless the gateway's list of
	// authorities rules it out.
	Set bool
	// Alert is what the gateway sent (RFC 8446 section 6.2).
	Alert tls.AlertError
	// Err is the error of the connection: a *net.OpError, or quic-go's *TransportError.
	Err error
}

func (e *ClientCertificateError) Error() string {
	if e.Set {
		return "the gateway refused the client's certificate: " + e.Alert.Error()
	}
	return "the gateway wants a certificate of the client, and there is none: " + e.Alert.Error()
}

func (e *ClientCertificateError) Unwrap() error { return e.Err }

// The alerts about the certificate of the other end.
const (
	alertBadCertificate         tls.AlertError = 42
	alertUnsupportedCertificate tls.AlertError = 43
	alertCertificateRevoked     tls.AlertError = 44
	alertCertificateExpired     tls.AlertError = 45
	alertCertificateUnknown     tls.AlertError = 46
	alertUnknownCA              tls.AlertError = 48
	alertCertificateRequired    tls.AlertError = 116
)

// refusedCertificate turns the end of a connection into a *ClientCertificateError if
// the gateway's alert says so; else it is err.
func (d *dialer) refusedCertificate(err error) error {
	alert, ok := alertOf(err)
	if !ok {
		return err
	}
	switch alert {
	case alertBadCertificate, alertUnsupportedCertificate, alertCertificateRevoked, alertCertificateExpired,
		alertCertificateUnknown, alertUnknownCA, alertCertificateRequired:
		return &ClientCertificateError{Set: d.options.Certificate != nil, Alert: alert, Err: err}
	}
	return err
}

// alertOf is the alert that the other end sent.
func alertOf(err error) (tls.AlertError, bool) {
	var overQUIC *quicgo.TransportError
	if errors.As(err, &overQUIC) {
		return tls.AlertError(overQUIC.ErrorCode), overQUIC.Remote && overQUIC.ErrorCode.IsCryptoError()
	}
	var overTCP *net.OpError
	if errors.As(err, &overTCP) && overTCP.Op == "remote error" {
		// crypto/tls has a type of its own for an alert that has arrived.
		if v := reflect.ValueOf(overTCP.Err); v.Kind() == reflect.Uint8 {
			return tls.AlertError(v.Uint()), true
		}
	}
	return 0, false
}
