package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
)

// engines are what every test here runs on.
var engines = []sqlite.Engine{modernc.Engine(), mattn.Engine()}

// onEngines runs a test or a benchmark on every engine that this build has, and finds the goroutines that it leaves behind.
func onEngines[T interface {
	*testing.T | *testing.B
	testing.TB
	Run(string, func(T)) bool
}](t T, test func(t T, engine sqlite.Engine)) {
	t.Helper()
	for _, engine := range engines {
		t.Run("engine="+engine.Name(), func(t T) {
			if engine.Name() == "mattn" && !withCgo {
				t.Skip("the mattn engine needs cgo, and this is a build without; the other build runs it")
			}
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			test(t, engine)
		})
	}
}

// open opens a store in a directory of the test's own, with the
// operating system's proof on, and closes it at the end.
func open(t testing.TB, engine sqlite.Engine, change func(*sqlite.Config)) *sqlite.DB {
	t.Helper()
	cfg := sqlite.Config{Engine: engine, Path: filepath.Join(t.TempDir(), "test.db"), Verify: true, MaxReaders: 3}
	if change != nil {
		change(&cfg)
	}
	db, err := sqlite.Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
