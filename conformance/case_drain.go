package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// What a pause does about operations that are in flight, or want to be.

func caseWaitsForRead(p *probe) {
	s := p.open()
	s.put("a", "1")
	r := s.holdRead("a read in flight")
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	c.pending("though a read is in flight")
	if err := r.do(func(tx Tx) error {
		got, err := tx.Get("a")
		if err == nil && got != "1" {
			p.broken("a read in flight during a Pause sees %q; written was %q", got, "1")
		}
		return err
	}); err != nil {
		p.broken("a read in flight during a Pause, long before the grace ends, failed: %v", err)
	}
	if err := r.end(nil); err != nil {
		p.broken("a read that ended in time during a Pause returned: %v", err)
	}
	c.succeeds("after the read in flight had ended")
	s.nothingHeld("after a Pause that waited for a read")
	s.resume()
	s.serves("after Resume")
}

func caseWaitsForWrite(p *probe) {
	s := p.open()
	w := s.holdWrite("a write in flight")
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	c.pending("though a write is in flight")
	if err := w.do(func(tx Tx) error { return tx.Put("flight", "landed") }); err != nil {
		p.broken("a write in flight during a Pause, long before the grace ends, failed: %v", err)
	}
	if err := w.end(nil); err != nil {
		p.broken("a write that ended in time during a Pause returned: %v", err)
	}
	c.succeeds("after the write in flight had ended")
	s.nothingHeld("after a Pause that waited for a write")
	s.resume()
	s.wants("after Resume", "flight", "landed")
}

func caseRefusesAtOnce(p *probe) {
	s := p.open()
	r := s.holdRead("a read in flight")
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	s.refuses("while Pause waits for a read", lifecycle.ErrPaused)
	c.pending("though a read is in flight")
	if err := r.end(nil); err != nil {
		p.broken("a read that ended in time returned: %v", err)
	}
	c.succeeds("after the read in flight had ended")
}

func caseQueuedWriter(p *probe) {
	s := p.open()
	w := s.holdWrite("the writer")
	var began atomic.Int32
	queue := make(chan error, 5)
	for range cap(queue) {
		go func() {
			queue <- s.Write(failing(p.ctx), func(tx Tx) error { began.Add(1); return tx.Put("late", "yes") })
		}()
	}
	settle()
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	waiting := cap(queue)
	for waiting > 0 {
		select {
		case err := <-queue:
			waiting--
			p.isRefusal("while Pause waits for the writer", "a write that was queued behind it", err, lifecycle.ErrPaused)
			continue
		case <-time.After(p.soon / 4):
			p.broken("of %d writes queued behind a writer when Pause was called, %d still wait", cap(queue), waiting)
		}
		break
	}
	if err := w.end(nil); err != nil {
		p.broken("the writer, which ended in time, returned: %v", err)
	}
	c.succeeds("after the writer had ended")
	if n := began.Load(); n > 0 {
		p.broken("%d of the writes that were queued when Pause was called have run", n)
	}
	s.resume()
	s.wants("after Resume", "late", "")
}

// settle gives goroutines that were just started the time to get where they
// will wait. Where they have not got there, the case is easier, not wrong.
func settle() {
	for range 100 {
		runtime.Gosched()
	}
	time.Sleep(5 * time.Millisecond)
}

func caseQueuedReader(p *probe) {
	s := p.open(func(o *Options) { o.MaxReaders = 2 })
	r1, r2 := s.holdRead("first reader"), s.holdRead("second reader")
	third := make(chan error, 1)
	let := make(chan struct{})
	began := make(chan struct{})
	go func() {
		third <- s.Read(failing(p.ctx), func(Tx) error { close(began); <-let; return nil })
	}()
	settle()
	p.after(func() { close(let) })
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	select {
	case <-began: // or was about to, when Pause was called
		p.note("the store does not bound its readers to 2, so nobody ever waits for one")
		return
	case err := <-third:
		p.isRefusal("while Pause waits for two readers", "a third read, which waited for its turn", err, lifecycle.ErrPaused)
	case <-time.After(p.soon / 4):
		p.broken("a read that waited for one of two busy readers when Pause was called still waits")
	}
	_, _ = r1.end(nil), r2.end(nil)
	c.succeeds("after the readers had ended")
}

