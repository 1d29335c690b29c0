package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unique"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Config says which database to open, and how. Engine, and Path or Dir, are needed;
// everything else has a default that suits an application on a phone or a desktop.
type Config struct {
	// Engine opens the connections: mattn.Engine() or modernc.Engine().
	Engine Engine

	// Path is the database file. It is made where it is missing, with mode
	// 0600, and so are its directories, with 0700. In-memory databases are
	// refused: a pause would lose them. Package driver/memory has one that pauses.
	Path string

	// Dir is the directory of the database, for a program that does not care for
	// the file's name: that is Name, or "quiesce", with ".db" added. It takes the
	// place of Path; to set both is ErrConfig.
	Dir string

	// Name is the store's name in errors, reports and events. Default: the file's name.
	Name string

	// MaxReaders is the most readers that are open at once. Default: the number of CPUs, at least 2, at most 8.
	MaxReaders int

	// CacheSize is the page cache of one connection, in bytes. Default 2,000,000.
	CacheSize int64

	// JournalSizeLimit is the size, in bytes, that the log is cut to after a
	// checkpoint. Default 10,000,000.
	JournalSizeLimit int64

	// MmapSize is how much of the file is read through a memory map, in bytes. 0: none.
	MmapSize int64

	// StatementCache is how many prepared statements a connection keeps. Default 64.
	StatementCache int

	// Synchronous is how much is waited for the disk. Default SynchronousNormal.
	Synchronous Synchronous

	// NoForeignKeys leaves foreign keys unchecked. They are checked otherwise.
	NoForeignKeys bool

	// NoOptimize keeps PRAGMA optimize from being run. It is run otherwise: at
	// Open, and after a Resume in the background, at most once a day.
	NoOptimize bool

	// BusyTimeout is how long a write, an open and a commit wait for a lock of
	// another process. Default 5 s; negative: not at all. The waiting is done in Go
	// and ends with the context.
	BusyTimeout time.Duration

	// ApplicationID marks the file (PRAGMA application_id) when it is made. A
	// file with another one is refused with ErrApplicationID. 0 neither marks nor checks.
	ApplicationID int32

	// SchemaVersion is the newest user_version that the program knows. A file
	// with a newer one is refused with lifecycle.ErrSchemaNewer, at Open and at Resume. 0 does not check.
	SchemaVersion int32

	// Checkpoint says what a pause does with the log.
	Checkpoint Checkpoint

	// CheckpointBound is how long that may take, to within one fsync. Beyond it
	// the log stays, as with CheckpointNone. Default 2 s; a pause that has less time gives it less.
	CheckpointBound time.Duration

	// Exclusive keeps other processes out of the file until Pause, and is 1.3
	// to 1.5 times faster for it: no shared memory, no locks. Unix only.
	Exclusive bool

	// AcceptReplaced lets a Resume accept another database where the paused one
	// was: a restored back-up, a swapped file. It is validated like a new one. A
	// replaced file with an older log beside it is refused all the same, because
	// SQLite would mix the two. DB.AcceptReplacement does this for one Resume.
	AcceptReplaced bool

	// AddIdentity puts the table by which a Resume recognises the database into
	// one that somebody else has made. Databases that are made here always have
	// it. Without it a Resume does not notice when another database that has
	// none is copied over the file.
	AddIdentity bool

	// IncrementalVacuum makes a database that this Open makes able to give back
	// free pages in small steps (PRAGMA auto_vacuum = INCREMENTAL, then PRAGMA
	// incremental_vacuum). One that is there already keeps what it has; setting that pragma
	// and then VACUUM, which writes all of it anew, would convert it.
	IncrementalVacuum bool

	// Verify has every Pause ask the operating system for proof that this
	// process holds nothing of the files any more. Where that cannot be had, Open
	// returns an error that matches errors.ErrUnsupported.
	Verify bool

	// Setup runs on every connection whenever one is opened, before anybody
	// else gets it: for settings of the connection. Readers become read-only after it.
	Setup func(ctx context.Context, c *Conn) error

	// Prepare makes the database ready for the program, for example by
	// migrations: in Open, and in every Resume, after everything was validated and
	// before AfterReopen and anybody else, on one connection that may write.
	// Its error is that of Open, which then leaves no new file behind, or of Resume.
	Prepare func(ctx context.Context, c *Conn) error

	// Attach is attached to every connection. These files are made, checked,
	// checkpointed and released like the main one.
	Attach []Attachment

	// SingleWriter makes what writes through SQL and SQLX take turns with Write
	// and Update, so that no two of them meet at SQLite's lock; see sqldb.Options.
	SingleWriter bool

	// What follows is explained at lifecycle.Config.

	Timeout       time.Duration
	Grace         time.Duration
	IdleTimeout   time.Duration // SQLite keeps a closed reader's descriptor of the file until the last connection is closed; its memory is given back
	WhenPaused    lifecycle.Policy
	StartPaused   bool // opens nothing, makes nothing: the file must be there at the first Resume
	TrackHolders  bool
	BeforeRelease func(ctx context.Context, writer *Conn) error
	AfterReopen   func(ctx context.Context, reader *Conn) error
	Observer      lifecycle.Observer
}

