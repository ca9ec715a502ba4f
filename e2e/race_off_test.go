//go:build !race

package e2e

// raceDetector says that the tests, and so the gateway, run under the detector.
const raceDetector = false
