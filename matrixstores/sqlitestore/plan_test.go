package sqlitestore_test

// Every statement that a store ever prepares is found by an index. Which statements
// there are, nobody has to list: an engine writes down what it is asked for while the whole suite runs.

import (
	"context"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance/eventcachetest"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// recorder is an engine that remembers every text that it has prepared.
type recorder struct {
	sqlite.Engine
	mu    sync.Mutex
	texts map[string]bool
}

func newRecorder() *recorder { return &recorder{Engine: modernc.Engine(), texts: map[string]bool{}} }

// Open opens a connection that tells what it prepares.
func (r *recorder) Open(path string, o sqlite.OpenOptions) (sqlite.Raw, error) {
	raw, err := r.Engine.Open(path, o)
	if err != nil {
		return nil, err
	}
	return &recordingRaw{raw, r}, nil
}

// statements returns those that name one of these tables and are no part of a schema.
func (r *recorder) statements(tables []string) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := regexp.MustCompile(`\b(FROM|INTO|UPDATE|JOIN) (` + strings.Join(tables, "|") + `)\b`)
	for text := range r.texts {
		if names.MatchString(text) && !strings.Contains(text, "CREATE ") {
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return found
}

type recordingRaw struct {
	sqlite.Raw
	r *recorder
}

func (c *recordingRaw) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.r.mu.Lock()
	c.r.texts[query] = true
	c.r.mu.Unlock()
	return c.Raw.PrepareContext(ctx, query)
}

func (c *recordingRaw) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.r.mu.Lock()
	c.r.texts[query] = true
	c.r.mu.Unlock()
	return c.Raw.ExecContext(ctx, query, args)
}

func (c *recordingRaw) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.r.mu.Lock()
	c.r.texts[query] = true
	c.r.mu.Unlock()
	return c.Raw.QueryContext(ctx, query, args)
}

func (c *recordingRaw) Unwrap() driver.Conn { return c.Raw.Unwrap() }

var parameter = regexp.MustCompile(`\?(\d*)`)

// arguments are as many NULLs as a statement has parameters.
func arguments(statement string) []any {
	n := 0
	for _, m := range parameter.FindAllStringSubmatch(statement, -1) {
		numbered := 0
		if _, err := fmt.Sscan(m[1], &numbered); err == nil {
			n = max(n, numbered)
		} else {
			n++
		}
	}
	return make([]any, n)
}

type updater interface {
	Update(context.Context, func(*sqlite.Conn) error) error
}

// checkPlans fails for a statement that reads a growing table from its beginning to
// its end, or sorts what it reads, unless that is allowed, with a reason.
func checkPlans(t *testing.T, db updater, statements, tables []string, allowed map[string]string) {
	t.Helper()
	for _, bad := range badPlans(t, db, statements, tables) {
		if allowed[bad.statement] == "" {
			t.Errorf("%s\n\tis answered by: %s", bad.statement, bad.detail)
		}
	}
}

type badPlan struct{ statement, detail string }

func badPlans(t *testing.T, db updater, statements, tables []string) (found []badPlan) {
	t.Helper()
	scan := regexp.MustCompile(`^SCAN (` + strings.Join(tables, "|") + `)\b`)
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		for _, s := range statements {
			for r, err := range c.Rows(ctx, "EXPLAIN QUERY PLAN "+s, arguments(s)...) {
				if err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
				detail := r.Value(3).(string)
				if scan.MatchString(detail) || strings.Contains(detail, "TEMP B-TREE FOR ORDER BY") {
					found = append(found, badPlan{s, detail})
				}
			}
		}
		return nil
	}))
	return found
}

// TestScansAreSeen: a plan that the tests of this file are to find is found.
func TestScansAreSeen(t *testing.T) {
	s := openEventCache(t, modernc.Engine(), secret.Secret{})
	statements := []string{
		`SELECT 1 FROM event WHERE size = ?`,
		`SELECT 1 FROM event WHERE room = ? ORDER BY size`,
		`SELECT 1 FROM list JOIN chunk ON chunk.id = list.id WHERE list.room = ?1`,
		`UPDATE item SET position = ? WHERE position = ?`,
	}
	found := badPlans(t, s, statements, eventCacheTables)
	for _, statement := range statements {
		if !slices.ContainsFunc(found, func(b badPlan) bool { return b.statement == statement }) {
			t.Errorf("%s is not seen to scan or to sort", statement)
		}
	}
}

