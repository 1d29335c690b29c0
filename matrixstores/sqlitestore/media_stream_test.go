package sqlitestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
)

// TestMediaStreamsGoOnAfterAPause: a pause at any place of a stream, and none of
// its bytes is lost or there twice; while paused, writing and reading are refused, and nothing is held.
func TestMediaStreamsGoOnAfterAPause(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		s := openMedia(t, cfg)
		data := pattern(1, 7*chunkSize+100)
		w, err := s.Create(ctx, file(1), media.AddOptions{})
		must(t, err)
		for at, piece := 0, 50_000; at < len(data); {
			p := data[at:min(at+piece, len(data))]
			must(t, s.Pause(ctx))
			n, err := w.Write(p)
			wantError(t, "Write while paused", err, lifecycle.ErrPaused)
			at, p = at+n, p[n:]
			if _, err := w.Commit(); !errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("Commit while paused: %v", err)
			}
			must(t, s.Resume(ctx))
			n, err = w.Write(p)
			must(t, err)
			at += n
		}
		commit(t, w)
		wantMedia(t, s, file(1), data)

		in, err := s.Open(ctx, file(1))
		must(t, err)
		var got []byte
		for buffer := make([]byte, 50_000); ; {
			must(t, s.Pause(ctx))
			if _, err := in.Read(buffer); !errors.Is(err, lifecycle.ErrPaused) {
				t.Errorf("Read while paused: %v", err)
			}
			must(t, s.Resume(ctx))
			n, err := in.Read(buffer)
			got = append(got, buffer[:n]...)
			if err == io.EOF {
				break
			}
			must(t, err)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%d bytes were read, which are not the %d that were written", len(got), len(data))
		}
		must(t, in.Close())
	})
}

// TestMediaUploadsThatAreLeftBehind: a Writer that is closed leaves nothing; one that is
// closed while the store is paused leaves nothing soon after Resume; what a store that
// was closed has left is removed when nobody has written to it for UploadExpiry.
func TestMediaUploadsThatAreLeftBehind(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		uploads := func(when string, counted, stored int) {
			t.Helper()
			stats, err := s.Stats(ctx)
			if err != nil || stats.Uploads != counted {
				t.Errorf("%s: Stats counts %d uploads (%v), want %d", when, stats.Uploads, err, counted)
			}
			eventually(t, fmt.Sprintf("%s: %d chunks are stored", when, stored), func() (is bool) {
				must(t, s.View(ctx, func(c *sqlite.Conn) error {
					return c.QueryRow(ctx, `SELECT count(*) = ? FROM chunk`, stored).Scan(&is)
				}))
				return is
			})
			must(t, s.CheckTotals(ctx))
		}
		begin := func() media.Writer {
			t.Helper()
			return write(t, s, file(1), pattern(1, 3*chunkSize+1), chunkSize, media.AddOptions{})
		}
		w := begin()
		uploads("one that is in use", 1, 3)
		must(t, w.Close())
		uploads("after Close", 0, 0)

		w = begin()
		must(t, s.Pause(ctx))
		if err := w.Close(); err != nil {
			t.Errorf("Close while paused: %v", err)
		}
		must(t, s.Resume(ctx))
		uploads("after a Close while paused, and Resume", 0, 0)

		w = begin()
		must(t, s.Close(ctx))
		if err := w.Close(); err != nil {
			t.Errorf("Close after that of the store: %v", err)
		}
		s = openMedia(t, cfg)
		uploads("what an earlier life has left", 1, 3)
		now.add(time.Hour - time.Millisecond)
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		uploads("what an earlier life has left, before its time", 1, 3)
		now.add(time.Millisecond)
		wantMedia(t, s, file(2), nil) // an opportunity
		eventually(t, "what has expired is removed", func() bool {
			stats, err := s.Stats(ctx)
			return err == nil && stats.Uploads == 0
		})
		uploads("what has expired", 0, 0)

		begin()
		must(t, s.Close(ctx))
		s = openMedia(t, cfg)
		now.add(-24 * time.Hour) // the upload is of the future
		must(t, s.Pause(ctx))
		must(t, s.Resume(ctx))
		uploads("what is of the future", 1, 3)
		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxFileSize(1)))
		_, err := s.Clean(ctx)
		must(t, err)
		now.add(time.Hour)
		if _, err := s.Clean(ctx); err != nil {
			t.Error(err)
		}
		uploads("what was of the future, an hour later, after Clean", 0, 0)
	})
}

// TestMediaUploadInUseDoesNotExpire: however long the machine has slept, a Writer goes on; one that nobody has any more does not keep its upload.
func TestMediaUploadInUseDoesNotExpire(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxCacheSize(1<<30)))
		data := pattern(1, 3*chunkSize)
		w := write(t, s, file(1), data[:2*chunkSize+1], chunkSize, media.AddOptions{})
		func() { // somebody forgets his Writer
			lost, err := s.Create(ctx, file(2), media.AddOptions{})
			must(t, err)
			_, err = lost.Write(data)
			must(t, err)
		}()
		must(t, s.Pause(ctx))
		now.add(100 * time.Hour)
		must(t, s.Resume(ctx))
		eventually(t, "only the upload that is in use is left", func() bool {
			runtime.GC()
			now.add(time.Hour)
			_, err := s.Clean(ctx)
			must(t, err)
			stats, err := s.Stats(ctx)
			must(t, err)
			return stats.Uploads == 1
		})
		_, err := w.Write(data[2*chunkSize+1:])
		must(t, err)
		commit(t, w)
		wantMedia(t, s, file(1), data)
		must(t, s.CheckTotals(ctx))
	})
}

