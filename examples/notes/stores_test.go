package notes_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/examples/notes"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

var ctx = context.Background()

var (
	_ notes.Store = (*notes.SQLite)(nil)
	_ notes.Store = (*notes.Memory)(nil)
)

var engines = []sqlite.Engine{modernc.Engine(), mattn.Engine()}

// onEngines runs a test on every engine that this build has, and finds the goroutines that it leaves behind.
func onEngines(t *testing.T, test func(t *testing.T, engine sqlite.Engine)) {
	for _, engine := range engines {
		t.Run("engine="+engine.Name(), func(t *testing.T) {
			if engine.Name() == "mattn" && !withCgo {
				t.Skip("the mattn engine needs cgo, and this is a build without; the other build runs it")
			}
			noLeaks(t)
			test(t, engine)
		})
	}
}

// onStores runs a test on every store, the encrypted ones and those that are not.
func onStores(t *testing.T, test func(t *testing.T, s notes.Store)) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		t.Run("encrypted", func(t *testing.T) { test(t, open(t, config(t, engine))) })
		t.Run("plain", func(t *testing.T) {
			cfg := config(t, engine)
			cfg.Secret = secret.Secret{}
			test(t, open(t, cfg))
		})
	})
	for name, strict := range map[string]bool{"memory": false, "memory strict": true} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			s, err := notes.OpenMemory(ctx, memory.Config{Strict: strict})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close(ctx)) })
			test(t, s)
		})
	}
}

func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// config is that of an encrypted store in a directory of the test's own.
func config(t *testing.T, engine sqlite.Engine) storekit.Config {
	return storekit.Config{
		Database: sqlite.Config{Engine: engine, Path: filepath.Join(t.TempDir(), "notes.db"), Verify: true},
		Secret:   key(),
	}
}

// key is made anew every time, since what a function gives to secret.Ask is wiped.
func key() secret.Secret { return secret.Key(bytes.Repeat([]byte{42}, 32)) }

// open opens a store, and closes it at the end.
func open(t *testing.T, cfg storekit.Config) *notes.SQLite {
	t.Helper()
	s, err := notes.OpenSQLite(ctx, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(ctx)) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
