package lifecycle_test

import (
	"context"
	"testing"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// With RollbackResume a Resume that failed is taken back, and a Pause that
// failed is not: whoever wants his resources back does not want them taken again.
func TestGroupThatRollsBackResumesOnlyLeavesAFailedPauseAlone(t *testing.T) {
	for _, kind := range kinds {
		bubble(t, kind.name, func(t *testing.T) {
			j := &journal{}
			p := parts(t, j, 3)
			g := kind.make(lifecycle.GroupConfig{RollbackResume: true}, pausables(p)...)
			p[1].onPause = func(context.Context) error { return errBroken }
			want(t, g.Pause(bg), errBroken)
			if got := j.sorted(); got != "pause a, pause b, pause c" {
				t.Errorf("a failed Pause goes on by itself; told: %s", got)
			}
			if s := g.State(); s != lifecycle.Pausing {
				t.Errorf("after a Pause that failed the state is %v", s)
			}
			p[1].onPause = nil
			noError(t, g.Pause(bg), "Pause")
			p[1].onResume = func(context.Context) error { return errBroken }
			want(t, g.Resume(bg), errBroken, lifecycle.ErrRolledBack)
			for _, m := range p {
				if !m.isPaused() {
					t.Errorf("%s is active; the error says that the resume was rolled back", m.name)
				}
			}
			if s := g.State(); s != lifecycle.Paused {
				t.Errorf("rolled back, and the state is %v", s)
			}
		})
	}
}
