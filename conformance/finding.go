package conformance

import (
	"fmt"
	"strings"
)

// Finding is one broken promise. Check returns findings joined; match them with errors.As.
type Finding struct {
	Case    string // the name of the case
	Promise string // what a store promises
	Saw     string // what was seen instead
	Harm    string // what that does to a user
}

// Error explains the finding to somebody who knows neither the store nor this suite.
func (f *Finding) Error() string {
	who := "store"
	if strings.HasPrefix(f.Case, "group/") {
		who = "composition"
	}
	return fmt.Sprintf("%s: the %s breaks a promise\n    promised: %s\n    seen:     %s\n    harm:     %s",
		f.Case, who, f.Promise, strings.ReplaceAll(f.Saw, "\n", "\n              "), f.Harm)
}

// NotRun is in Check's error for every case that could not be run for want
// of a child process: nothing is known about its promise.
type NotRun struct {
	Case   string
	Reason string
}

// Error says which case was not run, and why.
func (n *NotRun) Error() string { return n.Case + ": not run: " + n.Reason }
