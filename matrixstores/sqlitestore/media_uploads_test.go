package sqlitestore_test

import (
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
)

// chunksOf counts the chunks in the file.
func chunksOf(t testing.TB, s *sqlitestore.Media) (n int) {
	t.Helper()
	must(t, s.View(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT count(*) FROM chunk`).Scan(&n) }))
	return n
}

// refuseBelow has the file refuse to remove chunks where fewer than so many are left.
const refuseBelow = `CREATE TRIGGER refuses BEFORE DELETE ON chunk WHEN (SELECT count(*) FROM chunk) <= 5 BEGIN SELECT RAISE (ABORT, 'refused'); END`

// TestMediaUploadIsRemovedInSteps: what is left behind of a large upload is removed in small transactions, each of which stays done;
// what is half removed nobody can commit, Stats counts it no more, and the next life goes on with it.
func TestMediaUploadIsRemovedInSteps(t *testing.T) {
	const chunks = 11
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		s.RemoveChunks(2)
		w := write(t, s, file(1), pattern(1, chunks*chunkSize+1), chunkSize, media.AddOptions{IgnorePolicy: true})
		if n := chunksOf(t, s); n != chunks {
			t.Fatalf("an upload has %d chunks in the file, want %d", n, chunks)
		}
		raw(t, s, refuseBelow)
		s.ForgetWriters() // as if it were another process's, which may have been killed
		now.add(2 * time.Hour)
		_, err := s.Clean(ctx)
		wantError(t, "Clean", err, sqlite.ErrConstraint)
		if n := chunksOf(t, s); n != 5 {
			t.Errorf("a removal that has failed on its way has left %d chunks of %d, want 5", n, chunks)
		}
		if stats, err := s.Stats(ctx); err != nil || stats.Uploads != 0 {
			t.Errorf("Stats counts %d uploads, of which one is half removed: %v", stats.Uploads, err)
		}
		must(t, s.CheckTotals(ctx))
		if stored, err := w.Commit(); stored {
			t.Errorf("an upload was committed of which a part is removed (%v)", err)
		} else {
			wantError(t, "Commit of an upload that is half removed", err, sqlitestore.ErrUploadExpired)
		}
		raw(t, s, `DROP TRIGGER refuses`)
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		eventually(t, "the next life has removed the rest", func() bool { return chunksOf(t, s) == 0 })
		must(t, s.CheckTotals(ctx))
	})
}

// TestMediaWriterThatIsClosedLeavesNothing: however large its upload is; what could not be removed at once is removed later, and not
// kept in mind any longer.
func TestMediaWriterThatIsClosedLeavesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := openMedia(t, mediaConfig(t.TempDir(), engine))
		s.RemoveChunks(2)
		data := pattern(1, 11*chunkSize+1)
		begin := func(o media.AddOptions) media.Writer { return write(t, s, file(1), data, chunkSize, o) }
		must(t, begin(media.AddOptions{}).Close())
		if n := chunksOf(t, s); n != 0 {
			t.Errorf("a Writer that was closed has left %d chunks", n)
		}
		for _, last := range []string{"Write", "Commit"} {
			must(t, s.SetPolicy(ctx, media.NoLimits()))
			w := begin(media.AddOptions{})
			must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxFileSize(chunkSize)))
			if last == "Write" {
				_, err := w.Write(data)
				wantError(t, "Write", err, media.ErrTooLarge)
			} else if stored, err := w.Commit(); err != nil || stored {
				t.Errorf("a content that is too large by now was stored: %v, %v", stored, err)
			}
			if n := chunksOf(t, s); n != 0 {
				t.Errorf("a %s that the policy refuses has left %d chunks", last, n)
			}
		}
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		raw(t, s, refuseBelow)
		wantError(t, "Close", begin(media.AddOptions{}).Close(), sqlite.ErrConstraint)
		if s.ToDiscard() != 1 {
			t.Errorf("the store knows of %d uploads to be removed, want 1", s.ToDiscard())
		}
		raw(t, s, `DROP TRIGGER refuses`)
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		eventually(t, "the rest is removed", func() bool { return chunksOf(t, s) == 0 && s.ToDiscard() == 0 })

		// One that somebody else has removed is forgotten, too.
		w := begin(media.AddOptions{})
		must(t, s.Pause(ctx))
		must(t, w.Close())
		must(t, s.Resume(ctx))
		raw(t, s, `DELETE FROM upload`)
		raw(t, s, `DELETE FROM chunk`)
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		eventually(t, "nothing is kept in mind", func() bool { return s.ToDiscard() == 0 })
		must(t, s.CheckTotals(ctx))
	})
}
