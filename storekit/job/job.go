package job

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Job says what is run, and when.
type Job struct {
	// Name names the job in errors, events and holders. It is needed; two
	// jobs may share one.
	Name string

	// Run does the work. It is needed. ctx ends when the job is to stop, with
	// the cause lifecycle.ErrPaused, lifecycle.ErrClosed or ErrStopped, and Run
	// should return soon then. ctx also carries the job's name, as the label
	// of lifecycle.WithLabel.
	//
	// nil means that the work is done. An error is a failure, unless ctx had
	// ended: then it tells that the run was cut short, and the job runs again
	// soon after Resume. ErrDone takes the job out. A job that wants its own
	// Runner paused, be it through a group, leaves that to another goroutine:
	// the pause waits for the job.
	Run func(ctx context.Context) error

	// Every is how long after the end of a run the next one begins. With 0 the
	// job runs once per life: a run that returned nil is repeated only after
	// the next Resume, or by Now.
	Every time.Duration

	// First is how long after Start the first run begins, whether the Runner
	// is paused meanwhile or not. The default is at once.
	First time.Duration

	// RetryAfter is how long after a failure the job runs again. The wait
	// doubles with every further failure, up to RetryLimit and, for a periodic
	// job, to Every. The defaults are 1 s and 5 min. A new life begins anew.
	RetryAfter, RetryLimit time.Duration
}

func (j Job) withDefaults() (Job, error) {
	switch {
	case j.Name == "":
		return j, &lifecycle.ConfigError{Field: "Name", Reason: "is empty"}
	case j.Run == nil:
		return j, &lifecycle.ConfigError{Field: "Run", Reason: "is nil"}
	case j.Every < 0:
		return j, &lifecycle.ConfigError{Field: "Every", Reason: "is negative"}
	case j.First < 0:
		return j, &lifecycle.ConfigError{Field: "First", Reason: "is negative"}
	case j.RetryAfter < 0:
		return j, &lifecycle.ConfigError{Field: "RetryAfter", Reason: "is negative"}
	case j.RetryLimit < 0:
		return j, &lifecycle.ConfigError{Field: "RetryLimit", Reason: "is negative"}
	}
	if j.RetryAfter == 0 {
		j.RetryAfter = time.Second
	}
	if j.RetryLimit == 0 {
		j.RetryLimit = max(5*time.Minute, j.RetryAfter)
	}
	if j.Every > 0 { // a job that fails need not run less often than one that does not
		j.RetryLimit = min(j.RetryLimit, j.Every)
	}
	return j, nil
}

// backOff is the wait after so many failures in a row.
func (j Job) backOff(failures int) time.Duration {
	wait := min(j.RetryAfter, j.RetryLimit)
	for range failures - 1 {
		if wait >= j.RetryLimit/2 {
			return j.RetryLimit
		}
		wait *= 2
	}
	return wait
}
