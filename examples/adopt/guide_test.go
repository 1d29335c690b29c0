package adopt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheGuideShowsThisCode: what docs/adopt.md shows as Go stands, line by
// line, in a file of this module. Indentation does not count.
func TestTheGuideShowsThisCode(t *testing.T) {
	const guide = "../../docs/adopt.md"
	text, err := os.ReadFile(guide)
	must(t, err)
	files, err := filepath.Glob("*.go")
	must(t, err)
	var code []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		code = append(code, unindented(string(content)))
	}
	shown := fences(t, string(text))
	if len(shown) < 15 {
		t.Errorf("%s shows %d pieces of Go: its form has changed", guide, len(shown))
	}
next:
	for _, piece := range shown {
		for _, content := range code {
			if strings.Contains(content, unindented(piece)) {
				continue next
			}
		}
		t.Errorf("%s shows what no file of this module has:\n%s", guide, piece)
	}
}

// fences returns the pieces of Go in a document.
func fences(t *testing.T, text string) (pieces []string) {
	t.Helper()
	for {
		_, rest, found := strings.Cut(text, "\n```")
		if !found {
			return pieces
		}
		language, rest, _ := strings.Cut(rest, "\n")
		piece, after, closed := strings.Cut(rest, "\n```\n")
		if !closed {
			t.Fatal("a fence is not closed")
		}
		if language == "go" {
			pieces = append(pieces, piece)
		}
		text = "\n" + after
	}
}

// unindented is text without indentation, between two line ends: a piece has to be whole lines.
func unindented(text string) string {
	var b strings.Builder
	b.WriteByte('\n')
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return b.String()
}
