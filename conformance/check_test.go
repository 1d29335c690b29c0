//go:build unix

package conformance

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Check says the same as Run: nothing of a whole store, everything of a broken one.
func TestCheckOfAWholeStore(t *testing.T) {
	newHarness := fileHarness("", nil)
	if IsChild() {
		os.Exit(ChildMain(newHarness))
	}
	err := Check(t.Context(), func() *Harness {
		h := newHarness()
		h.Command = TestCommand(t)
		return h
	})
	if err != nil {
		t.Error(err)
	}
}

// Without a Command, Check names every case that it could not run, and nothing else is amiss.
func TestCheckWithoutACommandListsWhatItCouldNotRun(t *testing.T) {
	err := Check(t.Context(), fileHarness("", nil))
	var notRun []string
	for _, e := range flatten(err) {
		var n *NotRun
		if !errors.As(e, &n) {
			t.Errorf("of a whole store, Check says: %v", e)
			continue
		}
		notRun = append(notRun, n.Case)
	}
	for _, cs := range cases {
		lacks := slices.Contains(cs.Needs, Shared)
		if listed := slices.Contains(notRun, cs.Name); listed != (cs.Children && !lacks) {
			t.Errorf("%s: listed as not run: %v; it starts other processes: %v", cs.Name, listed, cs.Children)
		}
	}
}

func TestCheckJoinsEveryFinding(t *testing.T) {
	err := Check(t.Context(), fileHarness("keeps one descriptor", nil))
	found := map[string]bool{}
	for _, e := range flatten(err) {
		var f *Finding
		if errors.As(e, &f) {
			found[f.Case] = true
			for _, part := range []string{f.Case, f.Promise, f.Saw, f.Harm} {
				if part == "" || !strings.Contains(e.Error(), part) {
					t.Errorf("the finding does not say %q: %v", part, e)
				}
			}
		}
	}
	if !found["nothing-held"] || len(found) < 5 {
		t.Errorf("findings for the cases %v only", found)
	}
}

func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// A harness that says too little is told so before anything is run.
func TestAHarnessIsChecked(t *testing.T) {
	whole := fileHarness("", nil)
	for _, c := range []struct {
		want   string
		change func(*Harness)
	}{
		{"Open is missing", func(h *Harness) { h.Open = nil }},
		{"Files is missing", func(h *Harness) { h.Files = nil }},
		{"Newer or Older is missing", func(h *Harness) { h.Newer = nil }},
		{"is no capability", func(h *Harness) { h.Without["teleport"] = "not yet" }},
		{"gives no reason", func(h *Harness) { h.Without[Sever] = " " }},
	} {
		err := Check(t.Context(), func() *Harness { h := whole(); c.change(h); return h })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check returned %v, which does not say %q", err, c.want)
		}
	}
}

// The watchdog ends a case that hangs, and shows where.
func TestTheWatchdogPrintsAllGoroutines(t *testing.T) {
	cs := Case{Name: "hangs", Promise: "p", Harm: "h", run: func(*probe) { theHangingCall() }}
	r := runCase(t.Context(), &cs, &Harness{Limit: 50 * time.Millisecond}, nil)
	if len(r.findings) != 1 || !strings.Contains(r.findings[0].Saw, "theHangingCall") {
		t.Errorf("findings: %v", r.findings)
	}
}

func theHangingCall() { <-neverClosed }

// A panic of a store is a finding, and the cases after it still run.
func TestAPanicIsAFinding(t *testing.T) {
	cs := Case{Name: "panics", Promise: "p", Harm: "h", run: func(*probe) { panic("the store's own") }}
	r := runCase(context.Background(), &cs, &Harness{}, nil)
	if len(r.findings) != 1 || !strings.Contains(r.findings[0].Saw, "the store's own") {
		t.Errorf("findings: %v", r.findings)
	}
}
