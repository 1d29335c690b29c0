package codec_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

const schema = `CREATE TABLE note (title BLOB PRIMARY KEY NOT NULL, n INTEGER) STRICT, WITHOUT ROWID`

// titles returns n keys, among them those that a text could not hold.
func titles(n int) []string {
	all := []string{"", "\x00", "a\x00b", "\xff\xfe", `"`, `\`, "'", "[", "é"}
	for i := len(all); i < n; i++ {
		all = append(all, fmt.Sprintf("title-%d", i))
	}
	return all[:n]
}

// many is how many keys the tests have. SQLite in Go is sixty times slower under the race detector.
func many(engine sqlite.Engine) int {
	if raceEnabled && engine.Name() == "modernc" {
		return tier.Count(5_000, 100_000, 100_000)
	}
	return 100_000
}

// TestAnyNumberOfKeysGoesInOneStatement is CF-23, where a query for more keys
// than a chunk failed: 100,000 keys are written, found and deleted.
func TestAnyNumberOfKeysGoesInOneStatement(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		onBoth(t, func(t *testing.T, c *codec.Codec) {
			for _, n := range []int{0, 1, 9, many(engine)} {
				db := open(t, engine, schema)
				keys := titles(n)
				list := got[string](t)(codec.KeyList(c, "note", keys))
				must(t, db.Update(ctx, func(conn *sqlite.Conn) error {
					result, err := conn.Exec(ctx, `WITH `+codec.Listed+` INSERT INTO note (title, n) SELECT key, n FROM listed`, list)
					if err != nil || result.RowsAffected != int64(n) {
						t.Errorf("%d of %d keys were written: %v", result.RowsAffected, n, err)
					}
					return err
				}))
				must(t, db.View(ctx, func(conn *sqlite.Conn) error {
					i := 0
					for row, err := range conn.Rows(ctx, `WITH `+codec.Listed+` SELECT listed.n, note.n, title FROM listed CROSS JOIN note ON title = listed.key ORDER BY listed.n`, list) {
						must(t, err)
						var asked, found int
						var title []byte
						must(t, row.Scan(&asked, &found, &title))
						if want := got[[]byte](t)(c.KeyString("note", keys[i])); asked != i || found != i || string(title) != string(want) {
							t.Fatalf("key %d (%.20q): row %d answers question %d", i, keys[i], found, asked)
						}
						i++
					}
					if i != n {
						t.Errorf("%d of %d keys were found", i, n)
					}
					return nil
				}))
				must(t, db.Update(ctx, func(conn *sqlite.Conn) error {
					_, err := conn.Exec(ctx, `INSERT INTO note VALUES (x'30', -1)`) // which is nobody's key
					must(t, err)
					var found int
					must(t, conn.QueryRow(ctx, `SELECT count(*) FROM note WHERE title IN `+codec.In, list).Scan(&found))
					result, err := conn.Exec(ctx, `DELETE FROM note WHERE title IN `+codec.In, list)
					if err != nil || found != n || result.RowsAffected != int64(n) {
						t.Errorf("of %d keys %d were found and %d deleted: %v", n, found, result.RowsAffected, err)
					}
					return err
				}))
			}
		})
	})
}

func TestAKeyThatIsThereTwice(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		db := open(t, engine, schema+`; INSERT INTO note VALUES (x'61', 1)`)
		list := codec.List([]string{"a", "b", "a"})
		must(t, db.View(ctx, func(conn *sqlite.Conn) error {
			var rows int
			must(t, conn.QueryRow(ctx, `SELECT count(*) FROM note WHERE title IN `+codec.In, list).Scan(&rows))
			if rows != 1 {
				t.Errorf("IN found %d rows, and there is one", rows)
			}
			asked, err := sqlite.Collect(conn.Rows(ctx, `WITH `+codec.Listed+` SELECT listed.n FROM listed CROSS JOIN note ON title = listed.key ORDER BY 1`, list),
				func(row *sqlite.Row) (n int, err error) { return n, row.Scan(&n) })
			if !slices.Equal(asked, []int{0, 2}) {
				t.Errorf("the answers are for the keys %v, want the first and the last: %v", asked, err)
			}
			return err
		}))
	})
}

func TestListIsTheSameForStringsAndBytes(t *testing.T) {
	type title string
	for _, n := range []int{0, 1, 20} {
		texts := titles(n)
		var bytes [][]byte
		var named []title
		for _, k := range texts {
			bytes = append(bytes, []byte(k))
			named = append(named, title(k))
		}
		list := codec.List(texts)
		if codec.List(bytes) != list || codec.List(named) != list {
			t.Errorf("%d keys: the type of a key must not matter", n)
		}
		var decoded []string
		if err := json.Unmarshal([]byte(list), &decoded); err != nil || len(decoded) != n {
			t.Errorf("%d keys are %s: %v", n, list, err)
		}
	}
	if a, b := codec.List[[]byte](nil), codec.List([][]byte{nil}); a != `[]` || b != `[""]` {
		t.Errorf("no key is %s, the empty key %s", a, b)
	}
}

// chunked is the other way to do it: placeholders, as many as the statement may have.
func chunked(conn *sqlite.Conn, keys []string) (found int, err error) {
	for chunk := range slices.Chunk(keys, 16_383) {
		args := make([]any, len(chunk))
		for i, k := range chunk {
			args[i] = []byte(k)
		}
		marks := strings.Repeat("?,", len(chunk))
		for row, err := range conn.Rows(ctx, `SELECT n FROM note WHERE title IN (`+marks[:len(marks)-1]+`)`, args...) {
			if err != nil {
				return found, err
			}
			_ = row.Value(0)
			found++
		}
	}
	return found, nil
}
