package lease

import "time"

// Leases are judged by two clocks. The wall clock is the one that processes
// share, and may be set. The monotonic clock cannot be set, but stands still
// while the machine sleeps.

// clock reads both.
type clock struct {
	wall func() int64         // milliseconds since 1970
	mono func() time.Duration // since any fixed moment
}

func realClock() clock {
	start := time.Now()
	return clock{
		wall: func() int64 { return time.Now().UnixMilli() },
		mono: func() time.Duration { return time.Since(start) },
	}
}

// steadyClock is for one process alone: nobody can set it.
func steadyClock() clock {
	c := realClock()
	start := c.wall()
	c.wall = func() int64 { return start + c.mono().Milliseconds() }
	return c
}

// instant is a moment on both clocks.
type instant struct {
	wall int64
	mono time.Duration
}

func (c clock) now() instant { return instant{c.wall(), c.mono()} }

// plus is the moment so many milliseconds later.
func (t instant) plus(ms int64) instant {
	return instant{t.wall + ms, t.mono + time.Duration(ms)*time.Millisecond}
}

// reached tells whether either clock says that t has come.
func (t instant) reached(now instant) bool { return now.wall >= t.wall || now.mono >= t.mono }
