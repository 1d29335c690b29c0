package sqlite_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The benchmarks compare two sides in one run: blocks of both alternate, and
// the median of the blocks' ratios is reported as "ratio". Absolute times
// wander by a factor of two from run to run; the ratios do not.

// side runs n operations.
type side func(n int)

// versus reports time(a) / time(b), and what a allocates more than b, for an operation.
func versus(b *testing.B, block int, a, other side) {
	b.Helper()
	a(block) // both warm
	other(block)
	var ratios, more []float64
	measure := func(s side) (time.Duration, uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		s(block)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		return took, after.Mallocs - before.Mallocs
	}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		var ta, tb time.Duration
		var ma, mb uint64
		if i%2 == 0 {
			ta, ma = measure(a)
			tb, mb = measure(other)
		} else {
			tb, mb = measure(other)
			ta, ma = measure(a)
		}
		ratios = append(ratios, float64(ta)/float64(tb))
		more = append(more, (float64(ma)-float64(mb))/float64(block))
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(more), "extra-allocs/op")
	b.ReportMetric(0, "ns/op") // of a block of both sides: it says nothing
}

func median[T float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

const (
	storeRows = 20_000
	blobSize  = 1 << 10
	cacheSize = 64 << 20
)

// benchStore is a store with rows of 1 KiB.
func benchStore(b *testing.B, engine sqlite.Engine, rows int, change func(*sqlite.Config)) *sqlite.DB {
	b.Helper()
	db := open(b, engine, func(c *sqlite.Config) {
		c.Verify, c.CacheSize = false, cacheSize
		if change != nil {
			change(c)
		}
	})
	blob := make([]byte, blobSize)
	must(b, db.Update(ctx, func(c *sqlite.Conn) error {
		if err := c.ExecScript(ctx, schema); err != nil {
			return err
		}
		for i := range rows {
			if _, err := c.Exec(ctx, `INSERT INTO t (id, a, b, c, v) VALUES (?, ?, ?, ?, ?)`, i, i, "text", 1.5, blob); err != nil {
				return err
			}
		}
		return nil
	}))
	return db
}

const schema = `CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL, v BLOB)`

// twoPool is what applications use without quiesce: a database/sql pool of readers and one of a single writer.
type twoPool struct{ read, write *sql.DB }

func newTwoPool(b *testing.B, engine sqlite.Engine, rows int) *twoPool {
	b.Helper()
	db := benchStore(b, engine, rows, nil)
	path := db.Path()
	must(b, db.Close(ctx))
	open := func(n int) *sql.DB {
		var pool *sql.DB
		var err error
		if engine.Name() == "mattn" {
			pool, err = sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=1&_busy_timeout=5000&_cache_size=-65536&_txlock=immediate")
		} else {
			pool, err = sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)&_pragma=cache_size(-65536)&_txlock=immediate")
		}
		must(b, err)
		pool.SetMaxOpenConns(n)
		pool.SetMaxIdleConns(n)
		b.Cleanup(func() { pool.Close() })
		return pool
	}
	return &twoPool{open(3), open(1)}
}

// bare is a prepared statement on the driver's own connection, with nothing around it.
type bare struct {
	stmt sqldriver.StmtQueryContext
	dest []sqldriver.Value
	args []sqldriver.NamedValue
	buf  []byte
}

func newBare(b *testing.B, engine sqlite.Engine, path, query string) *bare {
	b.Helper()
	raw, err := engine.Open(path, sqlite.OpenOptions{})
	must(b, err)
	conn := raw.Unwrap()
	for _, pragma := range []string{`PRAGMA cache_size = -65536`, `PRAGMA query_only = 1`} {
		_, err = conn.(sqldriver.ExecerContext).ExecContext(ctx, pragma, nil)
		must(b, err)
	}
	stmt, err := conn.(sqldriver.ConnPrepareContext).PrepareContext(ctx, query)
	must(b, err)
	b.Cleanup(func() { must(b, errors.Join(stmt.Close(), raw.Close())) })
	return &bare{stmt: stmt.(sqldriver.StmtQueryContext), dest: make([]sqldriver.Value, 1), args: []sqldriver.NamedValue{{Ordinal: 1}}}
}

func (s *bare) read(ctx context.Context, id int64) error {
	s.args[0].Value = id
	rows, err := s.stmt.QueryContext(ctx, s.args)
	if err != nil {
		return err
	}
	_ = rows.Columns()
	err = rows.Next(s.dest)
	if err == nil {
		s.buf = append(s.buf[:0:0], s.dest[0].([]byte)...)
	}
	return errors.Join(err, rows.Close())
}

