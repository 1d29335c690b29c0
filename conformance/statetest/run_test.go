package statetest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryMethodIsCalled: the cases about pauses, contexts and Close call every method that there is.
func TestEveryMethodIsCalled(t *testing.T) {
	called := map[string]bool{}
	for name := range calls {
		method, _, _ := strings.Cut(name, " of ")
		called[method] = true
	}
	of := reflect.TypeFor[state.Store]()
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
