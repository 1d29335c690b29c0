// Package lease is locks between processes that expire: of all who want a key,
// one holder has it at a time, for as long as it renews it.
//
//	locks, err := lease.Open(ctx, lease.Config{Database: sqlite.Config{Engine: modernc.Engine(), Path: path}})
//	x, err := locks.Hold(ctx, "token", lease.Options{})
//	defer x.Release(ctx)
//	… // something slow
//	if err := x.Check(ctx); err != nil { … } // right before what matters
//
// The leases of a store stand in a small database of their own, so that a
// renewal never waits for a long write of the store. [Memory] is the same
// within one process, for stores in memory.
//
// # What it promises
//
// A key has a generation, which grows whenever the holder changes. [Locks.Take]
// is the primitive: it takes, extends or releases, and never waits.
// [Locks.Hold] waits for its turn and returns a [Lease], which is renewed in the
// background until it is released. Holds of the same key by the same holder count: they
// share one row, one renewal and one release, with the last of them.
//
// A lease is valid until its time is over by the wall clock or by the monotonic
// clock, whichever says so earlier. One that could not be renewed in time is
// lost for good: [Lease.Done] is closed. [Lease.Dirty] tells that somebody else has
// held the key since this process last did, so that caches must be read again.
//
// # Pausing
//
// [Locks.Pause] releases what is held, so that another process gets it at once,
// and gives back the database. The leases stay: Resume takes them again. Where nobody
// else was in between they are as before. Where somebody was, they are dirty. Where somebody
// still is, they wait in the background, and are dirty when they come back.
// Meanwhile they are not valid, and [Lease.Check] fails.
//
// # What stays
//
// The row of a key stays in the file when nobody holds it, and so does what this
// process remembers of a pair of key and holder, a few dozen bytes: a generation that began again would
// make the old look new. So keys should be names of what there is to do, not of single events.
//
// # Clocks
//
// Times in the file are those of the machine's wall clock. Where it goes back,
// a lease of somebody who is gone seems to last too long; whoever waits for it
// in Hold takes it once its row has not changed for its whole duration.
// Where it goes forward, leases of others end early, while these may still be at work: that is
// what the generation and Check are for. No lease can do more: between a Check
// and what follows, a process may always be stopped for too long. What must not
// go wrong even then has to compare generations where it writes.
//
// All methods may be called from any number of goroutines. DESIGN.md in this
// directory says why it is as it is.
package lease
