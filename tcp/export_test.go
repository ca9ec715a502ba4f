package tcp

// LongWay makes event loops go through crypto/tls's Read instead of lending it
// their buffer, as where its field is not found, until restore is called.
func LongWay() (restore func()) {
	at := rawInputAt
	rawInputAt = -1
	return func() { rawInputAt = at }
}

// Lends reports whether the field was found.
func Lends() bool { return rawInputAt >= 0 }
