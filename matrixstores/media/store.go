package media

import (
	"context"
	"errors"
	"io"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores"
)

// Store is a media cache. What it promises as a whole stands in the documentation
// of the package, and what pausing does to it in matrixstores.Store.
type Store interface {
	matrixstores.Store
	Contents
	Streams
	Retention
}

// Contents are contents that are in memory as a whole. The errors of all methods are ErrRequest, and
// those of the store.
type Contents interface {
	// Add stores a content, in the place of what has the same name, with now as
	// its last access. It is not stored, and stored is false, where it is larger
	// than the policy allows and does not ignore that; what had the name before is removed then, too,
	// because it is out of date. The data are copied, or not kept.
	Add(ctx context.Context, r Request, data []byte, o AddOptions) (stored bool, err error)

	// Get returns a content, which belongs to the caller, and notes that it was read.
	Get(ctx context.Context, r Request) (data []byte, found bool, err error)

	// GetForURI returns a content of the URI in whichever format it has one: the
	// file itself where that is there, otherwise the thumbnail with the most
	// pixels, of several with as many the one that was stored last. It notes that this one was read. What is damaged
	// is passed over where there is another one that is not; otherwise the error is that of Get.
	GetForURI(ctx context.Context, uri id.ContentURIString) (data []byte, r Request, found bool, err error)

	// Remove removes a content.
	Remove(ctx context.Context, r Request) error

	// RemoveForURI removes all formats of a URI.
	RemoveForURI(ctx context.Context, uri id.ContentURIString) error

	// Rename gives a content another name. Its data, its last access and, unless
	// the options say otherwise, its flag stay. What had the new name is replaced. Where there is nothing of
	// the old name nothing happens, and renamed is false; renaming something to its own name only applies the options.
	Rename(ctx context.Context, from, to Request, o RenameOptions) (renamed bool, err error)

	// SetIgnorePolicy sets or clears the flag of a content. It takes effect at the
	// next cleaning. Where there is no such content nothing happens.
	SetIgnorePolicy(ctx context.Context, r Request, ignore bool) error

	// Info returns what the store knows of a content. It does not count as reading.
	Info(ctx context.Context, r Request) (info Info, found bool, err error)
}

// AddOptions says how a content is stored. The zero value is what is usual.
type AddOptions struct {
	// IgnorePolicy exempts the content from the policy: it is stored whatever its
	// size, and not removed by cleaning. It is for what exists nowhere else, such as an upload that was not sent yet.
	IgnorePolicy bool
}

// RenameOptions says what else Rename does, in the same step.
type RenameOptions struct {
	// ObeyPolicy clears the flag to ignore the policy, as for an upload that has got its URI from the server.
	ObeyPolicy bool
}

// Info is what a store knows of a content.
type Info struct {
	Size         int64     // in bytes
	LastAccess   time.Time // of Add, Commit, Get, GetForURI, or Open; to the millisecond, in UTC
	IgnorePolicy bool
}

// Streams are contents of which only a piece is in memory.
type Streams interface {
	// Create begins to store a content, which is there when Commit of the Writer
	// has returned true. ctx is that of all its writing. Any number of Writers may
	// be open for one name; the last Commit wins.
	Create(ctx context.Context, r Request, o AddOptions) (Writer, error)

	// Open opens a content to be read, and notes that it was read. The Reader is
	// nil where there is none. ctx is that of all its reading.
	Open(ctx context.Context, r Request) (Reader, error)
}

// Writer takes in one content. It is used by one goroutine at a time. It holds
// nothing of the store between two calls.
type Writer interface {
	// Write takes in more. An error that matches lifecycle.ErrPaused or ErrInterrupted
	// is not final: of p, n bytes were taken, and the rest may be
	// written after a Resume. Beyond the size that the policy allows it returns
	// ErrTooLarge, and so do Write and Commit from then on.
	io.Writer

	// Commit makes the content visible, in one step, in the place of what has the
	// same name. stored is false where the policy has changed meanwhile and does
	// not allow the size any more; then, as after ErrTooLarge, what had the name before is gone. After an error
	// that matches lifecycle.ErrPaused or ErrInterrupted it may be called again.
	// Once it has returned nil, it returns ErrWriterClosed.
	Commit() (stored bool, err error)

	// Close discards what was not committed. It never fails because of a pause: what
	// is left is removed later. It may be called at any time, also after Commit
	// and after Close of the store, any number of times.
	io.Closer
}

// Reader gives out one content. It is used by one goroutine at a time. It holds
// nothing of the store between two calls.
type Reader interface {
	// Read returns lifecycle.ErrPaused, or waits, while the store is paused, and goes
	// on after the Resume. ErrGone is returned when the content was replaced or
	// removed meanwhile, by whomsoever; nothing of the new one is returned.
	io.ReadSeeker

	// Size returns the size of the content in bytes.
	Size() int64

	// Close ends the reading. It may be called any number of times.
	io.Closer
}

// Retention is what is removed when.
type Retention interface {
	// Policy returns the policy in force. It works while the store is paused, and
	// is read anew at every Resume: another process may have set it.
	Policy() Policy

	// SetPolicy sets the policy, for good. What is there already is not touched
	// before the next cleaning, which may begin at once. The error may be ErrPolicy.
	SetPolicy(ctx context.Context, p Policy) error

	// Clean removes what the policy in force does not allow:
	//
	//  1. contents that are too large;
	//  2. contents that nobody has read for too long;
	//  3. where the rest is too much together, those that were read longest ago:
	//     from the newest on, the first one that does not fit any more, and all
	//     that are older, even if one of them would still fit. Of two that
	//     were read in the same millisecond the one that was stored later is the newer one.
	//
	// Contents that ignore the policy are exempt and do not count. Where another
	// Clean runs, or nothing is limited, it does nothing, and Ran is false.
	// Otherwise the time is noted as that of the last cleaning, also when nothing had to be removed.
	// It works in small transactions; what a pause or ctx ends has removed what it has, and notes no time.
	Clean(ctx context.Context) (Cleaned, error)

	// LastCleaned returns when a Clean ended last, to the millisecond; known is false where none ever has.
	LastCleaned(ctx context.Context) (at time.Time, known bool, err error)

	// Stats counts what is there.
	Stats(ctx context.Context) (Stats, error)
}

// Cleaned is what a cleaning has done.
type Cleaned struct {
	Ran     bool
	Removed int   // contents
	Bytes   int64 // of them
}

// Stats counts contents.
type Stats struct {
	Contents int
	Bytes    int64
	Ignoring int // of Contents, those that ignore the policy
	Uploads  int // begun and not committed
}

var (
	// ErrTooLarge is returned by a Writer beyond the size that the policy allows.
	ErrTooLarge = errors.New("the content is larger than the retention policy allows")

	// ErrGone is returned by a Reader whose content was replaced or removed while it was read.
	ErrGone = errors.New("the content was replaced or removed while it was read")

	// ErrWriterClosed is returned by a Writer after Commit or Close.
	ErrWriterClosed = errors.New("the writer is closed")

	// ErrReaderClosed is returned by a Reader after Close.
	ErrReaderClosed = errors.New("the reader is closed")

	// ErrBroken is returned when a content is not stored whole. It takes a damaged file, or somebody else who has written into it.
	ErrBroken = errors.New("the stored content is damaged")
)
