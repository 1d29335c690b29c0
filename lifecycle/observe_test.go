package lifecycle_test

// W-24, W-29: the state can be asked, followed and logged.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// events keeps what an Observer was told.
type events struct {
	mu  sync.Mutex
	all []lifecycle.Event
}

func (o *events) Observe(e lifecycle.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, e)
}

func (o *events) took() (said []string) {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.all {
		line := fmt.Sprintf("%v→%v", e.From, e.To)
		if e.Report != nil {
			line += " " + e.Report.Op
		}
		if e.Err != nil {
			line += " failed"
		}
		said = append(said, line)
	}
	o.all = nil
	return said
}

func TestW24ObserverIsToldOfEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o events
		d := newFull(t)
		s := openPaused(t, d, config{Name: "rooms", Observer: &o})
		wantSteps(t, o.took(), nil, "before the first change")
		wantNil(t, s.Resume(background), "Resume")
		if e := o.all[len(o.all)-1]; e.Store != "rooms" || e.Generation != 1 || e.Report != s.Report() || e.Time.IsZero() {
			t.Errorf("the event is %+v", e)
		}
		wantSteps(t, o.took(), []string{"paused→resuming", "resuming→active resume"}, "Resume")
		h := inGo(background, s.Read)
		_ = s.Pause(within(t, time.Second))
		wantSteps(t, o.took(), []string{"active→pausing"}, "a Pause that is not over")
		wantNil(t, h.release(), "the reader")
		wantSteps(t, o.took(), []string{"pausing→paused pause"}, "a Pause that ended by itself")
		d.validate = func(context.Context) error { return errors.New("no") }
		if s.Resume(background) == nil {
			t.Error("Resume succeeded")
		}
		wantSteps(t, o.took(), []string{"paused→resuming", "resuming→paused failed"}, "a Resume that failed: the report of another transition is not its")
		d.validate = nil
		d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) {
			return r, errors.New("busy")
		}
		wantNil(t, s.Resume(background), "Resume")
		wantNil(t, s.Pause(background), "Pause")
		wantNil(t, s.Close(background), "Close")
		wantSteps(t, o.took(), []string{"paused→resuming", "resuming→active resume", "active→pausing", "pausing→paused pause", "paused→closed close"}, "the rest")
		wantNil(t, s.Close(background), "Close")
		wantNil(t, s.Pause(background), "Pause")
		wantSteps(t, o.took(), nil, "nothing changed")
	})
}

// Events form one chain, however calls overlap: states in between may be
// skipped by a run that was overtaken before its turn, but none is told twice or in another order.
func TestObserverIsToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o events
		s := open(t, newFake(t), config{Observer: &o})
		for range 50 {
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() {
					if i%2 == 0 {
						_ = s.Pause(background)
					} else {
						_ = s.Resume(background)
					}
				})
			}
			wg.Wait()
		}
		synctest.Wait()
		now := lifecycle.Paused // before Open
		for i, e := range o.all {
			if e.From != now {
				t.Fatalf("event %d is %v→%v after a change to %v", i, e.From, e.To, now)
			}
			now = e.To
		}
		wantState(t, s, now, "the last event")
	})
}

// A slow observer delays the transition that it is told of, and not those who work or ask.
func TestSlowObserverDelaysNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{}, 100)
		let <- struct{}{}
		let <- struct{}{}
		s := open(t, newFake(t), config{Observer: lifecycle.ObserverFunc(func(lifecycle.Event) { <-let })})
		p := pause(s)
		waiting(t, p, "the observer has not returned")
		wantErr(t, s.Read(background, nothing), lifecycle.ErrPaused, "a Read while the observer is slow")
		wantState(t, s, lifecycle.Pausing, "State while the observer is slow")
		s.Stats()
		s.Holders()
		wantHeld(t, s.Pause(within(t, time.Second)), lifecycle.StepDrain, "another Pause is bounded while the observer is slow")
		for range 20 {
			let <- struct{}{}
		}
		wantNil(t, returned(t, p, "Pause"), "Pause")
	})
}

func TestPanickingObserverHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{Observer: lifecycle.ObserverFunc(func(lifecycle.Event) { panic("observer") })})
		for range 3 {
			wantNil(t, s.Pause(background), "Pause")
			wantNil(t, s.Resume(background), "Resume")
		}
	})
}

func TestObserverMayAskTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *store
		s = openPaused(t, newFake(t), config{Observer: lifecycle.ObserverFunc(func(lifecycle.Event) {
			_ = s.State()
			_ = s.Stats()
			_ = s.Report()
			_ = s.Holders()
			_ = s.Read(background, nothing)
		})})
		wantNil(t, s.Resume(background), "Resume")
		wantNil(t, s.Pause(background), "Pause")
	})
}

func TestSubscribeDeliversTheLatestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		fast, stop := s.Subscribe()
		slow, stopSlow := s.Subscribe()
		var seen []lifecycle.State
		done := make(chan struct{})
		go func() {
			defer close(done)
			for st := range fast {
				seen = append(seen, st)
			}
		}()
		synctest.Wait()
		h := inGo(background, s.Read)
		p := pause(s)
		wantNil(t, h.release(), "the reader")
		wantNil(t, returned(t, p, "a slow reader of states delays no transition"), "Pause")
		if got := <-slow; got != lifecycle.Paused {
			t.Errorf("the slow one is told %v; want the latest state", got)
		}
		select {
		case got := <-slow:
			t.Errorf("the slow one is told %v a second time", got)
		default:
		}
		wantNil(t, s.Close(background), "Close")
		stop()
		stop()
		stopSlow()
		<-done
		if seen[0] != lifecycle.Active || seen[len(seen)-1] != lifecycle.Closed {
			t.Errorf("seen %v; want from the present to the last", seen)
		}
		if !slices.Contains(seen, lifecycle.Pausing) || !slices.Contains(seen, lifecycle.Paused) {
			t.Errorf("seen %v; states at which it stayed are not skipped for a fast reader", seen)
		}
		if got, open := <-slow; open && got != lifecycle.Closed {
			t.Errorf("the slow one is told %v", got)
		}
		if _, open := <-slow; open {
			t.Error("stop has not closed the channel")
		}
		again, stopAgain := s.Subscribe()
		if got := <-again; got != lifecycle.Closed {
			t.Errorf("a new subscription begins with %v; want the state now", got)
		}
		stopAgain()
	})
}

func TestPauseBeganIsClosedAtTheFirstInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{})
		began := s.PauseBegan()
		select {
		case <-began:
			t.Error("closed while the store is active")
		default:
		}
		h := inGo(background, s.Read)
		p := pause(s)
		select {
		case <-began:
		default:
			t.Error("not closed although a pause has begun")
		}
		wantNil(t, h.release(), "the reader")
		wantNil(t, returned(t, p, "Pause"), "Pause")
		select {
		case <-s.PauseBegan():
		default:
			t.Error("not closed while the store is paused")
		}
	})
}

func TestStatsShowWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{MaxReaders: 3})
		a, b, w := inGo(background, s.Read), inGo(background, s.Read), inGo(background, s.Write)
		q := begin(func() error { return s.Write(background, nothing) })
		wantNil(t, a.release(), "a reader")
		want := lifecycle.Stats{State: lifecycle.Active, Generation: 1, MaxReaders: 3, Readers: 2, ReadersInUse: 1,
			WriterOpen: true, WriterInUse: true, WritersWaiting: 1, Resumes: 1}
		if got := s.Stats(); got != want {
			t.Errorf("stats\n%+v; want\n%+v", got, want)
		}
		wantNil(t, errors.Join(b.release(), w.release(), <-q), "the rest")
		wantNil(t, s.Pause(background), "Pause")
		want = lifecycle.Stats{State: lifecycle.Paused, Generation: 1, MaxReaders: 3, Resumes: 1, Pauses: 1}
		if got := s.Stats(); got != want {
			t.Errorf("stats\n%+v; want\n%+v", got, want)
		}
		if text, err := json.Marshal(s.Stats()); err != nil || !strings.Contains(string(text), `"state":"paused"`) {
			t.Errorf("%s, %v", text, err)
		}
	})
}

