//go:build !unix

package holders

// Windows, Plan 9 and the web: no answer is better than a guess.

import "context"

func identify(string) (fileID, error) { return fileID{}, ErrUnsupported }

func scanSelf(context.Context, *wanted) (Report, error) { return Report{}, ErrUnsupported }

func scanAll(context.Context, *wanted) (Report, error) { return Report{}, ErrUnsupported }

func commandOf(int) string { return "" }

// Probe returns ErrUnsupported: this platform has no fcntl locks.
func Probe(string) ([]Holder, error) { return nil, ErrUnsupported }

// ProbeExclusive returns ErrUnsupported: this platform has no fcntl locks.
func ProbeExclusive(string) (bool, error) { return false, ErrUnsupported }