const pointQuery = `SELECT v FROM t WHERE id = ?`

// BenchmarkGuard: a read through the store, with a holder that a HeldError
// could name, against a bare prepared statement with the same context.
func BenchmarkGuard(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		cancellable, cancel := context.WithCancel(ctx)
		defer cancel()
		for _, kind := range []struct {
			name string
			ctx  context.Context
		}{{"background", ctx}, {"cancellable", cancellable}} {
			b.Run("ctx="+kind.name, func(b *testing.B) {
				db := benchStore(b, engine, storeRows, nil)
				s := newBare(b, engine, db.Path(), pointQuery)
				var id int64
				var buf []byte
				fn := func(c *sqlite.Conn) error { return c.QueryRow(kind.ctx, pointQuery, id).Scan(&buf) }
				versus(b, 300,
					func(n int) {
						for range n {
							id = rand.Int64N(storeRows)
							must(b, db.Read(kind.ctx, fn))
						}
					},
					func(n int) {
						for range n {
							must(b, s.read(kind.ctx, rand.Int64N(storeRows)))
						}
					})
			})
		}
	})
}

// BenchmarkPointRead: QueryRow on two pools of database/sql, against Conn.
func BenchmarkPointRead(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		pointRead(b, engine, nil)
	})
}

// BenchmarkPointReadExclusive is PointRead with the option Exclusive.
func BenchmarkPointReadExclusive(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		pointRead(b, engine, func(c *sqlite.Config) { c.Exclusive = true })
	})
}

func pointRead(b *testing.B, engine sqlite.Engine, change func(*sqlite.Config)) {
	db := benchStore(b, engine, storeRows, change)
	two := newTwoPool(b, engine, storeRows)
	var buf []byte
	versus(b, 300,
		func(n int) {
			for range n {
				must(b, two.read.QueryRowContext(ctx, pointQuery, rand.Int64N(storeRows)).Scan(&buf))
			}
		},
		func(n int) {
			for range n {
				id := rand.Int64N(storeRows)
				must(b, db.Read(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, pointQuery, id).Scan(&buf) }))
			}
		})
}

// BenchmarkView10: ten QueryRows on two pools, against one View of ten reads.
func BenchmarkView10(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		db := benchStore(b, engine, storeRows, nil)
		two := newTwoPool(b, engine, storeRows)
		var buf []byte
		versus(b, 50,
			func(n int) {
				for range 10 * n {
					must(b, two.read.QueryRowContext(ctx, pointQuery, rand.Int64N(storeRows)).Scan(&buf))
				}
			},
			func(n int) {
				for range n {
					must(b, db.View(ctx, func(c *sqlite.Conn) error {
						for range 10 {
							if err := c.QueryRow(ctx, pointQuery, rand.Int64N(storeRows)).Scan(&buf); err != nil {
								return err
							}
						}
						return nil
					}))
				}
			})
	})
}

// BenchmarkUpsert: BeginTx, Exec, Commit on the writer's pool, against Update.
// Every upsert changes the value: SQLite skips the write of an equal one.
func BenchmarkUpsert(b *testing.B) {
	const upsert = `INSERT INTO t (id, v) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET v = excluded.v`
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		db := benchStore(b, engine, storeRows, nil)
		two := newTwoPool(b, engine, storeRows)
		blob := make([]byte, blobSize)
		next := func() (int64, []byte) {
			blob[rand.IntN(blobSize)]++
			return rand.Int64N(storeRows), blob
		}
		versus(b, 100,
			func(n int) {
				for range n {
					id, v := next()
					tx, err := two.write.BeginTx(ctx, nil)
					must(b, err)
					_, err = tx.ExecContext(ctx, upsert, id, v)
					must(b, err)
					must(b, tx.Commit())
				}
			},
			func(n int) {
				for range n {
					id, v := next()
					must(b, db.Update(ctx, func(c *sqlite.Conn) error {
						_, err := c.Exec(ctx, upsert, id, v)
						return err
					}))
				}
			})
	})
}

