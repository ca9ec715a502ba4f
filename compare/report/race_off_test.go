//go:build !race

package report_test

const race = false
