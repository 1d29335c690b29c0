// Package state is the contract of a Matrix client's state store: what the client
// knows of its rooms, of their members, of its own account, and what it has yet to send.
//
// # One change, one transaction
//
// A client learns in bundles: a /sync response says a hundred things of twenty
// rooms, and has a token that stands for all of them. A Changes is such a bundle,
// and Store.SaveChanges stores it whole or not at all, token included, so
// that what is known and where to go on from always agree. What a Changes does, and in
// which order, is written once, in Changes.Apply, which every store calls with a
// transaction of its own (Tx). The package mautrixstate makes a Changes of a whole sync
// response, and serves mautrix itself from a Store.
//
// # Rooms
//
// A RoomInfo is what a client needs of a room to show it in a list: counts, its
// name and avatar, its latest event, and more. A store keeps it
// current: from the state events, the account data and the RoomUpdate of a Changes.
// It comes into being only by a RoomUpdate or by being given whole (Changes.RoomInfos): state events alone make none.
//
// A room that the user was invited to, or knocks at, is known by its stripped
// state, which is not to be trusted as the real one is. Both can be told apart (StateEvent.Stripped),
// and the one gives way to the other: see Changes.
//
// # What a Store promises
//
// Absent is no error: what is asked for one thing returns false or nil, a list is
// empty, removing what is not there does nothing. Asking about a room creates nothing. Any number of
// keys may be asked for at once. Two stores that were told the same give the
// same answers in the same order; conformance/statetest proves it for an implementation.
// Where a list is in "the order of first storing", what is replaced keeps its place, what was removed and comes
// again is new, and what is new in one Changes is ordered by its key.
//
// SaveChanges and RemoveRoom happen one after another, also where callers use several at a time.
//
// Values that came from a store belong to the caller, except for raw JSON: a
// json.RawMessage that was given to a store, or came from one, must not be changed, because it may be shared.
//
// # Text
//
// Identifiers, names and other texts are any valid UTF-8: in every script, with control
// characters, NUL included, as a server may send anything. They are bound, hashed or
// compared as they are. What is not valid UTF-8 cannot come from a server, because JSON cannot carry
// it; it is refused (ErrNotUTF8) where it is to be stored, and not found where it is asked for.
// The keys and values of CustomValues are any bytes.
//
// Times are in milliseconds since 1970.
package state
