package kv_test

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
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

var ctx = context.Background()

// engines are what every test here runs on.
var engines = []sqlite.Engine{modernc.Engine(), mattn.Engine()}

// both is what every test here gets: an engine, and a codec that encrypts or one that does not.
type both struct {
	engine sqlite.Engine
	codec  *codec.Codec
}

// onBoth runs a test or a benchmark on every engine that this build has, raw
// and encrypted, and finds the goroutines that it leaves behind.
func onBoth[T interface {
	*testing.T | *testing.B
	testing.TB
	Run(string, func(T)) bool
}](t T, test func(t T, on both)) {
	t.Helper()
	for _, engine := range engines {
		for _, encrypted := range []bool{false, true} {
			name := map[bool]string{false: "/raw", true: "/encrypted"}[encrypted]
			t.Run("engine="+engine.Name()+name, func(t T) {
				if engine.Name() == "mattn" && !withCgo {
					t.Skip("the mattn engine needs cgo, and this is a build without; the other build runs it")
				}
				before := goleak.IgnoreCurrent()
				t.Cleanup(func() { goleak.VerifyNone(t, before) })
				on := both{engine, new(codec.Codec)}
				if encrypted {
					on.codec = codec.New(newCipher(t))
				}
				test(t, on)
			})
		}
	}
}

func newCipher(t testing.TB) *secret.Cipher {
	t.Helper()
	c, err := secret.Create(ctx, secret.Key(bytes.Repeat([]byte{7}, 32)), func(old, header []byte) error { return nil })
	must(t, err)
	return c
}

// open opens a database with the table, in a directory of the test's own, and closes it at the end.
func open(t testing.TB, engine sqlite.Engine) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(ctx, sqlite.Config{
		Engine: engine, Path: filepath.Join(t.TempDir(), "test.db"), Verify: true, MaxReaders: 3, Prepare: kv.Create,
	})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close(ctx)) })
	return db
}

// script runs statements as somebody would who can write the file.
func script(t testing.TB, db *sqlite.DB, text string) {
	t.Helper()
	must(t, db.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, text) }))
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

// list returns all that All yields.
func list(t testing.TB, s kv.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for e, err := range s.All(ctx) {
		must(t, err)
		if _, twice := all[e.Key]; twice {
			t.Errorf("%q is listed twice", e.Key)
		}
		all[e.Key] = string(e.Value)
	}
	return all
}