func caseNothingRuns(p *probe) {
	s := p.open()
	s.put("n", "0")
	var running, paused atomic.Int32
	var late atomic.Int32
	stop := make(chan struct{})
	var wg sync.WaitGroup
	body := func(write bool) func(Tx) error {
		return func(tx Tx) error {
			if paused.Load() == 1 {
				late.Add(1)
			}
			running.Add(1)
			defer running.Add(-1)
			if write {
				return tx.Put("n", "1")
			}
			_, err := tx.Get("n")
			return err
		}
	}
	for i := range 6 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				if i < 2 {
					err = s.Write(failing(p.ctx), body(true))
				} else {
					err = s.Read(failing(p.ctx), body(false))
				}
				if err != nil && !errors.Is(err, lifecycle.ErrPaused) && !errors.Is(err, lifecycle.ErrInterrupted) {
					p.broken("an operation beside pauses ended with an error that is not one of a pause: %v", err)
					return
				}
				if err != nil {
					time.Sleep(100 * time.Microsecond)
				}
			}
		})
	}
	for range 3 * p.repeat {
		ctx, cancel := p.within()
		err := s.Pause(ctx)
		if err == nil {
			paused.Store(1)
			if n := running.Load(); n > 0 {
				p.broken("when Pause returned nil, %d operations were still running", n)
			}
			s.nothingHeld("after a Pause under load")
			runtime.Gosched()
			paused.Store(0)
			err = s.Resume(ctx)
		}
		cancel()
		if err != nil {
			p.broken("a pause or resume under load, with %v of time, returned: %v", p.soon, err)
			break
		}
	}
	close(stop)
	wg.Wait()
	if n := late.Load(); n > 0 {
		p.broken("%d operations began between the nil of a Pause and the next Resume", n)
	}
}

func caseWaitPolicy(p *probe) {
	s := p.open(func(o *Options) { o.WhenPaused = lifecycle.Wait })
	s.put("a", "1")
	for round := range 3 {
		s.pause()
		type outcome struct {
			what string
			err  error
		}
		const waiters = 20
		results := make(chan outcome, waiters)
		var resumed atomic.Bool
		for i := range waiters {
			go func() {
				ctx, cancel := p.within()
				defer cancel()
				o := outcome{what: fmt.Sprintf("read %d", i)}
				if i%2 == 0 {
					_, o.err = s.tryGet(ctx, "a")
				} else {
					o.what = fmt.Sprintf("write %d", i)
					o.err = s.tryPut(ctx, fmt.Sprint("w", i), fmt.Sprint(round))
				}
				if !resumed.Load() {
					o.what += ", before Resume was called,"
					if o.err == nil {
						o.err = errors.New("success")
					}
				}
				results <- o
			}()
		}
		settle()
		resumed.Store(true)
		s.resume()
		for i := range waiters {
			select {
			case o := <-results:
				if o.err != nil {
					p.broken("under the waiting policy, %s returned: %v", o.what, o.err)
				}
			case <-time.After(2 * p.soon):
				p.fatal("of %d operations that waited for Resume, %d were never woken", waiters, waiters-i)
			}
		}
		for i := 1; i < waiters; i += 2 {
			s.wants("after the waiting writes had returned nil", fmt.Sprint("w", i), fmt.Sprint(round))
		}
	}
}

func caseWaitBounded(p *probe) {
	s := p.open(func(o *Options) { o.WhenPaused, o.Timeout = lifecycle.Wait, 300*time.Millisecond })
	s.pause()
	short, cancel := context.WithTimeout(p.ctx, 30*time.Millisecond)
	defer cancel()
	for _, w := range []struct {
		what string
		ctx  context.Context
		want error
	}{
		{"a read whose context ends after 30 ms", short, context.DeadlineExceeded},
		{"a read with no deadline, in a store whose Timeout is 300 ms", p.ctx, lifecycle.ErrPaused},
	} {
		c := p.call(w.what, func() error { _, err := s.tryGet(w.ctx, "a"); return err })
		err := c.wait("while the store is paused")
		p.isRefusal("while the store is paused, under the waiting policy", w.what, err, w.want)
	}
	s.resume()
	s.serves("after waiters had given up")
}

