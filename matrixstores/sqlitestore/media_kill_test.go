//go:build unix

package sqlitestore_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/storekit"
)

const killedNames = 3

// killedContent is content number i, which tells by its first bytes which it is.
func killedContent(i uint32) []byte { return pattern(i, 8+int(i*379_199%1_500_000)) }

// TestKilledMediaHasWholeContents: a process that is killed in the midst of
// streams has lost nothing that it had committed, and has no content by half; what it has left
// behind is removed when it has expired.
func TestKilledMediaHasWholeContents(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		left := 0
		for range tier.Count(4, 40, 400) {
			dir := t.TempDir()
			child := startMediaChild(t, "streams", engine, dir)
			acknowledged, enough := map[int]uint32{}, 1+rand.IntN(12)
			for line := child.next(); line != ""; line = child.next() {
				var i uint32
				if _, err := fmt.Sscanf(line, "committed %d", &i); err != nil {
					continue
				}
				acknowledged[int(i%killedNames)] = i
				if enough--; enough == 0 {
					time.AfterFunc(rand.N(8*time.Millisecond), child.kill) // in the midst of what comes next
				}
			}
			child.wait()

			cfg, now := killedConfig(dir, engine), newClock()
			now.at, cfg.Clock = time.Now(), now.now
			s := openMedia(t, cfg)
			for n := range killedNames {
				data, found, err := s.Get(ctx, file(n))
				must(t, err)
				if !found {
					if acknowledged[n] > 0 {
						t.Errorf("content %d was committed, and is gone", acknowledged[n])
					}
					continue
				}
				i := binary.BigEndian.Uint32(data)
				if i < acknowledged[n] || i%killedNames != uint32(n) {
					t.Errorf("of name %d there is content %d, and %d was committed last", n, i, acknowledged[n])
				}
				wantMedia(t, s, file(n), killedContent(i))
			}
			must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
			must(t, s.CheckTotals(ctx))
			stats, err := s.Stats(ctx)
			must(t, err)
			left += stats.Uploads
			now.add(time.Hour)
			_, err = s.Clean(ctx)
			must(t, err)
			if stats, err = s.Stats(ctx); err != nil || stats.Uploads != 0 {
				t.Errorf("an hour later there are still %d uploads (%v)", stats.Uploads, err)
			}
			must(t, s.CheckTotals(ctx))
			must(t, s.Close(ctx))
		}
		t.Logf("%d uploads were left behind, and removed", left)
	})
}

// TestKilledMediaCleaningRemovesOnlyWhatHasToGo: whatever a killed cleaning has
// removed had to go, the oldest first; what is left is whole, and the next one does the rest.
func TestKilledMediaCleaningRemovesOnlyWhatHasToGo(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		const all, fit = 400, 20
		var longest time.Duration // of a cleaning that nobody kills
		states := map[string]int{}
		for round := range tier.Count(4, 40, 300) {
			dir, now := t.TempDir(), newClock()
			cfg := killedConfig(dir, engine)
			cfg.Clock = now.now
			s := openMedia(t, cfg)
			must(t, s.SetPolicy(ctx, media.NoLimits()))
			must(t, s.Update(ctx, func(c *sqlite.Conn) error { // in one transaction, to be fast
				for i := range all {
					now.add(time.Millisecond)
					if _, err := s.AddIn(ctx, c, file(i), pattern(uint32(i), 1000), media.AddOptions{}); err != nil {
						return err
					}
				}
				return nil
			}))
			must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxCacheSize(fit*1000)))
			must(t, s.Close(ctx))

			child := startMediaChild(t, "clean", engine, dir)
			var began time.Time
			for line := child.next(); line != ""; line = child.next() {
				switch {
				case line == "begin" && round > 0:
					time.AfterFunc(rand.N(longest), child.kill)
				case line == "begin":
					began = time.Now()
				case line == "end" && round == 0:
					longest = time.Since(began)
				}
			}
			child.wait()

			s = openMedia(t, cfg)
			stats, err := s.Stats(ctx)
			must(t, err)
			_, known, err := s.LastCleaned(ctx)
			must(t, err)
			if known != (stats.Contents == fit) {
				t.Errorf("%d contents are left, and that a cleaning has ended is %v", stats.Contents, known)
			}
			for i := range all {
				data := pattern(uint32(i), 1000)
				if i < all-stats.Contents {
					data = nil
				}
				wantMedia(t, s, file(i), data)
			}
			switch stats.Contents {
			case all:
				states["before the first transaction"]++
			case fit:
				states["at the end"]++
			default:
				states["in the midst"]++
			}
			must(t, s.CheckTotals(ctx))
			must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
			_, err = s.Clean(ctx)
			must(t, err)
			if stats, err = s.Stats(ctx); err != nil || stats.Contents != fit {
				t.Errorf("the next cleaning has left %d contents (%v), want %d", stats.Contents, err, fit)
			}
			must(t, s.Close(ctx))
		}
		t.Logf("killed %v", states)
	})
}

// TestKilledMediaHasForgottenOneIntervalOfAccesses: what was stored after
// FlushEvery, though nobody wrote anything, survives a kill.
func TestKilledMediaHasForgottenOneIntervalOfAccesses(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		cfg := killedConfig(dir, engine)
		longAgo := newClock()
		longAgo.at = time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		cfg.Clock = longAgo.now
		s := openMedia(t, cfg)
		addMedia(t, s, file(1), []byte("content"))
		child := startMediaChild(t, "read", engine, dir)
		for line := child.next(); line != "read"; line = child.next() {
			if line == "" {
				t.Fatal("the child has ended")
			}
		}
		eventually(t, "the access is in the file", func() bool { return accessInFile(t, s).After(longAgo.now()) })
		stored := accessInFile(t, s)
		child.kill()
		child.wait()
		must(t, s.Close(ctx))
		s = openMedia(t, cfg)
		wantAccess(t, s, file(1), stored)
	})
}
