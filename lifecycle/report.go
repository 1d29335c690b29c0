package lifecycle

import (
	"errors"
	"fmt"
	"time"
)

// Report says what a Pause, Resume or Close did. Durations of steps that were not taken are 0.
type Report struct {
	Store      string    `json:"store"`
	Op         string    `json:"op"` // "pause", "resume" or "close"
	Generation uint64    `json:"generation"`
	Start      time.Time `json:"start"`

	Total time.Duration `json:"total_ns"` // from the first call to the end, the hand-over to the releasing goroutine included

	// The steps of a pause.
	Drain      time.Duration `json:"drain_ns"`      // until nothing ran any more
	Hook       time.Duration `json:"hook_ns"`       // BeforeRelease
	Readers    time.Duration `json:"readers_ns"`    // closing readers
	Checkpoint time.Duration `json:"checkpoint_ns"` // writing back
	Writer     time.Duration `json:"writer_ns"`     // closing the writer
	Verify     time.Duration `json:"verify_ns"`     // the operating system's proof

	// The steps of a resume.
	Validate time.Duration `json:"validate_ns"` // before anything was opened
	Open     time.Duration `json:"open_ns"`     // the first connection
	Reopen   time.Duration `json:"reopen_ns"`   // AfterReopen

	ReadersClosed    int              `json:"readers_closed"`
	WriterClosed     bool             `json:"writer_closed"`
	CheckpointResult CheckpointResult `json:"checkpoint"`
	Interrupts       int              `json:"interrupts"` // operations that were interrupted
	Severed          int              `json:"severed"`    // connections that were closed under their operations
	Changed          Change           `json:"changed"`    // after a resume: has somebody else written meanwhile?
	Leftovers        []string         `json:"leftovers,omitempty"`
	Warnings         []string         `json:"warnings,omitempty"`
	Err              error            `json:"-"` // what the call returned to those who waited to its end

	closing error // of Err: what closing connections failed with
}

// Release is the time that the releasing steps took, without the drain, the
// hand-over between goroutines, hooks and the verification.
func (r *Report) Release() time.Duration { return r.Readers + r.Checkpoint + r.Writer }

func (r *Report) warn(step string, err error) {
	r.Warnings = append(r.Warnings, fmt.Sprint(step, ": ", err)) // which survives an error that panics, such as a nil of its type
}

func (r *Report) fail(err error) { r.Err = errors.Join(r.Err, err) }
