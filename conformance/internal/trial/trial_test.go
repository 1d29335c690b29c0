package trial

import (
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil { // what fails here, fails on purpose
		panic(err)
	}
	m.Run()
}

func run(limit time.Duration, fn func(*T)) *Result {
	return Run(context.Background(), Case{Name: "case", Promise: "the promise", Limit: limit}, fn)
}

// saw checks that there is one finding, which tells this.
func saw(t *testing.T, r *Result, want string) {
	t.Helper()
	if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Error(), want) || !strings.Contains(r.Findings[0].Error(), "the promise") {
		t.Errorf("the findings are %v; there should be one that tells %q, and of the promise", r.Findings, want)
	}
}

// TestFindings: whatever goes wrong in a case is one finding, which says what; the case is cleaned up after, and the next can run.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		want string
		fn   func(*T)
	}{
		{"seen:     outer: inner: 7", func(t *T) { t.About("outer", func() { t.About("inner", func() { t.Broken("%d", 7) }) }) }},
		{"first", func(t *T) { t.Fatal("first"); t.Broken("second") }},
		{"own words", func(*T) { panic("own words") }},
		{"in another goroutine", func(t *T) { t.All(func() { t.Fatal("in another goroutine") }, func() {}) }},
		{"Get returned: oh", func(t *T) { t.Must("Get", errors.New("oh")) }},
		{"Get returned: oh", func(t *T) { t.Is("Get", errors.New("oh"), nil) }},
		{"no error", func(t *T) { t.Is("Get", nil, errors.New("oh")) }},
		{"does not match", func(t *T) { t.Is("Get", errors.New("oh"), errors.New("oh")) }},
		{"that it rains", func(t *T) { t.Soon = time.Millisecond; t.Eventually("it rains", func() bool { return false }) }},
		{"the rain has not come about", func(t *T) { t.Soon = time.Millisecond; Receive(t, "the rain", make(chan int)) }},
		{"7 is not small", func(t *T) {
			t.Rapidly(50, func(r *rapid.T) {
				if n := rapid.IntRange(0, 1000).Draw(r, "n"); n > 6 {
					r.Fatalf("%d is not small", n)
				}
			})
		}},
	} {
		t.Run(c.want, func(t *testing.T) {
			cleaned := 0
			r := run(time.Minute, func(t *T) {
				t.After(func() { cleaned = 2 * cleaned })
				t.After(func() { cleaned = 1 })
				c.fn(t)
			})
			saw(t, r, c.want)
			if cleaned != 2 {
				t.Error("what was registered for the end was not done, or in another order")
			}
		})
	}
	if r := run(time.Minute, func(t *T) { t.Is("Get", nil, nil); t.Must("Get", nil); t.Note("fine") }); len(r.Findings) != 0 || len(r.Notes) != 1 {
		t.Errorf("a case that finds nothing has the result %+v", r)
	}
}

// TestTheWatchdog: a case that hangs ends, and the finding shows where.
func TestTheWatchdog(t *testing.T) {
	let := make(chan struct{})
	defer close(let)
	saw(t, run(10*time.Millisecond, func(*T) { theCallThatHangs(let) }), "theCallThatHangs")
}

func theCallThatHangs(let <-chan struct{}) { <-let }

// TestRapidly: a property is checked as often as was asked for, however often that is.
func TestRapidly(t *testing.T) {
	for _, times := range []int{1, 7, 100, 101, 350} {
		n := 0
		r := run(time.Minute, func(t *T) {
			t.Rapidly(times, func(r *rapid.T) { n++; rapid.Bool().Draw(r, "something") })
		})
		if n != times || len(r.Findings) != 0 {
			t.Errorf("a property that was to be checked %d times was checked %d times; findings %v", times, n, r.Findings)
		}
	}
}

// TestLate: a case that ends quietly when its time is over has not shown anything.
func TestLate(t *testing.T) {
	r := run(10*time.Millisecond, func(t *T) {
		for !t.Over() {
			time.Sleep(time.Millisecond)
		}
	})
	saw(t, r, "when its time of 10ms was over")
	if r.Found() {
		t.Error("that a case was late counts as something that it has found")
	}
}

// TestSearch: what is found by chance is searched for until it is found, and no longer than was said.
func TestSearch(t *testing.T) {
	runs := 0
	r := Search(time.Hour, func() *Result {
		runs++
		return run(time.Minute, func(t *T) {
			if runs == 5 {
				t.Broken("the needle")
			}
		})
	})
	saw(t, r, "the needle")
	if runs != 5 {
		t.Errorf("what the fifth run has found was searched for in %d runs", runs)
	}
	runs = 0
	if r := Search(0, func() *Result { runs++; return run(time.Minute, func(*T) {}) }); r.Found() || runs != 1 {
		t.Errorf("in %d runs something was found, or not: %v; one was to be run, and finds nothing", runs, r.Found())
	}
}
