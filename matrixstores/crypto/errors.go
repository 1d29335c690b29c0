package crypto

import "errors"

// What is wrong with what was to be stored. Nothing was changed.
var (
	// ErrNoID is returned when an identifier is empty that is needed to find the record again.
	ErrNoID = errors.New("an identifier is empty")

	// ErrNoPickle is returned for an account or a session without a pickle: it would replace a key by nothing.
	ErrNoPickle = errors.New("there is no pickle")

	// ErrOtherAccount is returned when an account is stored whose user, device or identity key is not that of the
	// account that is there: its sessions would be of no use to the other one.
	ErrOtherAccount = errors.New("the store belongs to another account")

	// ErrNoSelection is returned by RedactGroupSessions without a room and without a sender: that would be all sessions.
	ErrNoSelection = errors.New("neither a room nor a sender is given")

	// ErrQuery is returned for the zero SessionQuery.
	ErrQuery = errors.New("this asks for nothing")
)

// ErrNoAccount is returned by what needs the account, when none was stored yet.
var ErrNoAccount = errors.New("no account was stored yet")

// What is wrong with what is stored.
var (
	// ErrBroken is returned when a stored record cannot be read. It takes a
	// damaged file, or somebody else who has written into it.
	ErrBroken = errors.New("what is stored is damaged")

	// ErrNewer is returned when a stored record has a form that this program does not know yet.
	ErrNewer = errors.New("what is stored is newer than this program")
)
