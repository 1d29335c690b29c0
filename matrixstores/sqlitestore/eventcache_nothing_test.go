package sqlitestore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestNothingToDoIsRefusedAsAnythingElse: a call that finds nothing to do is an operation all the same, which a pause and a
// Close refuse: whoever makes it learns then that the store is no longer to be used.
func TestNothingToDoIsRefusedAsAnythingElse(t *testing.T) {
	const room = "!a:example.org"
	list := eventcache.Room(room)
	calls := map[string]func(eventcache.Store) error{
		"Apply of no updates":           func(s eventcache.Store) error { return s.Apply(ctx, list, nil) },
		"SaveEvents of none":            func(s eventcache.Store) error { return s.SaveEvents(ctx, room) },
		"FindDuplicates of none":        func(s eventcache.Store) error { return last(s.FindDuplicates(ctx, list, nil)) },
		"FindRelations to nothing":      func(s eventcache.Store) error { return last(s.FindRelations(ctx, room, "", nil)) },
		"FindRelations of no types":     func(s eventcache.Store) error { return last(s.FindRelations(ctx, room, "$a", []event.RelationType{})) },
		"Import of nothing":             func(s eventcache.Store) error { return last(s.Import(ctx, strings.NewReader(""))) },
		"CleanUp where nothing was old": func(s eventcache.Store) error { return last(s.CleanUp(ctx, eventcache.CleanUpPolicy{})) },
	}
	readerOf := func(t *testing.T, m media.Store) media.Reader {
		addMedia(t, m, file(1), []byte("content"))
		r, err := m.Open(ctx, file(1))
		must(t, err)
		return r
	}
	onVariants(t, func(t *testing.T, engine sqlite.Engine, secret secret.Secret) {
		s := openEventCache(t, engine, secret)
		cfg := mediaConfig(t.TempDir(), engine)
		cfg.Secret = secret
		m := openMedia(t, cfg)
		r, w := readerOf(t, m), write(t, m, file(2), nil, 1, media.AddOptions{})
		media := map[string]func() error{
			"Read of no bytes":  func() error { return last(r.Read(nil)) },
			"Write of no bytes": func() error { return last(w.Write(nil)) },
		}
		halt := func(f func(context.Context) error, g func(context.Context) error) {
			must(t, errors.Join(f(ctx), g(ctx)))
		}
		check := func(want error) {
			t.Helper()
			for name, call := range calls {
				if err := call(s); !errors.Is(err, want) && (want != nil || name != "Import of nothing") {
					t.Errorf("%s returned %v; want %v", name, err, want)
				}
			}
			for name, call := range media {
				if err := call(); !errors.Is(err, want) {
					t.Errorf("%s returned %v; want %v", name, err, want)
				}
			}
		}
		check(nil)
		halt(s.Pause, m.Pause)
		check(lifecycle.ErrPaused)
		halt(s.Resume, m.Resume)
		check(nil)
		halt(s.Close, m.Close)
		check(lifecycle.ErrClosed)
	})
}
