// Package crypto is the contract of a Matrix client's crypto store: its account, its Olm and
// Megolm sessions, devices and identities of users, secrets, and what protects from replays.
//
// Cryptography itself is not done here. An account or a session is a pickle: bytes
// that only the library which has made them understands. Beside it stand the fields by which it is found.
// So the package needs no such library; mautrix's id and event are its vocabulary.
//
// # What a Store promises
//
// A key that was stored is there until it is removed, and as it was stored last: a ratchet never goes back.
// SaveChanges stores all of a Changes or nothing, so that a session is never there
// without the account that has lost the one-time key for it.
//
// Absent is no error: what is asked for is nil, or known is false. Asking
// creates nothing. Removing what is not there does nothing. An absent field never clears what is stored.
// Only what needs an account, and has none, returns ErrNoAccount.
//
// A Megolm session is found by its room and its id: the same id in another room is another session.
//
// Identifiers are any strings, as a server may send anything: they are compared as they are, and never read. Those that
// are needed must not be empty (ErrNoID). Times are kept to the millisecond, and come back in UTC; the zero time comes back as such.
// Lists are in the order of first storing, where nothing else is said: what replaces a record keeps its place.
//
// What a store is given is copied, and what it returns belongs to the caller. Two stores that were told the
// same give the same answers; conformance/cryptotest proves it for an implementation.
//
// # Secrets in memory
//
// Pickles and secrets are byte slices, and not strings, so that a caller can clear his own. A
// store clears the buffers in which it puts records together. It cannot clear what the runtime, the engine of the
// database or the operating system has copied, and a store in memory has to keep what it is to return.
package crypto
