package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqldb"
	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/sqltext"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// A program must not notice that its *sql.DB can be paused. Every case here is
// run on the bare driver and on every pausable *sql.DB above it; what a program
// sees is written down, with Go types and error values, and has to be the same.

// parityCase is one thing that programs do.
type parityCase struct {
	name    string
	run     func(r *recorder)
	noPause string      // why it is not run across pauses too
	differs []deviation // what is meant to be different
}

// deviation is an intended difference from the bare driver.
type deviation struct {
	target string // part of the target's name
	engine string // "" is both
	bare   string // the bare driver's lines contain it
	here   string // the target's contain it
	why    string
}

// target is a way to get a *sql.DB.
type target struct {
	name  string
	open  func(t *testing.T, engine sqlite.Engine, path string) (db *sql.DB, p lifecycle.Pausable)
	pause bool // pauses and resumes wherever nothing is in flight
}

var parityTargets = []target{
	{name: "store", open: openStoreSQL(false)},
	{name: "store, single writer", open: openStoreSQL(true)},
	{name: "driver", open: openDriverSQL(false)},
	{name: "driver, single writer", open: openDriverSQL(true)},
	{name: "store", open: openStoreSQL(false), pause: true},
	{name: "store, single writer", open: openStoreSQL(true), pause: true},
	{name: "driver", open: openDriverSQL(false), pause: true},
}

// dsn returns the driver's name and the source that the engine opens path
// with, except that SQLite waits for locks itself.
func dsn(engine sqlite.Engine, path string, busy time.Duration) (name, source string) {
	uri, err := sqlite.OpenOptions{}.URI(path)
	if err != nil {
		panic(err)
	}
	uri += fmt.Sprintf("&_busy_timeout=%d", busy.Milliseconds())
	if engine.Name() == "mattn" {
		return "sqlite3", uri + "&_foreign_keys=1&_synchronous=0"
	}
	return "sqlite", uri + "&_time_format=sqlite&_pragma=foreign_keys(1)&_pragma=synchronous(0)"
}

func openBareSQL(t *testing.T, engine sqlite.Engine, path string) *sql.DB {
	name, source := dsn(engine, makeDB(t, engine, path), 0)
	db, err := sql.Open(name, source)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func openStoreSQL(single bool) func(*testing.T, sqlite.Engine, string) (*sql.DB, lifecycle.Pausable) {
	return func(t *testing.T, engine sqlite.Engine, path string) (*sql.DB, lifecycle.Pausable) {
		store := open(t, engine, func(c *sqlite.Config) { c.Path, c.SingleWriter = makeDB(t, engine, path), single })
		return store.SQL(), store
	}
}

func openDriverSQL(single bool) func(*testing.T, sqlite.Engine, string) (*sql.DB, lifecycle.Pausable) {
	return func(t *testing.T, engine sqlite.Engine, path string) (*sql.DB, lifecycle.Pausable) {
		store := openDriver(t, engine, path, 0, func(c *sqldb.Config) { c.SingleWriter = single })
		return store.SQL(), store
	}
}

// openDriver makes a database at path and opens it by the name of its driver,
// with the operating system's proof on.
func openDriver(t testing.TB, engine sqlite.Engine, path string, busy time.Duration, change func(*sqldb.Config)) *sqldb.Store {
	t.Helper()
	name, source := dsn(engine, makeDB(t, engine, path), busy)
	cfg := sqldb.Config{Verify: func(ctx context.Context) error {
		held, err := sqlite.HeldBySelf(ctx, path)
		return errors.Join(err, held.Err())
	}}
	if change != nil {
		change(&cfg)
	}
	store, err := sqldb.OpenDriver(ctx, name, source, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close(ctx)) })
	return store
}

func TestSQLAnswersLikeTheBareDriver(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		bare := openBareSQL(t, engine, filepath.Join(t.TempDir(), "bare.db"))
		parityCases := slices.Concat(casesOfTexts, casesOfObjects)
		want := map[bool]map[string][]string{false: {}, true: {}}
		for _, c := range parityCases {
			for pause, lines := range want {
				lines[c.name] = (&recorder{t: t, engine: engine, db: bare, across: pause}).record(c)
			}
		}
		for i, target := range parityTargets {
			name := target.name
			if target.pause {
				name += ", across pauses"
			}
			t.Run(name, func(t *testing.T) {
				db, p := target.open(t, engine, filepath.Join(t.TempDir(), "test.db"))
				for _, c := range parityCases {
					if target.pause && c.noPause != "" {
						continue
					}
					t.Run(c.name, func(t *testing.T) {
						r := &recorder{t: t, engine: engine, db: db, pausable: p, across: target.pause, first: i % tier.Count(3, 1, 1)}
						compare(t, engine, target.name, c, want[target.pause][c.name], r.record(c))
					})
				}
			})
		}
	})
}

