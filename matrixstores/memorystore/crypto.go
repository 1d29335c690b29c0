package memorystore

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"
	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// CryptoConfig is what a Crypto is opened with. The zero value is usable.
type CryptoConfig struct{ Config }

// Crypto is a crypto.Store in memory. What it holds it has to hold in clear text.
type Crypto struct {
	base
	stored atomic.Uint64 // numbers the rows, in the order of first storing
}

var _ crypto.Store = (*Crypto)(nil)

// The rows. They are shared by all who have seen them, and never changed. Records are kept as
// bytes: as in a file, what comes back is the caller's own.
type (
	// cryptoRow is a record, with what it is found by. Without group, or other, it is in no such list.
	cryptoRow struct {
		n                uint64
		id, group, other key
		data             []byte
	}

	inboundRow struct {
		n       uint64
		key     crypto.SessionKey
		sender  id.SenderKey
		known   crypto.SenderData
		version id.KeyBackupVersion // what counts: not what the record says
		fixed   bool                // scheduled, or it is not known when it was received: it is not redacted with others
		undated bool
		ever    bool
		expires int64
		data    []byte
	}

	hashRow struct {
		id key
		at int64
	}

	indexRow struct {
		id   key
		seen string
	}
)

const (
	cryptoSingles       memory.Table[*cryptoRow]  = "single"
	cryptoCustoms       memory.Table[*cryptoRow]  = "custom"
	cryptoSessions      memory.Table[*cryptoRow]  = "session"
	cryptoInbounds      memory.Table[*inboundRow] = "inbound"
	cryptoWithheld      memory.Table[*cryptoRow]  = "withheld"
	cryptoOutbounds     memory.Table[*cryptoRow]  = "outbound"
	cryptoShares        memory.Table[*cryptoRow]  = "share"
	cryptoHashes        memory.Table[*hashRow]    = "hash"
	cryptoIndexes       memory.Table[*indexRow]   = "message_index"
	cryptoDevices       memory.Table[*cryptoRow]  = "device"
	cryptoIdentities    memory.Table[*cryptoRow]  = "identity"
	cryptoTracked       memory.Table[*cryptoRow]  = "tracked"
	cryptoKeys          memory.Table[*cryptoRow]  = "cross_signing"
	cryptoSignatures    memory.Table[*cryptoRow]  = "signature"
	cryptoRequests      memory.Table[*cryptoRow]  = "request"
	cryptoSecrets       memory.Table[*cryptoRow]  = "secret"
	cryptoInbox         memory.Table[*cryptoRow]  = "inbox"
	cryptoSettings      memory.Table[*cryptoRow]  = "settings"
	cryptoBundles       memory.Table[*cryptoRow]  = "bundle"
	cryptoPending       memory.Table[*cryptoRow]  = "pending"
	cryptoDownloads     memory.Table[*cryptoRow]  = "downloaded"
	cryptoVerifications memory.Table[*cryptoRow]  = "verification"
)

// cryptoTables are those of records.
var cryptoTables = []memory.Table[*cryptoRow]{
	cryptoSingles, cryptoCustoms, cryptoSessions, cryptoWithheld, cryptoOutbounds, cryptoShares, cryptoDevices, cryptoIdentities,
	cryptoTracked, cryptoKeys, cryptoSignatures, cryptoRequests, cryptoSecrets, cryptoInbox, cryptoSettings, cryptoBundles,
	cryptoPending, cryptoDownloads, cryptoVerifications,
}

// keyOf makes one key of several parts.
func keyOf[T ~string](parts ...T) key {
	k := key{}
	for _, p := range parts {
		k = k.text(string(p))
	}
	return k
}

func inboundKey(k crypto.SessionKey) key { return keyOf(string(k.RoomID), string(k.SessionID)) }

var cryptoSchema = schemaOf(append(recordTables(),
	table("inbound",
		index("id", func(r *inboundRow) key { return inboundKey(r.key) }),
		index("age", func(r *inboundRow) key { return key{}.number(r.n) }),
		index("room", func(r *inboundRow) key { return keyOf(r.key.RoomID).number(r.n) }),
		index("sender", func(r *inboundRow) key { return keyOf(r.sender).number(r.n) }),
		index("device", func(r *inboundRow) key { return keyOf(r.sender).signed(int64(r.known)).number(r.n) }),
		index("expires", func(r *inboundRow) key { return optionalKey(r.ever, key{}.signed(r.expires).number(r.n)) }),
		index("undated", func(r *inboundRow) key { return optionalKey(r.undated, key{}.number(r.n)) })),
	table("hash",
		index("id", func(r *hashRow) key { return r.id }),
		index("at", func(r *hashRow) key { return append(key{}.signed(r.at), r.id...) })),
	table("message_index", index("id", func(r *indexRow) key { return r.id })),
)...)

// recordTables have a row for each record.
func recordTables() (all []*memdb.TableSchema) {
	for _, name := range cryptoTables {
		all = append(all, table(string(name),
			index("id", func(r *cryptoRow) key { return r.id }),
			index("age", func(r *cryptoRow) key { return key{}.number(r.n) }),
			index("group", func(r *cryptoRow) key { return r.group }),
			index("other", func(r *cryptoRow) key { return r.other })))
	}
	return all
}

// OpenCrypto makes an empty crypto store.
func OpenCrypto(ctx context.Context, cfg CryptoConfig) (*Crypto, error) {
	b, err := cfg.Config.open(ctx, "crypto", cryptoSchema)
	if err != nil {
		return nil, err
	}
	return &Crypto{base: b}, nil
}

func (s *Crypto) read(ctx context.Context, op string, fn func(*cryptoTx) error) error {
	return s.failed(op, s.db.Read(ctx, func(t *memory.Txn) error { return fn(&cryptoTx{s, t}) }))
}

func (s *Crypto) write(ctx context.Context, op string, check error, fn func(*cryptoTx) error) error {
	if check == nil {
		check = s.db.Write(ctx, func(t *memory.Txn) error { return fn(&cryptoTx{s, t}) })
	}
	return s.failed(op, check)
}

// SaveChanges stores a Changes; see crypto.Saver.
func (s *Crypto) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	if c == nil {
		c = &crypto.Changes{}
	}
	return s.write(ctx, "save changes", c.Check(), func(t *cryptoTx) error { return c.Apply(t) })
}

// Bytes returns the size of the records and of what they are found by.
func (s *Crypto) Bytes(ctx context.Context) (size int64, err error) {
	err = s.read(ctx, "count the bytes", func(t *cryptoTx) error {
		for _, in := range cryptoTables {
			for row, err := range in.Get(t.t, "id") {
				if err != nil {
					return err
				}
				size += int64(len(row.id) + len(row.group) + len(row.other) + len(row.data))
			}
		}
		for row, err := range cryptoInbounds.Get(t.t, "id") {
			if err != nil {
				return err
			}
			size += int64(len(row.key.RoomID) + len(row.key.SessionID) + len(row.sender) + len(row.data))
		}
		for row, err := range cryptoHashes.Get(t.t, "id") {
			if err != nil {
				return err
			}
			size += int64(len(row.id)) + 8
		}
		for row, err := range cryptoIndexes.Get(t.t, "id") {
			if err != nil {
				return err
			}
			size += int64(len(row.id) + len(row.seen))
		}
		return nil
	})
	return size, err
}
