package sqlitestore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/mattn"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

var ctx = context.Background()

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

// onVariants runs a test or a benchmark on every engine, plain and encrypted.
func onVariants[T interface {
	*testing.T | *testing.B
	testing.TB
	Run(string, func(T)) bool
}](t T, test func(t T, engine sqlite.Engine, s secret.Secret)) {
	t.Helper()
	onEngines(t, func(t T, engine sqlite.Engine) {
		t.Run("plain", func(t T) { test(t, engine, secret.Secret{}) })
		t.Run("encrypted", func(t T) { test(t, engine, key(1)) })
	})
}

// isShort tells whether this is the tier that every change runs.
func isShort() bool { return tier.Count(1, 0, 0) == 1 }

// hurried lets the databases of the contracts' suites not wait for the disk, in the short tier: that changes no answer, and takes time.
func hurried(d *sqlite.Config) {
	if isShort() {
		d.Synchronous = sqlite.SynchronousOff
	}
}

func key(b byte) secret.Secret { return secret.Key([]byte(strings.Repeat(string(rune(b)), 32))) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// patience is how long a test waits for what does not come.
const patience = 60 * time.Second
