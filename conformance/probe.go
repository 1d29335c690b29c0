package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/internal/holders"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// probe is one case that runs: what testing.T is to a test, and usable without one.
type probe struct {
	ctx    context.Context
	h      *Harness
	cs     *Case
	spawn  spawner
	dir    string        // the store's directory
	soon   time.Duration // by when something that is not waiting for anything must have happened
	repeat int           // how much of what can be done more often

	mu       sync.Mutex
	findings []*Finding
	notes    []string
	skipped  string
	cleanups []func()
}

// broken records that the promise was broken, and goes on.
func (p *probe) broken(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	saw := fmt.Sprintf(format, args...)
	for _, f := range p.findings {
		if f.Saw == saw {
			return
		}
	}
	p.findings = append(p.findings, &Finding{p.cs.Name, p.cs.Promise, saw, p.cs.Harm})
}

// fatal is broken, and ends the case. Only for the case's own goroutine.
func (p *probe) fatal(format string, args ...any) {
	p.broken(format, args...)
	runtime.Goexit()
}

// skip ends the case: this machine cannot answer.
func (p *probe) skip(format string, args ...any) {
	p.mu.Lock()
	p.skipped = fmt.Sprintf(format, args...)
	p.mu.Unlock()
	runtime.Goexit()
}

func (p *probe) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// after runs fn at the end of the case, the last one first.
func (p *probe) after(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, fn)
}

func (p *probe) has(c ...Capability) bool { return p.h.lacks(c) == "" }

// within is a context with the time that everything here should do in.
func (p *probe) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.ctx, p.soon)
}

// subdir makes another directory for a store.
func (p *probe) subdir(name string) string {
	dir := filepath.Join(filepath.Dir(p.dir), name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.fatal("the suite could not make a directory: %v", err)
	}
	return dir
}

// subject is a store under test, with what cases do again and again.
type subject struct {
	Store
	p   *probe
	dir string
}

// options are the defaults: enough time, so that nothing is interrupted by itself.
func (p *probe) options() Options {
	return Options{Timeout: p.soon, Grace: p.soon * 3 / 5, MaxReaders: 4}
}

func (p *probe) open(change ...func(*Options)) *subject { return p.openIn(p.dir, change...) }

func (p *probe) openIn(dir string, change ...func(*Options)) *subject {
	s, err := p.tryOpen(dir, change...)
	if err != nil {
		p.fatal("Open: %v", err)
	}
	return s
}