// Attachment is a second database on the same connections.
type Attachment struct {
	Schema string // the name under which statements find it
	Path   string
}

// LowMemory returns a configuration for machines that are short of memory: two
// readers, a cache of 500,000 bytes and a log of 2,000,000.
func LowMemory(engine Engine, path string) Config {
	return Config{Engine: engine, Path: path, MaxReaders: 2, CacheSize: 500_000, JournalSizeLimit: 2_000_000}
}

// Synchronous is PRAGMA synchronous.
type Synchronous uint8

const (
	// SynchronousNormal survives a crash of the process; a loss of power may
	// lose the last commits, but never corrupts.
	SynchronousNormal Synchronous = iota
	// SynchronousFull survives a loss of power with every commit.
	SynchronousFull
	// SynchronousExtra also syncs directories.
	SynchronousExtra
	// SynchronousOff may corrupt the database when the power is lost.
	SynchronousOff
)

var synchronousNames = [...]string{"NORMAL", "FULL", "EXTRA", "OFF"}

// Checkpoint is what a pause does with the write-ahead log.
type Checkpoint uint8

const (
	// CheckpointTruncate writes the log back and leaves no file of it, where nobody else has the database open.
	CheckpointTruncate Checkpoint = iota
	// CheckpointPassive writes back what can be without waiting for anybody.
	CheckpointPassive
	// CheckpointNone writes nothing back: -wal and -shm stay, the pause is as short as it can be.
	CheckpointNone
)

// String returns the policy's name in lower case.
func (c Checkpoint) String() string {
	switch c {
	case CheckpointTruncate:
		return "truncate"
	case CheckpointPassive:
		return "passive"
	default:
		return "none"
	}
}

var (
	// ErrConfig is matched by the error for a setting that cannot be.
	ErrConfig = errors.New("invalid configuration")

	// ErrMemory is returned for an in-memory database: a pause would lose it. Use package driver/memory.
	ErrMemory = errors.New("in-memory databases cannot be paused without losing them; use package driver/memory")

	// ErrDirectory is returned when the path is a directory, or its directory cannot be made.
	ErrDirectory = errors.New("the path is not usable as a file")

	// ErrApplicationID is returned when the file was made by another application.
	ErrApplicationID = errors.New("the database belongs to another application")
)

// OpenError is what Open, Resume, Backup and Wipe return about a file.
type OpenError struct {
	Path string
	Hint string // what to do about it, or ""
	Err  error
}

