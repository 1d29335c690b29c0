package sqlitestore_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// told is what a store tells of a cleaning that it began by itself.
type told struct {
	media.Cleaned
	err error
}

func tells(cfg *sqlitestore.MediaConfig) <-chan told {
	all := make(chan told, 1000)
	cfg.Cleaned = func(c media.Cleaned, err error) { all <- told{c, err} }
	return all
}

func next(t testing.TB, all <-chan told) told {
	t.Helper()
	select {
	case one := <-all:
		return one
	case <-time.After(patience):
		t.Fatal("nobody has told of a cleaning")
		return told{}
	}
}

// fillMedia adds contents of a size in one transaction, each a millisecond after the one before.
func fillMedia(t testing.TB, s *sqlitestore.Media, now *clock, count, size int) {
	t.Helper()
	must(t, s.Update(ctx, func(c *sqlite.Conn) error {
		for i := range count {
			now.add(time.Millisecond)
			if _, err := s.AddIn(ctx, c, file(i), pattern(uint32(i), size), media.AddOptions{}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestMediaCleaningGoesOnAfterResume: a cleaning of the store's own that pauses have
// cut is brought to its end by later lives, and told of once, with all that it has removed.
func TestMediaCleaningGoesOnAfterResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg, now := mediaConfig(t.TempDir(), engine), newClock()
		cfg.Clock = now.now
		all := tells(&cfg)
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		const count, size = 700, 100
		fillMedia(t, s, now, count, size)
		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxCacheSize(10*size).WithCleanupFrequency(time.Hour)))
		var got told
		for over := false; !over; {
			must(t, s.Pause(ctx))
			must(t, s.Resume(ctx))
			select {
			case got = <-all:
				over = true
			default:
			}
			before, err := s.Stats(ctx)
			must(t, err)
			_, _, err = s.Get(ctx, file(0)) // lets it begin
			must(t, err)
			for now := before; now == before && len(all) == 0 && !over; { // and get further, before the next pause cuts it
				now, err = s.Stats(ctx)
				must(t, err)
			}
		}
		if got.err != nil || got.Removed != count-10 || got.Bytes != size*(count-10) {
			t.Errorf("told was %+v, want %d contents removed", got, count-10)
		}
		must(t, s.Close(ctx))
		if len(all) != 0 {
			t.Errorf("told was also %+v, and there was one cleaning", <-all)
		}
	})
}

// TestMediaTriesACleaningAgain: one that failed is tried again at the next opportunity.
func TestMediaTriesACleaningAgain(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		all := tells(&cfg)
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		addMedia(t, s, file(1), make([]byte, 100))
		raw(t, s, `CREATE TRIGGER refuses BEFORE DELETE ON media BEGIN SELECT RAISE (ABORT, 'refused'); END`)
		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxFileSize(99).WithCleanupFrequency(time.Hour)))
		for range 2 {
			if got := next(t, all); !errors.Is(got.err, sqlite.ErrConstraint) || got.Removed != 0 {
				t.Errorf("told was %+v, want the error that the cleaning has met", got)
			}
			if _, known, err := s.LastCleaned(ctx); err != nil || known {
				t.Errorf("a cleaning that failed counts as one: %v (%v)", known, err)
			}
			wantMedia(t, s, file(2), nil) // an opportunity
		}
		next(t, all)
		raw(t, s, `DROP TRIGGER refuses`)
		wantMedia(t, s, file(2), nil)
		if got := next(t, all); got.err != nil || got.Removed != 1 {
			t.Errorf("told was %+v, want one content removed", got)
		}
		wantMedia(t, s, file(1), nil)
	})
}

// TestMediaGivesRoomBack: after a cleaning the file is smaller by what was removed, in a store that was made here.
func TestMediaGivesRoomBack(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		now := newClock()
		cfg.Clock = now.now
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits()))
		fillMedia(t, s, now, 40, 4*chunkSize)
		before, err := s.Size(ctx)
		must(t, err)
		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxCacheSize(8*4*chunkSize)))
		cleaned, err := s.Clean(ctx)
		if err != nil || cleaned.Removed != 32 {
			t.Fatalf("Clean: %+v (%v)", cleaned, err)
		}
		after, err := s.Size(ctx)
		must(t, err)
		if after.Free != 0 || after.Database > before.Database-cleaned.Bytes {
			t.Errorf("before the cleaning the file had %d bytes, and after it has %d, of which %d are free; %d were removed",
				before.Database, after.Database, after.Free, cleaned.Bytes)
		}
		for i := range 40 {
			data := pattern(uint32(i), 4*chunkSize)
			if i < 32 {
				data = nil
			}
			wantMedia(t, s, file(i), data)
		}
		must(t, s.CheckTotals(ctx))
	})
}

