//go:build !unix

package configs

import "math"

// OpenFiles returns no limit: this system has none of the kind.
func OpenFiles() (soft, hard uint64, err error) {
	return math.MaxUint64, math.MaxUint64, nil
}
