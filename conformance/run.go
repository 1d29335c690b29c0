package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// Run checks a store: a subtest for every case. newHarness makes a harness; it
// is called for every case, and in the child processes that some cases start:
// these run the test binary again, with a -test.run that selects this very
// test, and Run then serves as the child.
func Run(t *testing.T, newHarness func() *Harness) {
	t.Helper()
	if isChild(t.Name()) {
		os.Exit(ChildMain(newHarness))
	}
	if err := newHarness().check(); err != nil {
		t.Fatal(err)
	}
	spawn := testBinary(t.Name())
	for c, n := range notForThisKind(newHarness()) {
		t.Logf("%d cases of the core are not for this kind of store; it is without %s: %s", n, c, newHarness().Without[c])
	}
	for _, cs := range cases {
		if h := newHarness(); !cs.fits(h) || cs.Core() && h.lacks(cs.Needs) != "" {
			continue
		}
		t.Run(cs.Name, func(t *testing.T) {
			h := newHarness()
			if reason := h.lacks(cs.Needs); reason != "" {
				t.Skip(reason)
			}
			r := runCase(t.Context(), &cs, h, spawn)
			r.print(t)
		})
	}
}

// notForThisKind counts the cases of the core that a kind of store does not have.
func notForThisKind(h *Harness) map[Capability]int {
	count := map[Capability]int{}
	for _, cs := range cases {
		for _, c := range cs.Needs {
			if cs.Core() && h.lacks([]Capability{c}) != "" {
				count[c]++
				break
			}
		}
	}
	return count
}

func (r *result) print(t testing.TB) {
	t.Helper()
	for _, n := range r.notes {
		t.Log(n)
	}
	for _, f := range r.findings {
		t.Error(f.Error())
	}
	if r.skipped != "" && len(r.findings) == 0 {
		t.Skip(r.skipped)
	}
}

// Check checks a store outside of a test: it returns nil, or all findings
// joined, each a *Finding. The cases that need a child process are run with
// Harness.Command; without one, each of them is a *NotRun in the error.
func Check(ctx context.Context, newHarness func() *Harness) error {
	if isChild("") {
		return errors.New("conformance: this process is a child of Check: call ChildMain at the start of main")
	}
	if err := newHarness().check(); err != nil {
		return err
	}
	var errs []error
	for _, cs := range cases {
		h := newHarness()
		if !cs.fits(h) || h.lacks(cs.Needs) != "" {
			continue
		}
		if cs.Children && h.Command == nil {
			errs = append(errs, &NotRun{cs.Name, "it needs another process, and Harness.Command is not set"})
			continue
		}
		if ctx.Err() != nil {
			errs = append(errs, &NotRun{cs.Name, context.Cause(ctx).Error()})
			continue
		}
		r := runCase(ctx, &cs, h, h.Command)
		for _, f := range r.findings {
			errs = append(errs, f)
		}
		// What this machine cannot answer (a tmpfs needs privileges) is no fault of the store.
	}
	return errors.Join(errs...)
}

// result is what a case found.
type result struct {
	findings []*Finding
	notes    []string
	skipped  string
}

// runCase runs one case in a goroutine of its own, beside a watchdog that
// prints all goroutines when it hangs.
func runCase(ctx context.Context, cs *Case, h *Harness, spawn spawner) *result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	top, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return &result{findings: []*Finding{{cs.Name, cs.Promise, "the suite could not make a directory: " + err.Error(), "nothing is known"}}}
	}
	p := &probe{ctx: ctx, h: h, cs: cs, spawn: spawn, dir: filepath.Join(top, "store"), soon: h.limit() / 6, repeat: 10}
	p.subdir("store")
	if deadline, ok := ctx.Deadline(); ok {
		p.soon = min(p.soon, time.Until(deadline)/3)
	}
	done := make(chan struct{})
	go pprof.Do(ctx, pprof.Labels("conformance", cs.Name), func(ctx context.Context) {
		defer close(done)
		p.run()
	})
	select {
	case <-done:
		_ = os.RemoveAll(top)
	case <-time.After(h.limit()):
		p.broken("the case has not ended after %v: something hangs. All goroutines:\n%s", h.limit(), stacks())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return &result{p.findings, p.notes, p.skipped}
}

// run runs the case, and what was registered for its end.
func (p *probe) run() {
	defer func() {
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
	}()
	p.isolated(func() { p.cs.run(p) })
}

// isolated runs fn in a goroutine that may end early, and turns a panic into a finding.
func (p *probe) isolated(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				p.broken("a call of the store panicked: %v\n%s", v, firstLines(stack(), 40))
			}
		}()
		fn()
	}()
	<-done
}

func stack() string {
	buf := make([]byte, 64<<10)
	return string(buf[:runtime.Stack(buf, false)])
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func firstLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// exactly is a pattern for -test.run that selects one test, subtests included.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

var errNoChild = fmt.Errorf("conformance: no child process can be started: %w", errors.ErrUnsupported)

// TestCommand is a Harness.Command for a Check inside a test: it runs the test
// binary again with that test alone, which has to begin with
//
//	if conformance.IsChild() {
//		os.Exit(conformance.ChildMain(newHarness))
//	}
func TestCommand(t testing.TB) func(context.Context) *exec.Cmd { return testBinary(t.Name()) }
