// Package trial runs the cases of the suites for stores: what testing.T is to
// a test, and usable without one, so that a suite can be tried on stores that are broken.
package trial

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/internal/tier"
)

// Case is what a trial is about.
type Case struct {
	Name    string
	Promise string        // what a store promises
	Limit   time.Duration // after which the case counts as hanging; default two minutes, and more in tiers with bigger counts
	NewDir  func() string // makes a directory of its own
}

// Finding is one broken promise.
type Finding struct {
	Case    string // its name
	Promise string
	Saw     string // what was seen instead
	Late    bool   // the case has not ended in time, which may have any reason
}

// Error explains the finding to somebody who knows neither the store nor the suite.
func (f *Finding) Error() string {
	return fmt.Sprintf("%s: the store breaks a promise\n    promised: %s\n    seen:     %s",
		f.Case, f.Promise, strings.ReplaceAll(f.Saw, "\n", "\n              "))
}

// Result is what a case found. No findings, and the store has kept its promise.
type Result struct {
	Findings []*Finding
	Notes    []string
}

// Found tells whether something was found but that the case was late.
func (r *Result) Found() bool {
	return slices.ContainsFunc(r.Findings, func(f *Finding) bool { return !f.Late })
}

// Search runs a case until something is Found, at most for so long, but once at
// least: what is there to be found only by chance is found then, too.
func Search(patience time.Duration, run func() *Result) *Result {
	for begun := time.Now(); ; {
		if r := run(); r.Found() || time.Since(begun) > patience {
			return r
		}
	}
}

// T is one case that runs. Its methods may be called from any goroutine; those
// that end a goroutine end the one that calls them.
type T struct {
	Ctx   context.Context // ends when the case counts as hanging
	Clock *Clock
	Soon  time.Duration // by when something that waits for nothing must have happened

	cs       Case
	mu       sync.Mutex
	within   []string // what the case is about at this moment
	result   Result
	cleanups []func()
}

// Run runs a case in a goroutine of its own, beside a watchdog that ends the
// waiting, and shows all goroutines, when it hangs.
func Run(ctx context.Context, cs Case, fn func(*T)) *Result {
	if cs.Limit <= 0 {
		cs.Limit = tier.Duration(2*time.Minute, 10*time.Minute, 2*time.Hour)
	}
	ctx, cancel := context.WithTimeout(ctx, cs.Limit)
	defer cancel()
	t := &T{Ctx: ctx, Clock: newClock(), Soon: min(cs.Limit/4, 30*time.Second), cs: cs}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.Isolated(func() { fn(t) })
		t.cleanUp()
	}()
	// The calls of a store that heeds its context have ended soon after the limit.
	watchdog := time.NewTimer(cs.Limit + min(5*time.Second, cs.Limit))
	defer watchdog.Stop()
	select {
	case <-done:
		if ctx.Err() != nil { // loops that have ended early for that have tested nothing
			t.late("the case has ended only when its time of %v was over", cs.Limit)
		}
	case <-watchdog.C:
		buf := make([]byte, 1<<20)
		t.late("the case has not ended after %v: something hangs. All goroutines:\n%s", cs.Limit, buf[:runtime.Stack(buf, true)])
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return &Result{append([]*Finding(nil), t.result.Findings...), append([]string(nil), t.result.Notes...)}
}

// maxFindings of one case are shown. A store that is broken throughout is not the better understood for more.
const maxFindings = 12

// Broken records that the promise was broken, and goes on.
func (t *T) Broken(format string, args ...any) { t.found(false, fmt.Sprintf(format, args...)) }

func (t *T) late(format string, args ...any) { t.found(true, fmt.Sprintf(format, args...)) }

func (t *T) found(late bool, saw string) {
	if limit := 16 << 10; len(saw) > limit {
		saw = saw[:limit] + "…"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.within) > 0 {
		saw = strings.Join(t.within, ": ") + ": " + saw
	}
	for _, f := range t.result.Findings {
		if f.Saw == saw {
			return
		}
	}
	if len(t.result.Findings) < maxFindings {
		t.result.Findings = append(t.result.Findings, &Finding{t.cs.Name, t.cs.Promise, saw, late})
	}
}

