package conformance_test

import (
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// The compositions of lifecycle keep the promises that their users rely on.
func TestGroupsOfLifecycleConform(t *testing.T) {
	for name, h := range map[string]conformance.GroupHarness{
		"sequence":               {Make: func(m ...lifecycle.Pausable) lifecycle.Pausable { return lifecycle.Sequence(m...) }, Ordered: true},
		"parallel":               {Make: func(m ...lifecycle.Pausable) lifecycle.Pausable { return lifecycle.Parallel(m...) }},
		"sequence-with-rollback": {Make: lifecycleSequence(lifecycle.GroupConfig{Rollback: true}), Ordered: true, Rollback: true},
		"parallel-with-rollback": {Make: func(m ...lifecycle.Pausable) lifecycle.Pausable {
			return lifecycle.GroupConfig{Rollback: true}.Parallel(m...)
		}, Rollback: true},
		"nested": {Make: func(m ...lifecycle.Pausable) lifecycle.Pausable {
			return lifecycle.Sequence(m[0], lifecycle.Sequence(m[1:]...))
		}, Ordered: true},
		"controller": {Make: func(m ...lifecycle.Pausable) lifecycle.Pausable {
			return lifecycle.ControllerConfig{LeaseTTL: 300 * time.Millisecond}.NewController(lifecycle.Sequence(m...))
		}, Ordered: true, Retries: true, Controller: true, LeaseTTL: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.RunGroup(t, func() *conformance.GroupHarness { return &h })
		})
	}
}

func lifecycleSequence(cfg lifecycle.GroupConfig) func(...lifecycle.Pausable) lifecycle.Pausable {
	return func(m ...lifecycle.Pausable) lifecycle.Pausable { return cfg.Sequence(m...) }
}
