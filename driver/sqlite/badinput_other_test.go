//go:build !unix

package sqlite_test

var moreBadInputs []badInput
