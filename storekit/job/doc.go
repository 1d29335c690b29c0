// Package job runs the background work of a store, stops it before the store
// pauses and starts it again after the store has resumed.
//
//	jobs := job.NewRunner(job.Config{Name: "notes jobs"})
//	app := lifecycle.Sequence(jobs, notes) // the jobs stop first and start last
//
//	expiry, err := jobs.Start(job.Job{Name: "expire", Every: time.Hour, Run: expire})
//	expiry.Now() // something has just been marked as expired
//
// A [Runner] is a [lifecycle.Pausable]. It stands before the databases that its
// jobs work on: a job that stops when it is told to never meets a store that is
// paused.
//
// # What Pause promises
//
// Every job's context ends at once, with [lifecycle.ErrPaused] as the cause,
// and nothing is started any more. Pause returns nil when every job has
// returned: there is no goroutine and no timer left. Where its time ends first it
// returns a [lifecycle.HeldError] that names the jobs which have not returned; a
// later Pause waits for those that are left. A job cannot be stopped by
// force: one that does not look at its context keeps the pause from its end.
//
// Of overlapping calls the latest intent wins. A Resume waits for no stuck
// job: that one is started again when its old run has ended. A job never
// runs twice at a time, whatever is called from wherever.
//
// # When a job runs
//
// A periodic job runs, waits for Every, and runs again. An interval goes on
// while the Runner is paused; where it ran out meanwhile, however often, the
// job runs once soon after Resume. A job without Every runs once per life,
// which is the time from a Resume to the next Pause, and may go on until its
// context ends: the loop of a synchronisation is such a job.
//
// A run that fails is repeated after a back-off, and in the next life without
// one. Panics and runtime.Goexit are failures too, and end neither the process
// nor the Runner. A run that ended because it was told to stop has not failed.
package job
