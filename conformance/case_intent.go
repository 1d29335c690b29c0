package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Overlapping calls: of several, the latest is what the user wants.

func caseResumeOvertakes(p *probe) {
	s := p.open()
	s.put("a", "1")
	r := s.holdRead("stuck")
	ctx, cancel := p.within()
	defer cancel()
	pause := s.pausing(ctx)
	s.refusing()
	resume := p.call("Resume", func() error { return s.Resume(ctx) })
	resume.succeeds("while a Pause waits for a stuck read")
	if err := pause.wait("though a Resume has overtaken it"); !errors.Is(err, lifecycle.ErrSuperseded) {
		p.broken("a Pause that a Resume overtook returned %v, which does not match ErrSuperseded", errText(err))
	}
	s.wants("after a Resume that overtook a Pause", "a", "1")
	if p.has(Beside) {
		s.serves("after a Resume that overtook a Pause, beside the read that was stuck")
	}
	if err := r.end(nil); err != nil {
		p.broken("a read that an overtaken Pause waited for returned: %v", err)
	}
	s.serves("after the stuck read had ended")
	s.pause()
	s.nothingHeld("after a Pause that followed an overtaken one")
}

func caseOneWriter(p *probe) {
	s := p.open()
	w := s.holdWrite("stuck")
	ctx, cancel := p.within()
	defer cancel()
	pause := s.pausing(ctx)
	s.refusing()
	if err := s.Resume(ctx); err != nil {
		p.fatal("Resume during a Pause that waits for a write returned: %v", err)
	}
	_ = pause.wait("though a Resume has overtaken it")
	var ended atomic.Bool
	second := p.call("a second write", func() error {
		return s.Write(ctx, func(tx Tx) error {
			if !ended.Load() {
				p.broken("after a Resume that overtook a Pause, a second write runs beside the first")
			}
			return tx.Put("second", "yes")
		})
	})
	second.pending("though the first write has not ended")
	if err := w.do(func(tx Tx) error { return tx.Put("first", "yes") }); err != nil {
		p.broken("a write that an overtaken Pause waited for failed: %v", err)
	}
	ended.Store(true)
	if err := w.end(nil); err != nil {
		p.broken("a write that an overtaken Pause waited for returned: %v", err)
	}
	second.succeeds("after the first write had ended")
	s.wants("after both writes", "first", "yes")
	s.wants("after both writes", "second", "yes")
}

func casePauseOvertakes(p *probe) {
	entered, let := make(chan struct{}), make(chan struct{})
	var once, open sync.Once
	s := p.open(func(o *Options) {
		o.AfterReopen = func(context.Context) error {
			once.Do(func() { close(entered) })
			<-let
			return nil
		}
	})
	free := func() { open.Do(func() { close(let) }) }
	p.after(free)
	s.pause()
	ctx, cancel := p.within()
	defer cancel()
	resume := p.call("Resume", func() error { return s.Resume(ctx) })
	select {
	case <-entered:
	case <-time.After(p.soon):
		p.fatal("AfterReopen was not called within %v of a Resume", p.soon)
	}
	pause := s.pausing(ctx)
	if err := resume.wait("though a Pause has overtaken it"); !errors.Is(err, lifecycle.ErrSuperseded) {
		p.broken("a Resume that a Pause overtook returned %v, which does not match ErrSuperseded", errText(err))
	}
	s.refuses("after a Pause that overtook a Resume", lifecycle.ErrPaused)
	free()
	pause.succeeds("after what the Resume was opening had let go")
	s.nothingHeld("after a Pause that overtook a Resume")
	s.refuses("after a Pause that overtook a Resume", lifecycle.ErrPaused)
	s.resume()
	s.serves("after Resume")
}

func caseOverlap(p *probe) {
	s := p.open()
	s.put("a", "1")
	for round := range 3 * p.repeat {
		var wg sync.WaitGroup
		r := s.holdRead("keeps the calls together")
		for range 8 {
			pause := rand.IntN(2) == 0
			wg.Go(func() {
				ctx, cancel := p.within()
				defer cancel()
				name, err := "Resume", error(nil)
				if pause {
					name, err = "Pause", s.Pause(ctx)
				} else {
					err = s.Resume(ctx)
				}
				if err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
					p.broken("one of several overlapping calls, %s, returned %v, which does not match ErrSuperseded", name, err)
				}
			})
		}
		settle()
		_ = r.end(nil)
		wg.Wait()
		when := fmt.Sprintf("after round %d of overlapping calls, and one more", round+1)
		if round%2 == 0 {
			s.pause()
			s.nothingHeld(when + " Pause")
			s.refuses(when+" Pause", lifecycle.ErrPaused)
			s.resume()
		} else {
			s.resume()
			s.wants(when+" Resume", "a", "1")
		}
		if len(p.findings) > 0 {
			return
		}
	}
}

