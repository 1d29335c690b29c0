// Package conformance finds out whether a store keeps the promises of
// lifecycle: that a pause gives everything back, in time and provably, that a
// resume finds what was paused, and that nothing is lost in between. It is for
// whoever writes a store, on SQLite or on something quite different; it knows a
// store only through a [Harness], and compiles no database.
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func() *conformance.Harness {
//			return &conformance.Harness{Open: open, Files: files}
//		})
//	}
//
// [Run] runs every case as a subtest. [Check] does the same outside of a test
// and returns one error with every finding. [RunGroup] is for compositions of
// stores, and [Bench] measures: its tables can be compared between stores.
//
// # What a finding means
//
// The suite may miss a fault, and should report no false one. A finding names
// the promise, what was seen instead, and what that does to a user. Every case
// has a watchdog, which prints all goroutines when something hangs.
//
// # What may be left out
//
// A store is taken to be able to do everything that it has not declared to
// lack, with a reason, in [Harness.Without]. A case that needs what is lacking is
// skipped, and prints the reason. The cases of the core need nothing but what says which
// kind of store it is: whether it refuses work while paused ([Gate]), and
// whether it lives in files ([Files]). They can never be skipped for a store of their kind.
//
// # Other processes
//
// Some promises only another process can witness. Run starts the test binary
// again, so that no program has to be built: it selects the test that called
// Run, and tells the child by an environment variable what to do. Whatever that
// test does before Run is done in the child, too. Check needs
// [Harness.Command], a program that calls [ChildMain].
//
// docs/conformance.md has the table of all cases, their promises, and where they come from.
package conformance
