package sqlitestore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance/statetest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// manyMembers is a Changes with so many members of one room.
func manyMembers(t testing.TB, members int) *state.Changes {
	t.Helper()
	c := &state.Changes{User: "@me:x"}
	c.Update("!room:x").State = state.Joined
	for i := range members {
		user := fmt.Sprintf("@user%d:example.org", i)
		addState(t, c, "!room:x", stateEvent("m.room.member", user, id.EventID(fmt.Sprintf("$event-%040d", i)),
			fmt.Sprintf(`{"membership":"join","displayname":"User number %d","avatar_url":"mxc://example.org/avatar%d"}`, i, i)))
	}
	return c
}

// BenchmarkState are the workloads of the suite, plain and encrypted.
func BenchmarkState(b *testing.B) {
	onVariants(b, func(b *testing.B, engine sqlite.Engine, key secret.Secret) {
		statetest.Bench(b, func() *statetest.Harness {
			return &statetest.Harness{Open: func(ctx context.Context, dir string, o statetest.Options) (state.Store, error) {
				return sqlitestore.OpenState(ctx, sqlitestore.StateConfig{Config: sqlitestore.Config{
					Database: sqlite.Config{Engine: engine, Path: filepath.Join(dir, "state.db")}, Secret: key, Clock: o.Clock,
				}})
			}}
		})
	})
}

// BenchmarkStateMembers reads the members of a room: one, and ten thousand.
func BenchmarkStateMembers(b *testing.B) {
	c := manyMembers(b, 10_000)
	onVariants(b, func(b *testing.B, engine sqlite.Engine, key secret.Secret) {
		s := openState(b, engine, key)
		must(b, s.SaveChanges(ctx, c))
		b.Run("one", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, found, err := s.Member(ctx, "!room:x", "@user77:example.org"); err != nil || !found {
					b.Fatalf("found is %v (%v)", found, err)
				}
			}
		})
		b.Run("all", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, err := s.Members(ctx, "!room:x", 0, state.Page{})
				if err != nil || len(page.Members) != 10_000 {
					b.Fatalf("there are %d (%v)", len(page.Members), err)
				}
			}
		})
	})
}
