package eventcachetest

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the event cache's tables in docs/conformance-matrix.md anew")

const (
	docs       = "../../docs/conformance-matrix.md"
	tableBegin = "<!-- The tables below are written by: go test ./conformance/eventcachetest -run TestDocumentation -update -->\n"
	tableEnd   = "<!-- end of the event cache's tables -->\n"
)

// TestDocumentation: the event cache's tables in docs/conformance-matrix.md are those of the
// code, so that every case that is listed exists, and the other way round.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around the event cache's tables", docs)
	}
	want := before + tableBegin + tables() + tableEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the tables in %s are not those of the code; run: go test ./conformance/eventcachetest -run TestDocumentation -update", docs)
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
	all, have := rows(), byOrigin()
	if len(seedTests) != 33 || len(gaps) != 11 || len(divergences) != 6 {
		t.Errorf("there are %d tests, %d gaps and %d rows of stores that disagree; the seed has 33, 11 and 6", len(seedTests), len(gaps), len(divergences))
	}
	for _, row := range all {
		if len(have[row]) == 0 {
			t.Errorf("no case for %q", row)
		}
	}
	for row := range have {
		if row != "contract" && !slices.Contains(all, row) {
			t.Errorf("the cases %q name a row that there is not: %q", have[row], row)
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
		if strings.HasSuffix(c.Promise, ".") || strings.ContainsAny(c.Promise, "|\n") {
			t.Errorf("%s: %q does not fit into a table", c.Name, c.Promise)
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
	line("### The cases\n")
	line("| case | promise | for | origin |\n|---|---|---|---|")
	for _, c := range Cases() {
		var origins []string
		for _, o := range c.Origins {
			if number, test, is := strings.Cut(o, " test_"); is {
				o = number + " `test_" + test + "`"
			}
			origins = append(origins, o)
		}
		line("| `%s` | %s | %s | %s |", c.Name, c.Promise, kind(c), strings.Join(origins, "; "))
	}
	have := byOrigin()
	quoted := func(row string) string { return "`" + strings.Join(have[row], "`, `") + "`" }
	line("\n### The 33 tests of matrix-rust-sdk (6.5)\n")
	line("| # | test | cases |\n|---|---|---|")
	for i, test := range seedTests {
		line("| %d | `%s` | %s |", i+1, test, quoted(seed(i + 1)[0]))
	}
	line("\n### What it tests of SQLite, of its relational structure and of names alone\n")
	line("| test | cases |\n|---|---|")
	for _, test := range extraTests {
		line("| %s | %s |", strings.ReplaceAll(test, "_", "\\_"), quoted("6.5/"+test))
	}
	line("\n### What it has no test for (GAP-EC)\n")
	line("| gap | cases |\n|---|---|")
	for _, g := range gaps {
		line("| %s | %s |", g, quoted("GAP-EC/"+g))
	}
	line("\n### Where its two stores disagree (DIV)\n")
	line("| row | what holds here, for every store | cases |\n|---|---|---|")
	for _, d := range divergences {
		line("| %s | %s | %s |", d.row, d.decision, quoted(d.row))
	}
	line("\n### Bad input\n")
	line("| input | cases |\n|---|---|")
	for _, input := range badInputs {
		line("| %s | %s |", input, quoted("bad input/"+input))
	}
	return b.String()
}