func caseWaitPerCall(p *probe) {
	for _, store := range []lifecycle.Policy{lifecycle.Fail, lifecycle.Wait} {
		s := p.openIn(p.subdir("policy-"+store.String()), func(o *Options) { o.WhenPaused = store })
		s.put("a", "1")
		s.pause()
		s.refuses(fmt.Sprintf("in a store with the policy %v, under WithPolicy(Fail)", store), lifecycle.ErrPaused)
		ctx, cancel := p.within()
		c := p.call("a read under WithPolicy(Wait)", func() error {
			_, err := s.tryGet(lifecycle.WithPolicy(ctx, lifecycle.Wait), "a")
			return err
		})
		c.pending(fmt.Sprintf("while a store with the policy %v was paused", store))
		s.resume()
		c.succeeds("after Resume")
		cancel()
		s.close()
	}
}

func caseWaitersOnClose(p *probe) {
	s := p.open(func(o *Options) { o.WhenPaused = lifecycle.Wait })
	s.pause()
	waiters := []*call{
		p.call("a waiting read", func() error { _, err := s.tryGet(p.ctx, "a"); return err }),
		p.call("a waiting write", func() error { return s.tryPut(p.ctx, "a", "late") }),
	}
	settle()
	s.close()
	for _, w := range waiters {
		p.isRefusal("after Close", w.name, w.wait("though the store was closed"), lifecycle.ErrClosed)
	}
}

func caseDeadline(p *probe) {
	s := p.open()
	h := s.holdRead("load room list")
	const short = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(p.ctx, short)
	defer cancel()
	err := s.pausing(ctx).wait(fmt.Sprintf("which had %v", short))
	s.mayBeNil("a Pause with a deadline, while a read does not end,", err)
	if !p.has(Sever) && err != nil {
		// Nothing has let go: a second Pause must not say otherwise.
		again, cancel := context.WithTimeout(p.ctx, short)
		defer cancel()
		err := s.pausing(again).wait(fmt.Sprintf("which had %v", short))
		s.mayBeNil("a second Pause, while the same read does not end,", err)
	}
	h.release(nil)
	ctx2, cancel2 := p.within()
	defer cancel2()
	s.pausing(ctx2).succeeds("after the read had let go")
	s.nothingHeld("after a Pause that was asked again")
	s.resume()
	s.serves("after Resume")
}

// mayBeNil judges the result of a Pause whose time has ended beside a callback that has not.
func (s *subject) mayBeNil(what string, err error) {
	var held *lifecycle.HeldError
	switch {
	case err == nil && !s.p.has(Sever):
		s.p.broken("%s returned nil: it says that nothing is held", what)
	case err == nil:
		s.nothingHeld(what + " returned nil")
	case !errors.As(err, &held):
		s.p.broken("%s returned %q (%T), in which errors.As finds no *lifecycle.HeldError", what, err, err)
	case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled):
		s.p.broken("%s returned %q, which does not match the context's error", what, err)
	}
}

func caseHolders(p *probe) {
	s := p.open()
	r := s.holdRead("load room list")
	ctx, cancel := context.WithTimeout(p.ctx, 100*time.Millisecond)
	defer cancel()
	err := s.pausing(ctx).wait("which had 100 ms")
	var held *lifecycle.HeldError
	if err == nil && p.has(Sever) {
		p.note("the store severed the operation so fast that there was no error to look at")
		return
	}
	if !errors.As(err, &held) {
		p.fatal("a Pause that a read kept from its end returned %v (%T), in which errors.As finds no *lifecycle.HeldError", errText(err), err)
	}
	named := slices.ContainsFunc(held.Holders, func(h lifecycle.Holder) bool {
		return h.Label == "load room list" && h.Role != lifecycle.Writer && !h.Since.IsZero()
	})
	if !named || !strings.Contains(err.Error(), "load room list") {
		p.broken("the error of a Pause that was kept from its end by a read with the label %q does not name it: %v", "load room list", err)
	}
	_ = r.end(nil)
}

func caseReleasesLater(p *probe) {
	s := p.open()
	h := s.holdRead("slow")
	ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
	defer cancel()
	if err := s.pausing(ctx).wait("which had 50 ms"); err == nil && p.has(Sever) {
		return // there was nothing left to do
	}
	s.refuses("after a Pause that ran out of time", lifecycle.ErrPaused)
	h.release(nil)
	// Nobody asks again.
	p.eventually("a Pause that ran out of time has released everything, though nobody asked again", func() bool {
		if st, ok := s.Store.(stater); ok && st.State() != lifecycle.Paused {
			return false
		}
		return p.held(s.dir) == ""
	})
	s.resume()
	s.serves("after Resume")
}

