package sqlitestore_test

// Every statement that a store ever prepares is found by an index. Which statements
// there are, nobody has to list: an engine writes down what it is asked for while the whole suite runs.

import (
	"context"
	"database/sql/driver"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit"
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

// all returns every text that was prepared, but for those of these tests.
func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.texts)), func(text string) bool { return strings.HasPrefix(text, "EXPLAIN ") })
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
func checkPlans(t *testing.T, db updater, statements []string, allowed map[string]string) {
	t.Helper()
	for _, bad := range badPlans(t, db, statements) {
		if allowed[bad.statement] == "" {
			t.Errorf("%s\n\tis answered by: %s", bad.statement, bad.detail)
		}
	}
}

type badPlan struct{ statement, detail string }

func badPlans(t *testing.T, db updater, statements []string) (found []badPlan) {
	t.Helper()
	scanned := regexp.MustCompile(`^SCAN ([A-Za-z_]\w*)`)
	// What the statement has made itself may be read as a whole; a table may not, by whatever name the statement calls it.
	made := regexp.MustCompile(`\b(\w+) \([\w, ]*\) AS (?:MATERIALIZED )?\(`)
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		for _, s := range statements {
			for r, err := range c.Rows(ctx, "EXPLAIN QUERY PLAN "+s, arguments(s)...) {
				if err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
				detail := r.Value(3).(string)
				own := []string{"CONSTANT", "json_each"}
				for _, m := range made.FindAllStringSubmatch(s, -1) {
					own = append(own, m[1])
				}
				name := scanned.FindStringSubmatch(detail)
				if name != nil && !slices.Contains(own, name[1]) || strings.Contains(detail, "TEMP B-TREE FOR ORDER BY") {
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
		`SELECT 1 FROM chunk b WHERE b.previous = ?`,
		`UPDATE item SET position = ? WHERE position = ?`,
	}
	found := badPlans(t, s, statements)
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

// eventCacheSearches are statements, by a part of them that no other one has, whose index counts: another one would
// be a search too, and read all chunks of a linked chunk, or all events of a room or of a time.
var eventCacheSearches = map[string]string{
	"AND next IS NULL":           "chunk_next (list=? AND next=?)",
	"FROM chunk a JOIN chunk b":  "b USING PRIMARY KEY (list=? AND id=?)",
	"FROM item WHERE event = ?":  "item_event (event=? AND list=?)",
	"SELECT DISTINCT item.chunk": "item_event (event=? AND list=?)",
	"SELECT row, content FROM event WHERE room = ? AND event_id = ?": "(room=? AND event_id=?)",
	"relates_to = ? AND rel_type = ?":                                "event_relation (room=? AND relates_to=? AND rel_type=?)",
	"relates_to = ?\x00":                                             "event_relation (room=? AND relates_to=?)",
	"AND type = ? ORDER BY id":                                       "event_type (type=? AND room=?)",
	"AND session = ? ORDER BY id":                                    "event_session (room=? AND session=?)",
	"AND session = ? AND +type":                                      "event_session (room=? AND session=?)",
	"AND kind = ? ORDER BY id":                                       "list_room (room=? AND kind=?)",
	"DELETE FROM name WHERE id = ?":                                  "event_type (type=?)",
	"rel_type = name.id) FROM name":                                  "event_rel_type (rel_type=?)",
	"FROM event WHERE stored = ? AND id >":                           "event_stored (stored=? AND rowid>?)",
	"FROM event WHERE stored > ?":                                    "event_stored (stored>? AND stored<?)",
}

// checkEventCachePlans finds out how statements are answered by a store with thousands of events, with statistics and without.
func checkEventCachePlans(t *testing.T, statements []string) {
	if len(statements) < 35 {
		if regexp.MustCompile(`/.*/.*/`).MatchString(flag.Lookup("test.run").Value.String()) {
			t.Skip("only some cases have run")
		}
		t.Fatalf("only %d statements were seen: the engine does not see them all\n%s", len(statements), strings.Join(statements, "\n"))
	}
	s := openEventCache(t, modernc.Engine(), secret.Secret{})
	for _, room := range []id.RoomID{"!a", "!b", "!c"} {
		fill(t, s, eventcache.Room(room), 1500)
	}
	for _, statistics := range []bool{false, true} {
		if statistics {
			analyze(t, s)
		}
		t.Run(fmt.Sprint("statistics=", statistics), func(t *testing.T) {
			checkPlans(t, s, statements, eventCachePlans)
			checkSearches(t, s, statements, eventCacheSearches)
		})
	}
	for statement := range eventCachePlans {
		if !slices.Contains(statements, statement) {
			t.Errorf("%q is allowed, and does not exist", statement)
		}
	}
}

func analyze(t *testing.T, s *sqlitestore.EventCache) {
	t.Helper()
	must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `ANALYZE`) }))
	must(t, s.Pause(ctx)) // so that every connection reads them
	must(t, s.Resume(ctx))
}

