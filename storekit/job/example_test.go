package job_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/storekit/job"
)

// Jobs stand before the store that they work on.
func Example() {
	ctx := context.Background()
	notes := lifecycle.Func{
		PauseFunc:  func(context.Context) error { fmt.Println("the store pauses"); return nil },
		ResumeFunc: func(context.Context) error { fmt.Println("the store resumes"); return nil },
	}
	jobs := job.NewRunner(job.Config{Name: "notes jobs"})
	app := lifecycle.Sequence(jobs, notes)

	running := make(chan struct{})
	_, err := jobs.Start(job.Job{Name: "sync", Run: func(ctx context.Context) error {
		fmt.Println("sync begins")
		running <- struct{}{}
		<-ctx.Done()
		fmt.Println("sync ends:", context.Cause(ctx))
		return nil
	}})
	if err != nil {
		panic(err)
	}
	<-running
	fmt.Println(app.Pause(ctx))
	err = app.Resume(ctx)
	<-running
	fmt.Println(err, app.Pause(ctx), jobs.Close(ctx))
	// Output:
	// sync begins
	// sync ends: the store is paused
	// the store pauses
	// <nil>
	// the store resumes
	// sync begins
	// sync ends: the store is paused
	// the store pauses
	// <nil> <nil> <nil>
}

// A job that something else has made work for need not wait for its time.
func ExampleHandle_Now() {
	jobs := job.NewRunner(job.Config{})
	done := make(chan struct{})
	expiry, err := jobs.Start(job.Job{Name: "expire", First: time.Hour, Every: time.Hour, Run: func(context.Context) error {
		fmt.Println("expired")
		close(done)
		return nil
	}})
	if err != nil {
		panic(err)
	}
	expiry.Now()
	<-done
	fmt.Println(jobs.Close(context.Background()))
	// Output:
	// expired
	// <nil>
}

// The error of a Pause names the job that does not stop.
func ExampleRunner_Pause() {
	jobs := job.NewRunner(job.Config{Name: "notes jobs"})
	running, release := make(chan struct{}), make(chan struct{})
	_, err := jobs.Start(job.Job{Name: "vacuum", Run: func(context.Context) error {
		close(running)
		<-release
		return nil
	}})
	if err != nil {
		panic(err)
	}
	<-running
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	var held *lifecycle.HeldError
	if err := jobs.Pause(ctx); errors.As(err, &held) {
		fmt.Println(held.Holders[0].Label, "has not returned")
	}
	close(release)
	fmt.Println(jobs.Pause(context.Background()))
	// Output:
	// vacuum has not returned
	// <nil>
}
