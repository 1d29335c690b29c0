package secret

import "errors"

// What is wrong with a secret. None of these depends on a value: they are returned before any is touched.
var (
	// ErrWrongSecret is returned when the secret is not the one that the
	// header was made with, be it another one or one of another kind.
	ErrWrongSecret = errors.New("the secret is wrong")

	// ErrSecretNeeded is returned when the store is encrypted, or is to be, and no secret was given.
	ErrSecretNeeded = errors.New("the store is encrypted, and no secret was given")

	// ErrSuperfluousSecret is returned when a secret was given for a store that is not encrypted.
	ErrSuperfluousSecret = errors.New("a secret was given, but the store is not encrypted")

	// ErrUnusableSecret is returned for what can be no secret: an empty
	// passphrase, a key that is not 32 bytes long, a function that returns another function.
	ErrUnusableSecret = errors.New("the secret is unusable")

	// ErrParams is returned when the parameters of Argon2id are weaker or
	// costlier than this package works with, also when a header asks for them.
	ErrParams = errors.New("the parameters of the key derivation are outside their limits")
)

// What is wrong with a header.
var (
	// ErrHeader is returned when the bytes are no header, or damaged.
	ErrHeader = errors.New("the header of the cipher is damaged")

	// ErrOtherStore is returned by Unlock when the header belongs to another cipher.
	ErrOtherStore = errors.New("the header is that of another store")

	// ErrStale is what a Save returns when the store's header is not the one
	// that is to be replaced, and what the method that called it returns then.
	ErrStale = errors.New("the header was changed by somebody else")

	// ErrTooManyKeys is returned by Rotate when a header holds as many keys as it can. DropOldKeys makes room.
	ErrTooManyKeys = errors.New("the cipher has too many keys")
)

// What is wrong with a sealed value or a stream, or with the moment.
var (
	// ErrLocked is returned after Forget, until Unlock.
	ErrLocked = errors.New("the keys were forgotten")

	// ErrTampered is returned when a value or a chunk is damaged, was changed,
	// or was sealed for another place or by another store.
	ErrTampered = errors.New("the sealed data is damaged, or was sealed for another place")

	// ErrTruncated is returned by a reader when whole chunks are missing at the
	// end of a stream. Where the end of a chunk is missing too it returns ErrTampered.
	ErrTruncated = errors.New("the stream is cut short")

	// ErrUnknownKey is returned when a value was sealed with a key that the
	// header does not hold: one that was dropped, or one newer than the header.
	ErrUnknownKey = errors.New("sealed with a key that is not there")

	// ErrVersion is returned for a header, a value or a stream in a format that this program does not know.
	ErrVersion = errors.New("the format is newer than this program, or none of its own")

	// ErrTooLarge is returned by Seal for a value of more than 1 GiB, and by
	// a stream's writer beyond 2^32 chunks. Large values should be streams.
	ErrTooLarge = errors.New("too large to be sealed")

	// ErrStreamClosed is returned when a stream is written to after its Close.
	ErrStreamClosed = errors.New("the stream is closed")
)
