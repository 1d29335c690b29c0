//go:build cgo

package lease_test

const withCgo = true
