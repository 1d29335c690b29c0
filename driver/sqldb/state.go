package sqldb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sqltext"
)

// State that SQL text gives to a connection does not vanish with the physical
// one. Settings and attached databases are restored on the next one; temporary
// objects and transactions cannot be, so that they keep the connection in flight.

// after looks at what a statement has done to the connection.
func (c *conn) after(ctx context.Context, t *text, args []driver.NamedValue, err error) {
	if err != nil {
		c.settled(err, t.reads)
		c.halfway(ctx, t)
		return
	}
	if !t.state || c.s.guard.Severed() {
		return
	}
	stmts := t.script
	if len(stmts) == 0 {
		stmts = []sqltext.Statement{{Body: t.sql, Verb: t.verb}}
	}
	inside := transaction{open: c.tx.open, savepoint: c.tx.savepoint} // as the script goes on
	look := false
	for _, stmt := range stmts {
		switch {
		case controls(stmt.Verb):
			inside.open = inside.follow(stmt)
			c.controlled(stmt)
			look = look || c.temp || c.changed // which may have been undone
		case stmt.Is("PRAGMA"):
			c.settings.pragma(stmt.Body, inside.open)
		case stmt.Is("ATTACH", "DETACH"):
			c.settings.attach(stmt, args)
			look = true
		case stmt.Is("CREATE", "DROP"):
			c.changed = c.changed || c.tx.open
			c.temp = c.temp || createsTemporary(stmt.Body)
			look = true
		}
	}
	if look {
		c.look(ctx)
	}
}

// look asks the engine what is on the connection that a pause would lose.
func (c *conn) look(ctx context.Context) {
	if !c.tx.open {
		c.changed = false
	}
	if c.s == nil || c.s.guard.Severed() {
		return
	}
	found, err := c.s.objects(context.WithoutCancel(ctx))
	switch {
	case err == nil:
		c.temp = found.temporary
		c.settings.attachedAre(found.attached)
	case c.s.can.autocommit != nil: // SQLite, which has not answered
		c.temp = true // better in flight without a reason than gone without a word
	}
}

// halfway looks at what a script has done whose statements the driver runs by
// itself, and of which one failed: those before it are not undone.
func (c *conn) halfway(ctx context.Context, t *text) {
	if len(t.script) < 2 || !t.state || c.s.can.autocommit == nil || c.s.guard.Severed() || c.s.guard.Interrupted() {
		return
	}
	c.isOpen(!c.s.autocommit())
	c.look(ctx)
}

// controlled follows a statement that may have begun or ended a transaction.
func (c *conn) controlled(stmt sqltext.Statement) {
	if c.s.can.autocommit != nil {
		c.isOpen(!c.s.autocommit())
	} else {
		c.isOpen(c.tx.follow(stmt))
	}
}

// isOpen says whether a transaction of SQL text is open now.
func (c *conn) isOpen(open bool) {
	if open == c.tx.open || c.tx.api || c.tx.cut != nil {
		return // the end of one of BeginTx is Commit or Rollback, as for database/sql
	}
	if open {
		c.tx.open = true
		c.f.entered(c)
	} else {
		c.f.left(c)
		c.tx = transaction{}
	}
	c.s.began.Store(open)
	c.s.inTx.Store(open)
}

// follow says whether a transaction is open after stmt, as far as its text tells.
func (tx *transaction) follow(stmt sqltext.Statement) bool {
	tokens := append(sqltext.Tokens(stmt.Body, 4), "", "", "", "")
	name := tokens[1]
	if sqltext.IsWord(name, "SAVEPOINT") {
		name = tokens[2]
	}
	switch {
	case stmt.Is("BEGIN", "START"):
		return true
	case ends(stmt.Body):
		return false
	case stmt.Is("SAVEPOINT") && !tx.open:
		tx.savepoint = name
		return true
	case stmt.Is("RELEASE"):
		return tx.open && (tx.savepoint == "" || !strings.EqualFold(tx.savepoint, name))
	}
	return tx.open
}

// ends says whether a statement ends a transaction. ROLLBACK [TRANSACTION] TO does not.
func ends(sql string) bool {
	tokens := append(sqltext.Tokens(sql, 3), "", "", "")
	return sqltext.IsWord(tokens[0], "COMMIT", "END") ||
		sqltext.IsWord(tokens[0], "ROLLBACK") && !sqltext.IsWord(tokens[1], "TO") && !sqltext.IsWord(tokens[2], "TO")
}

func createsTemporary(body string) bool {
	tokens := sqltext.Tokens(body, 2)
	return len(tokens) == 2 && sqltext.IsWord(tokens[0], "CREATE") && sqltext.IsWord(tokens[1], "TEMP", "TEMPORARY")
}

// objects is what the engine knows of a connection.
type objects struct {
	temporary bool     // tables, views, triggers, or whole databases, that live in memory
	attached  []string // the names of the attached databases, in lower case, in their order
}

// objects asks SQLite. Another engine returns an error.
func (s *Session) objects(ctx context.Context) (found objects, err error) {
	err = s.call(func() error {
		err := s.each(ctx, "SELECT 1 FROM temp.sqlite_master LIMIT 1", func([]driver.Value) { found.temporary = true })
		if err != nil {
			return err
		}
		return s.each(ctx, "PRAGMA database_list", func(row []driver.Value) {
			name := strings.ToLower(textOf(row[1]))
			if name == "main" || name == "temp" {
				return
			}
			found.attached = append(found.attached, name)
			found.temporary = found.temporary || textOf(row[2]) == ""
		})
	})
	return found, err
}

