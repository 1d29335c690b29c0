package eventcachetest

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOfTheReference: the suite has nothing to say against a store that is obviously right.
func TestOfTheReference(t *testing.T) {
	Run(t, func() *Harness { return plainHarness(nil) })
}