func caseTimeout(p *probe) {
	s := p.open(func(o *Options) { o.Timeout, o.Grace = 150*time.Millisecond, 50*time.Millisecond })
	h := s.holdRead("stuck")
	err := s.pausing(p.ctx).wait("and its context has no deadline, but the store's Timeout is 150 ms")
	s.mayBeNil("a Pause with no deadline in a store whose Timeout is 150 ms, while a read does not end,", err)
	h.release(nil)
	ctx, cancel := p.within()
	defer cancel()
	s.pausing(ctx).succeeds("after the read had let go")
}

func caseCancelled(p *probe) {
	s := p.open()
	s.put("a", "1")
	h := s.holdRead("in flight")
	ctx, cancel := context.WithCancel(p.ctx)
	c := s.pausing(ctx)
	s.refusing()
	cancel()
	s.mayBeNil("a Pause whose context was cancelled while a read did not end", c.wait("though its context was cancelled"))
	s.refuses("after a Pause whose context was cancelled", lifecycle.ErrPaused)
	h.release(nil)
	again, cancel := p.within()
	defer cancel()
	s.pausing(again).succeeds("after the read had let go")
	s.nothingHeld("after a Pause that followed a cancelled one")
	s.resume()
	s.wants("after Resume", "a", "1")

	ended, cancel := context.WithCancel(p.ctx)
	cancel()
	if err := s.Pause(ended); err != nil && !errors.Is(err, context.Canceled) {
		p.broken("Pause with a context that had ended returned %v, which does not match context.Canceled", err)
	}
	s.refuses("after a Pause with a context that had ended", lifecycle.ErrPaused)
	s.pause()
	s.nothingHeld("after a Pause that followed one with a context that had ended")
	s.resume()

	s.pause()
	if err := s.Resume(ended); err != nil {
		s.refuses("after a Resume that failed because its context had ended", lifecycle.ErrPaused)
	}
	s.resume()
	s.wants("after a Resume that followed one with a context that had ended", "a", "1")
}

// busily works inside the operation until a call fails, or the case is over: a
// store that ignores interrupts should not slow the cases after it.
func busily(ctx context.Context, fn func(i int) error) error {
	for i := 0; ctx.Err() == nil; i++ {
		if err := fn(i); err != nil {
			return err
		}
		runtime.Gosched()
	}
	return ctx.Err()
}

func caseInterrupt(p *probe) {
	s := p.open(func(o *Options) { o.Grace = 50 * time.Millisecond })
	s.put("a", "1")
	entered := make(chan struct{})
	read := p.call("a read that goes on and on", func() error {
		return s.Read(p.ctx, func(tx Tx) error {
			close(entered)
			return busily(p.ctx, func(int) error { _, err := tx.Get("a"); return err })
		})
	})
	<-entered
	// More time than anything here is waited for: the operation must end because of the grace, not because of the deadline.
	ctx, cancel := context.WithTimeout(p.ctx, 4*p.soon)
	defer cancel()
	pause := s.pausing(ctx)
	p.isRefusal("50 ms after Pause, which is the grace,", "a read that goes on and on", read.wait("though Pause was called, and the grace is 50 ms"), lifecycle.ErrInterrupted)
	pause.succeeds("after the read was interrupted")
	s.nothingHeld("after a Pause that interrupted a read")
	s.resume()
	s.wants("after Resume", "a", "1")
}

func caseInterruptedWrite(p *probe) {
	s := p.open(func(o *Options) { o.Grace = 50 * time.Millisecond })
	s.put("a", "1")
	entered := make(chan struct{})
	write := p.call("a write that goes on and on", func() error {
		return s.Write(p.ctx, func(tx Tx) error {
			if err := tx.Put("half", "done"); err != nil {
				return err
			}
			close(entered)
			return busily(p.ctx, func(i int) error { return tx.Put("half", fmt.Sprint("done ", i)) })
		})
	})
	select {
	case <-entered:
	case <-time.After(p.soon):
		p.fatal("a write did not begin within %v", p.soon)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 4*p.soon) // see caseInterrupt
	defer cancel()
	pause := s.pausing(ctx)
	p.isRefusal("50 ms after Pause, which is the grace,", "a write that goes on and on", write.wait("though Pause was called, and the grace is 50 ms"), lifecycle.ErrInterrupted)
	pause.succeeds("after the write was interrupted")
	s.nothingHeld("after a Pause that interrupted a write")
	s.resume()
	s.wants("after a write that was interrupted", "half", "")
	s.wants("after Resume", "a", "1")
}

