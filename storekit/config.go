package storekit

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// Config says what a store is made of. Database is needed; everything else may
// be left out.
type Config struct {
	// Database is where and how the store lives. Its SchemaVersion comes from
	// Migrations, where there are any; its Prepare runs after them; SingleWriter is always on.
	Database sqlite.Config

	// Migrations is the history of the schema, in ascending order. Every step that
	// a database has not seen runs in Open, or in the Resume that finds it, before
	// anybody else gets in.
	Migrations []Migration

	// Secret makes the store an encrypted one: a passphrase, a key, or a function
	// that gets one of them. It takes effect when the database is made, and is
	// needed ever after. docs/encryption.md says what it protects.
	Secret secret.Secret

	// ForgetKeyOnPause wipes the keys whenever the store is paused. Resume asks
	// for the secret again, so that it has to be one of secret.Ask.
	ForgetKeyOnPause bool

	// Sealed names the columns that hold sealed values, besides those of
	// package kv: what Rotate brings over to a new key, and Check opens.
	Sealed []SealedColumn

	// Leases opens a small database beside the store's own, its path with
	// "-leases" added, for lease locks between processes.
	Leases bool

	// Progress, where it is not nil, is told how far Open and Resume are with
	// migrations. It is called between statements, and holds them up.
	Progress func(Progress)
}

// ErrConfig is matched by the error for a setting that cannot be. It is sqlite.ErrConfig.
var ErrConfig = sqlite.ErrConfig

// withDefaults checks what sqlite.Open does not.
func (c Config) withDefaults() (Config, error) {
	latest, err := history(c.Migrations)
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("storekit: %w: "+format, append([]any{ErrConfig}, args...)...))
	}
	if err != nil {
		faults = append(faults, fmt.Errorf("storekit: %w", err))
	}
	switch {
	case len(c.Migrations) == 0:
	case c.Database.SchemaVersion != 0 && c.Database.SchemaVersion != latest:
		fault("the migrations end at version %d, and Database.SchemaVersion is %d", latest, c.Database.SchemaVersion)
	default:
		c.Database.SchemaVersion = latest
	}
	if c.ForgetKeyOnPause && !c.Secret.Asked() {
		fault("ForgetKeyOnPause needs a secret that can be asked for again (secret.Ask), not %v", c.Secret)
	}
	for _, s := range c.Sealed {
		if s.Table == "" || s.Column == "" || s.Row == "" {
			fault("a sealed column needs its table, its name and its row id: %+v", s)
		}
	}
	c.Database.SingleWriter = true
	return c, errors.Join(faults...)
}

// prepareHook is what somebody wants to run on the connection before anybody else gets in.
type prepareHook func(context.Context, *sqlite.Conn) error