// Error names the path, the reason and what to do.
func (e *OpenError) Error() string {
	text := "sqlite: " + e.Path + ": " + e.Err.Error()
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap returns the reason.
func (e *OpenError) Unwrap() error { return e.Err }

var schemaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// File returns the absolute path of the file that Open would open.
func (c Config) File() (string, error) {
	c, err := c.withDefaults()
	return c.Path, err
}

// withDefaults checks the configuration and makes its paths absolute, so that
// a later change of the working directory does not make Resume look elsewhere.
func (c Config) withDefaults() (Config, error) {
	bad := func(format string, args ...any) (Config, error) {
		return c, &OpenError{Path: c.Path, Err: fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)}
	}
	if c.Engine == nil {
		return bad("no engine: set Config.Engine to mattn.Engine() or modernc.Engine()")
	}
	var err error
	switch {
	case c.Dir != "" && c.Path != "":
		return bad("both Path and Dir are set")
	case c.Dir != "":
		if c.Dir, err = absolute(c.Dir); err != nil {
			return c, err
		}
		name := cmp.Or(c.Name, "quiesce")
		if strings.ContainsAny(name, `/\`) {
			return bad("Name: %q cannot be the name of a file in Dir", name)
		}
		c.Path, c.Dir = filepath.Join(c.Dir, name+".db"), ""
	}
	if c.Path, err = absolute(c.Path); err != nil {
		return c, err
	}
	if c.Name == "" {
		c.Name = filepath.Base(c.Path)
	}
	for _, n := range []struct {
		name  string
		value *int64
		usual int64
	}{{"CacheSize", &c.CacheSize, 2_000_000}, {"JournalSizeLimit", &c.JournalSizeLimit, 10_000_000}, {"MmapSize", &c.MmapSize, 0}} {
		if *n.value < 0 {
			return bad("%s is negative", n.name)
		}
		if *n.value == 0 {
			*n.value = n.usual
		}
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"StatementCache", int64(c.StatementCache)}, {"CheckpointBound", int64(c.CheckpointBound)}, {"SchemaVersion", int64(c.SchemaVersion)},
		// The core would find these too, but only after files were made.
		{"MaxReaders", int64(c.MaxReaders)}, {"Timeout", int64(c.Timeout)}, {"Grace", int64(c.Grace)}, {"IdleTimeout", int64(c.IdleTimeout)},
	} {
		if n.value < 0 {
			return bad("%s is negative", n.name)
		}
	}
	if c.WhenPaused > lifecycle.Wait {
		return bad("unknown WhenPaused")
	}
	if int(c.Synchronous) >= len(synchronousNames) || c.Checkpoint > CheckpointNone {
		return bad("unknown Synchronous or Checkpoint")
	}
	if c.StatementCache == 0 {
		c.StatementCache = 64
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 5 * time.Second
	}
	if c.CheckpointBound == 0 {
		c.CheckpointBound = 2 * time.Second
	}
	if c.Exclusive && !exclusiveSupported {
		return bad("Exclusive: %w", errors.ErrUnsupported)
	}
	c.Attach = append([]Attachment(nil), c.Attach...)
	seen := map[string]bool{"main": true, "temp": true}
	for i, a := range c.Attach {
		if !schemaName.MatchString(a.Schema) || seen[strings.ToLower(a.Schema)] {
			return bad("Attach: %q is no name for a schema, or is used twice", a.Schema)
		}
		seen[strings.ToLower(a.Schema)] = true
		if c.Attach[i].Path, err = absolute(a.Path); err != nil {
			return c, err
		}
	}
	return c, nil
}

func absolute(path string) (string, error) {
	switch {
	case path == "" || path == ":memory:" || strings.HasPrefix(path, "file:") && (strings.Contains(path, "mode=memory") || strings.Contains(path, ":memory:")):
		return "", &OpenError{Path: fmt.Sprintf("%q", path), Err: ErrMemory}
	case strings.HasPrefix(path, "file:"):
		return "", &OpenError{Path: path, Err: fmt.Errorf("%w: a URI is not a path", ErrConfig), Hint: "give the plain path of the file"}
	case strings.IndexByte(path, 0) >= 0:
		return "", &OpenError{Path: fmt.Sprintf("%q", path), Err: fmt.Errorf("%w: the path contains a NUL byte", ErrConfig)}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &OpenError{Path: path, Err: err}
	}
	return abs, nil
}

// settings are the part of the configuration that is neither the core's nor a
// store's own. A program with ten thousand stores configures most of them
// alike, so those that are alike are kept once.
type settings struct {
	cacheSize, journalSizeLimit, mmapSize int64

	statementCache               int
	busyTimeout, checkpointBound time.Duration

	applicationID, schemaVersion int32

	synchronous Synchronous
	checkpoint  Checkpoint

	noForeignKeys, noOptimize, exclusive, acceptReplaced, addIdentity, singleWriter, incrementalVacuum bool
}

func (c Config) settings() unique.Handle[settings] {
	return unique.Make(settings{
		cacheSize: c.CacheSize, journalSizeLimit: c.JournalSizeLimit, mmapSize: c.MmapSize,
		statementCache: c.StatementCache, busyTimeout: c.BusyTimeout, checkpointBound: c.CheckpointBound,
		applicationID: c.ApplicationID, schemaVersion: c.SchemaVersion, synchronous: c.Synchronous, checkpoint: c.Checkpoint,
		noForeignKeys: c.NoForeignKeys, noOptimize: c.NoOptimize, exclusive: c.Exclusive,
		acceptReplaced: c.AcceptReplaced, addIdentity: c.AddIdentity, singleWriter: c.SingleWriter,
		incrementalVacuum: c.IncrementalVacuum,
	})
}

// lifecycle returns the core's part of the configuration.
func (c Config) lifecycle() lifecycle.Config[*Conn] {
	return lifecycle.Config[*Conn]{
		Name: c.Name, MaxReaders: c.MaxReaders, Timeout: c.Timeout, Grace: c.Grace, IdleTimeout: c.IdleTimeout,
		WhenPaused: c.WhenPaused, StartPaused: c.StartPaused, TrackHolders: c.TrackHolders, Verify: c.Verify,
		BeforeRelease: c.BeforeRelease, AfterReopen: c.afterReopen(), Observer: c.Observer,
	}
}

// afterReopen lets Prepare write on the reader that a Resume begins with:
// nobody else has any connection then, so it meets no other writer of this process.
func (c Config) afterReopen() func(context.Context, *Conn) error {
	prepare, after := c.Prepare, c.AfterReopen
	if prepare == nil {
		return after
	}
	return func(ctx context.Context, c *Conn) error {
		if err := c.writable(ctx, prepare); err != nil || after == nil {
			return err
		}
		return after(ctx, c)
	}
}
