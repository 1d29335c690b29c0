package mediatest

import (
	"flag"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

func TestMain(m *testing.M) {
	// What fails here, fails on purpose: nothing about it is worth a file, or long work to make it smaller.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "100ms"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// TestOfTheReference: the suite has nothing to say against a store that is obviously right.
func TestOfTheReference(t *testing.T) {
	Run(t, func() *Harness { return brief(openHarness("")) })
}

// brief is enough for the reference: what finds the faults of broken stores is the case as it is.
func brief(h *Harness) *Harness {
	h.Brief = true
	return h
}

// TestOfTheReferenceWithAGate: nor against one that refuses work while paused, and lives in a sealed file.
func TestOfTheReferenceWithAGate(t *testing.T) {
	Run(t, func() *Harness { return brief(strictHarness("")) })
}

// TestEveryMethodIsCalled: the cases about pauses, contexts and Close call every method that there is.
func TestEveryMethodIsCalled(t *testing.T) {
	called := map[string]bool{}
	for _, c := range calls() {
		method, _, _ := strings.Cut(c.method, " of ")
		called[method] = true
	}
	check := func(of reflect.Type, prefix string, not []string) {
		for i := range of.NumMethod() {
			name := of.Method(i).Name
			if called[prefix+name] == slices.Contains(not, name) {
				t.Errorf("whether calls has %s%s is %v", prefix, name, called[prefix+name])
			}
			delete(called, prefix+name)
		}
	}
	check(reflect.TypeFor[media.Store](), "", lifeMethods)
	check(reflect.TypeFor[media.Reader](), "Reader.", streamMethods)
	check(reflect.TypeFor[media.Writer](), "Writer.", streamMethods)
	if len(called) > 0 {
		t.Errorf("calls has what is no method: %v", called)
	}
}

func BenchmarkReference(b *testing.B) { Bench(b, func() *Harness { return openHarness("") }) }
