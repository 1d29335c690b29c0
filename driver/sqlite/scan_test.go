package sqlite_test

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

type (
	myString string
	myInt    int16
	myBytes  []byte
	myBool   bool
	valuer   struct{ v any }
)

func (v valuer) Value() (driver.Value, error) { return v.v, nil }

func ptr[T any](v T) *T { return &v }

// What one engine writes the other reads the same, whatever the column is declared as.
func TestValuesAreTheSameInBothEngines(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	when := time.Date(2024, 2, 29, 23, 59, 58, 123456789, berlin)
	cases := []struct {
		name string
		arg  any
		want any // as Row.Value returns it
	}{
		{"nil", nil, nil},
		{"int", 1, int64(1)},
		{"int8", int8(-3), int64(-3)},
		{"uint32", uint32(math.MaxUint32), int64(math.MaxUint32)},
		{"smallest", int64(math.MinInt64), int64(math.MinInt64)},
		{"milliseconds", int64(1_700_000_000_000), int64(1_700_000_000_000)},
		{"float", 1.5, 1.5},
		{"true", true, int64(1)},
		{"false", false, int64(0)},
		{"string", "text", "text"},
		{"empty string", "", ""},
		{"string with NUL", "a\x00b", "a\x00b"},
		{"invalid UTF-8", "a\xffb", "a\xffb"},
		{"looks like a time", "2024-01-02", "2024-01-02"},
		{"bytes", []byte{0, 1, 255}, []byte{0, 1, 255}},
		{"empty bytes", []byte{}, []byte{}},
		{"nil bytes", []byte(nil), nil},
		{"time", when, "2024-02-29 22:59:58.123456789+00:00"},
		{"time without fraction", when.Truncate(time.Second), "2024-02-29 22:59:58+00:00"},
		{"named string", myString("s"), "s"},
		{"named int", myInt(4), int64(4)},
		{"named bytes", myBytes("b"), []byte("b")},
		{"pointer", ptr(5), int64(5)},
		{"nil pointer", (*int)(nil), nil},
		{"valuer", valuer{int64(6)}, int64(6)},
		{"valuer of a time", valuer{when}, "2024-02-29 22:59:58.123456789+00:00"},
		{"sql.NullString", sql.NullString{}, nil},
		{"sql.Null", sql.Null[int64]{V: 7, Valid: true}, int64(7)},
		{"pointer to a time", &when, "2024-02-29 22:59:58.123456789+00:00"},
	}
	// Declared types that the drivers convert by, each in its own way. ANY keeps what is given.
	const schema = `CREATE TABLE t (name TEXT PRIMARY KEY, a ANY, dt DATETIME, d DATE, ts TIMESTAMP, b BOOLEAN, none) `
	for _, writer := range engines {
		for _, reader := range engines {
			if !withCgo && (writer.Name() == "mattn" || reader.Name() == "mattn") {
				continue
			}
			t.Run(writer.Name()+" to "+reader.Name(), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "test.db")
				w := openConn(t, writer, path, sqlite.OpenOptions{Create: true}, sqlite.ConnOptions{})
				w.SetOp(t.Context())
				must(t, w.ExecScript(t.Context(), schema))
				for _, test := range cases {
					if _, err := w.Exec(t.Context(), `INSERT INTO t VALUES (?1, ?2, ?2, ?2, ?2, ?2, ?2)`, test.name, test.arg); err != nil {
						t.Errorf("%s: %v", test.name, err)
					}
				}
				must(t, w.Reset())
				must(t, w.CloseConn()) // the engines must not have one file open at the same time

				r := openConn(t, reader, path, sqlite.OpenOptions{}, sqlite.ConnOptions{})
				r.SetOp(t.Context())
				for _, test := range cases {
					for row, err := range r.Rows(t.Context(), `SELECT none, a, dt, d, ts, b, typeof(none), none FROM t WHERE name = ?`, test.name) {
						must(t, err)
						if diff := cmp.Diff(test.want, row.Value(0)); diff != "" {
							t.Errorf("%s: (-want +got)\n%s", test.name, diff)
						}
						var stored any
						must(t, row.Scan(&stored, nil, nil, nil, nil, nil, nil, nil))
						if diff := cmp.Diff(test.want, stored); diff != "" {
							t.Errorf("%s into any: (-want +got)\n%s", test.name, diff)
						}
						if test.arg == when {
							for column := range 6 {
								dest := make([]any, 8)
								var got time.Time
								dest[column] = &got
								must(t, row.Scan(dest...))
								if !got.Equal(when) || got.Location() != time.UTC {
									t.Errorf("the time came back from %s as %v, want %v", row.Columns()[column], got, when.UTC())
								}
							}
						}
					}
				}
				// A column's declared type changes nothing about what is stored and read.
				var b, n any
				must(t, r.QueryRow(t.Context(), `SELECT b, dt FROM t WHERE name = 'milliseconds'`).Scan(&b, &n))
				if b != int64(1_700_000_000_000) || n != int64(1_700_000_000_000) {
					t.Errorf("a number in a BOOLEAN column reads %v (%T), in a DATETIME column %v (%T)", b, b, n, n)
				}
			})
		}
	}
}