var eventCacheTables = []string{"room", "name", "event", "list", "chunk", "item"}

// eventCachePlans are the statements whose answer is everything.
var eventCachePlans = map[string]string{
	`DELETE FROM item`:               "ClearAll removes all of it",
	`DELETE FROM chunk`:              "ClearAll removes all of it",
	`DELETE FROM list`:               "ClearAll removes all of it",
	`DELETE FROM event`:              "ClearAll removes all of it",
	`DELETE FROM room`:               "ClearAll removes all of it",
	`DELETE FROM name`:               "ClearAll removes all of it",
	`SELECT id, row, name FROM room`: "AllRoomStats returns all rooms",
}

// TestEventCacheFindsEverythingByAnIndex: no statement of the event cache scans a table that grows, with statistics or without.
func TestEventCacheFindsEverythingByAnIndex(t *testing.T) {
	if !withCgo {
		t.Skip("one engine is enough, and the build with cgo runs it")
	}
	engine := newRecorder()
	t.Run("suite", func(t *testing.T) {
		eventcachetest.Run(t, func() *eventcachetest.Harness { return eventCacheHarness(engine, secret.Secret{}) })
	})
	statements := engine.statements(eventCacheTables)
	if len(statements) < 35 {
		t.Fatalf("only %d statements were seen: the engine does not see them all\n%s", len(statements), strings.Join(statements, "\n"))
	}
	t.Logf("%d statements", len(statements))
	s := openEventCache(t, modernc.Engine(), secret.Secret{})
	for _, room := range []id.RoomID{"!a", "!b", "!c"} {
		fill(t, s, eventcache.Room(room), 1500)
	}
	for _, statistics := range []bool{false, true} {
		if statistics {
			must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `ANALYZE`) }))
			must(t, s.Pause(ctx)) // so that every connection reads them
			must(t, s.Resume(ctx))
		}
		t.Run(fmt.Sprint("statistics=", statistics), func(t *testing.T) {
			checkPlans(t, s, statements, eventCacheTables, eventCachePlans)
		})
	}
	for statement := range eventCachePlans {
		if !slices.Contains(statements, statement) {
			t.Errorf("%q is allowed, and does not exist", statement)
		}
	}
}

// openEventCache opens an event cache that removes nothing by itself, and closes it at the end.
func openEventCache(t testing.TB, engine sqlite.Engine, s secret.Secret) *sqlitestore.EventCache {
	t.Helper()
	return openEventCacheAt(t, filepath.Join(t.TempDir(), "events.db"), engine, s)
}

func openEventCacheAt(t testing.TB, path string, engine sqlite.Engine, s secret.Secret) *sqlitestore.EventCache {
	t.Helper()
	store, err := sqlitestore.OpenEventCache(ctx, sqlitestore.EventCacheConfig{
		Config:  sqlitestore.Config{Database: sqlite.Config{Engine: engine, Path: path, Verify: true}, Secret: s},
		CleanUp: &eventcache.CleanUpPolicy{},
	})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close(ctx)) })
	return store
}

// fill pushes messages and reactions to them, 80 at a time, with a gap after every push.
func fill(t testing.TB, s eventcache.Store, list eventcache.LinkedChunkID, events int) {
	t.Helper()
	l := eventcache.NewLinkedChunk(0)
	for i := 0; i < events; {
		var some []eventcache.Event
		for ; i < events && len(some) < 80; i++ {
			some = append(some, message(i))
		}
		l.PushItemsBack(some...)
		l.PushGapBack(eventcache.Gap{Token: fmt.Sprint("token ", i)})
	}
	must(t, s.Apply(ctx, list, l.Updates()))
}

// message is event i of a room: every tenth is a reaction to the one before.
func message(i int) eventcache.Event {
	raw := fmt.Sprintf(`{"type":"m.room.message","event_id":"$event-%d","sender":"@a:example.org","content":{"msgtype":"m.text","body":"foo %d"}}`, i, i)
	if i%10 == 9 {
		raw = fmt.Sprintf(`{"type":"m.reaction","event_id":"$event-%d","sender":"@a:example.org","content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"$event-%d","key":"+"}}}`, i, i-1)
	}
	e, err := eventcache.Parse([]byte(raw))
	if err != nil {
		panic(err)
	}
	return e
}
