package lease

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/lifecycle"
)

// Config says where the leases are kept.
type Config struct {
	// Database is the file of the leases, and of nothing else: Engine and Path
	// are needed. Of the other settings these are taken over: Dir, Name, BusyTimeout, Timeout, Grace,
	// WhenPaused, StartPaused, TrackHolders, Verify and Observer. The rest is set here.
	//
	// A file that is damaged, or no database at all, is replaced at Open.
	Database sqlite.Config

	// Hash makes what is stored of keys and holders, so that neither can be
	// read in the file. It must return the same for the same, in every process. It is not called for
	// a pause, a resume or a renewal. Nil stores them as they are.
	Hash func(clear []byte) ([]byte, error)

	wall func() int64 // a test's
}

// The marks and sizes of the file. A page holds a few rows, and a renewal
// writes one page into the log, so small pages make cheap renewals.
const (
	applicationID = 0x716c6573 // "qles"
	schemaVersion = 1
	pageSize      = 512
	logPages      = 256 // at which SQLite writes the log back
)

// database returns what is opened.
func (c Config) database() sqlite.Config {
	d := c.Database
	return sqlite.Config{
		Engine: d.Engine, Path: d.Path, Dir: d.Dir, Name: d.Name,
		MaxReaders: 1, CacheSize: 64 << 10, JournalSizeLimit: logPages * (pageSize + 24), StatementCache: 8,
		NoOptimize: true, ApplicationID: applicationID, SchemaVersion: schemaVersion,
		BusyTimeout: d.BusyTimeout, Timeout: d.Timeout, Grace: d.Grace, WhenPaused: d.WhenPaused, StartPaused: d.StartPaused,
		TrackHolders: d.TrackHolders, Verify: d.Verify, Observer: d.Observer,
		Setup: setUp, Prepare: prepare,
	}
}

// setUp gives a connection its settings. The size of a page counts only where the file is made.
func setUp(ctx context.Context, c *sqlite.Conn) error {
	return c.ExecScript(ctx, settings)
}

// Options says how a key is held. The zero value is usable.
type Options struct {
	// Holder is who holds it. The default is a random name of the Locks, so
	// that all holds of one process are the same holder's, and two processes are not.
	Holder string

	// Duration is how long the lease outlives its last renewal, to the
	// millisecond: for so long others wait when this process dies. Default 10 s.
	Duration time.Duration

	// Renew is the time between renewals. Default: a third of Duration.
	//
	// Of several holds that share a lease, the longest Duration and the shortest Renew count.
	Renew time.Duration
}

const defaultDuration = 10 * time.Second

func (o Options) withDefaults(holder string) (Options, error) {
	if o.Holder == "" {
		o.Holder = holder
	}
	if o.Duration == 0 {
		o.Duration = defaultDuration
	}
	if o.Renew == 0 {
		o.Renew = o.Duration / 3
	}
	switch {
	case o.Duration < time.Millisecond || o.Duration > maxDuration:
		return o, &lifecycle.ConfigError{Field: "Duration", Reason: "must be between 1 ms and 100 years"}
	case o.Renew <= 0 || o.Renew >= o.Duration:
		return o, &lifecycle.ConfigError{Field: "Renew", Reason: "must be positive and less than Duration"}
	}
	return o, nil
}

// maxDuration keeps sums of times within an int64.
const maxDuration = 100 * 365 * 24 * time.Hour

// milliseconds rounds up: what is not nothing must not become a release.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
