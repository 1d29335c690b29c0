// Package cryptotest finds out whether a store keeps the promises of package
// crypto. It is for whoever writes such a store, on whatever it is kept; it
// knows a store only through a [Harness], and compiles no database and no cryptography.
//
//	func TestCrypto(t *testing.T) {
//		cryptotest.Run(t, func() *cryptotest.Harness {
//			return &cryptotest.Harness{Open: open, Files: files}
//		})
//	}
//
// [Run] runs every case as a subtest, each on a store of its own. What a pause gives
// back, and when, is what package conformance checks; here a pause must lose
// nothing and do nothing twice, at whatever moment it comes.
package cryptotest
