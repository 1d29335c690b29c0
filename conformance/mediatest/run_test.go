package mediatest

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil { // what fails here, fails on purpose
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// TestOfTheReference: the suite has nothing to say against a store that is obviously right.
func TestOfTheReference(t *testing.T) {
	Run(t, func() *Harness { return openHarness("") })
}
