package lease

import "slices"

// Who waits for a key that this process has would find it free only at its
// next look. A release wakes the one who waits longest, and only that one:
// if all looked, all but one would look in vain.

// turn is a place in a queue. It is closed when it has come.
type turn chan struct{}

// queue gives a place behind the others. l.mu is held.
func (l *Locks) queue(key string) turn {
	t := make(turn)
	l.queues[key] = append(l.queues[key], t)
	return t
}

// unqueue gives the place up. Where its turn had come and was of no use, it is passed on. l.mu is held.
func (l *Locks) unqueue(key string, t turn, used bool) {
	q := l.queues[key]
	i := slices.Index(q, t)
	if i < 0 {
		if !used {
			l.pass(key)
		}
		return
	}
	l.setQueue(key, slices.Delete(q, i, i+1))
}

// pass gives the turn to the first. l.mu is held.
func (l *Locks) pass(key string) {
	if q := l.queues[key]; len(q) > 0 {
		close(q[0])
		l.setQueue(key, q[1:])
	}
}

func (l *Locks) setQueue(key string, q []turn) {
	if len(q) == 0 {
		delete(l.queues, key)
		return
	}
	l.queues[key] = q
}
