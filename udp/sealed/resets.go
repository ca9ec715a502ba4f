package sealed

// Resets makes the values of RESET (WIRE.md section 6.3), a keyed hash of the cid under
// a key that no other gateway has. Safe for concurrent use.
type Resets struct{ keyed keyed }

// NewResets takes the key. Where it outlives the process, clients of a gateway that was
// restarted learn at once that their lanes are gone.
func NewResets(key [32]byte) *Resets { return &Resets{keyed: newKeyed(key, "reset")} }

// Value returns the reset value of a cid.
func (r *Resets) Value(cid CID) [16]byte {
	k := &r.keyed
	k.mu.Lock()
	defer k.mu.Unlock()
	return [16]byte(k.sum(append(k.in[:0], cid[:]...)))
}
