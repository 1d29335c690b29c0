package cryptotest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryHarness is of a store in memory, which is obviously right where its own run of the suite says so.
func memoryHarness(strict bool, wrap func(crypto.Store) crypto.Store) *Harness {
	h := &Harness{
		Open: func(ctx context.Context, _ string, o Options) (crypto.Store, error) {
			s, err := memorystore.OpenCrypto(ctx, memorystore.CryptoConfig{Config: memorystore.Config{
				Strict: strict, Clock: o.Clock, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused,
			}})
			if err != nil {
				return nil, err
			}
			return wrap(s), nil
		},
		Without: map[conformance.Capability]string{conformance.Files: "it lives in memory", conformance.Encryption: "nothing is stored"},
	}
	if !strict {
		h.Without[conformance.Gate] = "a pause changes nothing"
	}
	return h
}

// TestEveryMethodIsCalled: the cases about pauses, contexts and Close call every method that there is.
func TestEveryMethodIsCalled(t *testing.T) {
	called := map[string]bool{}
	for name := range calls {
		method, _, _ := strings.Cut(name, " of ")
		called[method] = true
	}
	of := reflect.TypeFor[crypto.Store]()
	for i := range of.NumMethod() {
		name := of.Method(i).Name
		if called[name] == slices.Contains(lifeMethods, name) {
			t.Errorf("whether calls has %s is %v", name, called[name])
		}
		delete(called, name)
	}
	if len(called) > 0 {
		t.Errorf("calls has what is no method: %v", called)
	}
}

// TestTheModelIsAsked: everything that can be read is asked for when a store is compared with the model.
func TestTheModelIsAsked(t *testing.T) {
	asked := map[string]bool{}
	for _, line := range ask(t.Context(), &model{}) {
		name, _, _ := strings.Cut(line, ":")
		name, _, _ = strings.Cut(name, " ")
		asked[name] = true
	}
	// Those that change something are operations; a page is asked for by its queries, a signature with its key.
	others := []string{"InboundGroupSessionPage", "IsSignedBy"}
	for _, make := range operations {
		for range 100 {
			others = append(others, make(newChance(len(others))).name)
		}
	}
	of := reflect.TypeFor[data]()
	for i := range of.NumMethod() {
		if name := of.Method(i).Name; !asked[name] && !slices.Contains(others, name) && name != "SaveAccount" {
			t.Errorf("nobody asks a store for %s", name)
		}
	}
}

// TestAHarnessThatCannotBeIsTold: what is wrong with a harness is said before a store is blamed for it.
func TestAHarnessThatCannotBeIsTold(t *testing.T) {
	open := memoryHarness(false, nil).Open
	for what, h := range map[string]*Harness{
		"without Open":                 {},
		"without Files":                {Open: open},
		"without a reason":             {Open: open, Without: map[conformance.Capability]string{conformance.Files: " "}},
		"without what nobody asks for": {Open: open, Without: map[conformance.Capability]string{conformance.Files: "memory", conformance.Leak: "why"}},
	} {
		if h.check() == nil {
			t.Errorf("a harness %s is taken for a good one", what)
		}
	}
	if err := memoryHarness(true, nil).check(); err != nil {
		t.Error(fmt.Errorf("a good one is refused: %w", err))
	}
}