// compare reports what differs, unless it is meant to.
func compare(t *testing.T, engine sqlite.Engine, target string, c parityCase, want, got []string) {
	used := make([]bool, len(c.differs))
	for _, h := range differences(want, got) {
		intended := slices.IndexFunc(c.differs, func(d deviation) bool {
			return d.on(engine, target) && strings.Contains(h.bare, d.bare) && strings.Contains(h.here, d.here)
		})
		if intended < 0 {
			t.Errorf("the bare driver:\n%shere:\n%s", h.bare, h.here)
		} else {
			used[intended] = true
		}
	}
	for i, d := range c.differs {
		if d.on(engine, target) && !used[i] {
			t.Errorf("not different any more, although listed: %s", d.why)
		}
	}
}

// difference is lines that only one side has.
type difference struct{ bare, here string }

// differences compares line by line: the next lines that are on both sides end a difference.
func differences(a, b []string) (all []difference) {
	for len(a) > 0 || len(b) > 0 {
		if len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			a, b = a[1:], b[1:]
			continue
		}
		n, m := nextCommon(a, b)
		all = append(all, difference{lines(a[:n]), lines(b[:m])})
		a, b = a[n:], b[m:]
	}
	return all
}

func nextCommon(a, b []string) (n, m int) {
	for sum := range len(a) + len(b) {
		for n := max(0, sum-len(b)+1); n <= min(sum, len(a)-1); n++ {
			if a[n] == b[sum-n] {
				return n, sum - n
			}
		}
	}
	return len(a), len(b)
}

func lines(all []string) string {
	var b strings.Builder
	for _, line := range all {
		fmt.Fprintf(&b, "    %q\n", line)
	}
	return strings.ReplaceAll(b.String(), `\"`, `"`)
}

func (d deviation) on(engine sqlite.Engine, target string) bool {
	return strings.Contains(target, d.target) && strings.Contains(engine.Name(), d.engine)
}

// recorder writes down what a program sees.
type recorder struct {
	t        *testing.T
	engine   sqlite.Engine
	db       *sql.DB
	pausable lifecycle.Pausable // nil for the bare driver
	across   bool               // pauses, where nothing is in flight
	steps    int                // where it could have
	first    int                // in the short tier it pauses at every third step; another one on every target
	inFlight int                // things that are open: no pause then
	lines    []string
}

func (r *recorder) record(c parityCase) []string {
	r.drop(c)
	r.db.SetMaxIdleConns(0) // no connection remembers another case
	r.db.SetMaxIdleConns(2)
	c.run(r)
	return r.lines
}

// drop makes the database empty again.
func (r *recorder) drop(c parityCase) {
	rows, err := r.db.Query(`SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'quiesce%'`)
	if err != nil {
		r.t.Fatal(err, c.name)
	}
	var drops []string
	for rows.Next() {
		var typ, name string
		must(r.t, rows.Scan(&typ, &name))
		drops = append(drops, `DROP `+typ+` "`+name+`"`)
	}
	must(r.t, errors.Join(rows.Err(), rows.Close()))
	for _, drop := range drops {
		if _, err := r.db.Exec(drop); err != nil {
			r.t.Fatal(err, c.name)
		}
	}
}

func (r *recorder) note(format string, args ...any) {
	r.lines = append(r.lines, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
}

// between pauses and resumes, where the target does and nothing is in flight.
func (r *recorder) between() {
	if r.pausable == nil || !r.across || r.inFlight > 0 {
		return
	}
	if r.steps++; r.steps%tier.Count(3, 1, 1) != r.first {
		return
	}
	must(r.t, r.pausable.Pause(ctx))
	must(r.t, r.pausable.Resume(ctx))
}

// err writes an error down: its text, its own type and SQLite's code.
func (r *recorder) err(what string, err error) error {
	switch code, ok := r.engine.ErrorCode(err); {
	case err == nil:
		r.note("%s: no error", what)
	case ok:
		r.note("%s: %T %v [%d]", what, err, err, code)
	default:
		r.note("%s: %T %v", what, err, err)
	}
	return err
}

// queryer is what can be queried: *sql.DB, *sql.Conn, *sql.Tx.
type queryer interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}

