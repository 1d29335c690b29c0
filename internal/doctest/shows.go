// Package doctest checks what the documents say about the code.
package doctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Shows checks that what a guide shows as code stands, in whole lines, in one
// of the files that the patterns match: pieces of Go in a .go file, pieces of
// SQL in a .sql file. Indentation does not count. atLeast is how many pieces
// there have to be, so that a guide that has changed its form is noticed.
func Shows(t *testing.T, guide string, atLeast int, patterns ...string) {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	code := map[string][]string{} // by language
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no file matches %s (%v)", pattern, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			language := strings.TrimPrefix(filepath.Ext(file), ".")
			code[language] = append(code[language], unindented(string(content)))
		}
	}
	n := 0
next:
	for _, p := range fences(t, string(text)) {
		if p.language != "go" && p.language != "sql" {
			continue
		}
		n++
		for _, content := range code[p.language] {
			if strings.Contains(content, unindented(p.text)) {
				continue next
			}
		}
		t.Errorf("%s shows what no file has:\n%s", guide, p.text)
	}
	if n < atLeast {
		t.Errorf("%s shows %d pieces of code, expected are %d or more: its form has changed", guide, n, atLeast)
	}
}

// piece is what stands in one fence.
type piece struct{ language, text string }

// fences returns the pieces of code in a document.
func fences(t *testing.T, text string) (pieces []piece) {
	t.Helper()
	for {
		_, rest, found := strings.Cut(text, "\n```")
		if !found {
			return pieces
		}
		language, rest, _ := strings.Cut(rest, "\n")
		code, after, closed := strings.Cut(rest, "\n```\n")
		if !closed {
			t.Fatal("a fence is not closed")
		}
		pieces = append(pieces, piece{language, code})
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
