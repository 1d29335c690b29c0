package job

import "errors"

var (
	// ErrDone is what a Run returns whose job is done for ever. The job is
	// taken out, as by Stop, and the run has not failed.
	ErrDone = errors.New("the job is done")

	// ErrStopped is the cause with which a run's context ends when its job is taken out by Stop.
	ErrStopped = errors.New("the job was stopped")
)

// errGoexit is what a run has failed with that ended its goroutine.
var errGoexit = errors.New("runtime.Goexit was called")
