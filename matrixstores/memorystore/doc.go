// Package memorystore keeps the stores of a Matrix client in memory: for tests,
// for clients that shall leave nothing on a disk, and as the plainest
// implementation of the contracts in the packages eventcache, media and state.
//
//	cache, err := memorystore.OpenEventCache(ctx, memorystore.EventCacheConfig{})
//
// They give the same answers as those of package sqlitestore, with the same
// atomicity: a Read sees what was committed when it began, and an operation that fails has changed nothing.
//
// A pause changes nothing: there is no file to give back, and what could be freed
// is the data. With Config.Strict the data stay all the same, but work is refused, or waits, while
// the store is paused, so that a program's own tests find out where it uses a store that is paused.
//
// Contents of a media store are copied when they come and when they go. Events are shared,
// as their contract says: nobody changes one that he has given to a store, or got from it. The
// slices that they come in are the caller's own.
//
// A Pause and a Close end what the stores do by themselves, a Pause of strict ones only. A store at
// rest has no goroutine.
//
// What is stored is gone with the process, and when nobody has the store any more.
package memorystore