// TestMediaWriterNoticesThatItsUploadIsGone: where another process has taken it
// for one that nobody writes to, nothing of it can be committed.
func TestMediaWriterNoticesThatItsUploadIsGone(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		s := openMedia(t, cfg)
		for _, last := range []string{"Write", "Commit"} {
			w := write(t, s, file(1), pattern(1, 2*chunkSize+1), chunkSize, media.AddOptions{})
			raw(t, s, `DELETE FROM upload`)
			raw(t, s, `DELETE FROM chunk`)
			if last == "Write" {
				_, err := w.Write(pattern(2, 3*chunkSize))
				wantError(t, "Write", err, sqlitestore.ErrUploadExpired)
			}
			for range 2 {
				stored, err := w.Commit()
				wantError(t, "Commit", err, sqlitestore.ErrUploadExpired)
				if stored {
					t.Error("Commit says that it has stored something")
				}
			}
			_, err := w.Write([]byte("more"))
			wantError(t, "Write after it", err, sqlitestore.ErrUploadExpired)
			must(t, w.Close())
			wantMedia(t, s, file(1), nil)
			must(t, s.CheckTotals(ctx))
		}
	})
}

const memoryVariable = "QUIESCE_TEST_MEDIA_MEMORY"

// TestMediaStreamTakesLittleMemory: a content of 100 MB, in the tier short of 16,
// goes in and out while the heap grows by less than 4 MiB. That is measured in a process of its
// own: how much may lie around uncollected depends on what else a process has in its heap.
func TestMediaStreamTakesLittleMemory(t *testing.T) {
	if os.Getenv(memoryVariable) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMediaStreamTakesLittleMemory$", "-test.v")
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", memoryVariable+"=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Errorf("%v: the output above says what took more memory than a stream may", err)
		}
		return
	}
	const limit = 4 << 20
	size := int64(tier.Count(16_000_000, 100_000_000, 100_000_000))
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		buffer := pattern(1, 64<<10)
		heap := func() int64 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		begin := func() (sample func(), peak func() int64) {
			runtime.GC()
			runtime.GC() // what finalizers and pools have held
			before, highest := heap(), int64(0)
			return func() { highest = max(highest, heap()-before) }, func() int64 { return highest }
		}
		check := func(what string, peak int64) {
			t.Helper()
			t.Logf("%s: %d bytes, and at most %d of heap", what, size, peak)
			if peak >= limit {
				t.Errorf("%s of %d bytes took %d bytes of heap, want less than %d", what, size, peak, limit)
			}
		}

		w, err := s.Create(ctx, file(1), media.AddOptions{})
		must(t, err)
		sample, peak := begin()
		for left := size; left > 0; sample() {
			n, err := w.Write(buffer[:min(left, int64(len(buffer)))])
			must(t, err)
			left -= int64(n)
		}
		commit(t, w)
		sample()
		check("writing", peak())

		in, err := s.Open(ctx, file(1))
		must(t, err)
		sample, peak = begin()
		var read int64
		for small := make([]byte, 32<<10); ; sample() {
			n, err := in.Read(small)
			if !bytes.Equal(small[:n], pattern(1, 64<<10)[read%(64<<10):][:n]) {
				t.Fatalf("what was read at %d is not what was written", read)
			}
			read += int64(n)
			if err == io.EOF {
				break
			}
			must(t, err)
		}
		must(t, in.Close())
		if read != size {
			t.Errorf("%d bytes were read, want %d", read, size)
		}
		check("reading", peak())
	})
}

// TestMediaWriterTakesAnyContext: a Writer whose context has ended is refused, and its Close discards what it has stored all the same.
func TestMediaWriterTakesAnyContext(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		s := openMedia(t, mediaConfig(t.TempDir(), engine))
		limited, cancel := context.WithCancel(ctx)
		w, err := s.Create(limited, file(1), media.AddOptions{})
		must(t, err)
		_, err = w.Write(pattern(1, 3*chunkSize))
		must(t, err)
		cancel()
		_, err = w.Write([]byte("more"))
		wantError(t, "Write", err, context.Canceled)
		_, err = w.Commit()
		wantError(t, "Commit", err, context.Canceled)
		must(t, w.Close())
		stats, err := s.Stats(ctx)
		if err != nil || stats != (media.Stats{}) {
			t.Errorf("left is %+v (%v)", stats, err)
		}
		must(t, s.CheckTotals(ctx))
	})
}

// TestMediaWriterSaysWhatItHasTaken: a Write that fails half-way says how many
// bytes it has taken, whatever the error, and the rest may follow.
func TestMediaWriterSaysWhatItHasTaken(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		data := pattern(1, 70*chunkSize+10)
		w, err := s.Create(ctx, file(1), media.AddOptions{})
		must(t, err)
		n, err := w.Write(data[:100])
		must(t, err)
		at := n
		for _, most := range []int{0, 20, 40} {
			raw(t, s, fmt.Sprintf(`CREATE TRIGGER refuses BEFORE INSERT ON chunk WHEN (SELECT count(*) FROM chunk) >= %d BEGIN SELECT RAISE (ABORT, 'refused'); END`, most))
			n, err := w.Write(data[at:])
			wantError(t, "Write", err, sqlite.ErrConstraint)
			if at += n; at >= len(data) {
				t.Fatalf("it has taken %d bytes of %d, and cannot have stored them", at, len(data))
			}
			raw(t, s, `DROP TRIGGER refuses`)
		}
		n, err = w.Write(data[at:])
		if err != nil || at+n != len(data) {
			t.Fatalf("the last Write has taken %d bytes of %d (%v)", n, len(data)-at, err)
		}
		commit(t, w)
		wantMedia(t, s, file(1), data)
		must(t, s.CheckTotals(ctx))
	})
}