func caseHundred(p *probe) {
	s := p.open()
	s.put("a", "1")
	for _, op := range []struct {
		name string
		do   func(context.Context) error
	}{{"Pause", s.Pause}, {"Resume", s.Resume}} {
		const n = 100
		results := make(chan error, n)
		ctx, cancel := p.within()
		r := (*hold)(nil)
		if op.name == "Pause" {
			r = s.holdRead("in flight")
		}
		for range n {
			go func() { results <- op.do(ctx) }()
		}
		if r != nil {
			s.refusing()
			_ = r.end(nil)
		}
		for i := range n {
			select {
			case err := <-results:
				if err != nil {
					p.broken("one of %d simultaneous calls of %s returned: %v", n, op.name, err)
				}
			case <-time.After(2 * p.soon):
				p.fatal("of %d simultaneous calls of %s, %d have not returned", n, op.name, n-i)
			}
		}
		cancel()
		if op.name == "Pause" {
			s.nothingHeld(fmt.Sprintf("after %d simultaneous Pauses", n))
		}
	}
	s.wants("after a hundred Resumes", "a", "1")
}

func caseStorm(p *probe) {
	s := p.open(func(o *Options) { o.Grace = 20 * time.Millisecond })
	var (
		mu      sync.Mutex
		acked   = map[string]string{}
		writers atomic.Int32
		wg      sync.WaitGroup
		stop    = make(chan struct{})
	)
	policy := lifecycle.Fail
	if p.has(Wait) {
		policy = lifecycle.Wait
	}
	loop := func(work func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				switch err := work(i); {
				case err == nil:
				case errors.Is(err, lifecycle.ErrInterrupted):
				case errors.Is(err, lifecycle.ErrPaused):
					time.Sleep(200 * time.Microsecond)
				default:
					p.broken("in a storm of pauses, an operation ended with an error that is not one of a pause: %v", err)
					return
				}
			}
		})
	}
	for w := range 3 {
		loop(func(i int) error {
			key, value := fmt.Sprint("writer", w, "-", i%500), fmt.Sprint(i)
			err := s.Write(lifecycle.WithPolicy(p.ctx, policy), func(tx Tx) error {
				if n := writers.Add(1); n > 1 && !p.has(Sever) { // the callback of a severed write may still be on its way out
					p.broken("%d writes run at once", n)
				}
				defer writers.Add(-1)
				if rand.IntN(4) == 0 { // so that some are interrupted
					time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
				}
				return tx.Put(key, value)
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				acked[key] = value
			}
			return err
		})
	}
	for range 3 {
		loop(func(i int) error {
			_, err := s.tryGet(lifecycle.WithPolicy(p.ctx, policy), fmt.Sprint("writer0-", i%20))
			return err
		})
	}
	for range 4 * p.repeat {
		ctx, cancel := context.WithTimeout(p.ctx, time.Duration(rand.IntN(30)+1)*time.Millisecond)
		overtake := rand.IntN(3) == 0
		pause := s.pausing(ctx)
		if !overtake {
			err := pause.wait("in a storm")
			if err != nil && !errors.As(err, new(*lifecycle.HeldError)) {
				p.broken("in a storm, Pause returned %v (%T), which is no HeldError", err, err)
			}
			if err == nil {
				s.nothingHeld("after a Pause in a storm")
			}
		}
		in, cancelIn := p.within()
		if err := s.Resume(in); err != nil && !errors.Is(err, lifecycle.ErrSuperseded) {
			p.broken("in a storm, Resume returned: %v", err)
		}
		cancelIn()
		if overtake {
			_ = pause.wait("in a storm, and a Resume has followed")
		}
		cancel()
		if len(p.findings) > 0 {
			break
		}
	}
	s.resume()
	close(stop)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * p.soon):
		p.fatal("after a storm of pauses, operations still wait though the store was resumed")
	}
	s.pause()
	s.nothingHeld("after a storm")
	s.resume()
	for key, value := range acked {
		s.wants("after a storm", key, value)
	}
	p.note("%d keys were written", len(acked))
}

func caseConnecting(p *probe) {
	s := p.open(func(o *Options) { o.MaxReaders = 8 })
	s.put("a", "1")
	for round := range 2 * p.repeat {
		var wg sync.WaitGroup
		for range 8 { // each may need a connection of its own
			wg.Go(func() {
				_, err := s.tryGet(failing(p.ctx), "a")
				if err != nil && !errors.Is(err, lifecycle.ErrPaused) && !errors.Is(err, lifecycle.ErrInterrupted) {
					p.broken("a read that needed a new connection while a Pause began returned: %v", err)
				}
			})
		}
		if round%2 == 0 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
		ctx, cancel := p.within()
		s.pausing(ctx).succeeds("while connections were being opened")
		cancel()
		s.nothingHeld("after a Pause while connections were being opened")
		wg.Wait()
		s.nothingHeld("after the reads that met that Pause had returned")
		s.resume()
	}
	s.wants("after Pauses while connections were being opened", "a", "1")
}
