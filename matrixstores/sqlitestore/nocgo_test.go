//go:build !cgo

package sqlitestore_test

const withCgo = false
