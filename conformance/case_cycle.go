package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// The plain life of a store: it works, pauses, and works again.

func caseHarness(p *probe) {
	s := p.open()
	if got, err := s.tryGet(p.ctx, "nothing"); err != nil || got != "" {
		p.fatal("a key that was never written reads %q, %v; the suite needs \"\" and nil", got, errText(err))
	}
	s.put("a", "1")
	s.put("a", "2")
	s.wants("after two writes", "a", "2")
	own := errors.New("the callback's own error")
	for _, err := range []error{
		s.Write(p.ctx, func(tx Tx) error { return errors.Join(tx.Put("a", "3"), own) }),
		s.Read(p.ctx, func(Tx) error { return own }),
	} {
		if !errors.Is(err, own) {
			p.broken("an operation whose callback returned an error returned: %v", errText(err))
		}
	}
	s.wants("after a write whose callback returned an error", "a", "2")
	for _, m := range []struct {
		c  Capability
		ok bool
	}{
		{State, is[stater](s.Store)}, {Generation, is[counter](s.Store)}, {Report, is[reporter](s.Store)},
	} {
		if p.has(m.c) && !m.ok {
			p.broken("the store lacks the method that %q stands for, and has not declared Without[%q]", m.c, m.c)
		}
	}
	err := s.Write(p.ctx, func(tx Tx) error {
		if p.has(Settings) && tx.Setting == nil {
			p.broken("Tx.Setting is nil, and Without[%q] is not declared", Settings)
		}
		if p.has(Leak) && tx.Leak == nil {
			p.broken("Tx.Leak is nil, and Without[%q] is not declared", Leak)
		}
		return nil
	})
	if err != nil {
		p.broken("an empty write returned: %v", err)
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.fatal("reading the store's directory: %v", err)
	}
	known := map[string]bool{}
	if p.has(Files) {
		for _, f := range p.h.Files(p.dir) {
			known[filepath.Clean(f)] = true
		}
	}
	for _, e := range entries {
		if path := filepath.Join(p.dir, e.Name()); !e.IsDir() && !known[path] {
			p.broken("the open store has made the file %s, which Files does not name", e.Name())
		}
	}
	if p.has(Files) && len(known) == 0 {
		p.broken("Files names no file, and Without[%q] is not declared", Files)
	}
}

func is[T any](v any) bool { _, ok := v.(T); return ok }

func caseIdle(p *probe) {
	s := p.open()
	s.put("a", "1")
	s.pause()
	s.resume()
	s.serves("right after Resume")
	s.wants("right after Resume", "a", "1")
}

func casePauseTwice(p *probe) {
	s := p.open()
	s.put("a", "1")
	for i := range p.repeat {
		ctx, cancel := p.within()
		c := s.pausing(ctx)
		err := c.wait(fmt.Sprintf("call %d of %d", i+1, p.repeat))
		cancel()
		if err != nil {
			p.broken("Pause number %d in a row returned: %v", i+1, err)
		}
		s.nothingHeld(fmt.Sprintf("after Pause number %d in a row", i+1))
	}
	if p.has(Gate) {
		s.refuses("after several Pauses", lifecycle.ErrPaused)
	}
	s.resume() // one Resume undoes any number of Pauses
	s.serves("after several Pauses and one Resume")
}

func caseResumeTwice(p *probe) {
	s := p.open()
	s.put("a", "1")
	for _, when := range []string{"on a store that was never paused", "on a store that was resumed"} {
		for i := range p.repeat {
			ctx, cancel := p.within()
			err := s.Resume(ctx)
			cancel()
			if err != nil {
				p.broken("Resume number %d %s returned: %v", i+1, when, err)
			}
			s.wants("after a Resume "+when, "a", "1")
		}
		s.pause()
		s.resume()
	}
}

func caseRefused(p *probe) {
	s := p.open()
	s.pause()
	s.refuses("while the store is paused", lifecycle.ErrPaused)
	if _, err := s.tryGet(failing(p.ctx), "a"); errors.Is(err, lifecycle.ErrClosed) {
		p.broken("the error of a read while paused also matches ErrClosed: nobody can tell whether a Resume helps")
	}
	s.resume()
	s.wants("after a write that was refused", "refused", "")
}