func (p *probe) tryOpen(dir string, change ...func(*Options)) (*subject, error) {
	o := p.options()
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := p.within()
	defer cancel()
	store, err := p.h.Open(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	s := &subject{store, p, dir}
	p.after(func() {
		ctx, cancel := p.within()
		defer cancel()
		if err := s.Close(ctx); err != nil {
			p.broken("Close at the end of the case: %v", err)
		}
	})
	return s, nil
}

// pause pauses, and nothing stands in its way.
func (s *subject) pause() {
	ctx, cancel := s.p.within()
	defer cancel()
	if err := s.Pause(ctx); err != nil {
		s.p.fatal("Pause, with nothing in its way and %v of time, returned: %v", s.p.soon, err)
	}
}

func (s *subject) resume() {
	ctx, cancel := s.p.within()
	defer cancel()
	if err := s.Resume(ctx); err != nil {
		s.p.fatal("Resume, with nothing in its way and %v of time, returned: %v", s.p.soon, err)
	}
}

func (s *subject) close() {
	ctx, cancel := s.p.within()
	defer cancel()
	if err := s.Close(ctx); err != nil {
		s.p.fatal("Close, with nothing in its way and %v of time, returned: %v", s.p.soon, err)
	}
}

// failing is a context under which work that meets a pause fails at once.
func failing(ctx context.Context) context.Context {
	return lifecycle.WithPolicy(ctx, lifecycle.Fail)
}

func (s *subject) tryPut(ctx context.Context, key, value string) error {
	return s.Write(ctx, func(tx Tx) error { return tx.Put(key, value) })
}

func (s *subject) tryGet(ctx context.Context, key string) (value string, err error) {
	err = s.Read(ctx, func(tx Tx) (err error) { value, err = tx.Get(key); return err })
	return value, err
}

func (s *subject) put(key, value string) {
	ctx, cancel := s.p.within()
	defer cancel()
	if err := s.tryPut(ctx, key, value); err != nil {
		s.p.fatal("a write to the active store returned: %v", err)
	}
}

// wants reads a key and compares. when says at which moment that is.
func (s *subject) wants(when, key, value string) {
	ctx, cancel := s.p.within()
	defer cancel()
	got, err := s.tryGet(ctx, key)
	switch {
	case err != nil:
		s.p.broken("%s, reading returned: %v", when, err)
	case got != value && value == "":
		s.p.broken("%s, the key %q is %q; it should have no value", when, key, got)
	case got != value:
		s.p.broken("%s, the key %q is %q; written and acknowledged was %q", when, key, got, value)
	}
}

// refuses checks that work is refused at once with the right error.
func (s *subject) refuses(when string, want error) {
	ctx, cancel := s.p.within()
	defer cancel()
	for _, op := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"a read", func(ctx context.Context) error { _, err := s.tryGet(ctx, "refused"); return err }},
		{"a write", func(ctx context.Context) error {
			return s.tryPut(ctx, "refused", "by a write that should have been refused")
		}},
	} {
		done := make(chan error, 1)
		go func() { done <- s.p.guarded(op.name, func() error { return op.do(failing(ctx)) }) }()
		select {
		case err := <-done:
			s.p.isRefusal(when, op.name, err, want)
		case <-time.After(s.p.soon / 2):
			s.p.broken("%s, %s was not refused: it waits, and under the policy Fail it must not", when, op.name)
		}
	}
}

func (p *probe) isRefusal(when, what string, err, want error) {
	switch {
	case err == nil:
		p.broken("%s, %s succeeded", when, what)
	case !errors.Is(err, want):
		p.broken("%s, %s returned %q (%T), which errors.Is does not match with %q", when, what, err, err, want)
	}
}

// serves checks that the store is active.
func (s *subject) serves(when string) {
	s.put("serves", when)
	s.wants(when, "serves", when)
}

// nothingHeld asks the operating system what this process holds on the store's files.
func (s *subject) nothingHeld(when string) {
	s.p.nothingHeld(when, s.dir)
}

// nothingHeld is a promise of its own, whatever the case is about. One finding of it is enough for a case.
func (p *probe) nothingHeld(when, dir string) {
	held := p.held(dir)
	if held == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.findings {
		if f.Promise == promiseNothingHeld {
			return
		}
	}
	p.findings = append(p.findings, &Finding{p.cs.Name, promiseNothingHeld, when + ": " + held, harmKilled})
}

// held lists what this process holds on a store's files, "" where that is nothing.
func (p *probe) held(dir string) string {
	if !p.has(Files) {
		return ""
	}
	report, err := holders.Self(p.ctx, p.h.Files(dir)...)
	if errors.Is(err, holders.ErrUnsupported) {
		p.note("this system cannot tell what a process holds (%v)", err)
		return ""
	}
	if err != nil {
		p.fatal("asking the operating system: %v", err)
	}
	var held []string
	for _, h := range report.Holders {
		held = append(held, h.String())
	}
	if len(held) == 0 {
		return ""
	}
	return "this process still holds: " + strings.Join(held, "; ")
}

// eventually waits until something is so. It polls, since a foreign store need have nothing better.
func (p *probe) eventually(what string, ok func() bool) {
	deadline := time.Now().Add(p.soon)
	for wait := 50 * time.Microsecond; !ok(); wait = min(2*wait, 5*time.Millisecond) {
		if time.Now().After(deadline) {
			p.fatal("%v later it is still not so that %s", p.soon, what)
		}
		time.Sleep(wait)
	}
}

