package adopt

import (
	"testing"

	"github.com/quiesce-go/quiesce/internal/doctest"
)

// TestTheGuideShowsThisCode: what docs/adopt.md shows as Go stands, line by
// line, in a file of this module. Indentation does not count.
func TestTheGuideShowsThisCode(t *testing.T) { doctest.Shows(t, "../../docs/adopt.md", 15, "*.go") }
