package eventcachetest

// How a case is run: in a goroutine of its own beside a watchdog, with findings
// instead of a testing.T, so that the suite can be tried on broken stores.

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
)

// Case is one promise and the check of it.
type Case struct {
	Name    string
	Promise string // what a store promises

	// Origins say where the case comes from: tests of matrix-rust-sdk as "6.5/1
	// test_…", what it has no test for as "GAP-EC/…", where its two stores
	// disagree as "DIV-20", "contract" for what this contract says more, and
	// "bad input".
	Origins []string

	// Needs are capabilities; the case is left out where one is lacking.
	Needs []conformance.Capability

	// For, where set, is what a store has to lack for the case to be meant for it.
	For conformance.Capability

	run func(*probe)
}

// Cases returns all cases of Run, in their order.
func Cases() []Case { return append([]Case(nil), cases...) }

// fits tells whether the case is meant for this kind of store.
func (c *Case) fits(h *Harness) bool {
	_, lacks := h.Without[c.For]
	return c.For == "" || lacks
}

// Run checks a store: a subtest for every case, each with a harness and a
// directory of its own.
func Run(t *testing.T, newHarness func() *Harness) {
	t.Helper()
	if err := newHarness().check(); err != nil {
		t.Fatal(err)
	}
	for _, cs := range cases {
		if !cs.fits(newHarness()) {
			continue
		}
		t.Run(cs.Name, func(t *testing.T) {
			h := newHarness()
			if reason := h.lacks(cs.Needs); reason != "" {
				t.Skip(reason)
			}
			r := runCase(t.Context(), &cs, h, t.TempDir)
			for _, note := range r.notes {
				t.Log(note)
			}
			for _, f := range r.findings {
				t.Error(f.Error())
			}
		})
	}
}

// finding is one broken promise.
type finding struct {
	name    string // of the case
	promise string // what a store promises
	saw     string // what was seen instead
}

// Error explains the finding to somebody who knows neither the store nor this suite.
func (f *finding) Error() string {
	return fmt.Sprintf("%s: the store breaks a promise\n    promised: %s\n    seen:     %s",
		f.name, f.promise, strings.ReplaceAll(f.saw, "\n", "\n              "))
}

// result is what a case found.
type result struct {
	findings []*finding
	notes    []string
}

// runCase runs one case beside a watchdog that prints all goroutines when it hangs.
func runCase(ctx context.Context, cs *Case, h *Harness, newDir func() string) *result {
	ctx, cancel := context.WithTimeout(ctx, h.limit())
	defer cancel()
	p := newProbe(ctx, cs, h, newDir)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run()
	}()
	select {
	case <-done:
	case <-time.After(h.limit() + 5*time.Second): // the calls of a store that heeds its context have ended by now
		buf := make([]byte, 1<<20)
		p.broken("the case has not ended after %v: something hangs. All goroutines:\n%s", h.limit(), buf[:runtime.Stack(buf, true)])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return &result{append([]*finding(nil), p.findings...), append([]string(nil), p.notes...)}
}
