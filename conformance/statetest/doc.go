// Package statetest finds out whether a store keeps the promises of package
// matrixstores/state. It is for whoever writes such a store, on whatever it is kept; it
// knows a store only through a [Harness], and compiles no database.
//
//	func TestState(t *testing.T) {
//		statetest.Run(t, func() *statetest.Harness {
//			return &statetest.Harness{Open: open, Files: files}
//		})
//	}
//
// [Run] runs every case as a subtest, each on a store of its own. What a pause gives
// back, and when, is what package conformance checks; here a pause must lose
// nothing and do nothing twice, at whatever moment it comes. The cases whose names begin
// with mautrix check what mautrix gets, through package mautrixstate.
//
// docs/conformance-matrix.md has the table of all cases, their promises, and where they come from.
package statetest
