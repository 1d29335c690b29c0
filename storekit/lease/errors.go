package lease

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// What became of a lease, or of the wish for one. All of them are matched with errors.Is.
var (
	// ErrHeld is returned by Hold when its time ended while another holder had the key.
	ErrHeld = errors.New("another holder has the lease")

	// ErrLost is returned when the lease could not be renewed in time, or
	// somebody else has taken it. It does not come back: Hold again.
	ErrLost = errors.New("the lease is lost")

	// ErrReleased is returned when the lease was released.
	ErrReleased = errors.New("the lease was released")

	// ErrWaiting is returned by Check when the lease was given up for a pause and is not held again yet.
	ErrWaiting = errors.New("the lease was given up for a pause and is not held again yet")

	// ErrDirty is returned by Check when somebody else has held the key since
	// this process last did, and Clean was not called.
	ErrDirty = errors.New("another holder had the lease in between")
)

// Error says which operation failed on which key.
type Error struct {
	Store  string // the name of the Locks
	Op     string // "take", "hold", "check" or "release"
	Key    string // as the caller gave it
	Holder []byte // who has the key, as it is stored, where that is the reason; nil otherwise
	Err    error
}

// Error names the store, the operation, the key and the reason.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %q: ", e.Store, e.Op, e.Key)
	b.WriteString(e.Err.Error())
	if e.Holder != nil {
		b.WriteString(" (held by " + readable(e.Holder) + ")")
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// readable shows a holder as it was given, or a hash in hexadecimal digits.
func readable(holder []byte) string {
	for _, b := range holder {
		if b < ' ' || b > '~' {
			return hex.EncodeToString(holder)
		}
	}
	return fmt.Sprintf("%q", holder)
}
