package sqldb

import (
	"container/list"
	"errors"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sqltext"
)

const (
	defaultStatements = 64
	longestKept       = 16 << 10 // longer texts are built, and rarely come again
)

// text is what is known about an SQL text, and, for a text that comes without
// a statement of its own, the statement that was prepared for it.
type text struct {
	sql     string
	script  []sqltext.Statement // its statements, where there is more than one, or something beside it
	empty   bool                // there is none
	verb    string              // of a single statement
	queries bool                // it may be queried as a prepared statement
	execs   bool                // it may be executed as one
	rowless bool                // it returns no rows
	reads   bool                // it changes nothing, as far as its text tells
	state   bool                // it may change the state of the connection: transaction, settings, …

	prep *prepared
	elem *list.Element
	kept bool
}

func parse(sql string) *text {
	t := &text{sql: sql}
	first := sqltext.Parse(sql)
	if first.Body == "" || first.More() {
		for rest := sql; rest != ""; {
			s := sqltext.Parse(rest)
			rest = s.Rest
			if s.Body != "" {
				t.script = append(t.script, s)
				t.state = t.state || changesState(s.Verb)
			}
		}
		t.empty = len(t.script) == 0
		if len(t.script) == 1 {
			t.verb = t.script[0].Verb
		}
		return t
	}
	t.verb = first.Verb
	t.state = changesState(t.verb)
	plain := !first.NUL && !first.Named // otherwise the drivers differ in what they make of it
	switch {
	case first.Is("SELECT", "VALUES"):
		t.reads, t.queries = true, plain
	case first.Is("WITH"):
		t.reads = !mentions(sql, writing...)
		t.queries = plain && !mentions(sql, "RETURNING")
	case first.Is(writing...):
		t.rowless = !mentions(sql, "RETURNING") // whose Exec mattn leaves unfinished where the statement is not closed
		t.execs = plain && t.rowless
	default:
		t.reads = reads(t.verb)
		t.rowless = t.state && !t.reads
	}
	return t
}

var writing = []string{"INSERT", "UPDATE", "DELETE", "REPLACE"}

// mentions says whether a text contains one of the words, be it as part of another or in quotes.
func mentions(sql string, words ...string) bool {
	upper := strings.ToUpper(sql)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(upper, w) })
}

// changesState tells the statements after which the connection may not be what it was.
func changesState(verb string) bool {
	return controls(verb) || sqltext.IsWord(verb, "PRAGMA", "ATTACH", "DETACH", "CREATE", "DROP", "ALTER")
}

func controls(verb string) bool {
	return sqltext.IsWord(verb, "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")
}

// texts are the SQL texts that came last on one connection.
type texts struct {
	most   int
	byText map[string]*text
	order  list.List // the most recent first
}

func (c *texts) init(most int) {
	c.most = max(most, 0)
	c.byText = make(map[string]*text)
}

// get returns what is known about sql.
func (c *texts) get(sql string) *text {
	t := c.byText[sql]
	if t != nil {
		c.order.MoveToFront(t.elem)
		return t
	}
	t = parse(sql)
	if len(sql) > longestKept || c.most == 0 {
		return t
	}
	t.kept = true
	t.elem = c.order.PushFront(t)
	c.byText[sql] = t
	c.trim()
	return t
}

// trim forgets the texts that are too many and that nobody uses, the oldest first.
// What a driver says of closing them is not the business of who comes now.
func (c *texts) trim() {
	for e := c.order.Back(); e != nil && len(c.byText) > c.most; {
		t, newer := e.Value.(*text), e.Prev()
		if t.prep == nil || !t.prep.busy {
			c.order.Remove(e)
			delete(c.byText, t.sql)
			t.kept = false
			if t.prep != nil {
				_ = t.prep.close()
				t.prep = nil
			}
		}
		e = newer
	}
}

// closeAll closes every statement. Nobody uses one any more.
func (c *texts) closeAll() error {
	var err error
	for _, t := range c.byText {
		if t.prep != nil {
			err = errors.Join(err, t.prep.close())
			t.prep = nil
		}
	}
	clear(c.byText)
	c.order.Init()
	return err
}
