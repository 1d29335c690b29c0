package guard

import (
	"runtime/debug"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Recovered makes an error of a panic of f: it may be a user's hook, and
// modernc's SQLite is Go, so that what would be a crash in C is a panic there.
// What comes after f has to be done all the same.
func Recovered(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &lifecycle.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
