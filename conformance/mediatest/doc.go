// Package mediatest finds out whether a store keeps the promises of package
// media. It is for whoever writes such a store, on whatever it is kept; it
// knows a store only through a [Harness], and compiles no database.
//
//	func TestMedia(t *testing.T) {
//		mediatest.Run(t, func() *mediatest.Harness {
//			return &mediatest.Harness{Open: open, Files: files}
//		})
//	}
//
// [Run] runs every case as a subtest, each on a store of its own. [Bench]
// measures: its tables can be compared between stores. What a pause gives
// back, and when, is what package conformance checks; here a pause must lose
// nothing and do nothing twice, at whatever moment it comes.
//
// docs/conformance-matrix.md has the table of all cases, their promises, and where they come from.
package mediatest
