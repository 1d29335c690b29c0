package storekit_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
)

// Size tells pages, free pages and the log, and what it says agrees with the file.
func TestSizeAgreesWithTheFiles(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		cfg.Leases = true
		s := open(t, cfg)
		add(t, s, strings.Repeat("x", 1<<20))
		size, err := s.Size(ctx)
		must(t, err)
		if size.Database < 1<<20 || size.Log < 1<<20 || size.Leases == 0 || size.Total() != size.Database+size.Log+size.Leases {
			t.Errorf("the size is %+v", size)
		}
		must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `DELETE FROM note`) }))
		must(t, s.Optimize(ctx, storekit.OptimizeOptions{}))
		size, err = s.Size(ctx)
		must(t, err)
		info, err := os.Stat(s.Path())
		must(t, err)
		if size.Log != 0 || size.Database != info.Size() {
			t.Errorf("after Optimize the size is %+v, and the file has %d bytes", size, info.Size())
		}
		must(t, s.Pause(ctx))
		_, err = s.Size(ctx)
		wantError(t, "paused", err, lifecycle.ErrPaused)
	})
}

// Free pages go back to the file system: by Vacuum always, in steps where the database was made for it.
func TestOptimizeGivesFreePagesBack(t *testing.T) {
	for _, c := range []struct {
		name        string
		incremental bool
		o           storekit.OptimizeOptions
		gone        bool
	}{
		{"in steps", true, storekit.OptimizeOptions{}, true},
		{"a database that cannot", false, storekit.OptimizeOptions{}, false},
		{"vacuum", false, storekit.OptimizeOptions{Vacuum: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, engine sqlite.Engine) {
				cfg := config(t, engine)
				cfg.Database.IncrementalVacuum = c.incremental
				s := open(t, cfg)
				texts := make([]string, 5000)
				for i := range texts {
					texts[i] = strings.Repeat("x", 2000)
				}
				add(t, s, texts...)
				must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `DELETE FROM note`) }))
				var told []storekit.Progress
				c.o.Progress = func(p storekit.Progress) { told = append(told, p) }
				must(t, s.Optimize(ctx, c.o))
				size, err := s.Size(ctx)
				must(t, err)
				if gone := size.Free == 0; gone != c.gone {
					t.Errorf("%d bytes are free of %d", size.Free, size.Database)
				}
				if last := told[len(told)-1]; c.gone && (last.Done == 0 || last.Done != last.Total) {
					t.Errorf("progress ended with %+v", last)
				}
				must(t, s.Check(ctx, storekit.CheckOptions{}))
			})
		})
	}
}

// A Vacuum on a store that is configured for it makes a database give pages back in steps from then on.
func TestVacuumConvertsADatabase(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := config(t, engine)
		s, err := storekit.Open(ctx, cfg)
		must(t, err)
		must(t, s.Close(ctx))
		cfg.Database.IncrementalVacuum = true
		s = open(t, cfg)
		must(t, s.Optimize(ctx, storekit.OptimizeOptions{Vacuum: true}))
		cycle(t, s)
		var mode int
		must(t, s.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `PRAGMA auto_vacuum`).Scan(&mode) }))
		if mode != 2 {
			t.Errorf("auto_vacuum is %d, want 2 (incremental)", mode)
		}
	})
}

// A Pause ends maintenance at once, without the grace, and leaves the store whole.
func TestAPauseEndsMaintenanceAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, work := range map[string]func(*storekit.Store, func(storekit.Progress)) error{
			"optimize": func(s *storekit.Store, told func(storekit.Progress)) error {
				return s.Optimize(ctx, storekit.OptimizeOptions{Progress: told})
			},
			"vacuum": func(s *storekit.Store, told func(storekit.Progress)) error {
				return s.Optimize(ctx, storekit.OptimizeOptions{Vacuum: true, Progress: told})
			},
			"check": func(s *storekit.Store, told func(storekit.Progress)) error {
				return s.Check(ctx, storekit.CheckOptions{Progress: told})
			},
		} {
			t.Run(name, func(t *testing.T) {
				cfg := config(t, engine)
				cfg.Database.IncrementalVacuum = true
				cfg.Database.Grace = patience
				cfg.Database.Timeout = 2 * patience
				s := open(t, cfg)
				texts := make([]string, tier.Count(3000, 20_000, 20_000))
				for i := range texts {
					texts[i] = strings.Repeat("x", 1500)
				}
				add(t, s, texts...)
				if name == "optimize" {
					must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `DELETE FROM note WHERE rowid > 10`) }))
				}
				paused := make(chan error, 1)
				began := false
				err := work(s, func(storekit.Progress) {
					if began {
						return
					}
					began = true
					state, stop := s.Subscribe()
					defer stop()
					go func() { paused <- s.Pause(ctx) }()
					for now := range state {
						if now == lifecycle.Pausing {
							return
						}
					}
				})
				if !errors.Is(err, lifecycle.ErrInterrupted) && !errors.Is(err, lifecycle.ErrPaused) {
					t.Errorf("%s: %v, want ErrInterrupted or ErrPaused", name, err)
				}
				must(t, <-paused)
				if r := s.Report(); r.Interrupts != 0 {
					t.Errorf("the pause had to interrupt %d operations", r.Interrupts)
				}
				must(t, s.Resume(ctx))
				must(t, s.Check(ctx, storekit.CheckOptions{}))
			})
		}
	})
}

// A check finds damage of the file, and values that do not open.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := sealed(config(t, engine))
		cfg.Migrations = append(cfg.Migrations, storekit.Migration{Version: 2, SQL: `CREATE TABLE tag (note BLOB REFERENCES note (row))`})
		s := open(t, cfg)
		add(t, s, "one", "two")
		thorough := storekit.CheckOptions{Sealed: true}
		must(t, s.Check(ctx, thorough))
		must(t, s.Check(ctx, storekit.CheckOptions{Quick: true}))
		must(t, s.Update(ctx, func(c *sqlite.Conn) error { // two values change places
			return c.ExecScript(ctx, `UPDATE note SET text = (SELECT text FROM note AS other WHERE other.rowid <> note.rowid)`)
		}))
		must(t, s.Check(ctx, storekit.CheckOptions{}))
		var found *storekit.CheckError
		if err := s.Check(ctx, thorough); !errors.As(err, &found) || len(found.Problems) == 0 || !errors.Is(err, sqlite.ErrCorrupt) {
			t.Errorf("values that were swapped: %v", err)
		}
		must(t, s.SQL().PingContext(ctx))
		_, err := s.SQL().ExecContext(ctx, `PRAGMA foreign_keys = 0`)
		must(t, err)
		_, err = s.SQL().ExecContext(ctx, `INSERT INTO tag VALUES (x'00')`)
		must(t, err)
		if err := s.Check(ctx, storekit.CheckOptions{Quick: true}); !errors.As(err, &found) || len(found.Problems) != 1 {
			t.Errorf("a reference to nothing: %v", err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		wantError(t, "a context that has ended", s.Check(ended, thorough), context.Canceled)
	})
}
