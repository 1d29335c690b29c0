// Package statetest is the suite of the contract in package
// matrixstores/state, for whoever writes such a store.
//
//	func TestContract(t *testing.T) {
//		statetest.Run(t, func() *statetest.Harness { return &statetest.Harness{Open: open} })
//	}
//
// What there is so far compares a store with a model: random changes and
// operations, after which both have to give the same answers to every question that there
// is. A failure names its seed, and everything that was done.
package statetest
