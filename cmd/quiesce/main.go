// Command quiesce shows what quiesce does, on a real database, and tells who
// holds one.
//
//	quiesce demo              pause and resume a busy database, with the operating system's proof
//	quiesce holders PATH…     who holds what on the databases at these paths
//
// "quiesce demo --help" and "quiesce holders --help" document the flags, the
// fields of --json and the exit status of each.
//
// Exit status 2 always means that the command line, or what it names, cannot be
// used; the other values are the command's own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := untilSignal(context.Background())
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// What the program exits with. A command may have values of its own besides.
const (
	exitOK    = 0
	exitWrong = 1 // demo: something was held or lost; holders: the database is held
	exitUsage = 2
)

// cli is the command line.
type cli struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Demo    demoCmd    `cmd:"" help:"Pause and resume a real database under load, and prove that nothing is held and nothing is lost."`
	Holders holdersCmd `cmd:"" help:"Tell who holds what on databases: descriptors, memory maps and locks, of every process."`
	Probe   probeCmd   `cmd:"" hidden:"" help:"Try to lock databases, as the child process of a demo."`
}

// surroundings are what a command gets besides its flags.
type surroundings struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

// status is the error of a command that has said already what there is to say.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is what somebody has to change before the command can do anything.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// run runs one command and returns the exit status. ctx ends when the user asks for the end.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	if len(args) == 0 {
		run(ctx, []string{"--help"}, stderr, stderr)
		return exitUsage
	}
	// After --help and --version kong would exit the process; the panic stands for that.
	type exit struct{ code int }
	defer func() {
		if e := recover(); e != nil {
			over, ok := e.(exit)
			if !ok {
				panic(e)
			}
			code = over.code
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("quiesce"),
		kong.Description("Give back everything that a program holds of an SQLite database, provably and within a deadline, and take it again."),
		kong.Vars{"version": version(), "demo_file": fileName},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit{code}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "quiesce: %v\nRun \"quiesce --help\" for usage.\n", err)
		return exitUsage
	}
	err = parsed.Run(&surroundings{ctx, stdout, stderr})
	if s := status(0); errors.As(err, &s) {
		return int(s)
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "quiesce: %v\n", err)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return exitUsage
	}
	return exitWrong
}
