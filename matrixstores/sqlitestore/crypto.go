package sqlitestore

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/kv"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// CryptoConfig is what a Crypto is opened with.
type CryptoConfig struct {
	Config

	// Relaxed leaves Config.Database.Synchronous as it is. Otherwise SynchronousNormal, which is its
	// default, becomes SynchronousFull: with it, the loss of power may take back the last commits, and
	// a ratchet that goes back encrypts two messages with one key.
	Relaxed bool
}

// Crypto is a crypto.Store in SQLite.
type Crypto struct {
	base
	CryptoData
}

// CryptoData is what a Crypto keeps: with transactions of its own, or as a part of
// one of the caller's (Crypto.In).
type CryptoData struct {
	db    kv.DB
	codec *codec.Codec
	now   func() int64
	name  string
}

var _ crypto.Store = (*Crypto)(nil)

//go:embed schema/crypto/*.sql
var cryptoSchema embed.FS

var cryptoKind = kind{
	name: "crypto", applicationID: 0x71437279, // qCry
	schema: cryptoSchema, dir: "schema/crypto",
	sealed: cryptoSealed(),
}

// cryptoSealed are the columns that are sealed: data of all tables that have it, and one more.
func cryptoSealed() []storekit.SealedColumn {
	sealed := []storekit.SealedColumn{{Table: "backup_version", Column: "name", Row: "row"}}
	for _, table := range []string{
		"single", "session", "inbound", "withheld", "outbound", "device", "tracked_user", "identity", "cross_signing", "signature",
		"key_request", "secret", "inbox", "room_settings", "bundle", "pending_bundle", "verification", "custom",
	} {
		sealed = append(sealed, storekit.SealedColumn{Table: table, Column: "data", Row: "row"})
	}
	return sealed
}

// OpenCrypto opens a crypto store, and makes it where there is none. It waits for the disk at every commit, also
// on systems of Apple, where that has to be asked for (PRAGMA fullfsync); see CryptoConfig.Relaxed.
//
// The hook Setup of cfg runs after what the store itself does there.
func OpenCrypto(ctx context.Context, cfg CryptoConfig) (*Crypto, error) {
	d := &cfg.Config.Database
	d.IncrementalVacuum = true
	if !cfg.Relaxed {
		if d.Synchronous == sqlite.SynchronousNormal {
			d.Synchronous = sqlite.SynchronousFull
		}
		d.Setup = both(fullSync, d.Setup)
	}
	b, err := cfg.Config.open(ctx, cryptoKind)
	if err != nil {
		return nil, err
	}
	return &Crypto{base: b, CryptoData: CryptoData{db: b.Store, codec: b.Codec(), now: b.now, name: b.Name()}}, nil
}

// fullSync has the disk write what it has, and not only take it. Where the system knows no such thing it does nothing.
func fullSync(ctx context.Context, c *sqlite.Conn) error {
	_, err := c.Exec(ctx, `PRAGMA fullfsync = ON`)
	if err == nil {
		_, err = c.Exec(ctx, `PRAGMA checkpoint_fullfsync = ON`)
	}
	return err
}

// In returns the data as a part of the transaction that is open on c: reading
// methods join it, the others are a savepoint in it. It lasts as long as c may be used.
func (s *Crypto) In(c *sqlite.Conn) CryptoData {
	d := s.CryptoData
	d.db = storekit.Within(c)
	return d
}

// failed names the store and the operation that err comes from.
func (s CryptoData) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, secret.ErrTampered) && !errors.Is(err, crypto.ErrBroken):
		err = fmt.Errorf("%w: %w", crypto.ErrBroken, err)
	case errors.Is(err, secret.ErrVersion) && !errors.Is(err, crypto.ErrNewer):
		err = fmt.Errorf("%w: %w", crypto.ErrNewer, err)
	}
	return fmt.Errorf("%s: %s: %w", s.name, op, err)
}

// SaveChanges stores a Changes; see crypto.Saver.
func (s CryptoData) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	const op = "save changes"
	if c.Empty() {
		return s.failed(op, s.view(ctx, func(*cryptoTx) error { return nil })) // refused while others are
	}
	return s.write(ctx, op, c.Check(), func(t *cryptoTx) error { return c.Apply(t) })
}
