// Package lifecycle lets a program give back what it holds, provably and
// within a deadline, and take it again later through the same handles.
//
// Anything with the two methods of [Pausable] can take part. [Sequence] and
// [Parallel] compose Pausables, a [Controller] drives one to the state that was
// asked for last, and [Connections] makes one of a [Driver]: a pool of readers
// and one writer, with operations as callbacks.
//
//	conns.Read(ctx, func(c C) error { … })  // any number at a time, up to the pool's size
//	conns.Write(ctx, func(c C) error { … }) // one at a time
//	conns.Pause(ctx)                        // nil: nothing is held any more
//	conns.Resume(ctx)                       // nil: it is what was paused, and open
//
// # What Pause promises
//
// From its first instruction on, new work is refused with [ErrPaused], or waits
// for Resume under the policy [Wait]. Who waits for a connection has begun
// nothing and counts as new work.
//
// Work in flight is let finish. After the grace it is interrupted, again and
// again until it ends. At the deadline, which is the context's or the time-out's,
// its connection is severed where the driver can do that; the owner's next call returns
// [ErrInterrupted]. A context that has ended already interrupts and severs at
// once, and so does one that is cancelled while Pause waits. An operation whose
// callback returns nil returned nil: what was committed is acknowledged.
//
// When nothing runs any more, the connections are closed in the order that
// leaves nothing behind: readers, one after another; the checkpoint; the writer, last.
//
// Pause returns nil only if nothing is held any more. Otherwise it returns a
// [HeldError], which names every holder; the releasing goes on by itself, and a
// later Pause waits for what is left. A context bounds the waiting, never the releasing.
// What happened is told by [Connections.Report] and to the [Observer].
//
// Of overlapping calls the latest intent wins; the overtaken one returns
// [ErrSuperseded] at once. A Resume waits for no stuck reader: new readers get a
// new generation, and the old ones are closed when they let go. There is never a
// second writer. An interrupt that was under way when its pause was overtaken
// may still reach the operation that it was meant for.
//
// # What it costs
//
// Next to nothing on the hot path: a Read is puddle's TryAcquire and a handful
// of loads and stores that make its operation nameable; no allocation. A paused store
// has no pool, no goroutine and no timer, and keeps a few hundred bytes.
//
// DESIGN.md in this directory explains how it works and why.
package lifecycle
