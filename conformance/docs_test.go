package conformance_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/conformance.md anew")

const (
	docs       = "../docs/conformance.md"
	tableBegin = "<!-- The tables below are written by: go test ./conformance -run TestDocumentation -update -->\n"
	tableEnd   = "<!-- end of the tables -->\n"
)

// TestDocumentation: the tables of docs/conformance.md are those of the code,
// so that every case that is listed exists, and the other way round.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around its tables", docs)
	}
	want := before + tableBegin + tables() + tableEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the tables in %s are not those of the code; run: go test ./conformance -run TestDocumentation -update", docs)
	}
	if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
