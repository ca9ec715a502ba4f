package configs

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"strait/internal/fleetkey"
)

// Fleet is what makes one gateway of many known to the others.
type Fleet struct {
	KeyFile string `env:"FLEET_KEY_FILE"` // empty: a random key
	NodeID  string `env:"NODE_ID"`        // empty: the host's name; see [Fleet.Node]
}

// Keys returns the fleet's keys: those of the file, or without one a random key.
func (f Fleet) Keys() (fleetkey.Ring, error) {
	if f.KeyFile == "" {
		return fleetkey.Generate(), nil
	}
	return fleetkey.Load(f.KeyFile)
}

// Node returns the name of this gateway among those of the fleet.
func (f Fleet) Node() string {
	if f.NodeID != "" {
		return f.NodeID
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "strait"
	}
	return name
}

// keyExposed warns where others than its owner may read or write the key file. It is
// no problem: a container's mounted secrets often come so. Only Unix has such modes.
func (l *loader) keyExposed() {
	name := l.config.Fleet.KeyFile
	if name == "" || runtime.GOOS == "windows" {
		return
	}
	info, err := os.Stat(name)
	if err != nil {
		return // it was read a moment ago; reading it again will say
	}
	if mode := info.Mode().Perm(); mode&0o066 != 0 {
		l.notices = append(l.notices, Notice{Variables: []string{nameFleetKey}, Warning: true, Text: fmt.Sprintf(
			"%s has mode %#o: others than its owner may read or write the key of the fleet; 0600 is right, or 0400 for a mounted secret", name, mode)})
	}
}

func keyFile() rule {
	return rule{
		accepts: "the path of a file with one or two lines of 64 hex digits, as `openssl rand -hex 32` prints them",
		check: func(v any) error {
			if err := readable(v.(string)); err != nil {
				return err
			}
			_, err := fleetkey.Load(v.(string))
			return err
		},
	}
}

// maxNodeID is the longest name of a gateway in bytes.
const maxNodeID = 64

func nodeID() rule {
	return rule{
		accepts: fmt.Sprintf("1 to %d letters, digits, dots, dashes and underscores", maxNodeID),
		check: func(v any) error {
			s := v.(string)
			if len(s) > maxNodeID {
				return fmt.Errorf("longer than %d characters", maxNodeID)
			}
			for _, c := range []byte(s) {
				switch {
				case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
				default:
					return errors.New("has a character that a name may not have")
				}
			}
			return nil
		},
	}
}