func caseInterruptNobodyElse(p *probe) {
	s := p.open(func(o *Options) { o.Grace = 2 * time.Millisecond })
	s.put("a", "1")
	for round := range 3 * p.repeat {
		entered := make(chan struct{})
		read := p.call("a read that goes on and on", func() error {
			return s.Read(p.ctx, func(tx Tx) error {
				close(entered)
				return busily(p.ctx, func(int) error { _, err := tx.Get("a"); return err })
			})
		})
		<-entered
		ctx, cancel := p.within()
		pause := s.pausing(ctx)
		_ = read.wait("though Pause was called, and the grace is 2 ms")
		if round%2 == 0 {
			pause.succeeds("after the read was interrupted")
		} else if err := s.Resume(ctx); err != nil { // in the midst of it
			p.fatal("Resume during a Pause returned: %v", err)
		}
		cancel()
		s.resume()
		for range 5 {
			for name, err := range map[string]error{
				"a read":  s.Read(p.ctx, func(tx Tx) error { _, err := tx.Get("a"); return err }),
				"a write": s.tryPut(p.ctx, "b", fmt.Sprint(round)),
			} {
				if err != nil {
					p.fatal("%s after the Resume was hit by what was meant for an earlier operation: %v", name, err)
				}
			}
		}
	}
}

func caseSever(p *probe) {
	for _, kind := range []string{"read", "write"} {
		s := p.openIn(p.subdir("sever-"+kind), func(o *Options) { o.Grace = 20 * time.Millisecond })
		s.put("a", "1")
		op := s.holdRead
		if kind == "write" {
			op = s.holdWrite
		}
		h := op("does not end")
		if kind == "write" {
			_ = h.do(func(tx Tx) error { return tx.Put("half", "done") })
		}
		ctx, cancel := context.WithTimeout(p.ctx, 100*time.Millisecond)
		err := s.pausing(ctx).wait("which had 100 ms")
		cancel()
		s.mayBeNil("a Pause whose time ended", err)
		ctx, cancel = p.within()
		s.pausing(ctx).succeeds("though the callback of the " + kind + " has not returned, since its connection can be severed")
		cancel()
		s.nothingHeld("after a Pause that severed a " + kind)
		if err := h.do(func(tx Tx) error { _, err := tx.Get("a"); return err }); !errors.Is(err, lifecycle.ErrInterrupted) {
			p.broken("a call in a %s whose connection was severed returned %v, which does not match ErrInterrupted", kind, errText(err))
		}
		s.resume() // beside a callback that still runs
		s.serves("after a Resume beside a callback that was severed and still runs")
		if err := h.end(nil); kind == "write" && !errors.Is(err, lifecycle.ErrInterrupted) {
			p.broken("a write whose connection was severed returned %v, which does not match ErrInterrupted", errText(err))
		}
		s.wants("after a write was severed", "half", "")
		s.serves("after the severed callback had returned")
		s.close()
	}
}

func casePanics(p *probe) {
	s := p.open()
	s.put("a", "1")
	for _, op := range []struct {
		name string
		do   func(context.Context, func(Tx) error) error
		fn   func(Tx) error
	}{
		{"a read whose callback panics", s.Read, func(Tx) error { panic("the callback's own") }},
		{"a write whose callback panics", s.Write, func(tx Tx) error { _ = tx.Put("a", "half"); panic("the callback's own") }},
		{"a write whose callback ends its goroutine", s.Write, func(tx Tx) error { _ = tx.Put("a", "half"); runtime.Goexit(); return nil }},
	} {
		done := make(chan struct{})
		var silent bool
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			_ = op.do(p.ctx, op.fn)
			silent = true
		}()
		select {
		case <-done:
		case <-time.After(p.soon):
			p.fatal("%s has not come back after %v", op.name, p.soon)
		}
		if silent {
			p.note("%s: the panic did not reach the caller", op.name)
		}
		s.wants("after "+op.name, "a", "1")
		ctx, cancel := p.within()
		s.pausing(ctx).succeeds("after " + op.name)
		cancel()
		s.nothingHeld("after " + op.name + " and a Pause")
		s.resume()
		s.serves("after " + op.name)
	}
}

