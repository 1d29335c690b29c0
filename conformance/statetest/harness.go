package statetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/state"
	"github.com/quiesce-go/quiesce/matrixstores/state/mautrixstate"
)

// Harness is what the suite needs to know of a store. It is made anew for every case.
type Harness struct {
	// Open opens the store that lives in dir, and makes it where there is none. The
	// suite opens one store at a time in a directory, closes it, and may then open the same directory again.
	Open func(ctx context.Context, dir string, o Options) (state.Store, error)

	// Files are the paths of all files that the store in dir may have. Nil for a store in memory.
	Files func(dir string) []string

	// Without names what the store can not do, each with the reason: of
	// conformance's capabilities Gate, Files and Encryption count here. What is not named is checked.
	Without map[conformance.Capability]string

	// Brief asks for the least that still means something wherever something is counted, in the short tier: for a
	// store that differs from one that is checked without it in nothing that needs many. Every case runs all the same.
	Brief bool

	// Limit is after how long a case counts as hanging. Default two minutes, and more in the tiers with bigger counts.
	Limit time.Duration

	// bridge serves mautrix from a store; nil for mautrixstate.New. It is for testing the cases.
	bridge func(state.Store, id.UserID, mautrixstate.Options) bridge
}

// Options is how a case wants the store to be.
type Options struct {
	// Clock tells the time. It is never nil, and may be called from any goroutine.
	Clock func() time.Time

	// Timeout bounds a Pause, Resume and Close whose context has no deadline, and
	// an operation is interrupted after Grace.
	Timeout, Grace time.Duration

	// WhenPaused is what work meets while the store is paused.
	WhenPaused lifecycle.Policy
}

// lacks returns the reason why the store lacks something that is needed, "" if it has all.
func (h *Harness) lacks(needs []conformance.Capability) string {
	for _, c := range needs {
		if reason, lacks := h.Without[c]; lacks {
			return fmt.Sprintf("without %s: %s", c, reason)
		}
	}
	return ""
}

// check finds what is wrong with the harness itself.
func (h *Harness) check() error {
	if h.Open == nil {
		return errors.New("the harness: Open is missing")
	}
	for c, reason := range h.Without {
		switch c {
		case conformance.Gate, conformance.Files, conformance.Encryption:
		default:
			return fmt.Errorf("the harness: Without[%q] is nothing that this suite asks for", c)
		}
		if strings.TrimSpace(reason) == "" {
			return fmt.Errorf("the harness: Without[%q] gives no reason; whoever reads the result wants to know why", c)
		}
	}
	if h.lacks(needs(conformance.Files)) == "" && h.Files == nil {
		return errors.New("the harness: Files is missing; a store that lives in no file declares Without[conformance.Files]")
	}
	return nil
}

func needs(c ...conformance.Capability) []conformance.Capability { return c }