// BenchmarkInsert1000: a thousand inserts in one transaction, each with Exec on the tx, against Update.
func BenchmarkInsert1000(b *testing.B) {
	const insert = `INSERT INTO t (a, b, c) VALUES (?, ?, ?)`
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		db := benchStore(b, engine, 1, nil)
		two := newTwoPool(b, engine, 1)
		versus(b, 5,
			func(n int) {
				for range n {
					tx, err := two.write.BeginTx(ctx, nil)
					must(b, err)
					stmt, err := tx.PrepareContext(ctx, insert)
					must(b, err)
					for i := range 1000 {
						_, err := stmt.ExecContext(ctx, i, "text", 1.5)
						must(b, err)
					}
					must(b, stmt.Close())
					must(b, tx.Commit())
				}
			},
			func(n int) {
				for range n {
					must(b, db.Update(ctx, func(c *sqlite.Conn) error {
						for i := range 1000 {
							if _, err := c.Exec(ctx, insert, i, "text", 1.5); err != nil {
								return err
							}
						}
						return nil
					}))
				}
			})
	})
}

// BenchmarkScan10k: ten thousand rows of four columns, through database/sql and through Conn.
func BenchmarkScan10k(b *testing.B) {
	const scan = `SELECT id, a, b, c FROM t LIMIT 10000`
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		db := benchStore(b, engine, 10_000, nil)
		two := newTwoPool(b, engine, 10_000)
		var id, a int64
		var text string
		var real float64
		versus(b, 2,
			func(n int) {
				for range n {
					rows, err := two.read.QueryContext(ctx, scan)
					must(b, err)
					for rows.Next() {
						must(b, rows.Scan(&id, &a, &text, &real))
					}
					must(b, rows.Err())
					must(b, rows.Close())
				}
			},
			func(n int) {
				for range n {
					must(b, db.Read(ctx, func(c *sqlite.Conn) error {
						for row, err := range c.Rows(ctx, scan) {
							if err != nil {
								return err
							}
							if err := row.Scan(&id, &a, &text, &real); err != nil {
								return err
							}
						}
						return nil
					}))
				}
			})
	})
}

const oneQuery = `SELECT count(*) FROM t WHERE id = 1`

func readOne(c *sqlite.Conn) error {
	var one int
	return c.QueryRow(ctx, oneQuery).Scan(&one)
}

// openReaders makes the pool open n readers, by using them at once.
func openReaders(b *testing.B, db *sqlite.DB, n int) {
	b.Helper()
	var hold func(n int) error
	hold = func(n int) error {
		if n == 0 {
			return nil
		}
		return db.Read(ctx, func(c *sqlite.Conn) error {
			if err := readOne(c); err != nil {
				return err
			}
			return hold(n - 1)
		})
	}
	must(b, hold(n))
	if got := db.Stats().Readers; got < n {
		b.Fatalf("%d readers are open, not %d", got, n)
	}
}

