package sqlitestore

import (
	"context"
	"encoding/binary"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// How rows of the crypto store are found, opened and sealed. Every kind of id is hashed in a domain of its
// own, so that an encrypted file does not tell, for example, that a device is the one that has sent a session.

const (
	domainCryptoSession   = "crypto.session"
	domainCryptoSender    = "crypto.session.sender"
	domainOlmHash         = "crypto.olm_hash"
	domainMessageIndex    = "crypto.message_index"
	domainMessageSeen     = "crypto.message_index.seen"
	domainBackupVersion   = "crypto.backup_version"
	domainInbound         = "crypto.inbound"
	domainInboundRoom     = "crypto.inbound.room"
	domainInboundSender   = "crypto.inbound.sender"
	domainWithheld        = "crypto.withheld"
	domainWithheldRoom    = "crypto.withheld.room"
	domainOutbound        = "crypto.outbound"
	domainOutboundSession = "crypto.outbound.session"
	domainShared          = "crypto.shared"
	domainDeviceUser      = "crypto.device.user"
	domainDevice          = "crypto.device"
	domainDeviceIdentity  = "crypto.device.identity"
	domainSigningUser     = "crypto.cross_signing.user"
	domainSigningUsage    = "crypto.cross_signing.usage"
	domainSigned          = "crypto.signature.signed"
	domainSigner          = "crypto.signature.signer"
	domainKeyRequest      = "crypto.key_request"
	domainRequestInfo     = "crypto.key_request.info"
	domainInbox           = "crypto.inbox"
	domainInboxSecret     = "crypto.inbox.secret"
	domainDownloaded      = "crypto.downloaded"
	domainVerification    = "crypto.verification.device"
)

// cryptoKeyed are the statements of a table that has one key.
func cryptoKeyed(table string) keyed {
	k := keyedTable(table)
	k.domain = "crypto." + table
	return k
}

var (
	trackedTable      = cryptoKeyed("tracked_user")
	identityTable     = cryptoKeyed("identity")
	secretTable       = cryptoKeyed("secret")
	roomSettingsTable = cryptoKeyed("room_settings")
	bundleTable       = cryptoKeyed("bundle")
	pendingTable      = cryptoKeyed("pending_bundle")
	verificationTable = cryptoKeyed("verification")
	cryptoCustomTable = cryptoKeyed("custom")
)

// cryptoTx is one transaction on the crypto store. It is the crypto.Tx of SaveChanges. How rows are sealed and opened is
// what the state store does.
type cryptoTx struct {
	*stateTx
	numbers map[id.KeyBackupVersion]int64 // of the versions that it has found
	names   map[int64]id.KeyBackupVersion // of all versions, once they were read
}

var _ crypto.Tx = (*cryptoTx)(nil)

func (s CryptoData) tx(ctx context.Context, c *sqlite.Conn) *cryptoTx {
	return &cryptoTx{stateTx: &stateTx{codec: s.codec, now: s.now, ctx: ctx, c: c}}
}

func (s CryptoData) view(ctx context.Context, fn func(*cryptoTx) error) error {
	return s.db.View(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
}

// read runs fn in a transaction that reads.
func (s CryptoData) read(ctx context.Context, op string, fn func(*cryptoTx) error) error {
	return s.failed(op, s.view(ctx, fn))
}

// write runs fn in a transaction, unless the check has found something.
func (s CryptoData) write(ctx context.Context, op string, check error, fn func(*cryptoTx) error) error {
	if check == nil {
		check = s.db.Update(ctx, func(c *sqlite.Conn) error { return fn(s.tx(ctx, c)) })
	}
	return s.failed(op, check)
}

// joined makes one text of several, so that no two are the same.
func joined[T ~string](parts ...T) string {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return string(b)
}

// keys are the keys of several texts, each behind its domain.
func (t *cryptoTx) keys(domainsAndTexts ...string) (keys []any, err error) {
	keys = make([]any, 0, len(domainsAndTexts)/2+6)
	for i := 0; i+1 < len(domainsAndTexts); i += 2 {
		k, err := t.key(domainsAndTexts[i], domainsAndTexts[i+1])
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// putRecord seals a record, and runs a statement whose first parameters are row and data.
func (t *cryptoTx) putRecord(table, query string, r crypto.Record, args ...any) error {
	t.record = crypto.Encode(t.record[:0], r)
	defer clear(t.record)
	return t.put(table, query, t.record, args...)
}

// putKeyedRecord is putRecord for a table that has one key.
func (t *cryptoTx) putKeyedRecord(in keyed, key string, r crypto.Record) error {
	k, err := t.key(in.domain, key)
	if err != nil {
		return err
	}
	return t.putRecord(in.table, in.put, r, k)
}

// decoded reads a record, and clears what it was read from.
func decoded(plain []byte, r crypto.Record) error {
	defer clear(plain)
	return crypto.Decode(plain, r)
}

// recordOf runs a query for the row and data of one row, and decodes them. It is nil where there is none.
func recordOf[T any, P interface {
	*T
	crypto.Record
}](t *cryptoTx, table, query string, args ...any) (P, error) {
	plain, _, found, err := t.one(table, query, args...)
	if err != nil || !found {
		return nil, err
	}
	r := P(new(T))
	return r, decoded(plain, r)
}

// recordsOf runs a query for rows of n, row and data, and decodes them.
func recordsOf[T any, P interface {
	*T
	crypto.Record
}](t *cryptoTx, table, query string, args ...any) (all []T, err error) {
	err = t.each(table, query, func(_ int64, plain []byte, _ secret.Place) error {
		var r T
		err := decoded(plain, P(&r))
		all = append(all, r)
		return err
	}, args...)
	return all, err
}

// findRecord is recordOf in a transaction of its own, for a row that is found by keys of these texts, each behind its domain.
func findRecord[T any, P interface {
	*T
	crypto.Record
}](ctx context.Context, s CryptoData, op, table, query string, domainsAndTexts ...string) (r P, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		keys, err := t.keys(domainsAndTexts...)
		if err != nil {
			return err
		}
		r, err = recordOf[T, P](t, table, query, keys...)
		return err
	})
	return orNil(r, err)
}

// findRecords is recordsOf in a transaction of its own.
func findRecords[T any, P interface {
	*T
	crypto.Record
}](ctx context.Context, s CryptoData, op, table, query string, domainsAndTexts ...string) (all []T, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		keys, err := t.keys(domainsAndTexts...)
		if err != nil {
			return err
		}
		all, err = recordsOf[T, P](t, table, query, keys...)
		return err
	})
	return orNil(all, err)
}

// orNil is nothing where there is an error.
func orNil[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// there tells whether a query finds a row by keys of these texts.
func (s CryptoData) there(ctx context.Context, op, query string, domainsAndTexts ...string) (there bool, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		keys, err := t.keys(domainsAndTexts...)
		if err != nil {
			return err
		}
		n, err := t.number(query, keys...)
		there = n != 0
		return err
	})
	return there && err == nil, err
}

// run runs one statement with keys of these texts, and returns how many rows it has changed.
func (s CryptoData) run(ctx context.Context, op, query string, domainsAndTexts ...string) (changed int64, err error) {
	err = s.write(ctx, op, nil, func(t *cryptoTx) error {
		keys, err := t.keys(domainsAndTexts...)
		if err != nil {
			return err
		}
		changed, err = t.exec(query, keys...)
		return err
	})
	return orNil(changed, err)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