func caseCycles(p *probe) {
	s := p.open()
	for i := range p.repeat {
		key, value := fmt.Sprint("key", i), fmt.Sprint("value", i)
		s.put(key, value)
		s.put("last", value) // acknowledged an instant before the pause
		s.pause()
		s.resume()
		s.wants(fmt.Sprintf("after cycle %d", i+1), "last", value)
		for j := range i + 1 {
			s.wants(fmt.Sprintf("after cycle %d", i+1), fmt.Sprint("key", j), fmt.Sprint("value", j))
		}
	}
	if !p.has(Files) {
		return
	}
	s.close()
	again := p.open()
	again.wants("after Close and a new Open", "last", fmt.Sprint("value", p.repeat-1))
}

func caseWholeCycle(p *probe) {
	s := p.open()
	s.put("room", "before")
	s.wants("before the pause", "room", "before")
	w := s.holdWrite("a write in flight")
	if err := w.do(func(tx Tx) error { return tx.Put("flight", "landed") }); err != nil {
		p.fatal("a write: %v", err)
	}
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	c.pending("though a write is in flight")
	if err := w.end(nil); err != nil {
		p.broken("a write that was in flight when Pause was called, and ended in time, returned: %v", err)
	}
	c.succeeds("after the write in flight had ended")
	s.refuses("after Pause", lifecycle.ErrPaused)
	s.resume()
	s.wants("after Resume", "room", "before")
	s.wants("after Resume", "flight", "landed")
	s.serves("after Resume")
}

func caseNoOp(p *probe) {
	s := p.open()
	s.put("a", "1")
	r, w := s.holdRead("over the pause"), (*hold)(nil)
	if p.has(Beside) {
		w = s.holdWrite("over the pause")
	}
	s.pause()
	s.wants("while a store is paused whose pause changes nothing", "a", "1")
	if w != nil {
		if err := w.end(nil); err != nil {
			p.broken("a write that was in flight over the pause returned: %v", err)
		}
	}
	s.serves("while a store is paused whose pause changes nothing")
	if err := r.end(nil); err != nil {
		p.broken("a read that was in flight over the pause returned: %v", err)
	}
	s.resume()
	s.wants("after Resume", "a", "1")
	s.close()
	s.refuses("after Close", lifecycle.ErrClosed)
}

func caseClosed(p *probe) {
	for _, how := range []string{"active", "paused"} {
		s := p.openIn(p.subdir("closed-" + how))
		s.put("a", "1")
		if how == "paused" {
			s.pause()
		}
		for i := range p.repeat {
			ctx, cancel := p.within()
			c := p.call("Close", func() error { return s.Close(ctx) })
			err := c.wait(fmt.Sprintf("call %d of %d", i+1, p.repeat))
			cancel()
			if err != nil {
				p.broken("Close number %d of a store that was %s returned: %v", i+1, how, err)
			}
		}
		s.nothingHeld("after Close of a store that was " + how)
		s.refuses("after Close", lifecycle.ErrClosed)
		ctx, cancel := p.within()
		if err := s.Resume(ctx); !errors.Is(err, lifecycle.ErrClosed) {
			p.broken("Resume after Close returned %v, which does not match ErrClosed", errText(err))
		}
		if err := s.Pause(ctx); err != nil && !errors.Is(err, lifecycle.ErrClosed) {
			p.broken("Pause after Close returned: %v", err)
		}
		cancel()
		s.nothingHeld("after Close, Pause and Resume")
	}
}

func caseClosePausing(p *probe) {
	s := p.open()
	r := s.holdRead("in flight")
	ctx, cancel := p.within()
	defer cancel()
	pause := s.pausing(ctx)
	s.refusing()
	closing := p.call("Close", func() error { return s.Close(ctx) })
	closing.pending("though a read is in flight")
	if err := r.end(nil); err != nil {
		p.broken("a read in flight returned: %v", err)
	}
	closing.succeeds("after the read in flight had ended")
	if err := pause.wait("and Close has"); err != nil && !errors.Is(err, lifecycle.ErrClosed) && !errors.Is(err, lifecycle.ErrSuperseded) {
		p.broken("a Pause that a Close joined returned: %v", err)
	}
	s.nothingHeld("after Close")
	s.refuses("after Close", lifecycle.ErrClosed)
}

