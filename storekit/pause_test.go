package storekit_test

import (
	"context"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit"
)

// A Pause or a Close that had no time returns an error, and the store refuses
// work from then on: nobody finds it open for a moment longer.
func TestWorkIsRefusedAfterAPauseThatHadNoTime(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		nothing := func(*sqlite.Conn) error { return nil }
		for range tier.Count(20, 100, 1000) {
			s := open(t, config(t, engine))
			if err := s.Pause(ended); err != nil {
				wantError(t, "a Pause that had no time", err, context.Canceled)
			}
			wantError(t, "a read after it", s.View(ctx, nothing), lifecycle.ErrPaused)
			must(t, s.Pause(ctx))
			must(t, s.Resume(ctx))
			if err := s.Close(ended); err != nil {
				wantError(t, "a Close that had no time", err, context.Canceled)
			}
			wantError(t, "a read after it", s.View(ctx, nothing), lifecycle.ErrClosed)
			must(t, s.Close(ctx))
		}
	})
}

// What is written for a store also serves inside a transaction of its caller's:
// Within joins it, and a failed Update in it is undone alone.
func TestWithinJoinsTheTransaction(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := open(t, config(t, engine))
		insert := func(text string, end error) func(*sqlite.Conn) error {
			return func(c *sqlite.Conn) error {
				if _, err := c.Exec(ctx, `INSERT INTO note (row, text) VALUES (?, ?)`, []byte(text), text); err != nil {
					return err
				}
				return end
			}
		}
		outer := func(end error) error {
			return s.Update(ctx, func(c *sqlite.Conn) error {
				in := storekit.Within(c)
				must(t, in.Update(ctx, insert("kept", nil)))
				wantError(t, "an Update that fails", in.Update(ctx, insert("undone", context.Canceled)), context.Canceled)
				must(t, in.View(ctx, func(c *sqlite.Conn) error {
					var n int
					err := c.QueryRow(ctx, `SELECT count(*) FROM note`).Scan(&n)
					if n != 1 {
						t.Errorf("the transaction sees %d notes, want the one that was kept", n)
					}
					return err
				}))
				return end
			})
		}
		wantError(t, "the caller's transaction", outer(context.DeadlineExceeded), context.DeadlineExceeded)
		wantNotes(t, s)
		must(t, outer(nil))
		wantNotes(t, s, "kept")
	})
}
