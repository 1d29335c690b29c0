package notes_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/examples/notes"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

var markers = []string{"markedid", "markedword", "markedtag", "MarkedText"}

// lookIn, in the environment, makes a process of this test one that only looks at files.
const lookIn = "NOTES_LOOK_IN"

// TestNothingOfANoteIsInTheFiles: no id, word, tag or text of an encrypted store
// can be read in any of its files, be it open, paused or closed. In a plain
// store all of them are found, so the looking is worth something.
func TestNothingOfANoteIsInTheFiles(t *testing.T) {
	if dir := os.Getenv(lookIn); dir != "" {
		look(t, dir)
		return
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprint("plain=", plain), func(t *testing.T) {
				cfg := config(t, engine)
				if plain {
					cfg.Secret = secret.Secret{}
				}
				s := open(t, cfg)
				for range 2 { // and in what was replaced
					must(t, s.Add(ctx, notes.Note{ID: "markedid", Text: "markedword in MarkedText", Tags: []string{"markedtag"}}))
				}
				must(t, s.Add(ctx, notes.Note{ID: "markedid 2", Text: "markedword", Tags: []string{"markedtag"}}))
				must(t, s.Remove(ctx, "markedid 2"))
				_, err := s.Find(ctx, "markedword")
				must(t, err)
				found(t, cfg, "open", plain, "notes.db", "notes.db-wal", "notes.db-shm")
				must(t, s.Pause(ctx))
				found(t, cfg, "paused", plain, "notes.db")
				must(t, s.Resume(ctx))
				must(t, s.Close(ctx))
				found(t, cfg, "closed", plain, "notes.db")
			})
		}
	})
}

// found has another process look, since this one would drop SQLite's locks when it closes a file of the store.
func found(t *testing.T, cfg storekit.Config, when string, plain bool, files ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOfANoteIsInTheFiles$")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", lookIn+"="+filepath.Dir(cfg.Database.Path))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(string(out), "looked at "+file+"\n") {
			t.Errorf("%s: nobody has looked at %s:\n%s", when, file, out)
		}
	}
	for _, marker := range markers {
		if strings.Contains(string(out), "found "+marker) != plain {
			t.Errorf("%s: %q can be read in a file exactly where nothing is encrypted; here plain is %v:\n%s", when, marker, plain, out)
		}
	}
}

func look(t *testing.T, dir string) {
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		fmt.Println("looked at", e.Name())
		for _, marker := range markers {
			if bytes.Contains(content, []byte(marker)) {
				fmt.Println("found", marker, "in", e.Name())
			}
		}
	}
}