func caseGoroutines(p *probe) {
	// A library may start a goroutine for good when it is first used: let it.
	warm := p.openIn(p.subdir("warm"))
	warm.put("a", "1")
	warm.pause()
	warm.resume()
	warm.close()

	labelled(p, func() {
		s := p.open()
		s.put("a", "1")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { _, _ = s.tryGet(p.ctx, "a") })
		}
		wg.Wait()
		for range 3 {
			s.pause()
			s.resume()
		}
		s.pause()
		var left string
		deadline := time.Now().Add(p.soon / 2)
		for left = leftGoroutines(p); left != "" && time.Now().Before(deadline); left = leftGoroutines(p) {
			time.Sleep(time.Millisecond)
		}
		if left != "" {
			p.broken("after Pause returned nil, and %v later, goroutines that the store has started are still there:\n%s", p.soon/2, left)
		}
	})
}

func caseTypedErrors(p *probe) {
	s := p.open()
	named := lifecycle.Named("inner", s)
	group := lifecycle.GroupConfig{Name: "outer"}.Sequence(lifecycle.GroupConfig{Name: "middle"}.Parallel(named))
	ctl := lifecycle.NewController(group)
	ctx, cancel := p.within()
	defer cancel()
	if err := ctl.Pause(ctx); err != nil {
		p.fatal("Pause of a Controller over groups over the store returned: %v", err)
	}
	if p.has(Gate) {
		s.refuses("after a Controller over two groups paused the store", lifecycle.ErrPaused)
		_, err := s.tryGet(failing(ctx), "a")
		if wrapped := fmt.Errorf("the application: %w", err); err != nil && !errors.Is(wrapped, lifecycle.ErrPaused) {
			p.broken("the error of a refused read, wrapped once more, does not match ErrPaused: %v", wrapped)
		}
	}
	if err := ctl.Resume(ctx); err != nil {
		p.fatal("Resume of a Controller over groups over the store returned: %v", err)
	}
	s.serves("after a Controller over groups resumed the store")
	s.close()
	err := ctl.Pause(ctx)
	if err == nil {
		err = ctl.Resume(ctx)
	}
	var member *lifecycle.MemberError
	switch {
	case err == nil:
		p.broken("a Controller over groups over a closed store says that it has resumed it")
	case !errors.Is(err, lifecycle.ErrClosed):
		p.broken("through two groups and a Controller, the error of a closed store does not match ErrClosed: %v", err)
	case !errors.As(err, &member) || !strings.Contains(err.Error(), "inner"):
		p.broken("through two groups and a Controller, the error does not name the member %q: %v", "inner", err)
	}
}

func caseSettings(p *probe) {
	s := p.open()
	s.put("a", "1")
	all := func(when string) map[string]bool {
		seen := map[string]bool{}
		note := func(tx Tx) error {
			text, err := tx.Setting()
			seen[text] = true
			return err
		}
		holds := []*hold{}
		for i := range 4 { // as many connections as there may be, at once
			holds = append(holds, s.holdRead(fmt.Sprint("reader ", i)))
		}
		for _, h := range holds {
			if err := h.do(note); err != nil {
				p.broken("%s, reading a connection's settings returned: %v", when, err)
			}
		}
		for _, h := range holds {
			if err := h.end(nil); err != nil {
				p.broken("%s, a read returned: %v", when, err)
			}
		}
		if len(seen) != 1 {
			p.broken("%s, reading connections of one store have different settings: %v", when, keys(seen))
		}
		if err := s.Write(p.ctx, func(tx Tx) error {
			text, err := tx.Setting()
			seen["writer: "+text] = true
			return err
		}); err != nil {
			p.broken("%s, reading the writer's settings returned: %v", when, err)
		}
		return seen
	}
	before := all("before the first pause")
	for range 2 {
		s.pause()
		s.resume()
		after := all("after a Resume")
		for text := range after {
			if !before[text] {
				p.broken("after a Resume, a connection has the settings %q; before the pause there were %q", text, keys(before))
			}
		}
	}
}

func keys(m map[string]bool) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}

func caseGeneration(p *probe) {
	s := p.open()
	g, ok := s.Store.(counter)
	if !ok {
		p.fatal("the store has no method Generation, and Without[%q] is not declared", Generation)
	}
	last := g.Generation()
	for i := range 3 {
		s.pause()
		s.resume()
		now := g.Generation()
		if now <= last {
			p.broken("after cycle %d the generation is %d; before it was %d", i+1, now, last)
		}
		last = now
		s.resume()
		if now := g.Generation(); now != last {
			p.broken("a Resume of an active store changed the generation from %d to %d", last, now)
		}
	}
}

