// Package echopython has no Go code of its own: it is the place of the test that runs
// echo.py behind a gateway, with the build tag outside (outside_test.go).
package echopython
