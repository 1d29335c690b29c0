package statetest

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the state store's tables in docs/conformance-matrix.md anew")

const (
	docs       = "../../docs/conformance-matrix.md"
	tableBegin = "<!-- The tables below are written by: go test ./conformance/statetest -run TestDocumentation -update -->\n"
	tableEnd   = "<!-- end of the state store's tables -->\n"
)

// TestDocumentation: the state store's tables in docs/conformance-matrix.md are those of the
// code, so that every case that is listed exists, and the other way round.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around the state store's tables", docs)
	}
	want := before + tableBegin + tables() + tableEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the tables in %s are not those of the code; run: go test ./conformance/statetest -run TestDocumentation -update", docs)
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
	all, have := origins(), byOrigin()
	if len(seedTests) != 28 || len(guardTests) != 4 || methods != 44 || len(fields) != 13 || len(keys) != 12 || len(gaps) != 16 || len(divergences) != 6 {
		t.Errorf("rows are missing, or there are too many: %d tests, %d of the lock, %d methods, %d fields, %d keys, %d gaps, %d rows of stores that disagree",
			len(seedTests), len(guardTests), methods, len(fields), len(keys), len(gaps), len(divergences))
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
	line("\n### The 28 tests of matrix-rust-sdk (4.6)\n")
	line("| # | test | cases |\n|---|---|---|")
	for i, test := range seedTests {
		line("| %d | `%s` | %s |", i+1, test, quoted(seed(i+1)))
	}
	list("Those of its save lock (4.7)", "test", "4.7/", guardTests)
	line("\n### Its methods (ST)\n")
	line("| row | cases |\n|---|---|")
	for i := range methods {
		line("| %s | %s |", method(i+1), quoted(method(i+1)))
	}
	line("| typed readers | %s |", quoted("typed readers"))
	list("The fields of its changes (4.2)", "field", "4.2/", fields)
	list("Its typed values (4.3)", "key", "4.3/", keys)
	list("What it has no test for (GAP-ST)", "gap", "GAP-ST/", gaps)
	line("\n### Where its two stores disagree (DIV)\n")
	line("| row | what holds here, for every store | cases |\n|---|---|---|")
	for _, d := range divergences {
		line("| %s | %s | %s |", d.row, d.decision, quoted(d.row))
	}
	line("\n### What mautrix's own stores do wrong\n")
	line("| row | what holds here | cases |\n|---|---|---|")
	for _, d := range defects {
		line("| %s | %s | %s |", d.row, d.here, quoted(d.row))
	}
	list("Bad input", "input", "bad input/", badInputs)
	return b.String()
}
