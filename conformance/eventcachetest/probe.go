package eventcachetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// probe is one case that runs: what testing.T is to a test, and usable without one.
type probe struct {
	ctx    context.Context
	h      *Harness
	cs     *Case
	newDir func() string
	clock  *clock
	soon   time.Duration // by when something that waits for nothing must have happened

	mu       sync.Mutex
	within   []string // what the case is about at this moment
	findings []*finding
	notes    []string
	cleanups []func()
}

func newProbe(ctx context.Context, cs *Case, h *Harness, newDir func() string) *probe {
	return &probe{ctx: ctx, h: h, cs: cs, newDir: newDir, soon: h.limit() / 4, clock: newClock()}
}

// maxFindings of one case are shown. A store that is broken throughout is not the better understood for more.
const maxFindings = 12

// broken records that the promise was broken, and goes on.
func (p *probe) broken(format string, args ...any) {
	saw := fmt.Sprintf(format, args...)
	if limit := 16 << 10; len(saw) > limit {
		saw = saw[:limit] + "…"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.within) > 0 {
		saw = strings.Join(p.within, ": ") + ": " + saw
	}
	for _, f := range p.findings {
		if f.saw == saw {
			return
		}
	}
	if len(p.findings) < maxFindings {
		p.findings = append(p.findings, &finding{p.cs.Name, p.cs.Promise, saw})
	}
}

// fatal records that the promise was broken, and ends the calling goroutine: the
// case, when it was called by that.
func (p *probe) fatal(format string, args ...any) {
	p.broken(format, args...)
	runtime.Goexit()
}

// context says in every finding of fn what it is about.
func (p *probe) context(about string, fn func()) {
	p.mu.Lock()
	p.within = append(p.within, about)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.within = p.within[:len(p.within)-1]
		p.mu.Unlock()
	}()
	fn()
}

// note says something that is no finding.
func (p *probe) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *probe) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.findings) > 0
}

func (p *probe) has(c conformance.Capability) bool {
	return p.h.lacks([]conformance.Capability{c}) == ""
}

// after registers what is done at the end of the case.
func (p *probe) after(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, fn)
}

// run runs the case, and what was registered for its end.
func (p *probe) run() {
	p.isolated(func() { p.cs.run(p) })
	for {
		p.mu.Lock()
		n := len(p.cleanups)
		if n == 0 {
			p.mu.Unlock()
			return
		}
		fn := p.cleanups[n-1]
		p.cleanups = p.cleanups[:n-1]
		p.mu.Unlock()
		p.isolated(fn)
	}
}

// isolated runs fn in a goroutine that may end early, and turns a panic into a finding.
func (p *probe) isolated(fn func()) {
	done := make(chan struct{})
	p.spawn(fn, func() { close(done) })
	<-done
}

// spawn starts fn in a goroutine like that of isolated. end is called when it has ended.
func (p *probe) spawn(fn, end func()) {
	go func() {
		defer end()
		defer func() {
			if v := recover(); v != nil {
				buf := make([]byte, 64<<10)
				lines := strings.Split(string(buf[:runtime.Stack(buf, false)]), "\n")
				p.broken("a call of the store panicked: %v\n%s", v, strings.Join(lines[:min(len(lines), 40)], "\n"))
			}
		}()
		fn()
	}()
}

// all runs functions at once and waits for all of them.
func (p *probe) all(fns ...func()) {
	var wg sync.WaitGroup
	for _, fn := range fns {
		wg.Add(1)
		p.spawn(fn, wg.Done)
	}
	wg.Wait()
}

// eventually waits until something is so. It polls, since a foreign store need have nothing better.
func (p *probe) eventually(what string, ok func() bool) {
	deadline := time.Now().Add(p.soon)
	for wait := 100 * time.Microsecond; !ok(); wait = min(2*wait, 5*time.Millisecond) {
		if time.Now().After(deadline) {
			p.fatal("%v later it is still not so that %s", p.soon, what)
		}
		time.Sleep(wait)
	}
}

// options are those of a store of which nothing special is wanted.
func (p *probe) options() Options {
	return Options{Clock: p.clock.now, Timeout: 30 * time.Second, Grace: 10 * time.Second}
}

// open opens a store in a directory of its own.
func (p *probe) open() *subject { return p.openWith(p.newDir(), p.options()) }

// openWith opens the store in dir. It is closed at the end of the case, if it is not closed before.
func (p *probe) openWith(dir string, o Options) *subject {
	store, err := p.h.Open(p.ctx, dir, o)
	if err != nil {
		p.fatal("the store could not be opened: %v", err)
	}
	s := &subject{Store: store, p: p, dir: dir}
	p.after(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 30*time.Second)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			p.broken("Close at the end of the case: %v", err)
		}
	})
	return s
}

// close closes the store, in the midst of a case.
func (s *subject) close() { s.p.must("Close", s.Close(s.p.ctx)) }

// must ends the case where a call that must succeed did not.
func (p *probe) must(what string, err error) {
	if err != nil {
		p.fatal("%s returned: %v", what, err)
	}
}

// is records where an error is not the wanted one, nil for none.
func (p *probe) is(what string, err, want error) bool {
	switch {
	case want == nil && err == nil, want != nil && errors.Is(err, want):
		return true
	case want == nil:
		p.broken("%s returned: %v", what, err)
	case err == nil:
		p.broken("%s returned no error, and should one that matches %q", what, want)
	default:
		p.broken("%s returned the error %q, which does not match %q", what, err, want)
	}
	return false
}

// ofPause tells whether an operation returned this because a pause was in its way: it has not happened.
func ofPause(err error) bool {
	return errors.Is(err, lifecycle.ErrPaused) || errors.Is(err, lifecycle.ErrInterrupted)
}

// clock is a clock that only moves when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) { c.set(c.now().Add(d)) }

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}
