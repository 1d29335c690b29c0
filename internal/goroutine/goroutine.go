// Package goroutine tells goroutines apart.
package goroutine

// ID returns a number that no other goroutine has as long as the calling one
// lives, or 0 where that is not known. runtime.Stack would tell the same in
// 20 µs, which is as long as a small transaction takes; this is a nanosecond.
func ID() uintptr { return id() }
