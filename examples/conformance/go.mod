// Stores that know nothing of SQLite, under the conformance suite. A module of its own, so that bbolt burdens nobody.
module github.com/quiesce-go/quiesce/examples/conformance

go 1.26.0

require (
	github.com/quiesce-go/quiesce v0.0.0
	go.etcd.io/bbolt v1.4.3
)

require (
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/quiesce-go/quiesce => ../..