func textOf(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return ""
	}
}

// each calls f for every row of a query of our own. Inside the guard.
func (s *Session) each(ctx context.Context, sql string, f func([]driver.Value)) error {
	p, err := s.prepare(ctx, sql)
	if err != nil {
		return err
	}
	defer p.close() //nolint:errcheck // the rows say what matters
	rows, err := p.query(ctx, nil)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // they were read to their end
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); err {
		case nil:
			f(values)
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// settings is what SQL text has set on a virtual connection, in the order in
// which it has to be restored.
type settings struct{ list []setting }

type setting struct {
	kind string // "attach", or "pragma"
	key  string // the schema's name, or the pragma's
	sql  string
	args []driver.NamedValue
}

// restorable are the settings that belong to a connection. Others belong to
// the file (user_version, journal_mode, …), to a moment (wal_checkpoint,
// integrity_check, …) or to a transaction (defer_foreign_keys).
var restorable = []string{
	"analysis_limit", "automatic_index", "busy_timeout", "cache_size", "cache_spill", "case_sensitive_like",
	"cell_size_check", "checkpoint_fullfsync", "count_changes", "empty_result_callbacks", "foreign_keys",
	"full_column_names", "fullfsync", "ignore_check_constraints", "journal_size_limit", "legacy_alter_table",
	"locking_mode", "max_page_count", "mmap_size", "query_only", "read_uncommitted", "recursive_triggers",
	"reverse_unordered_selects", "secure_delete", "short_column_names", "synchronous", "temp_store", "threads",
	"trusted_schema", "wal_autocheckpoint", "writable_schema",
}

// pragma remembers PRAGMA [schema.]name = value or (value).
func (s *settings) pragma(body string, inTransaction bool) {
	tokens := sqltext.Tokens(body, 6)[1:]
	schema := ""
	if len(tokens) > 2 && tokens[1] == "." {
		schema, tokens = strings.ToLower(unquoted(tokens[0])), tokens[2:]
	}
	if len(tokens) < 3 || tokens[1] != "=" && tokens[1] != "(" {
		return // it asks
	}
	name := strings.ToLower(unquoted(tokens[0]))
	switch {
	case name == "journal_mode" && sqltext.IsWord(unquoted(tokens[2]), "MEMORY", "OFF", "TRUNCATE", "PERSIST"): // WAL and DELETE belong to the file
	case name == "journal_mode":
		s.list = slices.DeleteFunc(s.list, func(o setting) bool { return o.kind == "pragma" && o.key == schema+"."+name })
		return
	case !slices.Contains(restorable, name):
		return
	case name == "foreign_keys" && inTransaction:
		return // SQLite ignores it there
	}
	s.put(setting{kind: "pragma", key: schema + "." + name, sql: body})
}

// attach remembers ATTACH, and forgets it after DETACH. The name is a guess,
// which attachedAre makes right: it may be a parameter, or a key may follow it.
func (s *settings) attach(stmt sqltext.Statement, args []driver.NamedValue) {
	tokens := sqltext.Tokens(stmt.Body, 1000)
	schema := strings.ToLower(unquoted(tokens[len(tokens)-1]))
	if stmt.Is("ATTACH") {
		if len(args) > 0 {
			schema = fmt.Sprint("? ", len(s.list))
		}
		s.put(setting{kind: "attach", key: schema, sql: stmt.Body, args: slices.Clone(args)})
		return
	}
	s.list = slices.DeleteFunc(s.list, func(o setting) bool {
		return len(args) == 0 && (o.kind == "attach" && o.key == schema || o.kind == "pragma" && strings.HasPrefix(o.key, schema+"."))
	})
}

// attachedAre is told the names of the attached databases.
func (s *settings) attachedAre(names []string) {
	var known []string
	for _, o := range s.list {
		if o.kind == "attach" && slices.Contains(names, o.key) {
			known = append(known, o.key)
		}
	}
	unknown := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(known, n) })
	for i := range s.list {
		if o := &s.list[i]; o.kind == "attach" && !slices.Contains(names, o.key) && len(unknown) > 0 {
			o.key, unknown = unknown[0], unknown[1:]
		}
	}
	s.list = slices.DeleteFunc(s.list, func(o setting) bool {
		schema, _, _ := strings.Cut(o.key, ".")
		if o.kind == "attach" {
			schema = o.key
		} else if schema == "" || schema == "main" || schema == "temp" {
			return false
		}
		return !slices.Contains(names, schema)
	})
}

func unquoted(token string) string {
	if len(token) >= 2 && strings.IndexByte("'\"`[", token[0]) >= 0 {
		return token[1 : len(token)-1]
	}
	return token
}

// put adds a setting at the end, in the place of an earlier one of the same.
func (s *settings) put(new setting) {
	s.list = slices.DeleteFunc(s.list, func(o setting) bool { return o.kind == new.kind && o.key == new.key })
	s.list = append(s.list, new)
}

// replay restores the settings on a fresh physical connection.
func (s *settings) replay(ctx context.Context, session *Session) error {
	for _, set := range s.list {
		if _, err := session.exec(ctx, parse(set.sql), nil, set.args); err != nil {
			return fmt.Errorf("sqldb: restore %q on a new connection: %w", shorten(set.sql), err)
		}
	}
	return nil
}

// noRows is the result of a query that has none.
type noRows struct{}

func (noRows) Columns() []string         { return nil }
func (noRows) Close() error              { return nil }
func (noRows) Next([]driver.Value) error { return io.EOF }
