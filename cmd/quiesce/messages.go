package main

// The demo's content: rooms and messages. Every message carries a checksum over
// itself and the checksum before it, so that whoever knows the last number and
// checksum can tell whether any message was lost, changed or added.

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

const (
	fileName       = "quiesce-demo.db" // beside a user's own databases, so nobody else's name
	applicationID  = 0x5153_4345       // "QSCE": how the demo knows a database of its own
	schemaVersion  = 1
	roomCount      = 8
	firstMessages  = 2000
	schemaOfTables = `
CREATE TABLE IF NOT EXISTS rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL, messages INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS messages (seq INTEGER PRIMARY KEY, room INTEGER NOT NULL REFERENCES rooms (id), sender TEXT NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS messages_by_room ON messages (room, seq);
PRAGMA user_version = 1;`
)

var roomNames = [roomCount]string{"lobby", "kitchen", "workshop", "library", "garden", "harbour", "observatory", "attic"}

// mark is a point in the sequence of messages: the last number and its checksum.
type mark struct{ seq, sum int64 }

// message is one row.
type message struct {
	seq          int64
	room         int64
	sender, body string
}

// after returns the checksum of m when before stands in front of it.
func (m *message) after(before int64) int64 {
	buf := make([]byte, 0, 256)
	for _, n := range []int64{before, m.seq, m.room} {
		buf = binary.BigEndian.AppendUint64(buf, uint64(n))
	}
	buf = append(buf, m.sender...)
	buf = append(buf, 0)
	buf = append(buf, m.body...)
	sum := sha256.Sum256(buf)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

var senders = []string{"@ada:example.org", "@grace:example.org", "@konrad:example.org", "@lynn:example.org", "@radia:example.org"}

var words = strings.Fields(`the a some every no river lantern window engine letter morning ferry copper garden signal winter paper bridge
	carries opens forgets answers keeps mends finds follows leaves returns quietly again tomorrow before after without beneath between slowly`)

// compose makes up message number seq.
func compose(seq int64) message {
	var b strings.Builder
	for i := range 6 + rand.IntN(18) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[rand.IntN(len(words))])
	}
	b.WriteByte('.')
	return message{seq, 1 + rand.Int64N(roomCount), senders[rand.IntN(len(senders))], b.String()}
}

// prepare makes what is missing in a new database, and returns how far an older one got.
func prepare(ctx context.Context, db *sqlite.DB) (found mark, err error) {
	err = db.Update(ctx, func(c *sqlite.Conn) error {
		if err := c.ExecScript(ctx, schemaOfTables); err != nil {
			return err
		}
		for i, name := range roomNames {
			if _, err := c.Exec(ctx, `INSERT OR IGNORE INTO rooms (id, name) VALUES (?, ?)`, i+1, name); err != nil {
				return err
			}
		}
		return c.QueryRow(ctx, `SELECT ifnull(max(seq), 0), ifnull((SELECT sum FROM messages ORDER BY seq DESC LIMIT 1), 0) FROM messages`).Scan(&found.seq, &found.sum)
	})
	return found, err
}

// add writes n messages behind at, inside a transaction, and returns where it got.
func add(ctx context.Context, c *sqlite.Conn, at mark, n int) (mark, error) {
	for range n {
		m := compose(at.seq + 1)
		at = mark{m.seq, m.after(at.sum)}
		if _, err := c.Exec(ctx, `INSERT INTO messages (seq, room, sender, body, sum) VALUES (?, ?, ?, ?, ?)`, m.seq, m.room, m.sender, m.body, at.sum); err != nil {
			return at, err
		}
		if _, err := c.Exec(ctx, `UPDATE rooms SET messages = messages + 1, last = ? WHERE id = ?`, m.seq, m.room); err != nil {
			return at, err
		}
	}
	return at, nil
}

// check reads the messages behind from, up to the mark to, and returns how
// many of them are missing or not what was written.
func check(ctx context.Context, db *sqlite.DB, from, to mark) (lost int64, err error) {
	err = db.View(ctx, func(c *sqlite.Conn) error {
		lost, err = checkOn(ctx, c, from, to)
		return err
	})
	return lost, err
}

// checkOn is check on one connection. It looks for every number, and compares every
// checksum with the content and with the checksum before it; behind a
// gap the next one cannot be compared.
func checkOn(ctx context.Context, c *sqlite.Conn, from, to mark) (lost int64, err error) {
	next, sum := from.seq+1, from.sum
	for row, err := range c.Rows(ctx, `SELECT seq, room, sender, body, sum FROM messages WHERE seq > ? AND seq <= ? ORDER BY seq`, from.seq, to.seq) {
		if err != nil {
			return 0, err
		}
		var m message
		var stored int64
		if err := row.Scan(&m.seq, &m.room, &m.sender, &m.body, &stored); err != nil {
			return 0, err
		}
		switch {
		case m.seq != next:
			lost += m.seq - next
		case m.after(sum) != stored:
			lost++
		}
		next, sum = m.seq+1, stored
	}
	lost += to.seq + 1 - next
	if lost == 0 && sum != to.sum {
		lost = 1 // the last one is there, and is another
	}
	return lost, nil
}

// checkEnd compares the whole database with the last mark.
func checkEnd(ctx context.Context, db *sqlite.DB, to mark, s *summary) error {
	lost, err := check(ctx, db, mark{}, to)
	if err != nil {
		return fmt.Errorf("reading the rows again: %w", err)
	}
	s.Lost = lost
	var inRooms int64
	err = db.View(ctx, func(c *sqlite.Conn) error {
		return errors.Join(
			c.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE seq > ? OR seq < 1) FROM messages`, to.seq).Scan(&s.Rows, &s.Extra),
			c.QueryRow(ctx, `SELECT ifnull(sum(messages), 0) FROM rooms`).Scan(&inRooms),
			c.QueryRow(ctx, `PRAGMA integrity_check`).Scan(&s.Integrity),
		)
	})
	switch {
	case err != nil:
		return fmt.Errorf("checking the database: %w", err)
	case s.Integrity != "ok":
		return fmt.Errorf("PRAGMA integrity_check: %s", s.Integrity)
	case s.Lost > 0:
		return fmt.Errorf("%d committed rows are lost or changed", s.Lost)
	case s.Extra > 0:
		return fmt.Errorf("%d rows are there that nobody has acknowledged", s.Extra)
	case inRooms != s.Rows:
		return fmt.Errorf("the rooms count %d messages, and there are %d: half a transaction was kept", inRooms, s.Rows)
	}
	return nil
}
