//go:build cgo

package sqldb_test

const withCgo = true
