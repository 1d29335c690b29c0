package memory

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-memdb"

	"github.com/quiesce-go/quiesce/lifecycle"
)

// Config says what a database holds and how it behaves. Schema is required;
// everything else has a default.
type Config struct {
	// Name is the database's name in errors, reports and events. Default "memory".
	Name string

	// Schema is the tables and their indexes. It must not be changed after Open.
	Schema *memdb.DBSchema

	// Strict makes the gate real: while the database is paused, it refuses
	// work. Without it Pause and Resume change nothing.
	Strict bool

	// StartPaused makes a strict database refuse work until the first Resume.
	// It is ignored without Strict, as a Pause is.
	StartPaused bool

	// WhenPaused says what a strict database does with work that is asked for
	// while it is not active.
	WhenPaused lifecycle.Policy

	// Timeout bounds a Close, and with Strict a Pause, a Resume and the waiting
	// of the Wait policy, where the context has no deadline. Default lifecycle.DefaultTimeout.
	Timeout time.Duration

	// Grace is how long a Close, and with Strict a Pause, lets operations in
	// flight run before it interrupts them; it never exceeds four fifths of the
	// time that there is. Default half of Timeout.
	Grace time.Duration

	// TrackHolders records the call site of every operation, for Holders and HeldError.
	TrackHolders bool

	// Observer is told of the changes of state. It may be nil.
	Observer lifecycle.Observer
}

// unlimited readers: a snapshot costs nothing that would have to be rationed,
// and a Read inside a Read must not wait for itself.
const maxReaders = 1 << 20

func (c Config) lifecycle() lifecycle.Config[*conn] {
	return lifecycle.Config[*conn]{
		Name:         c.Name,
		MaxReaders:   maxReaders,
		Timeout:      c.Timeout,
		Grace:        c.Grace,
		WhenPaused:   c.WhenPaused,
		StartPaused:  c.Strict && c.StartPaused,
		TrackHolders: c.TrackHolders,
		Observer:     c.Observer,
	}
}

// newMemDB makes the database, after looking for what go-memdb's own validation dereferences.
func newMemDB(schema *memdb.DBSchema) (*memdb.MemDB, error) {
	if schema != nil {
		for name, table := range schema.Tables {
			if table == nil {
				return nil, &lifecycle.ConfigError{Field: "Schema", Reason: fmt.Sprintf("table %q is nil", name)}
			}
			for index, s := range table.Indexes {
				if s == nil {
					return nil, &lifecycle.ConfigError{Field: "Schema", Reason: fmt.Sprintf("table %q: index %q is nil", name, index)}
				}
			}
		}
	}
	mem, err := memdb.NewMemDB(schema)
	if err != nil {
		return nil, &lifecycle.ConfigError{Field: "Schema", Reason: err.Error()}
	}
	return mem, nil
}
