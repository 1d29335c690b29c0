//go:build cgo

package notes_test

const withCgo = true