func TestStoredTimesSortAsTheTimesDo(t *testing.T) {
	base := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	times := []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), base.Add(-time.Nanosecond), base, base.Add(1), base.Add(10), base.Add(500 * time.Millisecond),
		base.Add(510 * time.Millisecond), base.Add(time.Second), base.Add(time.Hour).In(time.FixedZone("", -7200)),
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (n INTEGER PRIMARY KEY, at)`)
		for n, at := range times {
			_, err := c.Exec(t.Context(), `INSERT INTO t VALUES (?, ?)`, n, at)
			must(t, err)
		}
		n := 0
		for row, err := range c.Rows(t.Context(), `SELECT n, at, unixepoch(at) FROM t ORDER BY at`) {
			must(t, err)
			var got int
			var at time.Time
			var unix int64
			must(t, row.Scan(&got, &at, &unix))
			if got != n || !at.Equal(times[n]) || unix != times[n].Unix() {
				t.Errorf("position %d: number %d, %v, unixepoch %d", n, got, at, unix)
			}
			n++
		}
		_, err := c.Exec(t.Context(), `INSERT INTO t VALUES (?, ?)`, 100, time.Date(12024, 1, 1, 0, 0, 0, 0, time.UTC))
		if !errors.Is(err, sqlite.ErrParameters) {
			t.Errorf("a year that would not sort: %v, want ErrParameters", err)
		}
	})
}

func TestScanGoesIntoEveryTypeThatHoldsTheValue(t *testing.T) {
	when := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	cases := []struct {
		sql  string
		want any // and its type is the destination's
	}{
		{"42", 42}, {"42", int8(42)}, {"42", int16(42)}, {"42", int32(42)}, {"42", int64(42)},
		{"42", uint(42)}, {"42", uint8(42)}, {"42", uint16(42)}, {"42", uint32(42)}, {"42", uint64(42)},
		{"42", 42.0}, {"42", float32(42)}, {"1.5", 1.5}, {"1.5", float32(1.5)},
		{"1", true}, {"0", false}, {"1", myBool(true)}, {"7", myInt(7)},
		{"'a'", "a"}, {"'a'", []byte("a")}, {"'a'", myString("a")}, {"x'61'", "a"}, {"x'61'", []byte("a")}, {"x'61'", myBytes("a")},
		{"x''", []byte{}}, {"''", ""}, {"NULL", []byte(nil)}, {"x'61'", sql.RawBytes("a")},
		{"NULL", (*int)(nil)}, {"3", ptr(3)}, {"NULL", (*string)(nil)}, {"'s'", ptr("s")}, {"'s'", ptr(ptr("s"))}, {"NULL", (**string)(nil)},
		{"NULL", sql.NullString{}}, {"'s'", sql.NullString{String: "s", Valid: true}},
		{"NULL", sql.NullInt64{}}, {"8", sql.NullInt64{Int64: 8, Valid: true}}, {"1", sql.NullBool{Bool: true, Valid: true}},
		{"1.5", sql.NullFloat64{Float64: 1.5, Valid: true}}, {"9", sql.Null[int64]{V: 9, Valid: true}}, {"NULL", sql.Null[string]{}},
		{"NULL", sql.NullTime{}}, {"'2024-02-29 12:00:00+00:00'", sql.NullTime{Time: when, Valid: true}},
		{"'2024-02-29 12:00:00+00:00'", sql.Null[time.Time]{V: when, Valid: true}}, {"NULL", (*time.Time)(nil)}, {"'2024-02-29T12:00:00Z'", ptr(when)},
		{"'2024-02-29 12:00:00+00:00'", when}, {"'2024-02-29 14:00:00+02:00'", when}, {"'2024-02-29T12:00:00Z'", when}, {"'2024-02-29 12:00:00Z'", when},
		{"'2024-02-29 12:00:00.000'", when}, {"'2024-02-29T12:00'", when}, {"'2024-02-29 12:00'", when}, {"'2024-02-29'", when.Add(-12 * time.Hour)},
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		for _, test := range cases {
			dest := newLike(test.want)
			if err := c.QueryRow(t.Context(), `SELECT `+test.sql).Scan(dest); err != nil {
				t.Errorf("%s into %T: %v", test.sql, test.want, err)
				continue
			}
			if diff := cmp.Diff(test.want, deref(dest)); diff != "" {
				t.Errorf("%s into %T: (-want +got)\n%s", test.sql, test.want, diff)
			}
		}
	})
}

func TestScanNamesTheColumnThatDoesNotFit(t *testing.T) {
	cases := []struct {
		sql    string
		dest   any
		stored string
	}{
		{"NULL", new(int), "NULL"}, {"NULL", new(string), "NULL"}, {"NULL", new(bool), "NULL"}, {"NULL", new(time.Time), "NULL"}, {"NULL", new(float64), "NULL"},
		{"128", new(int8), "INTEGER"}, {"-1", new(uint64), "INTEGER"}, {"70000", new(myInt), "INTEGER"}, {"2", new(bool), "INTEGER"},
		{"1.5", new(int64), "REAL"}, {"1.5", new(int), "REAL"}, {"1e300", new(float32), "REAL"}, {"1.5", new(string), "REAL"},
		{"'1'", new(int64), "TEXT"}, {"'yesterday'", new(time.Time), "TEXT"}, {"'true'", new(bool), "TEXT"},
		{"1700000000", new(time.Time), "INTEGER"}, {"x'31'", new(int), "BLOB"}, {"5", new(string), "INTEGER"}, {"5", new([]byte), "INTEGER"},
		{"5", new(chan int), "INTEGER"}, {"5", 5, "INTEGER"}, {"5", (*int16)(nil), "INTEGER"},
		{"5", new([]int), "INTEGER"}, {"'x'", new(*int), "TEXT"}, {"'x'", new(sql.NullInt64), "TEXT"},
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, ``)
		for _, test := range cases {
			var first int
			err := c.QueryRow(t.Context(), `SELECT 1, `+test.sql+` AS wanted`).Scan(&first, test.dest)
			var e *sqlite.ScanError
			if !errors.As(err, &e) {
				t.Errorf("%s into %T: %v, want a *ScanError", test.sql, test.dest, err)
				continue
			}
			if e.Column != 1 || e.Name != "wanted" || e.Stored != test.stored || !strings.Contains(e.Error(), "wanted") {
				t.Errorf("%s into %T: %v; want column 1, \"wanted\", %s", test.sql, test.dest, err, test.stored)
			}
		}
		if err := c.QueryRow(t.Context(), `SELECT 1, 2`).Scan(new(int)); !errors.Is(err, sqlite.ErrColumns) {
			t.Errorf("one destination for two columns: %v, want ErrColumns", err)
		}
		if err := c.QueryRow(t.Context(), `SELECT 1 WHERE 0`).Scan(new(int)); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("no row: %v, want sql.ErrNoRows", err)
		}
		if _, err := c.Exec(t.Context(), `SELECT ?`, sql.Named("n", 1)); !errors.Is(err, sqlite.ErrParameters) {
			t.Errorf("a named argument: %v, want ErrParameters", err)
		}
	})
}

// What Scan hands out belongs to the caller, also after the next row and the end.
func TestBytesBelongToTheCaller(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		c := connOn(t, engine, `CREATE TABLE t (v BLOB)`)
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
		for i := range 3 {
			big[0] = byte('A' + i)
			_, err := c.Exec(t.Context(), `INSERT INTO t VALUES (?)`, big)
			must(t, err)
		}
		all, err := sqlite.Collect(c.Rows(t.Context(), `SELECT v FROM t ORDER BY rowid`), func(row *sqlite.Row) (v []byte, err error) {
			return v, row.Scan(&v)
		})
		must(t, err)
		for i, v := range all {
			big[0] = byte('A' + i)
			if !bytes.Equal(v, big) {
				t.Errorf("row %d has changed after it was read", i)
			}
		}
	})
}
