package lifecycle

import "time"

// Readers that nobody used for IdleTimeout are closed, all but one. puddle
// hands out the reader that was used last, so that under little load the same
// few stay warm and the others grow old.

// startShedding is called once, before the generation serves anybody.
func (g *generation[C]) startShedding() {
	if g.s.cfg.IdleTimeout == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closing.Load() {
		g.shedder = time.AfterFunc(g.s.cfg.IdleTimeout, g.shed)
	}
}

// shed closes what is old, and comes back after another IdleTimeout. It takes
// all idle readers for a moment: a Read that comes just then waits for it or opens another.
func (g *generation[C]) shed() {
	left := g.pool.Stat().TotalResources()
	for _, res := range g.pool.AcquireAllIdle() {
		sl := res.Value()
		// Idle for a whole interval: it has served nobody since the last look.
		op := sl.word.Load()>>stateBits + 1
		if left > 1 && !g.closing.Load() && sl.looked == op {
			left--
			res.Hijack()
			g.close(sl)
			continue
		}
		sl.looked = op
		res.ReleaseUnused()
	}
	g.released()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shedder != nil { // else shut meanwhile
		g.shedder.Reset(g.s.cfg.IdleTimeout)
	}
}
