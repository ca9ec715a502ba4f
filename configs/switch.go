package configs

import "errors"

// Switch is a setting that is on or off.
type Switch bool

// String returns on or off.
func (s Switch) String() string {
	if s {
		return "on"
	}
	return off
}

// UnmarshalText takes on and off.
func (s *Switch) UnmarshalText(text []byte) error {
	switch string(text) {
	case "on":
		*s = true
	case off:
		*s = false
	default:
		return errors.New("neither on nor off")
	}
	return nil
}
