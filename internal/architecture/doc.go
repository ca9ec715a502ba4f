// Package architecture owns the rules about which package may import which, as
// tests: imports point downwards only, and each forbidden import names its reason.
// It holds no code that runs in the product.
package architecture
