package holders

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Linux never asks lsof, but where it is installed it can show that the asking works.
func TestLsofItself(t *testing.T) {
	if _, err := exec.LookPath("lsof"); err != nil {
		t.Skip("lsof is not installed")
	}
	path := filepath.Join(t.TempDir(), "with space\n.db")
	w := mustWant(t, path)
	r, err := lsofSelf(t.Context(), w)
	if err != nil || len(r.Holders) != 0 {
		t.Fatalf("nothing is held: %v, %v", r.Holders, err)
	}
	release := take(t, path)
	for name, w := range map[string]*wanted{"by identity": mustWant(t, path), "by name": w} {
		r, err := lsofSelf(t.Context(), w)
		if err != nil || r.Descriptors() != 1 || r.Locks() != 1 || r.Maps() != 1 {
			t.Errorf("%s: a descriptor, a lock and a map; found %v, %v", name, r.Holders, err)
		}
	}
	release()
}