func caseNested(p *probe) {
	s := p.open()
	s.put("a", "1")
	for name, op := range map[string]func(context.Context, func(Tx) error) error{"a read": s.Read, "a write": s.Write} {
		c := p.call("a Pause from inside "+name, func() error {
			ctx, cancel := context.WithTimeout(p.ctx, 100*time.Millisecond)
			defer cancel()
			var inner error
			outer := op(ctx, func(Tx) error { inner = s.Pause(ctx); return nil })
			if inner == nil && !p.has(Sever) {
				return errors.New("Pause returned nil, inside an operation that had not ended")
			}
			_ = outer
			return nil
		})
		c.succeeds("which can only wait for itself")
		s.pause()
		s.nothingHeld("after a Pause from inside " + name + ", and one from outside")
		s.resume()
		s.serves("after a Pause from inside " + name)
	}
}

func caseLeaks(p *probe) {
	s := p.open()
	s.put("a", "1")
	s.put("b", "2")
	leak := func(tx Tx) error { return tx.Leak() }
	if err := errors.Join(s.Read(p.ctx, leak), s.Read(p.ctx, leak), s.Write(p.ctx, leak)); err != nil {
		p.broken("an operation whose callback left something open returned: %v", err)
	}
	s.serves("after operations that left something open")
	s.pause()
	s.nothingHeld("after operations that left something open, and a Pause")
	s.resume()
	s.wants("after Resume", "a", "1")

	r := s.holdRead("leaks and goes on")
	if err := r.do(leak); err != nil {
		p.broken("leaving something open in a read returned: %v", err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 100*time.Millisecond)
	defer cancel()
	err := s.pausing(ctx).wait("which had 100 ms")
	s.mayBeNil("a Pause while a read with something left open does not end,", err)
	if err != nil && p.has(Holders) && !strings.Contains(err.Error(), "leaks and goes on") {
		p.broken("a Pause that was kept from its end does not name the operation that leaks: %v", err)
	}
	r.release(nil)
	s.pause()
	s.nothingHeld("after an operation that left something open had ended")
}

func caseNoPolling(p *probe) {
	s := p.open()
	s.put("a", "1")
	// A read ends at different times after the pause began. How late the pause is
	// after that does not depend on when it was, unless the store only looks every
	// so often. The fastest of several tries counts, whatever else the machine does.
	held := []time.Duration{1, 10, 20, 30, 40}
	late := map[time.Duration]time.Duration{}
	for i := range 6 * len(held) {
		hold := held[i%len(held)] * time.Millisecond
		r := s.holdRead("short")
		ctx, cancel := p.within()
		start := time.Now()
		c := s.pausing(ctx)
		s.refusing()
		time.Sleep(hold - time.Since(start))
		start = time.Now()
		_ = r.end(nil)
		c.succeeds("after the read had ended")
		took := time.Since(start)
		cancel()
		s.resume()
		if last, ok := late[hold]; !ok || took < last {
			late[hold] = took
		}
	}
	least, most := time.Hour, time.Duration(0)
	for _, took := range late {
		least, most = min(least, took), max(most, took)
	}
	if most > 2*least+15*time.Millisecond {
		p.broken("how long Pause takes after the last operation has ended depends on when that is: between %v and %v, in the fastest of several tries each", least.Round(time.Millisecond), most.Round(time.Millisecond))
	}
}

func caseReport(p *probe) {
	s := p.open()
	rep, ok := s.Store.(reporter)
	if !ok {
		p.fatal("the store has no method Report, and Without[%q] is not declared", Report)
	}
	s.put("a", "1")
	r := s.holdRead("in flight")
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	_ = r.end(nil)
	c.succeeds("after the read had ended")
	switch got := rep.Report(); {
	case got == nil:
		p.broken("after a Pause, Report returns nil")
	case got.Op != "pause" || got.Total <= 0 || got.Drain <= 0 || got.Err != nil:
		p.broken("after a Pause that waited for a read, Report says: op %q, total %v, drain %v, error %v", got.Op, got.Total, got.Drain, got.Err)
	}
	s.resume()
	switch got := rep.Report(); {
	case got == nil || got.Op != "resume" || got.Total <= 0:
		p.broken("after a Resume, Report says: %+v", got)
	case got.Changed == lifecycle.ChangeYes:
		p.broken("after a Resume, Report says that others have changed the content; nobody has")
	}
}
