package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUsersCompileNoDatabase: a module that imports this package and lifecycle,
// and nothing else, compiles no SQLite, no Matrix, and no other store.
func TestUsersCompileNoDatabase(t *testing.T) {
	run := func(dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errOutput(err))
		}
		return string(out)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	user := t.TempDir()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/quiesce-go/quiesce"
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"go.mod": strings.Replace(string(mod), "module "+module, "module example.com/user", 1) +
			"\nrequire " + module + " v0.0.0\nreplace " + module + " => " + root + "\n",
		"go.sum":  string(sums),
		"main.go": "package main\n\nimport (\n\t_ \"" + module + "/conformance\"\n\t_ \"" + module + "/lifecycle\"\n)\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(user, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	allowed := []string{"example.com/user", module + "/lifecycle", module + "/conformance", module + "/internal/holders", "github.com/jackc/puddle/v2", "golang.org/x/"}
	count := 0
	for _, pkg := range strings.Fields(run(user, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")) {
		count++
		ok := false
		for _, a := range allowed {
			ok = ok || pkg == a || strings.HasPrefix(pkg, a+"/") || strings.HasSuffix(a, "/") && strings.HasPrefix(pkg, a)
		}
		if !ok {
			t.Errorf("who imports conformance and lifecycle compiles %s", pkg)
		}
		t.Log(pkg)
	}
	if count < 4 {
		t.Errorf("only %d packages were listed: this proves nothing", count)
	}
}

func errOutput(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}