// checkSearches fails for a statement that is not found by the index that is meant for it.
func checkSearches(t *testing.T, db updater, statements []string, wanted map[string]string) {
	t.Helper()
	must(t, db.Update(ctx, func(c *sqlite.Conn) error {
		for part, index := range wanted {
			i := slices.IndexFunc(statements, func(s string) bool { return strings.Contains(s+"\x00", part) })
			if i < 0 {
				t.Errorf("no statement contains %q", part)
				continue
			}
			var plan []string
			for r, err := range c.Rows(ctx, "EXPLAIN QUERY PLAN "+statements[i], arguments(statements[i])...) {
				if err != nil {
					return fmt.Errorf("%s: %w", statements[i], err)
				}
				plan = append(plan, r.Value(3).(string))
			}
			if !slices.ContainsFunc(plan, func(detail string) bool { return strings.Contains(detail, index) }) {
				t.Errorf("%s\n\tis answered by: %s\n\tand not by: %s", statements[i], strings.Join(plan, "; "), index)
			}
		}
		return nil
	}))
}

// TestRotationOfAnEventCacheWalksByAnIndex: what brings sealed values over to another key goes from row to row by the index of
// those that have a row id, and skips what has none.
func TestRotationOfAnEventCacheWalksByAnIndex(t *testing.T) {
	engine := newRecorder()
	s := openEventCache(t, engine, key(1))
	fill(t, s, eventcache.Room("!a"), 1500)
	for _, statistics := range []bool{false, true} {
		if statistics {
			analyze(t, s)
		}
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
		wanted := map[string]string{}
		for _, table := range []string{"room", "event", "list", "chunk"} {
			wanted[`FROM "`+table+`" WHERE "row" > ?`] = "(row>?)"
			wanted[`UPDATE "`+table+`" SET`] = "(row=?)"
		}
		checkSearches(t, s, engine.all(), wanted)
	}
}

// openEventCache opens an event cache that removes nothing by itself, and closes it at the end.
func openEventCache(t testing.TB, engine sqlite.Engine, s secret.Secret) *sqlitestore.EventCache {
	t.Helper()
	return openEventCacheAt(t, filepath.Join(t.TempDir(), "events.db"), engine, s)
}

func openEventCacheAt(t testing.TB, path string, engine sqlite.Engine, s secret.Secret) *sqlitestore.EventCache {
	t.Helper()
	return openEventCacheWith(t, sqlitestore.Config{Database: sqlite.Config{Engine: engine, Path: path, Verify: true}, Secret: s})
}

func openEventCacheWith(t testing.TB, cfg sqlitestore.Config) *sqlitestore.EventCache {
	t.Helper()
	store, err := sqlitestore.OpenEventCache(ctx, sqlitestore.EventCacheConfig{Config: cfg, CleanUp: &eventcache.CleanUpPolicy{}})
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
