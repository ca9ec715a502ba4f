package transporttest_test

import (
	"testing"

	"strait/transport/transporttest"
)

func TestMemory(t *testing.T) {
	transporttest.Run(t, func(_ *testing.T, s transporttest.Setup) transporttest.Endpoint {
		return transporttest.NewMemory(s).Endpoint()
	})
}

func TestMemoryWithDatagrams(t *testing.T) {
	transporttest.Run(t, func(_ *testing.T, s transporttest.Setup) transporttest.Endpoint {
		return transporttest.NewDatagramMemory(s).Endpoint()
	})
}