// refusing waits until a pause that was just begun refuses new work.
func (s *subject) refusing() {
	s.p.eventually("the store, on which Pause was called, refuses new reads with ErrPaused", func() bool {
		done := make(chan error, 1)
		ctx, cancel := s.p.within()
		defer cancel()
		go func() { _, err := s.tryGet(failing(ctx), "refusing"); done <- err }()
		select {
		case err := <-done:
			return errors.Is(err, lifecycle.ErrPaused)
		case <-time.After(s.p.soon / 3):
			s.p.fatal("a read that was begun after Pause was called is not refused: it waits, %v by now", s.p.soon/3)
			return false
		}
	})
}

// call runs a Pause, Resume or Close in the background.
type call struct {
	name string
	done chan error
	p    *probe
}

func (p *probe) call(name string, fn func() error) *call {
	c := &call{name, make(chan error, 1), p}
	go func() { c.done <- p.guarded(name, fn) }()
	return c
}

// guarded calls into the store on a goroutine of its own, where a panic would end the process.
func (p *probe) guarded(name string, fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.broken("%s panicked: %v\n%s", name, v, firstLines(stack(), 40))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return fn()
}

func (s *subject) pausing(ctx context.Context) *call {
	return s.p.call("Pause", func() error { return s.Pause(ctx) })
}

// wait returns what the call returned; it hangs for so long at most.
func (c *call) wait(why string) error {
	select {
	case err := <-c.done:
		return err
	case <-time.After(c.p.soon + c.p.soon/2):
		c.p.fatal("%s has not returned after %v, %s", c.name, c.p.soon+c.p.soon/2, why)
		return nil
	}
}

func (c *call) succeeds(why string) {
	if err := c.wait(why); err != nil {
		c.p.broken("%s, %s, returned: %v", c.name, why, err)
	}
}

// pending checks that the call has not returned. A store that is only slow
// gets away with it: the suite may miss a fault, but reports no false one.
func (c *call) pending(why string) {
	select {
	case err := <-c.done:
		c.p.fatal("%s returned (%v), %s", c.name, errText(err), why)
	case <-time.After(40 * time.Millisecond):
	}
}

func errText(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

// hold is an operation that goes on until it is let go.
type hold struct {
	p      *probe
	name   string
	work   chan func(Tx) error
	answer chan error
	let    chan error
	once   sync.Once
	done   chan error
}

func (s *subject) holdRead(label string) *hold  { return s.hold(label, s.Read) }
func (s *subject) holdWrite(label string) *hold { return s.hold(label, s.Write) }

func (s *subject) hold(label string, op func(context.Context, func(Tx) error) error) *hold {
	h := &hold{s.p, label, make(chan func(Tx) error), make(chan error, 1), make(chan error, 1), sync.Once{}, make(chan error, 1)}
	entered := make(chan struct{})
	var once sync.Once
	go func() {
		h.done <- s.p.guarded(label, func() error {
			return op(lifecycle.WithLabel(s.p.ctx, label), func(tx Tx) error {
				once.Do(func() { close(entered) })
				for {
					select {
					case fn := <-h.work:
						h.answer <- fn(tx)
					case err := <-h.let:
						return err
					}
				}
			})
		})
	}()
	select {
	case <-entered:
	case err := <-h.done:
		s.p.fatal("the operation %q was not begun: %v", label, errText(err))
	case <-time.After(s.p.soon):
		s.p.fatal("the operation %q did not begin within %v", label, s.p.soon)
	}
	s.p.after(func() { h.release(nil) })
	return h
}

// do does something inside the operation.
func (h *hold) do(fn func(Tx) error) error {
	select {
	case h.work <- fn:
	case <-time.After(h.p.soon):
		h.p.fatal("the operation %q ended by itself", h.name)
	}
	return <-h.answer
}

// release lets the callback return err.
func (h *hold) release(err error) { h.once.Do(func() { h.let <- err }) }

// end lets the callback return err and returns what the operation returned.
func (h *hold) end(err error) error {
	h.release(err)
	select {
	case err := <-h.done:
		h.done <- err
		return err
	case <-time.After(h.p.soon):
		h.p.fatal("the operation %q has not returned %v after its callback", h.name, h.p.soon)
		return nil
	}
}
