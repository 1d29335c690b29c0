package eventcachetest

// Stores with one fault around their contents: in what a pause, a close, a context, a
// file, or somebody else who calls at the same moment does to them.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

// around is a plain store with some of its methods replaced.
type around struct {
	*plain
	pause, close, compact func(ctx context.Context) error
	state                 func() lifecycle.State
	bytes                 func(ctx context.Context) (int64, error)
	lease                 func(ctx context.Context, key, holder string, d time.Duration) (uint64, bool, error)
	apply                 func(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error
	save                  func(ctx context.Context, room id.RoomID, events []eventcache.Event) error
	find                  func(ctx context.Context, room id.RoomID, which id.EventID) (eventcache.Event, bool, error)
	exporting             func(ctx context.Context, room id.RoomID, w io.Writer) error
	importing             func(ctx context.Context, r io.Reader) (id.RoomID, error)
	cleanUp               func(ctx context.Context, policy eventcache.CleanUpPolicy) (int, error)
}

func (a *around) Pause(ctx context.Context) error {
	if a.pause != nil {
		return a.pause(ctx)
	}
	return a.plain.Pause(ctx)
}

func (a *around) Close(ctx context.Context) error {
	if a.close != nil {
		return a.close(ctx)
	}
	return a.plain.Close(ctx)
}

func (a *around) State() lifecycle.State {
	if a.state != nil {
		return a.state()
	}
	return a.plain.State()
}

func (a *around) Bytes(ctx context.Context) (int64, error) {
	if a.bytes != nil {
		return a.bytes(ctx)
	}
	return a.plain.Bytes(ctx)
}

func (a *around) Compact(ctx context.Context) error {
	if a.compact != nil {
		return a.compact(ctx)
	}
	return a.plain.Compact(ctx)
}

func (a *around) TakeLease(ctx context.Context, key, holder string, d time.Duration) (uint64, bool, error) {
	if a.lease != nil {
		return a.lease(ctx, key, holder, d)
	}
	return a.plain.TakeLease(ctx, key, holder, d)
}

func (a *around) Apply(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
	if a.apply != nil {
		return a.apply(ctx, list, updates)
	}
	return a.plain.Apply(ctx, list, updates)
}

func (a *around) SaveEvents(ctx context.Context, room id.RoomID, events ...eventcache.Event) error {
	if a.save != nil {
		return a.save(ctx, room, events)
	}
	return a.plain.SaveEvents(ctx, room, events...)
}

func (a *around) FindEvent(ctx context.Context, room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
	if a.find != nil {
		return a.find(ctx, room, which)
	}
	return a.plain.FindEvent(ctx, room, which)
}

func (a *around) Export(ctx context.Context, room id.RoomID, w io.Writer) error {
	if a.exporting != nil {
		return a.exporting(ctx, room, w)
	}
	return a.plain.Export(ctx, room, w)
}

func (a *around) Import(ctx context.Context, r io.Reader) (id.RoomID, error) {
	if a.importing != nil {
		return a.importing(ctx, r)
	}
	return a.plain.Import(ctx, r)
}

func (a *around) CleanUp(ctx context.Context, policy eventcache.CleanUpPolicy) (int, error) {
	if a.cleanUp != nil {
		return a.cleanUp(ctx, policy)
	}
	return a.plain.CleanUp(ctx, policy)
}

// brokenGate is a store with a fault around its contents, and the case that must find it.
type brokenGate struct {
	name    string
	by      string
	harness func() *Harness
}

// inMemory breaks a store whose pausing does nothing, strictly one that has a gate and a file.
func inMemory(fault func(a *around)) func() *Harness { return broken(plainHarness, fault) }
func strictly(fault func(a *around)) func() *Harness { return broken(strictHarness, fault) }

func broken(harness func(func(*plain, Options) eventcache.Store) *Harness, fault func(a *around)) func() *Harness {
	return func() *Harness {
		return harness(func(s *plain, _ Options) eventcache.Store {
			a := &around{plain: s}
			fault(a)
			return a
		})
	}
}

// soon has cases wait for a shorter time for what never comes.
func soon(harness func() *Harness) func() *Harness {
	return func() *Harness {
		h := harness()
		h.Limit = 4 * time.Second
		return h
	}
}

// opened breaks what is done around the opening of a store with a file.
func opened(change func(open func(o Options) (*plain, error), dir string, o Options) (eventcache.Store, error)) func() *Harness {
	return func() *Harness {
		h := strictHarness(nil)
		h.Open = func(_ context.Context, dir string, o Options) (eventcache.Store, error) {
			return change(func(o Options) (*plain, error) { return openStrict(dir, o) }, dir, o)
		}
		return h
	}
}

var brokenGates = []brokenGate{
	{"never cleans up by itself", "clean-up-by-itself", soon(func() *Harness {
		h := plainHarness(nil)
		h.Open = func(_ context.Context, _ string, o Options) (eventcache.Store, error) {
			o.CleanUp = eventcache.CleanUpPolicy{}
			return openPlain(o), nil
		}
		return h
	})},
	{"cleans up by itself though nobody wants it", "clean-up-by-itself", func() *Harness {
		h := plainHarness(nil)
		h.Open = func(_ context.Context, _ string, o Options) (eventcache.Store, error) {
			o.CleanUp.Every = 5 * time.Millisecond
			return openPlain(o), nil
		}
		return h
	}},
	{"does not know its size", "size", inMemory(func(a *around) {
		a.bytes = func(context.Context) (int64, error) { return 4096, nil }
	})},
	{"never gets smaller", "size", inMemory(func(a *around) {
		var most int64
		a.bytes = func(ctx context.Context) (int64, error) {
			n, err := a.plain.Bytes(ctx)
			most = max(most, n)
			return most, err
		}
	})},
	{"removes what it should compact", "compacting-changes-nothing", inMemory(func(a *around) {
		a.compact = func(ctx context.Context) error {
			return a.write(ctx, func() error {
				for _, r := range a.m.rooms {
					used := map[id.EventID]bool{}
					for list := range r.lists {
						for _, p := range r.places(list) {
							used[p.Event] = true
						}
					}
					maps.DeleteFunc(r.events, func(which id.EventID, _ modelEvent) bool { return !used[which] })
				}
				return nil
			})
		}
	})},

	{"counts every lease that is taken", "leases", inMemory(func(a *around) {
		generations := map[string]uint64{}
		a.lease = func(ctx context.Context, key, holder string, d time.Duration) (uint64, bool, error) {
			_, ok, err := a.plain.TakeLease(ctx, key, holder, d)
			if ok {
				generations[key]++
			}
			return generations[key], ok, err
		}
	})},
	{"lets anybody release a lease", "leases", soon(inMemory(func(a *around) {
		a.lease = func(ctx context.Context, key, holder string, d time.Duration) (uint64, bool, error) {
			if d == 0 {
				delete(a.leases, key)
			}
			return a.plain.TakeLease(ctx, key, holder, d)
		}
	}))},
	{"does not look at the bytes of a key", "leases-are-independent", inMemory(func(a *around) {
		a.lease = func(ctx context.Context, key, holder string, d time.Duration) (uint64, bool, error) {
			return a.plain.TakeLease(ctx, strings.ToValidUTF8(key, "?"), holder, d)
		}
	})},
	{"looks before it takes", "one-holder-at-a-time", inMemory(func(a *around) {
		a.lease = func(ctx context.Context, key, holder string, d time.Duration) (generation uint64, taken bool, err error) {
			var l plainLease
			err = a.read(ctx, func() error { l = a.leases[key]; return nil })
			if err != nil || l.Holder != holder && time.Now().Before(l.Until) {
				return 0, false, err
			}
			time.Sleep(time.Millisecond) // and then somebody else has it
			if l.Holder != holder {
				l.Generation++
			}
			l.Holder, l.Until = holder, time.Now().Add(d)
			return l.Generation, true, a.write(ctx, func() error { a.leases[key] = l; return nil })
		}
	})},
	{"forgets leases when it is paused", "leases-survive", inMemory(func(a *around) {
		a.pause = func(ctx context.Context) error {
			_ = a.write(ctx, func() error { clear(a.leases); return nil })
			return a.plain.Pause(ctx)
		}
	})},
	{"clears leases with the rooms", "leases-survive", func() *Harness {
		return plainHarness(func(s *plain, _ Options) eventcache.Store {
			s.c = &faulty{model: s.m, clearAll: func() error {
				clear(s.leases)
				return s.m.ClearAll(bg)
			}}
			return s
		})
	}},

	{"forgets threads over a pause", "contents-survive-pauses", inMemory(func(a *around) {
		a.pause = func(ctx context.Context) error {
			_ = a.write(ctx, func() error {
				for _, r := range a.m.rooms {
					r.threads = nil
				}
				return nil
			})
			return a.plain.Pause(ctx)
		}
	})},
	{"forgets the order when it is opened", "contents-survive-reopening", opened(func(open func(Options) (*plain, error), _ string, o Options) (eventcache.Store, error) {
		s, err := open(o)
		if err != nil {
			return nil, err
		}
		for _, r := range s.m.rooms {
			for which, e := range r.events {
				e.number = -e.number
				r.events[which] = e
			}
		}
		return s, nil
	})},
	{"forgets how old events are", "contents-survive-reopening", opened(func(open func(Options) (*plain, error), _ string, o Options) (eventcache.Store, error) {
		s, err := open(o)
		if err != nil {
			return nil, err
		}
		for _, r := range s.m.rooms {
			for which, e := range r.events {
				e.at = o.Clock()
				r.events[which] = e
			}
		}
		return s, nil
	})},
	{"reads while it is paused", "refused-while-paused", strictly(func(a *around) {
		a.find = func(ctx context.Context, room id.RoomID, which id.EventID) (eventcache.Event, bool, error) {
			e, found, err := a.plain.FindEvent(ctx, room, which)
			if errors.Is(err, lifecycle.ErrPaused) {
				return a.m.FindEvent(ctx, room, which) // from a cache
			}
			return e, found, err
		}
	})},
	{"writes what it refuses", "refused-while-paused", strictly(func(a *around) {
		a.save = func(ctx context.Context, room id.RoomID, events []eventcache.Event) error {
			err := a.plain.SaveEvents(ctx, room, events...)
			if errors.Is(err, lifecycle.ErrPaused) {
				_ = a.m.SaveEvents(ctx, room, events...)
			}
			return err
		}
	})},
	{"returns untyped errors", "refused-while-paused", strictly(func(a *around) {
		a.bytes = func(ctx context.Context) (int64, error) {
			n, err := a.plain.Bytes(ctx)
			if err != nil {
				return 0, errors.New(err.Error())
			}
			return n, nil
		}
	})},
	{"does not wait", "waits-for-resume", strictly(func(a *around) {
		a.compact = func(ctx context.Context) error { return a.plain.Compact(lifecycle.WithPolicy(ctx, lifecycle.Fail)) }
	})},
	{"gates though it declares that it does not", "a-pause-that-changes-nothing", func() *Harness {
		h := strictHarness(nil)
		h.Without = plainHarness(nil).Without
		return h
	}},
	{"exports after it was closed", "closed-for-good", inMemory(func(a *around) {
		a.exporting = func(ctx context.Context, room id.RoomID, w io.Writer) error { return a.m.Export(ctx, room, w) }
	})},
	{"fails a second Close", "closed-for-good", inMemory(func(a *around) {
		a.close = func(ctx context.Context) error {
			if a.State() == lifecycle.Closed {
				return lifecycle.ErrClosed
			}
			return a.plain.Close(ctx)
		}
	})},
	{"does not look at its context", "contexts-that-have-ended", inMemory(func(a *around) {
		a.apply = func(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			return a.plain.Apply(context.WithoutCancel(ctx), list, updates)
		}
	})},

	{"keeps a pause waiting for a writer", "pause-during-an-export", soon(strictly(func(a *around) {
		var failed atomic.Bool
		a.pause = func(ctx context.Context) error {
			err := a.plain.Pause(ctx)
			if err != nil {
				failed.Store(true)
			}
			return err
		}
		a.exporting = func(ctx context.Context, room id.RoomID, w io.Writer) error {
			return a.read(ctx, func() error { return a.m.Export(ctx, room, stuck{w, a, &failed}) })
		}
	}))},
	{"takes a part of an export for all", "pause-during-an-export", strictly(func(a *around) {
		a.exporting = func(ctx context.Context, room id.RoomID, w io.Writer) error {
			var whole bytes.Buffer
			if err := a.plain.Export(ctx, room, &whole); err != nil {
				return err
			}
			for part := range slices.Chunk(whole.Bytes(), 64<<10) {
				if _, err := w.Write(part); err != nil {
					return err
				}
				if a.State() != lifecycle.Active {
					return nil
				}
			}
			return nil
		}
	})},
	{"imports a half when it is paused", "pause-during-an-import", strictly(func(a *around) {
		a.importing = func(ctx context.Context, r io.Reader) (id.RoomID, error) {
			var begin bytes.Buffer
			line, err := bufio.NewReaderSize(io.TeeReader(io.LimitReader(r, 200), &begin), 200).ReadBytes('\n')
			if err != nil {
				return "", err
			}
			room, err := eventcache.NewDecoder(bytes.NewReader(line)).Room()
			if err == nil {
				err = a.ClearRoom(ctx, room)
			}
			if err != nil {
				return "", err
			}
			return a.plain.Import(ctx, io.MultiReader(&begin, r))
		}
	})},
	{"takes a reader's error for a broken export", "readers-and-writers-that-fail", inMemory(func(a *around) {
		a.importing = func(ctx context.Context, r io.Reader) (id.RoomID, error) {
			text, _ := io.ReadAll(r)
			return a.plain.Import(ctx, bytes.NewReader(text))
		}
	})},
	{"ignores a writer's error", "readers-and-writers-that-fail", inMemory(func(a *around) {
		a.exporting = func(ctx context.Context, room id.RoomID, w io.Writer) error {
			var whole bytes.Buffer
			err := a.plain.Export(ctx, room, &whole)
			_, _ = w.Write(whole.Bytes())
			return err
		}
	})},
	{"exports while others write", "export-of-one-moment", inMemory(func(a *around) {
		a.exporting = func(ctx context.Context, room id.RoomID, w io.Writer) error {
			enc := eventcache.NewEncoder(w, room)
			events, err := a.plain.FindEvents(ctx, room, eventcache.Filter{})
			if err != nil {
				return err
			}
			for _, e := range events {
				if e, _, err = a.plain.FindEvent(ctx, room, e.ID); err != nil {
					return err
				}
				if err := enc.Write(eventcache.ExportEvent{Event: e}); err != nil {
					return err
				}
			}
			return enc.End()
		}
	})},

	{"shows one update after another", "readers-see-whole-changes", inMemory(func(a *around) {
		a.apply = func(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			for i, u := range updates {
				if err := a.plain.Apply(ctx, list, []eventcache.Update{u}); err != nil {
					return err
				}
				if i%3 == 0 {
					time.Sleep(20 * time.Microsecond)
				}
			}
			return nil
		}
	})},
	{"puts back an old copy", "many-writers", inMemory(func(a *around) {
		a.apply = func(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			m := newModel(a.m.now)
			if err := a.read(ctx, func() error { m.put(list.Room, a.m.room(list.Room).clone()); return nil }); err != nil {
				return err
			}
			if err := m.Apply(ctx, list, updates); err != nil {
				return err
			}
			time.Sleep(20 * time.Microsecond)
			return a.write(ctx, func() error { a.m.put(list.Room, m.room(list.Room)); return nil })
		}
	})},
	{"loses what was stored last before Close", "closing-while-in-use", opened(func(open func(Options) (*plain, error), dir string, o Options) (eventcache.Store, error) {
		s, err := open(o)
		if err != nil {
			return nil, err
		}
		var late atomic.Int32
		return &around{plain: s, save: func(ctx context.Context, room id.RoomID, events []eventcache.Event) error {
			if late.Add(1) > 10 {
				return s.read(ctx, func() error { return nil }) // soon, but not yet
			}
			return s.SaveEvents(ctx, room, events...)
		}}, nil
	})},

	{"does what it says that a pause has stopped", "pauses-at-any-moment", strictly(acknowledgesNothing)},
	{"does what it says that a pause has stopped", "waiting-through-pauses", strictly(acknowledgesNothing)},
	{"acknowledges what a pause has stopped", "pauses-at-any-moment", strictly(acknowledgesAll)},
	{"keeps a half of what a pause has stopped", "an-interrupted-change", strictly(func(a *around) {
		a.apply = func(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
			if len(updates) < 50 {
				return a.plain.Apply(ctx, list, updates)
			}
			for _, u := range updates {
				time.Sleep(50 * time.Microsecond)
				if err := a.plain.Apply(ctx, list, []eventcache.Update{u}); err != nil {
					return err
				}
			}
			return nil
		}
	})},

	{"counts what a pause has stopped", "clean-up-and-pauses", strictly(func(a *around) {
		a.cleanUp = func(ctx context.Context, policy eventcache.CleanUpPolicy) (int, error) {
			removed, err := a.plain.CleanUp(ctx, policy)
			if errors.Is(err, lifecycle.ErrPaused) {
				removed = 512 // which it would have removed
			}
			return removed, err
		}
	})},
	{"forgets what it has removed before a pause", "clean-up-and-pauses", strictly(func(a *around) {
		var begun atomic.Int64 // pauses
		a.pause = func(ctx context.Context) error {
			begun.Add(1)
			return a.plain.Pause(ctx)
		}
		a.cleanUp = func(ctx context.Context, policy eventcache.CleanUpPolicy) (int, error) {
			before := begun.Load()
			removed, err := a.plain.CleanUp(ctx, policy)
			for end := time.Now().Add(20 * time.Millisecond); err == nil && time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
				if begun.Load() != before {
					return 0, lifecycle.ErrInterrupted
				}
			}
			return removed, err
		}
	})},
	{"counts for both what one of two has removed", "clean-up-and-pauses", strictly(func(a *around) {
		a.cleanUp = func(ctx context.Context, policy eventcache.CleanUpPolicy) (int, error) {
			before, err := a.plain.RoomStats(ctx, roomA)
			if err != nil {
				return 0, err
			}
			time.Sleep(time.Millisecond) // and another one begins
			if _, err = a.plain.CleanUp(ctx, policy); err != nil {
				return 0, err
			}
			after, err := a.plain.RoomStats(lifecycle.WithPolicy(ctx, lifecycle.Wait), roomA)
			return before.Events - after.Events, err
		}
	})},

	{"stores clear text", "nothing-in-clear", opened(func(open func(Options) (*plain, error), dir string, o Options) (eventcache.Store, error) {
		s, err := open(o)
		if err != nil {
			return nil, err
		}
		a := &around{plain: s}
		clear := func(next func(context.Context) error) func(context.Context) error {
			return func(ctx context.Context) error {
				err := next(ctx)
				sealed, _ := os.ReadFile(strictFile(dir))
				if text, wrong := sealer().Open(nil, nil, sealed, nil); wrong == nil && err == nil {
					err = os.WriteFile(strictFile(dir), append(sealed, text...), 0o600)
				}
				return err
			}
		}
		a.pause, a.close = clear(s.Pause), s.Close
		return a, nil
	})},
	{"leaves a file behind that nobody knows of", "files-are-named", opened(func(open func(Options) (*plain, error), dir string, o Options) (eventcache.Store, error) {
		s, err := open(o)
		if err != nil {
			return nil, err
		}
		return s, os.WriteFile(filepath.Join(dir, "events.tmp"), []byte("x"), 0o600)
	})},
}

