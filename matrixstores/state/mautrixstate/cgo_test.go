//go:build cgo

package mautrixstate_test

const withCgo = true
