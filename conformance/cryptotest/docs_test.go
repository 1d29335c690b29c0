package cryptotest

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the crypto store's tables in docs/conformance-matrix.md anew")

const (
	docs       = "../../docs/conformance-matrix.md"
	tableBegin = "<!-- The tables below are written by: go test ./conformance/cryptotest -run TestDocumentation -update -->\n"
	tableEnd   = "<!-- end of the crypto store's tables -->\n"
)

// TestDocumentation: the crypto store's tables in docs/conformance-matrix.md are those of the
// code, so that every case that is listed exists, and the other way round.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around the crypto store's tables", docs)
	}
	want := before + tableBegin + tables() + tableEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the tables in %s are not those of the code; run: go test ./conformance/cryptotest -run TestDocumentation -update", docs)
	}
	if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// byOrigin maps every row to its cases.
func byOrigin() map[string][]string {
	m := map[string][]string{}
	for _, c := range Cases() {
		for _, o := range c.Origins {
			m[o] = append(m[o], c.Name)
		}
	}
	return m
}

func TestEveryRowHasACase(t *testing.T) {
	if len(seedTests) != 38 || methods != 46 || len(gaps) != 12 || len(divergences) != 5 {
		t.Errorf("rows are missing, or there are too many: %d tests, %d methods, %d gaps, %d rows of stores that disagree", len(seedTests), methods, len(gaps), len(divergences))
	}
	all, have := origins(), byOrigin()
	for _, row := range all {
		if len(have[row]) == 0 {
			t.Errorf("no case for %q", row)
		}
	}
	for row, names := range have {
		if row != "contract" && !slices.Contains(all, row) {
			t.Errorf("the cases %q name a row that there is not: %q", names, row)
		}
	}
}

func TestEveryCaseSaysWhatItIsFor(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if c.Name == "" || c.Promise == "" || len(c.Origins) == 0 || c.run == nil {
			t.Errorf("a case lacks its name, promise, origin or check: %+v", c)
		}
		if seen[c.Name] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(c.Name) {
			t.Errorf("the name %q is used twice, or is none for a subtest", c.Name)
		}
		seen[c.Name] = true
		for _, text := range []string{c.Promise, c.Differs} {
			if strings.HasSuffix(text, ".") || strings.ContainsAny(text, "|\n") {
				t.Errorf("%s: %q does not fit into a table", c.Name, text)
			}
		}
	}
}

// tables writes what docs/conformance-matrix.md says of the cases.
func tables() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	kind := func(c Case) string {
		var all []string
		for _, n := range c.Needs {
			all = append(all, string(n))
		}
		if c.For != "" {
			all = append(all, "without "+string(c.For))
		}
		if len(all) == 0 {
			return "every store"
		}
		return strings.Join(all, ", ")
	}
	plain := func(text string) string { return strings.ReplaceAll(text, "_", "\\_") }
	have := byOrigin()
	quoted := func(row string) string { return "`" + strings.Join(have[row], "`, `") + "`" }
	list := func(title, column, prefix string, rows []string) {
		line("\n### %s\n", title)
		line("| %s | cases |\n|---|---|", column)
		for _, row := range rows {
			line("| %s | %s |", plain(row), quoted(prefix+row))
		}
	}
	line("### The cases\n")
	line("| case | promise | for | origin |\n|---|---|---|---|")
	for _, c := range Cases() {
		line("| `%s` | %s | %s | %s |", c.Name, c.Promise, kind(c), plain(strings.Join(c.Origins, "; ")))
	}
	line("\n### Where the contract is another one, on purpose\n")
	line("| case | what differs |\n|---|---|")
	for _, c := range Cases() {
		if c.Differs != "" {
			line("| `%s` | %s |", c.Name, plain(c.Differs))
		}
	}
	line("\n### The 38 tests of matrix-rust-sdk (5.3)\n")
	line("| # | test | cases |\n|---|---|---|")
	for i, test := range seedTests {
		line("| %d | `%s` | %s |", i+1, test, quoted(seed(i+1)))
	}
	line("\n### Its methods (CR)\n")
	line("| row | cases |\n|---|---|")
	for i := range methods {
		row := fmt.Sprintf("CR-%02d", i+1)
		line("| %s | %s |", row, quoted(row))
	}
	list("What it has no test for (GAP-CR)", "gap", "GAP-CR/", gaps)
	list("Where its two stores disagree, and what was seen of it", "row", "", slices.Concat(divergences, observations))
	list("Bad input", "input", "bad input/", badInputs)
	return b.String()
}
