package sqlitestore_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// watched is an engine that calls a function before it prepares a statement.
type watched struct {
	sqlite.Engine
	prepares func(text string)
}

func (w *watched) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	raw, err := w.Engine.Open(path, o)
	if err != nil {
		return nil, err
	}
	return &watchedRaw{raw, w}, nil
}

type watchedRaw struct {
	sqlite.Raw
	w *watched
}

func (r *watchedRaw) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if r.w.prepares != nil {
		r.w.prepares(query)
	}
	return r.Raw.PrepareContext(ctx, query)
}

// TestStateGivesTheMemoryOfALargeChangeBackAlsoWhereItFails: a Changes with many state events may use more memory, and nothing after it does, however it has ended.
func TestStateGivesTheMemoryOfALargeChangeBackAlsoWhereItFails(t *testing.T) {
	engine := &watched{Engine: fastest()}
	s := openState(t, engine, secret.Secret{})
	allowed := func() (pages int) {
		t.Helper()
		must(t, s.SetCustomValue(ctx, []byte("k"), []byte("v"))) // whatever comes next
		must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `PRAGMA cache_spill`).Scan(&pages) }))
		return pages
	}
	before := allowed()

	large := &state.Changes{}
	for i := range 2500 {
		addState(t, large, "!a", memberEvent(id.UserID(fmt.Sprintf("@%d:x", i)), "join", "name"))
	}
	ends, cancel := context.WithCancel(ctx)
	defer cancel()
	grown := 0
	engine.prepares = func(text string) {
		if strings.Contains(text, "cache_spill = 8192") {
			grown++
		}
		if strings.HasPrefix(text, "INSERT INTO state ") {
			cancel()
		}
	}
	if err := s.SaveChanges(ends, large); !errors.Is(err, context.Canceled) {
		t.Fatalf("a context that ends amid it has ended it with %v", err)
	}
	if grown == 0 {
		t.Fatal("the cache was not allowed to grow: this tests nothing")
	}
	engine.prepares = nil
	want(t, "how many pages the cache may have after a large change that has failed", allowed(), before, nil)
	must(t, s.SaveChanges(ctx, large))
	want(t, "how many after one that has not", allowed(), before, nil)
}
