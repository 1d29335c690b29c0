package lifecycle

// working tells whether the slot's connection is in somebody's hands.
func (sl *slot[C]) working() bool {
	switch sl.word.Load() & stateMask {
	case idle:
		return sl.cleaning.Load()
	case severed:
		sl.mu.Lock()
		defer sl.mu.Unlock()
		return !sl.cut
	default:
		return true
	}
}

// isCut tells whether a severed connection is closed.
func (sl *slot[C]) isCut() bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.cut
}

// claim takes an idle connection that is not in the pool, for closing. Nobody gets it after that.
func (sl *slot[C]) claim() bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	word := sl.word.Load()
	// With another number, so that what Inside marked is over.
	if word&stateMask != idle || sl.cleaning.Load() || !sl.word.CompareAndSwap(word, (word>>stateBits+1)<<stateBits|severed) {
		return false
	}
	sl.cut = true
	return true
}

// takeAway takes the connection from the operation op, for severing, and
// returns whom that hits. It returns false when the operation is over, or pinned by somebody else.
func (sl *slot[C]) takeAway(op uint64) (hit Holder, ok bool) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if _, ok := sl.pin(op); !ok {
		return Holder{}, false
	}
	sl.hit.Store(op)
	sl.view.Interrupted, sl.view.Severed = true, true
	// From here on the holder finds the connection taken, whenever it leaves.
	sl.unpin(op, severed)
	return sl.view, true
}

// afterSever gives the place of a severed connection on, as soon as that is closed.
func (sl *slot[C]) afterSever(err error) {
	sl.mu.Lock()
	if sl.cut {
		sl.mu.Unlock()
		return
	}
	sl.cut = true
	sl.mu.Unlock()
	switch sl.role {
	case Writer:
		sl.s.closedWith(err)
		sl.s.gate.severed(sl)
		sl.s.wake.poke()
	case Reader:
		sl.res.Hijack()
		sl.gen.gone(sl, err)
	case Foreign:
		sl.s.gate.returned(sl)
		sl.gen.gone(sl, err)
	}
}