// A reader belongs to the present generation until the next one is made.
func TestStatsTellGenerationsApartInEveryState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		reopening := false
		s := open(t, newFake(t), config{AfterReopen: func(context.Context, *fakeConn) error { reopening = true; <-let; return nil }})
		h := inGo(background, s.Read)
		p := pause(s)
		if st := s.Stats(); st.State != lifecycle.Pausing || st.Readers != 1 || st.ReadersInUse != 1 || st.OldReaders != 0 {
			t.Errorf("while pausing: %+v; want one reader, in use", st)
		}
		r := resume(s)
		if st := s.Stats(); !reopening || st.State != lifecycle.Resuming || st.Readers != 1 || st.ReadersInUse != 0 || st.OldReaders != 1 {
			t.Errorf("while resuming: %+v; want one reader, and an old one", st)
		}
		close(let)
		wantNil(t, errors.Join(returned(t, r, "Resume"), h.release()), "the rest")
		wantErr(t, <-p, lifecycle.ErrSuperseded, "Pause")
	})
}

func TestReportCountsEveryInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFake(t), config{MaxReaders: 8, Grace: time.Millisecond})
		for range tier.Count(200, 2000, 20000) {
			var all []*held
			for range 8 {
				all = append(all, inStatement(background, s.Read))
			}
			wantNil(t, s.Pause(background), "Pause")
			if n := s.Report().Interrupts; n != 8 {
				t.Fatalf("the report tells of %d interrupted operations; want 8", n)
			}
			for _, h := range all {
				<-h.result
			}
			wantNil(t, s.Resume(background), "Resume")
		}
	})
}

// W-29: a log record names the store, and is warning or error where it should be.
func TestW29SlogObserverWritesStructuredRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := newFull(t)
		d.leftovers = []string{"rooms.db-wal"}
		s := openPaused(t, d, config{Name: "rooms", Observer: lifecycle.SlogObserver(slog.New(slog.NewTextHandler(&out, nil)))})
		wantNil(t, s.Resume(background), "Resume")
		d.checkpoint = func(context.Context, *fakeConn) (r lifecycle.CheckpointResult, err error) {
			return r, errors.New("no space")
		}
		wantNil(t, s.Pause(background), "Pause")
		d.validate = func(context.Context) error { return lifecycle.ErrReplaced }
		_ = s.Resume(background)
		d.validate = nil
		synctest.Wait()
		log := out.String()
		for _, want := range []string{"store=rooms", "level=INFO", "level=WARN", "no space", "level=ERROR", "was replaced", "from=active to=pausing", "report.op=pause", "rooms.db-wal"} {
			if !strings.Contains(log, want) {
				t.Errorf("the log does not say %q:\n%s", want, log)
			}
		}
	})
}

func TestNamesOfStatesRolesAndPolicies(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{
		lifecycle.Active: "active", lifecycle.Pausing: "pausing", lifecycle.Paused: "paused", lifecycle.Resuming: "resuming", lifecycle.Closed: "closed", lifecycle.State(9): "State(9)",
		lifecycle.Reader: "read", lifecycle.Writer: "write", lifecycle.Foreign: "foreign",
		lifecycle.Fail: "fail", lifecycle.Wait: "wait",
		lifecycle.ChangeUnknown: "unknown", lifecycle.ChangeNo: "no", lifecycle.ChangeYes: "yes",
	} {
		if got.String() != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}
