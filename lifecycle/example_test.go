package lifecycle_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// talking is anything that can pause; it says what it is told.
func talking(name string) lifecycle.Pausable {
	return lifecycle.Named(name, lifecycle.Func{
		PauseFunc:  func(context.Context) error { fmt.Println("pause", name); return nil },
		ResumeFunc: func(context.Context) error { fmt.Println("resume", name); return nil },
	})
}

func ExampleSequence() {
	ctx := context.Background()
	app := lifecycle.Sequence(talking("sync"), talking("send queue"), talking("stores"))
	fmt.Println(app.Pause(ctx))
	fmt.Println(app.Resume(ctx))
	// Output:
	// pause sync
	// pause send queue
	// pause stores
	// <nil>
	// resume stores
	// resume send queue
	// resume sync
	// <nil>
}

// The error of a group names the member.
func ExampleMemberError() {
	broken := lifecycle.Named("cache", lifecycle.Func{PauseFunc: func(context.Context) error { return errors.New("no answer") }})
	err := lifecycle.Sequence(broken, talking("stores")).Pause(context.Background())
	var member *lifecycle.MemberError
	fmt.Println(errors.As(err, &member), member.Member)
	fmt.Println(err)
	// Output:
	// pause stores
	// true cache
	// sequence: pause cache: no answer
}

// A lease resumes for a while, for work in the background.
func ExampleController_Hold() {
	ctx := context.Background()
	ctl := lifecycle.NewController(talking("stores"))
	if err := ctl.Pause(ctx); err != nil {
		panic(err)
	}
	lease, err := ctl.Hold(lifecycle.WithLabel(ctx, "push notification"))
	if err != nil {
		panic(err)
	}
	fmt.Println("working while", ctl.State())
	lease.Release()
	fmt.Println(ctl.Pause(ctx)) // waits for the pause that the release began
	// Output:
	// pause stores
	// resume stores
	// working while active
	// pause stores
	// <nil>
}

// A pause that is asked for inside an operation could only wait for that operation.
func ExampleConnections_Inside() {
	ctx := context.Background()
	conns, err := lifecycle.Open(ctx, lifecycle.Driver[*int](numbers{}), lifecycle.Config[*int]{})
	if err != nil {
		panic(err)
	}
	err = conns.Write(ctx, func(c *int) error {
		inside := conns.Inside(ctx, c)
		fmt.Println(errors.Is(conns.Pause(inside), lifecycle.ErrNested))
		return conns.Read(inside, func(same *int) error { // joins the operation
			fmt.Println(same == c)
			return nil
		})
	})
	fmt.Println(err, conns.Close(ctx))
	// Output:
	// true
	// true
	// <nil> <nil>
}

// numbers is the smallest driver.
type numbers struct{}

func (numbers) Open(context.Context, lifecycle.OpenInfo) (*int, error) { return new(int), nil }
func (numbers) Interrupt(*int)                                         {}
func (numbers) Reset(*int) error                                       { return nil }
func (numbers) Close(*int) error                                       { return nil }
