// Package eventcache is the contract of a Matrix client's event cache: the
// events that it knows, and the order in which it knows them.
//
// # Lists of events with holes
//
// A client never has a whole timeline. It has pieces, and between them gaps that
// the server could fill. A linked chunk is that: a chain of chunks, each either
// of some events, or a gap with the token to ask the server with. A room has one,
// each of its threads has one, so do its pinned events, and the
// surroundings of an event that somebody looks at (LinkedChunkID).
//
// A client works on a LinkedChunk in memory. Every change of that yields
// updates, which a Store takes in (Store.Apply), and from which the same list
// can be rebuilt, from its end backwards and as far as it is needed (Loader).
//
// # Events
//
// An event is stored once for a room, whichever linked chunks it is in, and
// also when it is in none ("out of band": Store.SaveEvents). It is found by its
// id, by what it relates to, and by type and session. It has a position where it
// is in a linked chunk at this moment, and none otherwise.
//
// # What a Store promises
//
// All updates of one Apply are one transaction. An update that does not fit to
// what is there is an *UpdateError, and then nothing was changed: a store always
// holds whole chains. Chunks never form a cycle, and one has no two successors.
//
// Absent is no error: FindEvent returns false, a list is empty, a chunk is nil.
// Asking about a room creates nothing. Two stores that were told the same give
// the same answers in the same order; conformance/eventcachetest proves it for an implementation.
//
// Identifiers are any strings, as a server may send anything: they are bound, hashed or
// compared as they are, and never read.
package eventcache
