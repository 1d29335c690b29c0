package trial

import (
	"fmt"
	"runtime"

	"pgregory.net/rapid"
)

// Rapidly checks a property so many times, and makes what breaks it as small as it can.
func (t *T) Rapidly(times int, property func(*rapid.T)) {
	for left := times; left > 0 && !t.Over(); { // rapid has a count of its own, which may be less
		n, failed := 0, false
		rapid.Check(&asTB{t: t}, func(r *rapid.T) {
			if n++; n > left && !failed {
				return
			}
			ok := false
			defer func() { failed = failed || !ok || r.Failed() }()
			property(r)
			ok = true
		})
		left -= n
	}
}

// asTB is a T as rapid wants it.
type asTB struct {
	t      *T
	failed bool
}

func (b *asTB) Name() string { return "trial/" + b.t.cs.Name }
func (b *asTB) Failed() bool { return b.failed }
func (b *asTB) Helper()      {}

// Log keeps what is said of a failure. Of what went well rapid counts also what was left out.
func (b *asTB) Log(args ...any) { b.Logf("%s", fmt.Sprint(args...)) }
func (b *asTB) Logf(format string, args ...any) {
	if b.failed {
		b.t.Note(format, args...)
	}
}

func (b *asTB) Error(args ...any) { b.Errorf("%s", fmt.Sprint(args...)) }
func (b *asTB) Errorf(format string, args ...any) {
	b.failed = true
	b.t.Broken(format, args...)
}
func (b *asTB) Fatal(args ...any)                 { b.Error(args...); runtime.Goexit() }
func (b *asTB) Fatalf(format string, args ...any) { b.Errorf(format, args...); runtime.Goexit() }
func (b *asTB) Fail()                             { b.failed = true }
func (b *asTB) FailNow()                          { b.failed = true; runtime.Goexit() }
func (b *asTB) Skip(args ...any)                  { b.Log(args...); runtime.Goexit() }
func (b *asTB) Skipf(format string, args ...any)  { b.Logf(format, args...); runtime.Goexit() }
func (b *asTB) SkipNow()                          { runtime.Goexit() }
