package lease

import "time"

// WithWall has the Locks that are opened with c read another wall clock, which may be set.
func WithWall(c Config, wall func() time.Time) Config {
	c.wall = func() int64 { return wall().UnixMilli() }
	return c
}

// Renewing tells whether the goroutine that renews is there.
func (l *Locks) Renewing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewer == nil {
		return false
	}
	select {
	case <-l.renewer.done:
		return false
	default:
		return true
	}
}

// Claims returns how many pairs of key and holder somebody has or wants.
func (l *Locks) Claims() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.claims)
}

// Waiters returns how many places there are in queues.
func (l *Locks) Waiters() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.queues {
		n += len(q)
	}
	return n
}

// Writes returns how many transactions have renewed, taken or released in the background.
func (l *Locks) Writes() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}