// BenchmarkPauseIdle: an idle store with an empty log. "ratio" compares the
// releasing steps (Report.Release) with a checkpoint and as many closes in a
// row on bare connections; "call-ratio" compares the whole call.
//
// Both sides open all their connections right before, read the same row on each
// with the same prepared statement, and have it to finalize. The bare side closes them on the goroutine
// that has opened and used them, which a pause cannot; it asks nothing of its file for later.
func BenchmarkPauseIdle(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		for _, readers := range []int{1, 4, 10} {
			b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
				db := benchStore(b, engine, 100, func(c *sqlite.Config) { c.MaxReaders = readers })
				must(b, db.Pause(ctx))
				bareStore := benchStore(b, engine, 100, nil)
				path := bareStore.Path()
				must(b, bareStore.Close(ctx))

				var ratios, calls []float64
				for b.Loop() {
					must(b, db.Resume(ctx))
					openReaders(b, db, readers)
					must(b, db.Write(ctx, readOne))
					start := time.Now()
					must(b, db.Pause(ctx))
					call := time.Since(start)
					release := db.Report().Release()

					floor := bareClose(b, engine, path, readers)
					ratios = append(ratios, float64(release)/float64(floor))
					calls = append(calls, float64(call)/float64(floor))
				}
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(median(calls), "call-ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	})
}

// bareClose opens connections of the driver's own, as many as a store has, and
// returns how long a checkpoint and closing them in a row takes.
func bareClose(b *testing.B, engine sqlite.Engine, path string, readers int) time.Duration {
	b.Helper()
	conns, stmts := make([]sqlite.Raw, readers+1), make([]sqldriver.Stmt, readers+1)
	for i := range conns {
		raw, err := engine.Open(path, sqlite.OpenOptions{})
		must(b, err)
		if i < readers {
			drain(b, raw, `PRAGMA query_only = 1`)
		}
		stmt, err := raw.PrepareContext(ctx, oneQuery)
		must(b, err)
		rows, err := stmt.(sqldriver.StmtQueryContext).QueryContext(ctx, nil)
		must(b, err)
		drainRows(b, rows)
		conns[i], stmts[i] = raw, stmt
	}
	start := time.Now()
	for i, raw := range conns[:readers] {
		must(b, stmts[i].Close())
		must(b, raw.Close())
	}
	drain(b, conns[readers], `PRAGMA wal_checkpoint(TRUNCATE)`)
	must(b, stmts[readers].Close())
	must(b, conns[readers].Close())
	return time.Since(start)
}

func drain(b *testing.B, raw sqlite.Raw, query string) {
	b.Helper()
	rows, err := raw.QueryContext(ctx, query, nil)
	must(b, err)
	drainRows(b, rows)
}

func drainRows(b *testing.B, rows sqldriver.Rows) {
	b.Helper()
	dest := make([]sqldriver.Value, len(rows.Columns()))
	for rows.Next(dest) == nil {
	}
	must(b, rows.Close())
}

// BenchmarkPauseDrain: from the end of the last reader to everything released, on an empty log.
func BenchmarkPauseDrain(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		db := benchStore(b, engine, 100, nil)
		must(b, db.Pause(ctx))
		must(b, db.Resume(ctx))
		var times []time.Duration
		for b.Loop() {
			holding, let := make(chan struct{}), make(chan struct{})
			var ended time.Time
			read := make(chan error)
			go func() {
				read <- db.Read(ctx, func(c *sqlite.Conn) error {
					err := readOne(c)
					close(holding)
					<-let
					ended = time.Now()
					return err
				})
			}()
			<-holding
			paused := make(chan time.Time)
			go func() { must(b, db.Pause(ctx)); paused <- time.Now() }()
			await(b, db, lifecycle.Pausing)
			close(let)
			at := <-paused
			must(b, <-read)
			times = append(times, at.Sub(ended))
			must(b, db.Resume(ctx))
		}
		b.ReportMetric(float64(median(times).Microseconds()), "median-µs")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkInterrupt: from the interrupt of a long read to everything released.
func BenchmarkInterrupt(b *testing.B) {
	const long = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000) SELECT max(i) FROM n`
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		const grace = time.Millisecond
		db := benchStore(b, engine, 100, func(c *sqlite.Config) { c.Grace = grace })
		must(b, db.Pause(ctx))
		must(b, db.Resume(ctx))
		var times []time.Duration
		for b.Loop() {
			holding := make(chan struct{})
			read := make(chan error)
			go func() {
				read <- db.Read(ctx, func(c *sqlite.Conn) error {
					var n int64
					close(holding)
					return c.QueryRow(ctx, long).Scan(&n)
				})
			}()
			<-holding
			start := time.Now()
			must(b, db.Pause(ctx))
			times = append(times, time.Since(start)-grace)
			if err := <-read; !errors.Is(err, lifecycle.ErrInterrupted) {
				b.Fatalf("the long read ended with %v", err)
			}
			must(b, db.Resume(ctx))
		}
		b.ReportMetric(float64(median(times).Microseconds()), "median-µs")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkResume: Resume and the first read, against a bare open, with the same settings, and its first read.
func BenchmarkResume(b *testing.B) {
	onEngines(b, func(b *testing.B, engine sqlite.Engine) {
		db := benchStore(b, engine, 100, nil)
		bareStore := benchStore(b, engine, 100, nil)
		path := bareStore.Path()
		must(b, bareStore.Close(ctx))
		var ratios []float64
		for b.Loop() {
			must(b, db.Pause(ctx))
			start := time.Now()
			must(b, db.Resume(ctx))
			must(b, db.Read(ctx, readOne))
			resume := time.Since(start)

			start = time.Now()
			raw, err := engine.Open(path, sqlite.OpenOptions{})
			must(b, err)
			drain(b, raw, oneQuery)
			floor := time.Since(start)
			must(b, raw.Close())
			ratios = append(ratios, float64(resume)/float64(floor))
		}
		b.ReportMetric(median(ratios), "ratio")
		b.ReportMetric(0, "ns/op")
	})
}

// await waits until the store is in a state.
func await(b testing.TB, db *sqlite.DB, want lifecycle.State) {
	b.Helper()
	states, stop := db.Subscribe()
	defer stop()
	for s := range states {
		if s == want {
			return
		}
	}
}
