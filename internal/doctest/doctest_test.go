package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestEveryTestNamedInThePromisesExists keeps docs/promises.md true when tests are renamed.
func TestEveryTestNamedInThePromisesExists(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1)
	if len(named) < 50 {
		t.Fatalf("only %d tests are named: the table has changed its form", len(named))
	}
	there := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, m := range declaration.FindAllSubmatch(code, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(named)
	for _, name := range slices.Compact(named) {
		if !there[name] {
			t.Errorf("docs/promises.md names %s, which is no test", name)
		}
	}
}

// TestEveryRowHasATest: the rows that the project owes a test each.
func TestEveryRowHasATest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "22", "23", "24", "25", "26", "30"} {
		if !regexp.MustCompile(`(?m)^\| W-` + row + ` \|[^|]+\|[^|]*\bTest`).Match(text) {
			t.Errorf("W-%s has no test in docs/promises.md", row)
		}
	}
}
