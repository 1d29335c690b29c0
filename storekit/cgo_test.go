//go:build cgo

package storekit_test

const withCgo = true
