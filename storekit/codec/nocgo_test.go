//go:build !cgo

package codec_test

const withCgo = false
