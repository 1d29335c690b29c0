//go:build !linux

package holders

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAnAnswerOrATypedRefusal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Self(t.Context(), path)
	switch {
	case errors.Is(err, ErrUnsupported):
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("ErrUnsupported is errors.ErrUnsupported: %v", err)
		}
	case err != nil || r.Descriptors() != 1 || r.Err() == nil:
		t.Errorf("this process has one descriptor: %v, %v", r.Holders, err)
	}
}
