package sqlitestore_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
)

// written is what changes when somebody writes to a database: the log, by its
// size, its time and its frames, and the count of changes of the writer.
type written struct {
	size          int64
	at            time.Time
	frames, inAll int64
}

func writtenTo(t testing.TB, s *sqlitestore.Media) (w written) {
	t.Helper()
	var busy, done int64
	must(t, s.SQL().QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &w.frames, &done))
	must(t, s.Store.Update(ctx, func(c *sqlite.Conn) error { return c.QueryRow(ctx, `SELECT total_changes()`).Scan(&w.inAll) }))
	st, err := os.Stat(s.Path() + "-wal")
	must(t, err)
	w.size, w.at = st.Size(), st.ModTime()
	return w
}

// accessInFile is the last access that the file tells, whatever memory knows.
func accessInFile(t testing.TB, s *sqlitestore.Media) (at time.Time) {
	t.Helper()
	must(t, s.View(ctx, func(c *sqlite.Conn) error {
		var ms int64
		err := c.QueryRow(ctx, `SELECT max(last_access) FROM media`).Scan(&ms)
		at = time.UnixMilli(ms).UTC()
		return err
	}))
	return at
}

func wantAccess(t testing.TB, s media.Store, r media.Request, want time.Time) {
	t.Helper()
	info, found, err := s.Info(ctx, r)
	if err != nil || !found || !info.LastAccess.Equal(want.Truncate(time.Millisecond)) {
		t.Errorf("Info tells %v as the last access (found %v, %v), want %v", info.LastAccess, found, err, want)
	}
}

// TestMediaReadsDoNotWrite: reading, in all ways, ten times, leaves the log and
// the writer as they were; and Info knows of it at once.
func TestMediaReadsDoNotWrite(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		now := newClock()
		cfg.Clock = now.now
		cfg.Database.NoOptimize = true // which writes statistics, in the background
		cleaned := make(chan error, 1)
		cfg.Cleaned = func(_ media.Cleaned, err error) { cleaned <- err }
		s := openMedia(t, cfg)
		addMedia(t, s, file(1), pattern(1, 2*chunkSize))
		must(t, <-cleaned) // the first cleaning is due at once, and written down
		before := writtenTo(t, s)
		for range 10 {
			at := now.add(time.Second)
			wantMedia(t, s, file(1), pattern(1, 2*chunkSize))
			wantMedia(t, s, file(2), nil)
			wantAccess(t, s, file(1), at)
			at = now.add(time.Second)
			if _, _, found, err := s.GetForURI(ctx, file(1).URI); err != nil || !found {
				t.Errorf("GetForURI: found is %v (%v)", found, err)
			}
			wantAccess(t, s, file(1), at)
			at = now.add(time.Second)
			in, err := s.Open(ctx, file(1))
			must(t, err)
			_, err = io.Copy(io.Discard, in)
			must(t, errors.Join(err, in.Close()))
			wantAccess(t, s, file(1), at)
			_, err = s.Stats(ctx)
			must(t, err)
			if _, _, err := s.LastCleaned(ctx); err != nil {
				t.Error(err)
			}
		}
		if after := writtenTo(t, s); after != before {
			t.Errorf("somebody has written: before the reads it was %+v, after them %+v", before, after)
		}
	})
}

// TestMediaLastAccessIsStored: by the next write, by Pause, and by Close, whatever the user's own hook does then.
func TestMediaLastAccessIsStored(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		now, hooks := newClock(), 0
		cfg.Clock = now.now
		cfg.Database.BeforeRelease = func(ctx context.Context, c *sqlite.Conn) error {
			hooks++
			var ms int64
			err := c.QueryRow(ctx, `SELECT max(last_access) FROM media`).Scan(&ms)
			if ms != now.now().UnixMilli() {
				t.Errorf("the user's hook sees %d as the last access, want %d", ms, now.now().UnixMilli())
			}
			return err
		}
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits())) // a cleaning in the background would store it, too
		addMedia(t, s, file(1), []byte("content"))
		read := func() time.Time {
			t.Helper()
			at := now.add(time.Second)
			wantMedia(t, s, file(1), []byte("content"))
			return at
		}
		at := read()
		if accessInFile(t, s).Equal(at) {
			t.Error("the read was written at once")
		}
		must(t, s.Remove(ctx, file(2)))
		if got := accessInFile(t, s); !got.Equal(at) {
			t.Errorf("after the next write the file tells %v, want %v", got, at)
		}
		at = read()
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		if got := accessInFile(t, s); !got.Equal(at) {
			t.Errorf("after a pause the file tells %v, want %v", got, at)
		}
		at = read()
		must(t, s.Close(ctx))
		if hooks != 2 {
			t.Errorf("the user's hook has run %d times, want 2: in the pause, and in Close", hooks)
		}
		now.add(time.Hour)
		cfg.Database.BeforeRelease = nil
		s = openMedia(t, cfg)
		wantAccess(t, s, file(1), at)
	})
}

