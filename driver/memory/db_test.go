package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// holder is an operation that holds on until it is let go.
type holder struct {
	letGo chan struct{}
	err   chan error
}

// hold starts an operation and returns when its callback runs. tx may be used in last, after which it lets go.
func hold(run func(context.Context, func(*memory.Txn) error) error, label string, last func(*memory.Txn) error) *holder {
	h := &holder{make(chan struct{}), make(chan error, 1)}
	runs := make(chan struct{})
	go func() {
		h.err <- run(lifecycle.WithLabel(bg, label), func(tx *memory.Txn) error {
			close(runs)
			<-h.letGo
			return last(tx)
		})
	}()
	<-runs
	return h
}

func (h *holder) end() error {
	close(h.letGo)
	return <-h.err
}

func nothing(*memory.Txn) error { return nil }

func insert(id string) func(*memory.Txn) error {
	return func(tx *memory.Txn) error { return users.Insert(tx, &user{ID: id, Team: "a"}) }
}

func TestOneWriterAtATimeInTheOrderOfComing(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		first := hold(db.Write, "first", nothing)
		var order []int
		running := 0
		done := make(chan error)
		for i := range 10 {
			go func() {
				done <- db.Write(bg, func(*memory.Txn) error {
					if running++; running != 1 {
						t.Errorf("%d writers at once", running)
					}
					order = append(order, i)
					running--
					return nil
				})
			}()
			synctest.Wait() // until this one stands in the queue
		}
		if err := first.end(); err != nil {
			t.Error(err)
		}
		for range 10 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, order); diff != "" {
			t.Errorf("writers came in another order (-want +got):\n%s", diff)
		}
	})
}

func TestWaitingForTheWriterIsBoundedByTheContext(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		first := hold(db.Write, "first", nothing)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		err := db.Write(ctx, func(*memory.Txn) error { t.Error("the second writer ran"); return nil })
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("a writer that waited in vain: %v; want the context's error alone, since nothing was begun", err)
		}
		if err := first.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestAContextThatHasEndedBeginsNothing(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		ctx, cancel := context.WithCancel(bg)
		cancel()
		ran := func(*memory.Txn) error { t.Error("the callback ran"); return nil }
		for _, run := range []func(context.Context, func(*memory.Txn) error) error{db.Read, db.Write} {
			if err := run(ctx, ran); !errors.Is(err, context.Canceled) {
				t.Errorf("%v; want context.Canceled", err)
			}
		}
	})
}

func TestAWriteInAWriteIsToldSo(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		err := db.Write(bg, func(*memory.Txn) error { return db.Write(bg, nothing) })
		if !errors.Is(err, lifecycle.ErrNested) {
			t.Errorf("%v; want ErrNested", err)
		}
	})
}

func TestReadsInReadsNeverWaitForEachOther(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		var deep func(n int) error
		deep = func(n int) error {
			if n == 0 {
				return nil
			}
			return db.Read(bg, func(*memory.Txn) error { return deep(n - 1) })
		}
		if err := deep(100); err != nil {
			t.Error(err)
		}
	})
}

func TestPauseAndResumeOfAPlainDatabaseChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []lifecycle.Event
		db := open(t, memory.Config{
			Timeout: time.Second, StartPaused: true, WhenPaused: lifecycle.Wait, // without effect
			Observer: lifecycle.ObserverFunc(func(e lifecycle.Event) { events = append(events, e) }),
		})
		put(t, db, "1")
		began := len(events)
		writer := hold(db.Write, "writer", insert("2"))
		reader := hold(db.Read, "reader", func(tx *memory.Txn) error {
			if got := idsIn(t, tx); got != "1" {
				t.Errorf("a reader across a Pause sees %q; want \"1\"", got)
			}
			return nil
		})
		ended, cancel := context.WithCancel(bg)
		cancel()
		for range 3 {
			for _, ctx := range []context.Context{bg, ended} {
				if err := db.Pause(ctx); err != nil {
					t.Errorf("Pause: %v", err)
				}
				if s := db.State(); s != lifecycle.Active {
					t.Errorf("the state is %v after Pause; want active", s)
				}
				if got := stored(t, db); got != "1" {
					t.Errorf("%q is stored after Pause; the data stay and operations go on", got)
				}
			}
			time.Sleep(time.Minute) // of the bubble: no interrupt comes later either
		}
		if err := reader.end(); err != nil {
			t.Errorf("a Read across a Pause: %v", err)
		}
		if err := writer.end(); err != nil {
			t.Errorf("a Write across a Pause: %v", err)
		}
		put(t, db, "3")
		if err := db.Resume(ended); err != nil {
			t.Errorf("Resume: %v", err)
		}
		if got := stored(t, db); got != "1 2 3" {
			t.Errorf("%q is stored; want \"1 2 3\"", got)
		}
		if g := db.Generation(); g != 1 {
			t.Errorf("generation %d; want 1", g)
		}
		if len(events) != began {
			t.Errorf("the observer was told of %+v; nothing changed", events[began:])
		}
	})
}

func TestAStrictDatabaseRefusesWorkWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, memory.Config{Strict: true})
		put(t, db, "1")
		for range 2 {
			if err := db.Pause(bg); err != nil {
				t.Fatal(err)
			}
		}
		if s := db.State(); s != lifecycle.Paused {
			t.Errorf("the state is %v; want paused", s)
		}
		ran := func(*memory.Txn) error { t.Error("a callback ran while paused"); return nil }
		if err := db.Read(bg, ran); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("Read: %v; want ErrPaused", err)
		}
		if err := db.Write(bg, ran); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("Write: %v; want ErrPaused", err)
		}
		for range 2 {
			if err := db.Resume(bg); err != nil {
				t.Fatal(err)
			}
		}
		if got := stored(t, db); got != "1" {
			t.Errorf("%q is stored after Resume; the data stay", got)
		}
		if g := db.Generation(); g != 2 {
			t.Errorf("generation %d; want 2", g)
		}
		if r := db.Report(); r == nil || r.Op != "resume" || r.Changed != lifecycle.ChangeNo {
			t.Errorf("the report is %+v; a resume that knows that nobody changed anything", r)
		}
	})
}

func TestAStrictDatabaseMayStartPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, memory.Config{Strict: true, StartPaused: true})
		if err := db.Read(bg, nothing); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("Read: %v; want ErrPaused", err)
		}
		if err := db.Resume(bg); err != nil {
			t.Fatal(err)
		}
		put(t, db, "1")
	})
}

func TestTheWaitingPolicyOfAStrictDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, memory.Config{Strict: true, WhenPaused: lifecycle.Wait, Timeout: time.Second})
		if err := db.Pause(bg); err != nil {
			t.Fatal(err)
		}
		if err := db.Read(bg, nothing); !errors.Is(err, lifecycle.ErrPaused) { // after Timeout
			t.Errorf("a Read for which nobody resumed: %v; want ErrPaused", err)
		}
		if err := db.Read(lifecycle.WithPolicy(bg, lifecycle.Fail), nothing); !errors.Is(err, lifecycle.ErrPaused) {
			t.Errorf("a Read that does not wait: %v; want ErrPaused", err)
		}
		done := make(chan error)
		go func() { done <- db.Write(bg, insert("1")) }()
		synctest.Wait()
		if err := db.Resume(bg); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("a Write that waited for Resume: %v", err)
		}
	})
}

func TestAStrictPauseNamesWhoDoesNotLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, memory.Config{Strict: true})
		writer := hold(db.Write, "stuck writer", insert("1"))
		reader := hold(db.Read, "stuck reader", func(tx *memory.Txn) error { return drain(users.Get(tx, "id")) })
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		err := db.Pause(ctx)
		held := (*lifecycle.HeldError)(nil)
		if !errors.As(err, &held) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Pause: %v; want a HeldError at the deadline", err)
		}
		labels := map[string]bool{}
		for _, h := range held.Holders {
			labels[fmt.Sprint(h.Role, " ", h.Label, " ", h.Interrupted)] = true
		}
		want := map[string]bool{"write stuck writer true": true, "read stuck reader true": true}
		if diff := cmp.Diff(want, labels); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
		if s := db.State(); s != lifecycle.Pausing {
			t.Errorf("the state is %v; it stays pausing until the last holder lets go", s)
		}
		if err := writer.end(); !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("the interrupted Write: %v; want ErrInterrupted", err)
		}
		if err := reader.end(); !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("the interrupted Read: %v; want ErrInterrupted", err)
		}
		synctest.Wait()
		if s := db.State(); s != lifecycle.Paused {
			t.Errorf("the state is %v; the pause ends by itself", s)
		}
		if err := db.Resume(bg); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, db); got != "" {
			t.Errorf("%q is stored; an interrupted Write changes nothing", got)
		}
	})
}

func TestAnInterruptedWriterNeverCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, memory.Config{Strict: true})
		released := make(chan struct{})
		done := make(chan error)
		runs := make(chan struct{})
		go func() {
			done <- db.Write(bg, func(tx *memory.Txn) error {
				err := insert("1")(tx)
				close(runs)
				<-released
				return err // nil: it never noticed
			})
		}()
		<-runs
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if err := db.Pause(ctx); err == nil {
			t.Fatal("Pause returned nil beside a writer")
		}
		close(released)
		if err := <-done; !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("Write: %v; want ErrInterrupted", err)
		}
		if err := db.Resume(bg); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, db); got != "" {
			t.Errorf("%q is stored", got)
		}
		put(t, db, "2") // the interrupt does not reach the next operation
	})
}

func TestTheLatestIntentWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, memory.Config{Strict: true})
		writer := hold(db.Write, "writer", insert("1"))
		done := make(chan error)
		go func() { done <- db.Pause(bg) }()
		synctest.Wait()
		if err := db.Resume(bg); err != nil {
			t.Errorf("Resume during a Pause: %v", err)
		}
		if err := <-done; !errors.Is(err, lifecycle.ErrSuperseded) {
			t.Errorf("the overtaken Pause: %v; want ErrSuperseded", err)
		}
		if got := stored(t, db); got != "" { // served at once
			t.Errorf("%q is stored before the commit", got)
		}
		time.Sleep(time.Minute)
		if err := writer.end(); err != nil {
			t.Errorf("a Write that survived an overtaken Pause: %v; it is interrupted by nobody", err)
		}
		if got := stored(t, db); got != "1" {
			t.Errorf("%q is stored; want \"1\"", got)
		}
	})
}

func TestAStrictPauseInsideAnOperationIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, memory.Config{Strict: true})
		err := db.Read(bg, func(*memory.Txn) error { return db.Pause(bg) })
		if !errors.Is(err, lifecycle.ErrNested) {
			t.Errorf("%v; want ErrNested", err)
		}
	})
}

func TestAClosedDatabaseRefusesEverything(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict})
		put(t, db, "1")
		for range 2 {
			if err := db.Close(bg); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if s := db.State(); s != lifecycle.Closed {
			t.Errorf("the state is %v; want closed", s)
		}
		for what, err := range map[string]error{
			"Read": db.Read(bg, nothing), "Write": db.Write(bg, nothing), "Resume": db.Resume(bg),
		} {
			if !errors.Is(err, lifecycle.ErrClosed) {
				t.Errorf("%s: %v; want ErrClosed", what, err)
			}
		}
		if err := db.Pause(bg); err != nil {
			t.Errorf("Pause: %v; what is closed holds nothing", err)
		}
	})
}

func TestCloseWaitsInterruptsAndNamesHolders(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Strict: strict, Timeout: time.Second})
		stuck := hold(db.Write, "stuck", insert("1"))
		waiting := make(chan error)
		go func() { waiting <- db.Write(bg, insert("2")) }()
		synctest.Wait()
		err := db.Close(bg)
		if held := (*lifecycle.HeldError)(nil); !errors.As(err, &held) || len(held.Holders) != 1 || held.Holders[0].Label != "stuck" {
			t.Errorf("Close: %v; want a HeldError that names the writer", err)
		}
		if err := <-waiting; !errors.Is(err, lifecycle.ErrClosed) {
			t.Errorf("a writer that waited: %v; want ErrClosed", err)
		}
		if err := db.Resume(bg); !errors.Is(err, lifecycle.ErrClosed) {
			t.Errorf("Resume during Close: %v; want ErrClosed", err)
		}
		if err := stuck.end(); !errors.Is(err, lifecycle.ErrInterrupted) {
			t.Errorf("the interrupted Write: %v; want ErrInterrupted", err)
		}
		if err := db.Close(bg); err != nil {
			t.Errorf("Close after the last holder let go: %v", err)
		}
	})
}

func TestHoldersAndReportNameTheDatabase(t *testing.T) {
	bothModes(t, func(t *testing.T, strict bool) {
		db := open(t, memory.Config{Name: "people", Strict: strict, TrackHolders: true})
		h := hold(db.Read, "list", nothing)
		holders := db.Holders()
		if len(holders) != 1 || holders[0].Store != "people" || holders[0].Label != "list" || holders[0].CallSite == "" {
			t.Errorf("holders: %v", holders)
		}
		if err := h.end(); err != nil {
			t.Error(err)
		}
		if n := db.Name(); n != "people" {
			t.Errorf("name %q", n)
		}
		states, stop := db.Subscribe()
		if s := <-states; s != lifecycle.Active {
			t.Errorf("the subscription says %v first; want active", s)
		}
		if err := db.Close(bg); err != nil {
			t.Error(err)
		}
		if s := <-states; s != lifecycle.Closed {
			t.Errorf("the subscription says %v; want the latest, closed", s)
		}
		stop()
		if r := db.Report(); r == nil || r.Store != "people" || r.Op != "close" {
			t.Errorf("the report is %+v", r)
		}
	})
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	nilTable := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{"users": nil}}
	nilIndex := schema()
	nilIndex.Tables["users"].Indexes["id"] = nil
	noID := schema()
	delete(noID.Tables["users"].Indexes, "id")
	for field, cfgs := range map[string][]memory.Config{
		"Schema":     {{}, {Schema: &memdb.DBSchema{}}, {Schema: nilTable}, {Schema: nilIndex}, {Schema: noID}},
		"Timeout":    {{Schema: schema(), Timeout: -1}},
		"Grace":      {{Schema: schema(), Grace: -1}},
		"WhenPaused": {{Schema: schema(), WhenPaused: 9}},
	} {
		for _, cfg := range cfgs {
			db, err := memory.Open(bg, cfg)
			if bad := (*lifecycle.ConfigError)(nil); db != nil || !errors.As(err, &bad) || bad.Field != field {
				t.Errorf("%+v: %v; want a ConfigError of %s", cfg, err, field)
			}
		}
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := memory.Open(ctx, memory.Config{Schema: schema()}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that has ended: %v", err)
	}
}