// acknowledgesNothing does an operation, and then says that a pause has stopped it: one that comes soon.
func acknowledgesNothing(a *around) {
	var begun atomic.Int64 // pauses
	a.pause = func(ctx context.Context) error {
		begun.Add(1)
		return a.plain.Pause(ctx)
	}
	lie := func(do func() error) error {
		before := begun.Load()
		err := do()
		for end := time.Now().Add(20 * time.Millisecond); err == nil && time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
			if begun.Load() != before {
				return lifecycle.ErrInterrupted
			}
		}
		return err
	}
	a.save = func(ctx context.Context, room id.RoomID, events []eventcache.Event) error {
		return lie(func() error { return a.plain.SaveEvents(ctx, room, events...) })
	}
	a.apply = func(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
		return lie(func() error { return a.plain.Apply(ctx, list, updates) })
	}
}

// acknowledgesAll says that an operation is done which a pause has stopped: it is in a queue, and the queue is lost.
func acknowledgesAll(a *around) {
	var lost atomic.Int64
	a.pause = func(ctx context.Context) error {
		before := lost.Load()
		err := a.plain.Pause(ctx)
		for end := time.Now().Add(20 * time.Millisecond); err == nil && lost.Load() == before && time.Now().Before(end); {
			time.Sleep(50 * time.Microsecond) // long enough for one to come
		}
		return err
	}
	lie := func(err error) error {
		if errors.Is(err, lifecycle.ErrPaused) {
			lost.Add(1)
			return nil
		}
		return err
	}
	a.save = func(ctx context.Context, room id.RoomID, events []eventcache.Event) error {
		return lie(a.plain.SaveEvents(ctx, room, events...))
	}
	a.apply = func(ctx context.Context, list eventcache.LinkedChunkID, updates []eventcache.Update) error {
		return lie(a.plain.Apply(ctx, list, updates))
	}
}

// stuck is a writer that goes on when a pause of the store has failed, which waits for it.
type stuck struct {
	io.Writer
	a      *around
	failed *atomic.Bool
}

func (w stuck) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	for limit := time.Now().Add(10 * time.Second); w.a.State() == lifecycle.Pausing && !w.failed.Load() && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	return n, err
}