// TestMediaLastAccessIsStoredAtIntervals: where nobody writes and nothing
// pauses, FlushEvery stores it; and the store has no job for it when there is nothing to be stored.
func TestMediaLastAccessIsStoredAtIntervals(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		now := newClock()
		cfg.Clock, cfg.FlushEvery = now.now, time.Millisecond
		s := openMedia(t, cfg)
		addMedia(t, s, file(1), []byte("content"))
		for range 3 {
			at := now.add(time.Second)
			wantMedia(t, s, file(1), []byte("content"))
			eventually(t, "the access is in the file", func() bool { return accessInFile(t, s).Equal(at) })
			eventually(t, "no job is left", func() bool { return !s.Planned() })
		}
	})
}

// TestMediaLastAccessDoesNotGoBack: where another process has read the content later, and has stored that first, it stays; not so what
// is of the future, after a clock was set back.
func TestMediaLastAccessDoesNotGoBack(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits())) // a cleaning would store what was read
		addMedia(t, s, file(1), []byte("content"))
		for what, other := range map[string]time.Duration{"later": time.Minute, "earlier": -time.Minute, "in the future": time.Hour} {
			at := now.add(time.Second)
			wantMedia(t, s, file(1), []byte("content"))
			must(t, s.Store.Update(ctx, func(c *sqlite.Conn) error { // as another process does
				_, err := c.Exec(ctx, `UPDATE media SET last_access = ?`, at.Add(other).UnixMilli())
				return err
			}))
			now.add(2 * time.Minute)
			want := at
			if what == "later" {
				want = at.Add(other)
			}
			wantAccess(t, s, file(1), want)
			must(t, s.Pause(ctx))
			must(t, s.Resume(ctx))
			if got := accessInFile(t, s); !got.Equal(want) {
				t.Errorf("a content was read at %v, by another process %s, at %v, and the file tells %v; want %v", at, what, at.Add(other), got, want)
			}
			wantAccess(t, s, file(1), want)
		}
	})
}

// TestMediaLastAccessThatCannotBeStoredIsKept: it fails no pause, and the next life stores it.
func TestMediaLastAccessThatCannotBeStoredIsKept(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		addMedia(t, s, file(1), []byte("content"))
		// Before anything is read: a cleaning that begins by itself would store the access.
		raw(t, s, `CREATE TRIGGER refuses BEFORE UPDATE OF last_access ON media BEGIN SELECT RAISE (ABORT, 'refused'); END`)
		at := now.add(time.Second)
		wantMedia(t, s, file(1), []byte("content"))
		if err := s.Pause(ctx); err != nil {
			t.Errorf("Pause: %v: an access that cannot be stored is worth no error", err)
		}
		must(t, s.Resume(ctx))
		wantAccess(t, s, file(1), at)
		if accessInFile(t, s).Equal(at) {
			t.Error("the access was stored, so nothing is tested here")
		}
		raw(t, s, `DROP TRIGGER refuses`)
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		if got := accessInFile(t, s); !got.Equal(at) {
			t.Errorf("after the next pause the file tells %v, want %v", got, at)
		}
	})
}

// raw changes a store behind its back.
func raw(t testing.TB, s *sqlitestore.Media, sql string, args ...any) {
	t.Helper()
	must(t, s.Store.Update(ctx, func(c *sqlite.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return err
	}))
}

// TestMediaAccessesOfManyReaders: whatever is read while others write, Info
// never tells an older access than one that it has told before.
func TestMediaAccessesOfManyReaders(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		addMedia(t, s, file(1), []byte("content"))
		done := make(chan error, 2)
		stop := make(chan struct{})
		loop := func(f func() error) {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if err := f(); err != nil {
					done <- err
					<-stop
					return
				}
			}
		}
		go loop(func() error { return s.Remove(ctx, file(2)) })
		go loop(func() error {
			now.add(time.Millisecond)
			_, _, err := s.Get(ctx, file(1))
			return err
		})
		var last time.Time
		for range 300 {
			info, _, err := s.Info(ctx, file(1))
			must(t, err)
			if info.LastAccess.Before(last) {
				t.Errorf("Info tells %v after it has told %v", info.LastAccess, last)
			}
			last = info.LastAccess
		}
		close(stop)
		must(t, errors.Join(<-done, <-done))
	})
}

// eventually waits until something has come about that a job does.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
