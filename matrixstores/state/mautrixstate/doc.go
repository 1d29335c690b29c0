// Package mautrixstate lets mautrix run on a state store: a Store of package state,
// whatever keeps it.
//
//	adapter := mautrixstate.New(store, userID, mautrixstate.Options{})
//	client.Store = adapter
//	client.StateStore = adapter
//	client.Syncer = mautrixstate.NewSyncer(adapter, mautrixstate.SyncerOptions{})
//
// An Adapter is a mautrix.SyncStore, a mautrix.StateStore with mautrix.StateStoreUpdater, and
// has the three methods of the StateStore of mautrix/crypto.
//
// # One response, one transaction
//
// mautrix saves the token of a sync response before it processes the response; a
// process that is killed between the two never sees it again. So SaveNextBatch only remembers, and Syncer
// stores what FromSync makes of the response, and its token, in one transaction, when all handlers
// have returned. A kill repeats a response, and never skips one.
//
// While its handlers run, the Adapter answers as if the response were stored already, and what they
// store through it becomes a part of the same transaction.
//
// A response that could not be stored, because a handler has panicked, BeforeCommit or the store has failed, ends
// the sync: mautrix returns the error from SyncWithContext, and the next call of it gets the same response again. mautrix itself does not try again, as it does where
// the server cannot be reached.
//
// # While the store is paused
//
// mautrix has no way to be told that a store is paused: many of its callers only log an error, and go
// on with a wrong answer. So every method waits for the Resume, for as long as its context allows. Methods
// that have no error to return try again where the store fails, and at last answer what was true
// when they were last asked, or false; the Observer is told.
package mautrixstate