// TestMediaThatStartsPaused: the first Resume finds what is stored, the policy too.
func TestMediaThatStartsPaused(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		s := openMedia(t, cfg)
		must(t, s.SetPolicy(ctx, media.NoLimits().WithMaxFileSize(77)))
		must(t, s.Close(ctx))
		cfg.Database.StartPaused = true
		s = openMedia(t, cfg)
		_, err := s.Create(ctx, file(1), media.AddOptions{})
		wantError(t, "Create before the first Resume", err, lifecycle.ErrPaused)
		_, err = s.Clean(ctx)
		wantError(t, "Clean before the first Resume", err, lifecycle.ErrPaused)
		must(t, s.Resume(ctx))
		if p := s.Policy(); p.MaxFileSize == nil || *p.MaxFileSize != 77 {
			t.Errorf("the policy is %+v", p)
		}
		addMedia(t, s, file(1), make([]byte, 77))
	})
}

// errorsTold are the errors that an Observer was told of.
type errorsTold struct {
	mu  sync.Mutex
	all []error
}

func (o *errorsTold) Observe(e lifecycle.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Err != nil {
		o.all = append(o.all, e.Err)
	}
}

func (o *errorsTold) take() (all []error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all, o.all = o.all, nil
	return all
}

// TestMediaWithADamagedPolicyIsOpened: with the default policy in force, as if there had been no cleaning; the Observer is told by Open and
// by every Resume, until there is another one.
func TestMediaWithADamagedPolicyIsOpened(t *testing.T) {
	onMedia(t, func(t *testing.T, cfg sqlitestore.MediaConfig) {
		for _, damage := range []struct{ what, key, value string }{
			{"a policy that is no JSON", "policy", `{`},
			{"a policy with a negative limit", "policy", `{"max_file_size":-1}`},
			{"a time of the last cleaning that is none", "cleaned", `yesterday`},
		} {
			t.Run(damage.what, func(t *testing.T) {
				var told errorsTold
				cfg.Database.Observer = &told
				cfg.Database.Path = filepath.Join(t.TempDir(), "media.db")
				s := openMedia(t, cfg)
				own := media.NoLimits().WithMaxFileSize(77)
				must(t, s.SetPolicy(ctx, own))
				_, err := s.Clean(ctx)
				must(t, err)
				want := own
				if damage.key == "policy" {
					want = media.DefaultPolicy()
				}
				must(t, s.KV("sqlitestore.media").Set(ctx, damage.key, []byte(damage.value)))
				check := func(op string, times int) {
					t.Helper()
					all := told.take()
					if len(all) != times {
						t.Errorf("%s: the Observer was told of %v; want %d errors", op, all, times)
					}
					for _, err := range all {
						var decode *codec.DecodeError
						if !errors.As(err, &decode) && !errors.Is(err, media.ErrPolicy) && !errors.Is(err, media.ErrBroken) {
							t.Errorf("%s: the Observer was told of %v, which does not say what is damaged", op, err)
						}
					}
					if p := s.Policy(); times > 0 && !reflect.DeepEqual(p, want) {
						t.Errorf("%s: the policy in force is %+v; want %+v", op, p, want)
					}
				}
				check("before it is read", 0)
				must(t, s.Pause(ctx))
				must(t, s.Resume(ctx))
				check("Resume", 1)
				must(t, s.Close(ctx))
				s = openMedia(t, cfg)
				check("Open", 1)
				if _, known, err := s.LastCleaned(ctx); err != nil || known != (damage.key == "policy") {
					t.Errorf("the time of the last cleaning is known: %v, %v", known, err)
				}
				must(t, s.SetPolicy(ctx, own))
				_, err = s.Clean(ctx)
				must(t, err)
				must(t, s.Pause(ctx))
				must(t, s.Resume(ctx))
				check("Resume with another one", 0)
			})
		}
	})
}

// TestMediaHookThatFails: an error of the user's own hook is that of the Resume.
func TestMediaHookThatFails(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		cfg := mediaConfig(t.TempDir(), engine)
		var fails error
		cfg.Database.AfterReopen = func(context.Context, *sqlite.Conn) error { return fails }
		s := openMedia(t, cfg)
		must(t, s.Pause(ctx))
		fails = errors.New("not yet")
		wantError(t, "Resume", s.Resume(ctx), fails)
		fails = nil
		must(t, s.Resume(ctx))
		addMedia(t, s, file(1), []byte("content"))
	})
}
