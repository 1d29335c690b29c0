//go:build cgo

package kv_test

const withCgo = true
