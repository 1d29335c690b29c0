package mediatest

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the media store's tables in docs/conformance-matrix.md anew")

const (
	docs       = "../../docs/conformance-matrix.md"
	tableBegin = "<!-- The tables below are written by: go test ./conformance/mediatest -run TestDocumentation -update -->\n"
	tableEnd   = "<!-- end of the media store's tables -->\n"
)

// TestDocumentation: the media store's tables in docs/conformance-matrix.md are those of the
// code, so that every case that is listed exists, and the other way round.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around the media store's tables", docs)
	}
	want := before + tableBegin + tables() + tableEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the tables in %s are not those of the code; run: go test ./conformance/mediatest -run TestDocumentation -update", docs)
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
	if len(seedTests) != 10 || len(extraTests) != 2+5+3 || len(rules) != 15+8+7+4 || len(gaps) != 10 || len(divergences) != 6 || len(observations) != 6 {
		t.Errorf("rows are missing, or there are too many: %d tests, %d others, %d rules, %d gaps, %d rows of stores that disagree, %d observations",
			len(seedTests), len(extraTests), len(rules), len(gaps), len(divergences), len(observations))
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
	have := byOrigin()
	quoted := func(row string) string { return "`" + strings.Join(have[row], "`, `") + "`" }
	line("\n### The 10 tests of matrix-rust-sdk (7.7)\n")
	line("| # | test | cases |\n|---|---|---|")
	for i, test := range seedTests {
		line("| %d | `%s` | %s |", i+1, test, quoted(seed(i+1)))
	}
	line("\n### What it tests of SQLite, of policies and of the service alone\n")
	line("The arithmetic of policies has tests of its own besides, in matrixstores/media.\n")
	line("| test | cases |\n|---|---|")
	for _, test := range extraTests {
		line("| %s | %s |", plain(test), quoted("7.7/"+test))
	}
	line("\n### Its methods and rules (ME)\n")
	line("| row | what it is about | cases |\n|---|---|---|")
	for _, r := range rules {
		line("| %s | %s | %s |", r.row, r.rule, quoted(r.row))
	}
	line("\n### What it has no test for (GAP-ME)\n")
	line("| gap | cases |\n|---|---|")
	for _, gap := range gaps {
		line("| %s | %s |", plain(gap), quoted("GAP-ME/"+gap))
	}
	line("\n### Where its two stores disagree (DIV), and what was seen besides (OBS)\n")
	line("| row | what holds here, for every store | cases |\n|---|---|---|")
	for _, d := range divergences {
		line("| %s | %s | %s |", d.row, d.decision, quoted(d.row))
	}
	for _, o := range observations {
		line("| %s | %s | %s |", o.row, o.here, quoted(o.row))
	}
	line("\n### Bad input\n")
	line("| input | cases |\n|---|---|")
	for _, input := range badInputs {
		line("| %s | %s |", input, quoted("bad input/"+input))
	}
	return b.String()
}