func caseState(p *probe) {
	s := p.open()
	st, ok := s.Store.(stater)
	if !ok {
		p.fatal("the store has no methods State and Subscribe, and Without[%q] is not declared", State)
	}
	states, stop := st.Subscribe()
	slow, stopSlow := st.Subscribe() // is never read until the end
	defer stopSlow()
	is := func(when string, want lifecycle.State) {
		if got := st.State(); got != want {
			p.broken("%s, State is %v, not %v", when, got, want)
		}
		deadline := time.After(p.soon)
		for {
			select {
			case got := <-states:
				if got == want {
					return
				}
			case <-deadline:
				p.fatal("%s, a subscriber has not been told %v within %v", when, want, p.soon)
			}
		}
	}
	is("after Open", lifecycle.Active)
	r := s.holdRead("in flight")
	ctx, cancel := p.within()
	defer cancel()
	c := s.pausing(ctx)
	s.refusing()
	is("while Pause waits for a read", lifecycle.Pausing)
	_ = r.end(nil)
	c.succeeds("after the read had ended")
	is("after Pause", lifecycle.Paused)
	s.resume()
	is("after Resume", lifecycle.Active)
	s.close()
	is("after Close", lifecycle.Closed)
	stop()
	for {
		select {
		case got, open := <-slow:
			if !open {
				p.fatal("a subscriber that did not read was never told the latest state")
			}
			if got == lifecycle.Closed {
				return
			}
		case <-time.After(p.soon):
			p.fatal("a subscriber that did not read was not told the latest state when it did")
		}
	}
}

func caseStartPaused(p *probe) {
	startPaused := func(o *Options) { o.StartPaused = true }
	if p.has(Files) {
		first := p.open()
		first.put("a", "1")
		first.close()
	}
	s := p.open(startPaused)
	s.nothingHeld("after an Open that starts paused")
	s.refuses("after an Open that starts paused", lifecycle.ErrPaused)
	s.pause()
	s.resume()
	s.serves("after the first Resume of a store that started paused")
	if !p.has(Files) {
		return
	}
	s.wants("after the first Resume of a store that started paused", "a", "1")
	s.close()
	dir := p.subdir("nothing-there")
	none, err := p.tryOpen(dir, startPaused)
	if err == nil {
		ctx, cancel := p.within()
		defer cancel()
		err = none.Resume(ctx)
	}
	if !errors.Is(err, lifecycle.ErrMissing) {
		p.broken("the first Resume of a store that started paused, with nothing there, returned %v, which does not match ErrMissing", errText(err))
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		p.broken("the first Resume of a store that started paused, with nothing there, has made %s", entries[0].Name())
	}
}

func caseEncrypted(p *probe) {
	const secret = "correct horse battery staple"
	s := p.open()
	s.put("secret", secret)
	look := func(when string) {
		err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if strings.Contains(string(content), secret) {
				p.broken("%s, the value can be read in %s", when, d.Name())
			}
			return err
		})
		if err != nil {
			p.fatal("reading the files: %v", err)
		}
	}
	s.pause()
	look("after Pause")
	s.resume()
	s.wants("after a cycle of an encrypted store", "secret", secret)
	s.pause()
	look("after two cycles")
}

func caseHooks(p *probe) {
	var released, reopened int
	var fail error
	s := p.open(func(o *Options) {
		o.BeforeRelease = func(context.Context) error { released++; return nil }
		o.AfterReopen = func(context.Context) error { reopened++; return fail }
	})
	s.put("a", "1")
	s.pause()
	if released != 1 || reopened != 0 {
		p.broken("after one Pause, BeforeRelease has run %d times and AfterReopen %d times", released, reopened)
	}
	fail = errors.New("the hook's own error")
	ctx, cancel := p.within()
	defer cancel()
	if err := s.Resume(ctx); !errors.Is(err, fail) {
		p.broken("Resume, whose AfterReopen failed, returned %v, which does not match the hook's error", errText(err))
	}
	s.refuses("after a Resume that failed in its hook", lifecycle.ErrPaused)
	s.pause() // waits for what the failed Resume had opened
	s.nothingHeld("after a Resume that failed in its hook, and a Pause")
	fail = nil
	s.resume()
	s.wants("after the second Resume", "a", "1")
	if reopened != 2 {
		p.broken("after two Resumes, AfterReopen has run %d times", reopened)
	}
}
