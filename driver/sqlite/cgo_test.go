//go:build cgo

package sqlite_test

const withCgo = true
