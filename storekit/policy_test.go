package storekit_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/lease"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

func ask(b byte) secret.Secret {
	return secret.Ask(func(context.Context) (secret.Secret, error) { return key(b), nil })
}

// calls are what a store can be asked for.
func calls(t testing.TB, s *storekit.Store, path string) map[string]func(context.Context) error {
	other := filepath.Join(t.TempDir(), "another")
	return map[string]func(context.Context) error{
		"view":     func(ctx context.Context) error { return s.View(ctx, func(*sqlite.Conn) error { return nil }) },
		"kv":       func(ctx context.Context) error { return s.KV("x").Set(ctx, "k", nil) },
		"size":     func(ctx context.Context) error { _, err := s.Size(ctx); return err },
		"check":    func(ctx context.Context) error { return s.Check(ctx, storekit.CheckOptions{}) },
		"optimize": func(ctx context.Context) error { return s.Optimize(ctx, storekit.OptimizeOptions{}) },
		"backup":   func(ctx context.Context) error { return s.Backup(ctx, other, nil) },
		"restore":  func(ctx context.Context) error { return s.Restore(ctx, path, storekit.RestoreOptions{}) },
		"reload":   s.ReloadKeys,
		"change":   func(ctx context.Context) error { return s.ChangeSecret(ctx, ask(1), ask(1)) },
		"rotate":   func(ctx context.Context) error { return s.Rotate(ctx, ask(1), storekit.RotateOptions{}) },
		"drop":     func(ctx context.Context) error { return s.DropOldKeys(ctx, ask(1)) },
		"take":     func(ctx context.Context) error { _, _, err := s.Leases().Take(ctx, "k", "h", time.Second); return err },
		"hold": func(ctx context.Context) error {
			x, err := s.Leases().Hold(ctx, "k", lease.Options{})
			if err == nil {
				err = x.Release(ctx)
			}
			return err
		},
	}
}

// Whatever a store is asked for while it is not active, it says that it is
// paused, or closed, and waits where that is the policy, whether the keys are there or not.
func TestEveryCallObeysThePolicy(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		cfg.Secret, cfg.ForgetKeyOnPause, cfg.Leases = ask(1), true, true
		s := open(t, cfg)
		path := backup(t, s)
		all := calls(t, s, path)
		refused := func(when string, want error) {
			t.Helper()
			for name, call := range all {
				for range tier.Count(20, 300, 3000) { // where it is a matter of luck, some are unlucky
					if err := call(ctx); !errors.Is(err, want) {
						t.Errorf("%s, %s: %v, want %v", when, name, err, want)
						break
					}
				}
			}
		}
		must(t, s.Pause(ctx))
		refused("paused", lifecycle.ErrPaused)
		for name, call := range all {
			soon, cancel := context.WithTimeout(lifecycle.WithPolicy(ctx, lifecycle.Wait), 10*time.Millisecond)
			if err := call(soon); !errors.Is(err, lifecycle.ErrPaused) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting, %s: %v, want that it has waited until its time ended", name, err)
			}
			cancel()
		}
		ended := map[string]chan error{}
		for name, call := range all {
			if name == "rotate" || name == "drop" || name == "change" || name == "restore" { // these exclude each other
				continue
			}
			c := make(chan error, 1)
			ended[name] = c
			go func() { c <- call(lifecycle.WithPolicy(ctx, lifecycle.Wait)) }()
		}
		must(t, s.Resume(ctx))
		for name, c := range ended {
			if err := <-c; err != nil {
				t.Errorf("after a Resume, %s: %v", name, err)
			}
		}
		must(t, s.Close(ctx))
		refused("closed", lifecycle.ErrClosed)

		cfg.Database.Path = filepath.Join(t.TempDir(), "later.db")
		cfg.Database.StartPaused = true
		s = open(t, cfg)
		all = calls(t, s, path)
		refused("not opened yet", lifecycle.ErrPaused)
	})
}

// A rotation that a pause has cut says so, although what it misses first are the keys.
func TestARotationWhoseKeysAreForgottenSaysWhy(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		cfg.Secret, cfg.ForgetKeyOnPause = ask(1), true
		s := open(t, cfg)
		add(t, s, "one")
		for at := 1; ; at++ {
			n := 0
			err := s.Rotate(ctx, ask(1), storekit.RotateOptions{Progress: func(storekit.Progress) {
				if n++; n == at {
					must(t, s.Pause(ctx))
				}
			}})
			if n < at {
				must(t, err)
				break
			}
			if err == nil && at == 1 {
				t.Fatal("this test has tested nothing")
			}
			if err != nil && !errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("paused at its call %d of Progress: %v, want %v", at, err, lifecycle.ErrPaused)
			}
			must(t, s.Resume(ctx))
		}
		wantNotes(t, s, "one")
	})
}

// A function that is told of progress and panics leaves nothing behind; onEngines looks for it.
func TestAPanicInProgressLeavesNothingBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, sealed(config(t, engine)))
		add(t, s, "one")
		path := backup(t, s)
		boom := func(storekit.Progress) { panic("boom") }
		for name, call := range map[string]func(){
			"check":    func() { _ = s.Check(ctx, storekit.CheckOptions{Progress: boom}) },
			"optimize": func() { _ = s.Optimize(ctx, storekit.OptimizeOptions{Progress: boom}) },
			"backup":   func() { _ = s.Backup(ctx, filepath.Join(t.TempDir(), "b"), boom) },
			"restore":  func() { _ = s.Restore(ctx, path, storekit.RestoreOptions{Progress: boom}) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: the panic is not passed on", name)
					}
				}()
				call()
			}()
		}
		cycle(t, s)
		must(t, s.Restore(ctx, path, storekit.RestoreOptions{}))
		wantNotes(t, s, "one")
	})
}
