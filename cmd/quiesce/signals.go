package main

// How a user ends the program: it closes its databases first, and removes what it made.

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends with the first signal that asks for
// the end. The second one has its usual effect, for whoever will not wait.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	// A reader that has gone (quiesce demo | head) shows as an error of the next
	// write, instead of killing the process beside its database.
	signal.Ignore(syscall.SIGPIPE)

	asks := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		asks = append(asks, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(parent, asks...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
