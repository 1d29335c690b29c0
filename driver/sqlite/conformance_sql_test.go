package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/sqlkeys"
	"github.com/quiesce-go/quiesce/internal/tier"
)

// TestConformanceSQL: a store that is nothing but a *sql.DB keeps every promise.
func TestConformanceSQL(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for i := range tier.Count(1, 3, 100) {
			t.Run(fmt.Sprint("run=", i+1), func(t *testing.T) { conformance.Run(t, sqlHarnessOf(engine)) })
		}
	})
}

// TestConformanceSQLCheck is the same without a test around it.
func TestConformanceSQLCheck(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		if conformance.IsChild() {
			os.Exit(conformance.ChildMain(sqlHarnessOf(engine)))
		}
		if tier.Count(1, 3, 100) == 1 {
			t.Skip("the tier short runs these cases in TestConformanceSQL alone")
		}
		err := conformance.Check(t.Context(), func() *conformance.Harness {
			h := sqlHarnessOf(engine)()
			h.Command = conformance.TestCommand(t)
			return h
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// sqlHarnessOf is harnessOf for a store that uses the database/sql side only.
func sqlHarnessOf(engine sqlite.Engine) func() *conformance.Harness {
	base := harnessOf(engine)
	return func() *conformance.Harness {
		h := base()
		open := h.Open
		h.Open = func(ctx context.Context, dir string, o conformance.Options) (conformance.Store, error) {
			s, err := open(ctx, dir, o)
			if err != nil {
				return nil, err
			}
			// No SetMaxOpenConns: who waits in database/sql's own queue is refused only when it lets him go on.
			db := s.(store)
			return keysOnSQL{db, sqlkeys.Keys{DB: db.SQL(), Of: db, Settings: []string{"cache_size", "foreign_keys", "journal_size_limit"}}}, nil
		}
		whole := h.Whole
		h.Whole = func(ctx context.Context, s conformance.Store) error { return whole(ctx, s.(keysOnSQL).store) }
		return h
	}
}

// keysOnSQL is a key-value store on nothing but the database/sql side.
type keysOnSQL struct {
	store
	keys sqlkeys.Keys
}

func (s keysOnSQL) Read(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.keys.Read(ctx, fn)
}

func (s keysOnSQL) Write(ctx context.Context, fn func(conformance.Tx) error) error {
	return s.keys.Write(ctx, fn)
}
