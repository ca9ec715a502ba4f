package grid

// Unjudged has runs count also on a busy machine.
func Unjudged(c Config) Config {
	c.unjudged = true
	return c
}
