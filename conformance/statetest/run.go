package statetest

import (
	"context"
	"testing"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
)

// Case is one promise and the check of it.
type Case struct {
	Name    string
	Promise string // what a store promises

	// Origins say where the case comes from: tests of matrix-rust-sdk as "4.6/13
	// test_receipts_saving", those of its save lock as "4.7/…", its methods as "ST-06", the fields of its changes as
	// "4.2/redactions", its values as "4.3/Filter", what it has no test for as "GAP-ST/…", where its two stores
	// disagree as "DIV-01", defects of mautrix's own stores as "mautrix/…", "contract" for what this contract says more, and "bad input/…".
	Origins []string

	// Differs says where the contract is another one than that of the origins, on purpose.
	Differs string

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
			for _, note := range r.Notes {
				t.Log(note)
			}
			for _, f := range r.Findings {
				t.Error(f.Error())
			}
		})
	}
}

func runCase(ctx context.Context, cs *Case, h *Harness, newDir func() string) *trial.Result {
	return trial.Run(ctx, trial.Case{Name: cs.Name, Promise: cs.Promise, Limit: h.Limit, NewDir: newDir}, func(t *trial.T) {
		cs.run(&probe{T: t, h: h})
	})
}
