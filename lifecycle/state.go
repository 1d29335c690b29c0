package lifecycle

import "fmt"

// State is where a store stands in its life.
type State uint8

const (
	// Active stores accept work.
	Active State = iota
	// Pausing stores refuse new work and give back what they hold; work in flight is let finish.
	Pausing
	// Paused stores hold nothing: no connection, no generation, no goroutine, no timer.
	Paused
	// Resuming stores are being opened and validated; they still refuse work.
	Resuming
	// Closed stores hold nothing and never will again.
	Closed
)

var stateNames = [...]string{"active", "pausing", "paused", "resuming", "closed"}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText writes the state's name, so that JSON output is readable.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
