package cryptotest

// The store as cases ask it: calls that can fail only if a promise is broken, and what they have to return.

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// probe is one case that runs.
type probe struct {
	*trial.T
	h *Harness
}

func (p *probe) has(c conformance.Capability) bool { return p.h.lacks(needs(c)) == "" }

// count is how often something is done, by the tier.
func (p *probe) count(brief, short, full, soak int) int {
	if p.h.Brief {
		short = brief
	}
	return tier.Count(short, full, soak)
}

// options are those of a store of which nothing special is wanted.
func (p *probe) options() Options {
	return Options{Clock: p.Clock.Now, Timeout: 30 * time.Second, Grace: 10 * time.Second}
}

// subject is the store that a case is about.
type subject struct {
	crypto.Store
	p      *probe
	dir    string
	checks int // how often again was called
}

// open opens a store in a directory of its own.
func (p *probe) open() *subject { return p.openIn(p.Dir(), p.options()) }

// openIn opens the store in dir. It is closed at the end of the case, if it is not closed before.
func (p *probe) openIn(dir string, o Options) *subject {
	store, err := p.h.Open(p.Ctx, dir, o)
	if err != nil {
		p.Fatal("the store could not be opened: %v", err)
	}
	p.After(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Ctx), 30*time.Second)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			p.Broken("Close at the end of the case: %v", err)
		}
	})
	return &subject{Store: store, p: p, dir: dir}
}

// close closes the store, in the midst of a case.
func (s *subject) close() { s.p.Must("Close", s.Close(s.p.Ctx)) }

// nap pauses and resumes.
func (s *subject) nap() {
	s.p.Must("Pause", s.Pause(s.p.Ctx))
	s.p.Must("Resume", s.Resume(s.p.Ctx))
}

// again is what has to hold at once, after a pause, and after the store was closed and opened again. In
// the short tier it is one of both, by turns.
func (s *subject) again(check func()) {
	s.p.About("at once", check)
	s.checks++
	turn := func(n int) bool { return s.p.count(2, 2, 1, 1) == 1 || s.checks%2 == n }
	files := s.p.has(conformance.Files)
	if turn(0) || !files {
		s.nap()
		s.p.About("after a pause", check)
	}
	if turn(1) && files {
		s.close()
		s.Store = s.p.openIn(s.dir, s.p.options()).Store
		s.p.About("after it was opened again", check)
	}
}

// save stores changes.
func (s *subject) save(c *crypto.Changes) { s.p.Must("SaveChanges", s.SaveChanges(s.p.Ctx, c)) }

// is checks what a method returns.
func is[T any](p *probe, what string, want T) func(T, error) {
	return func(got T, err error) {
		p.Must(what, err)
		if !reflect.DeepEqual(got, want) {
			p.Broken("%s returned\n%s\nand should have returned\n%s", what, show(got), show(want))
		}
	}
}

// found checks what a method returns that also says whether it has found something.
func found[T any](p *probe, what string, want T, there bool) func(T, bool, error) {
	return func(got T, is bool, err error) {
		p.Must(what, err)
		if !reflect.DeepEqual(got, want) || is != there {
			p.Broken("%s returned\n%s, %v\nand should have returned\n%s, %v", what, show(got), is, show(want), there)
		}
	}
}

// show is a value in a finding, without addresses.
func show(v any) string {
	text := ""
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer:
		if r.IsNil() {
			return "nil"
		}
		text = fmt.Sprintf("%+v", r.Elem().Interface())
	case reflect.Map:
		var all []string
		for _, k := range r.MapKeys() {
			all = append(all, fmt.Sprintf("%v: %s", k, show(r.MapIndex(k).Interface())))
		}
		slices.Sort(all)
		text = strings.Join(all, "; ")
	default:
		text = fmt.Sprintf("%+v", v)
	}
	if len(text) > 1000 {
		return text[:1000] + "…"
	}
	return text
}
