package eventcachetest

import (
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/matrixstores/eventcache"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Broken stores are broken on purpose: nothing about them is worth a file, or long work to make it smaller.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "100ms"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

// TestOfTheReference: the suite has nothing to say against a store that is obviously right.
func TestOfTheReference(t *testing.T) {
	Run(t, func() *Harness { return brief(plainHarness(nil)) })
}

// brief is enough for the model: what finds the faults of broken stores is the case as it is.
func brief(h *Harness) *Harness {
	h.Brief = true
	return h
}

// TestCallsAreAllMethods: what is asked of every method is asked of every method.
func TestCallsAreAllMethods(t *testing.T) {
	names := slices.Clone(lifeMethods)
	for _, c := range calls() {
		method, _, _ := strings.Cut(c.method, " of ")
		names = append(names, method)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var methods []string
	for method := range reflect.TypeFor[eventcache.Store]().Methods() {
		methods = append(methods, method.Name)
	}
	slices.Sort(methods)
	if !slices.Equal(names, methods) {
		t.Errorf("calls are\n%q\nand the methods of a store\n%q", names, methods)
	}
}
