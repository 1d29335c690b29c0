package codec_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

var ctx = context.Background()

// engines are what the tests with a database run on.
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

// onBoth runs a test with a codec that stores everything as it is, and with one that encrypts.
func onBoth(t *testing.T, test func(t *testing.T, c *codec.Codec)) {
	t.Helper()
	t.Run("raw", func(t *testing.T) { test(t, new(codec.Codec)) })
	t.Run("encrypted", func(t *testing.T) { test(t, codec.New(newCipher(t))) })
}

// open opens a database in a directory of the test's own, and closes it at the end.
func open(t testing.TB, engine sqlite.Engine, script string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: engine, Path: filepath.Join(t.TempDir(), "test.db")})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close(ctx)) })
	must(t, db.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, script) }))
	return db
}

func newCipher(t testing.TB) *secret.Cipher {
	t.Helper()
	c, err := secret.Create(ctx, secret.Key(bytes.Repeat([]byte{7}, 32)), func(old, header []byte) error { return nil })
	must(t, err)
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got returns the value, and fails the test on an error.
func got[V any](t testing.TB) func(V, error) V {
	return func(v V, err error) V { t.Helper(); must(t, err); return v }
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

var place = secret.Place{Table: "note", Column: "text", Row: []byte("row-1")}
