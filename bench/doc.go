// Package bench sets quiesce beside its peers: other libraries that do the same work, on the same database engine, with the same settings, in the same run.
// It is a module of its own, so that they burden nobody.
//
//	go test -run '^$' -bench . -count 5
//
// Both sides alternate within one benchmark. The metric "ratio" is the time of the peer divided by ours: 2 means that quiesce takes half as
// long. Absolute times wander from run to run by a factor of two; the ratios do not.
package bench