// set executes what has to work.
func (r *recorder) set(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		_, err := r.db.Exec(text)
		must(r.t, err)
	}
}

func (r *recorder) exec(q queryer, text string, args ...any) error {
	return r.execIn(ctx, q, text, args...)
}

func (r *recorder) execIn(c context.Context, q queryer, text string, args ...any) error {
	r.between()
	res, err := q.ExecContext(c, text, args...)
	return r.result(text, res, err)
}

func (r *recorder) result(what string, res sql.Result, err error) error {
	if err != nil {
		return r.err(what, err)
	}
	defer func() { // modernc has no result where there was no statement
		if v := recover(); v != nil {
			r.note("%s: a panic: %v", what, v)
		}
	}()
	id, err1 := res.LastInsertId()
	n, err2 := res.RowsAffected()
	if r.across && (!sqltext.IsWord(sqltext.Verb(what), "INSERT", "REPLACE") || n == 0 || strings.Contains(what, "ON CONFLICT")) {
		id = 0 // that of an INSERT before it, on the same physical connection
	}
	if r.across && (!sqltext.Parse(what).Changes() || strings.Contains(what, "RETURNING")) {
		id, n = 0, 0 // mattn says what was before: the statement has not ended yet
	}
	r.note("%s: id %d %v, %d rows %v", what, id, err1, n, err2)
	return nil
}

func (r *recorder) query(q queryer, text string, args ...any) error {
	return r.queryIn(ctx, q, text, args...)
}

func (r *recorder) queryIn(c context.Context, q queryer, text string, args ...any) error {
	r.between()
	rows, err := q.QueryContext(c, text, args...)
	return r.rows(text, rows, err)
}

// rows writes all down that rows have to say.
func (r *recorder) rows(what string, rows *sql.Rows, err error) error {
	if r.err(what, err) != nil {
		return err
	}
	for set := 0; ; set++ {
		r.columns(rows)
		for rows.Next() {
			r.note("row %s", r.row(rows))
		}
		r.err("rows", rows.Err())
		if !rows.NextResultSet() {
			break
		}
		r.note("another set")
	}
	r.err("after the sets", rows.Err())
	r.err("close", rows.Close())
	return rows.Err()
}

func (r *recorder) columns(rows *sql.Rows) {
	names, err := rows.Columns()
	r.err(fmt.Sprintf("columns %q", names), err)
	types, err := rows.ColumnTypes()
	r.err("types", err)
	for _, t := range types {
		null, hasNull := t.Nullable()
		length, hasLength := t.Length()
		precision, scale, hasDecimal := t.DecimalSize()
		r.note("%s: %q scan %v null %v %v length %d %v decimal %d %d %v", t.Name(), t.DatabaseTypeName(), t.ScanType(),
			null, hasNull, length, hasLength, precision, scale, hasDecimal)
	}
}

func (r *recorder) row(rows *sql.Rows) string {
	names, err := rows.Columns()
	if err != nil {
		return err.Error()
	}
	values := make([]any, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return err.Error()
	}
	var all []string
	for _, v := range values {
		if at, ok := v.(time.Time); ok {
			all = append(all, fmt.Sprintf("time.Time %s", at.Format(time.RFC3339Nano)))
		} else {
			all = append(all, fmt.Sprintf("%T %#v", v, v))
		}
	}
	return strings.Join(all, " | ")
}

// begin begins a transaction, which is in flight until end.
func (r *recorder) begin(opts *sql.TxOptions) *sql.Tx {
	r.between()
	tx, err := r.db.BeginTx(ctx, opts)
	if r.err("begin", err) != nil {
		return nil
	}
	r.inFlight++
	return tx
}

func (r *recorder) end(tx *sql.Tx, commit bool) {
	r.inFlight--
	if commit {
		r.err("commit", tx.Commit())
	} else {
		r.err("rollback", tx.Rollback())
	}
}

// pinned pins a connection until the end of the case.
func (r *recorder) pinned() (*sql.Conn, func()) {
	c, err := r.db.Conn(ctx)
	must(r.t, err)
	return c, func() { r.err("close the connection", c.Close()) }
}
