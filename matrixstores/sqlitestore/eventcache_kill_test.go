//go:build unix

package sqlitestore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
	"github.com/quiesce-go/quiesce/storekit"
)

const eventCacheChild = "QUIESCE_TEST_EVENT_CACHE"

// eventsInAnApply is more than a chunk of the child's takes, so that an Apply of half its events would be seen.
const eventsInAnApply = 7

// TestKilledEventCacheHasWholeApplies: a process that is killed while it
// pushes, removes, pauses and resumes has lost no Apply that had returned, and has none by half.
func TestKilledEventCacheHasWholeApplies(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		rounds, total := tier.Count(3, 30, 300), 0
		path := filepath.Join(t.TempDir(), "events.db")
		for round := range rounds {
			acknowledged := killWhileApplying(t, engine, path)
			s := openEventCacheAt(t, path, engine, key(1))
			list := eventcache.Room("!killed:example.org")
			chunks, err := s.LoadAllChunks(ctx, list)
			must(t, err)
			events := 0
			for _, c := range chunks {
				for _, e := range c.Items {
					if want := message(events).ID; e.ID != want {
						t.Fatalf("round %d: event %d is %s, not %s", round, events, e.ID, want)
					}
					events++
				}
			}
			if events%eventsInAnApply != 0 {
				t.Errorf("round %d: %d events are there, which is no whole number of Applies", round, events)
			}
			if least := (total + acknowledged) * eventsInAnApply; events < least {
				t.Errorf("round %d: %d events are there, and %d were acknowledged", round, events, least)
			}
			total = events / eventsInAnApply
			must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
			must(t, s.Close(ctx))
		}
		t.Logf("%d kills, %d Applies are there, each whole", rounds, total)
	})
}

// killWhileApplying runs the child for a while, and returns how many Applies it has acknowledged.
func killWhileApplying(t *testing.T, engine sqlite.Engine, path string) (acknowledged int) {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(limit, os.Args[0], "-test.run=^TestEventCacheChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", eventCacheChild+"="+engine.Name()+":"+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	enough := 1 + rand.IntN(40)
	for lines.Scan() {
		if lines.Text() != "applied" {
			continue
		}
		if acknowledged++; acknowledged == enough { // it is busy with the next one, or pauses
			go func() {
				_ = cmd.Process.Signal(syscall.SIGKILL)
			}()
		}
	}
	_ = cmd.Wait()
	if acknowledged == 0 {
		t.Fatal("the child has applied nothing")
	}
	return acknowledged
}

// TestEventCacheChild is the process that is killed.
func TestEventCacheChild(t *testing.T) {
	name, path, ok := strings.Cut(os.Getenv(eventCacheChild), ":")
	if !ok {
		t.Skip("only runs as the child of a test")
	}
	for _, engine := range engines {
		if engine.Name() != name {
			continue
		}
		s := openEventCacheAt(t, path, engine, key(1))
		loader := eventcache.Loader{Store: s, List: eventcache.Room("!killed:example.org"), Capacity: 5}
		l, err := loader.Load(ctx)
		must(t, err)
		must(t, loader.LoadAll(ctx, l))
		for n := l.Len(); ; {
			var some []eventcache.Event
			for range eventsInAnApply {
				some = append(some, message(n))
				n++
			}
			l.PushItemsBack(some...)
			l.PushGapBack(eventcache.Gap{Token: fmt.Sprint(n)})
			must(t, s.Apply(ctx, loader.List, l.Updates()))
			fmt.Println("applied")
			if n%(3*eventsInAnApply) == 0 {
				must(t, s.Pause(ctx))
				must(t, s.Resume(ctx))
			}
		}
	}
}

// TestRotatedEventCache: after a rotation of the data key everything is read as
// before, also from a backup, and every sealed value opens.
func TestRotatedEventCache(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		s := openEventCacheAt(t, filepath.Join(dir, "events.db"), engine, key(1))
		fill(t, s, eventcache.Room("!a:example.org"), 300)
		must(t, s.RememberThread(ctx, "!a:example.org", "$root"))
		before := exported(t, s)
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
		must(t, s.ChangeSecret(ctx, key(1), key(2)))
		must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
		if after := exported(t, s); after != before {
			t.Error("after a rotation another room is exported than before")
		}
		must(t, s.Backup(ctx, filepath.Join(dir, "backup.db"), nil))
		must(t, s.ClearAll(ctx))
		must(t, s.Restore(ctx, filepath.Join(dir, "backup.db"), storekit.RestoreOptions{}))
		if after := exported(t, s); after != before {
			t.Error("from a backup another room is exported than before")
		}
	})
}

// exported is everything of the room, as one text.
func exported(t *testing.T, s eventcache.Store) string {
	t.Helper()
	var b strings.Builder
	must(t, s.Export(ctx, "!a:example.org", &b))
	if !strings.Contains(b.String(), "$event-299") || !strings.Contains(b.String(), "$root") {
		t.Fatal("the export lacks what was stored")
	}
	return b.String()
}

// TestDamagedChainIsTold: what somebody else has made of a linked chunk is an error, and Clear makes it usable again.
func TestDamagedChainIsTold(t *testing.T) {
	list := eventcache.Room("!a:example.org")
	damages := map[string]string{
		"no end":           `UPDATE chunk SET next = 1 WHERE next IS NULL`,
		"two ends":         `UPDATE chunk SET next = NULL WHERE id = 1`,
		"a missing chunk":  `DELETE FROM item WHERE chunk = 3; DELETE FROM chunk WHERE id = 3`,
		"a missing item":   `DELETE FROM item WHERE chunk = 3 AND position = 1`,
		"two beginnings":   `UPDATE chunk SET previous = NULL WHERE id = 3`,
		"a gap with items": `UPDATE item SET chunk = 2 WHERE chunk = 3`,
	}
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, damage := range damages {
			t.Run(name, func(t *testing.T) {
				s := openEventCache(t, engine, key(1))
				fill(t, s, list, 200) // chunks 1 to 6: every second one is a gap
				must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, damage) }))
				_, err := s.LoadAllChunks(ctx, list)
				wantError(t, "LoadAllChunks", err, eventcache.ErrBroken)
				wantError(t, "Export", s.Export(ctx, list.Room, io.Discard), eventcache.ErrBroken)
				loader := eventcache.Loader{Store: s, List: list}
				l, err := loader.Load(ctx)
				if err == nil {
					err = loader.LoadAll(ctx, l)
				}
				if err == nil && name != "two beginnings" { // backwards the first beginning is where it ends
					t.Errorf("loaded backwards, it is not told that there is %s", name)
				}
				must(t, s.Apply(ctx, list, []eventcache.Update{eventcache.Clear{}, eventcache.NewItemsChunk{New: 1}}))
				chunks, err := s.LoadAllChunks(ctx, list)
				must(t, err)
				if len(chunks) != 1 {
					t.Errorf("after a Clear and a new chunk there are %d chunks", len(chunks))
				}
			})
		}
	})
}
