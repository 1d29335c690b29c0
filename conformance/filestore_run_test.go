//go:build unix

package conformance

import "testing"

// The store that the broken ones are made of is whole: what the suite finds in them is what was broken.
func TestTheWholeFileStoreConforms(t *testing.T) { Run(t, fileHarness("", nil)) }