// Fatal is Broken, and ends the goroutine.
func (t *T) Fatal(format string, args ...any) {
	t.Broken(format, args...)
	runtime.Goexit()
}

// About says in every finding of fn what it is about.
func (t *T) About(what string, fn func()) {
	t.mu.Lock()
	t.within = append(t.within, what)
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.within = t.within[:len(t.within)-1]
		t.mu.Unlock()
	}()
	fn()
}

// Note says something that is no finding.
func (t *T) Note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Notes = append(t.result.Notes, fmt.Sprintf(format, args...))
}

// Failed tells whether there is a finding.
func (t *T) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.result.Findings) > 0
}

// Over tells whether a loop of the case should end: there is a finding, or no time is left.
func (t *T) Over() bool { return t.Ctx.Err() != nil || t.Failed() }

// Dir makes a directory of its own.
func (t *T) Dir() string { return t.cs.NewDir() }

// Name is that of the case.
func (t *T) Name() string { return t.cs.Name }

// After registers what is done at the end of the case, the last one first.
func (t *T) After(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, fn)
}

func (t *T) cleanUp() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		fn := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		t.Isolated(fn)
	}
}

// Isolated runs fn in a goroutine that may end early. A panic in it is a finding.
func (t *T) Isolated(fn func()) { <-t.Go(fn) }

// Go starts fn in a goroutine like that of Isolated. The channel is closed when it has ended.
func (t *T) Go(fn func()) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				buf := make([]byte, 64<<10)
				lines := strings.Split(string(buf[:runtime.Stack(buf, false)]), "\n")
				t.Broken("a call of the store panicked: %v\n%s", v, strings.Join(lines[:min(len(lines), 40)], "\n"))
			}
		}()
		fn()
	}()
	return done
}

// All runs functions at once and waits for all of them.
func (t *T) All(fns ...func()) {
	var all []<-chan struct{}
	for _, fn := range fns {
		all = append(all, t.Go(fn))
	}
	for _, ended := range all {
		<-ended
	}
}

// Eventually waits until something is so. It polls, since a foreign store need have nothing better.
func (t *T) Eventually(what string, ok func() bool) {
	deadline := time.Now().Add(t.Soon)
	for wait := 100 * time.Microsecond; !ok(); wait = min(2*wait, 5*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("%v later it is still not so that %s", t.Soon, what)
		}
		time.Sleep(wait)
	}
}

// Receive returns what comes out of a channel. Where nothing comes soon, that is fatal.
func Receive[V any](t *T, what string, from <-chan V) (v V) {
	timer := time.NewTimer(t.Soon)
	defer timer.Stop()
	select {
	case v = <-from:
	case <-timer.C:
		t.Fatal("%s has not come about after %v", what, t.Soon)
	}
	return v
}

// Must ends the goroutine where a call that must succeed did not.
func (t *T) Must(what string, err error) {
	if err != nil {
		t.Fatal("%s returned: %v", what, err)
	}
}

// Is records where an error is not the wanted one, nil for none.
func (t *T) Is(what string, err, want error) bool {
	switch {
	case want == nil && err == nil, want != nil && errors.Is(err, want):
		return true
	case want == nil:
		t.Broken("%s returned: %v", what, err)
	case err == nil:
		t.Broken("%s returned no error, and should one that matches %q", what, want)
	default:
		t.Broken("%s returned the error %q, which does not match %q", what, err, want)
	}
	return false
}

// Clock is a clock that moves only when it is told to.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// newClock returns one that shows a time with all its digits: what a store keeps of them is up to its contract.
func newClock() *Clock { return &Clock{at: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)} }

// Now is what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Add moves it, and returns what it shows then.
func (c *Clock) Add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// Set sets it.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}
