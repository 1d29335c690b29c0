package sqlitestore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

func cryptoConfig(path string, engine sqlite.Engine, s secret.Secret) sqlitestore.CryptoConfig {
	return sqlitestore.CryptoConfig{Config: sqlitestore.Config{Database: sqlite.Config{Engine: engine, Path: path, Verify: true}, Secret: s}}
}

// openCrypto opens a crypto store, and closes it at the end.
func openCrypto(t testing.TB, cfg sqlitestore.CryptoConfig) *sqlitestore.Crypto {
	t.Helper()
	s, err := sqlitestore.OpenCrypto(ctx, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(ctx)) })
	return s
}

func newCrypto(t testing.TB, engine sqlite.Engine, s secret.Secret) *sqlitestore.Crypto {
	t.Helper()
	return openCrypto(t, cryptoConfig(filepath.Join(t.TempDir(), "crypto.db"), engine, s))
}

// TestCryptoWaitsForTheDisk: every connection of a crypto store waits for the disk at every commit, unless it was told not to, also after a Resume;
// what the caller sets up himself is set up too.
func TestCryptoWaitsForTheDisk(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		for name, test := range map[string]struct {
			set     sqlite.Synchronous
			relaxed bool
			want    string
		}{
			"by default": {want: "2 1 1 321"}, "relaxed": {relaxed: true, want: "1 0 0 321"}, "more than that": {set: sqlite.SynchronousExtra, want: "3 1 1 321"},
		} {
			cfg := cryptoConfig(filepath.Join(t.TempDir(), "crypto.db"), engine, secret.Secret{})
			cfg.Relaxed, cfg.Database.Synchronous = test.relaxed, test.set
			cfg.Database.Setup = func(ctx context.Context, c *sqlite.Conn) error {
				_, err := c.Exec(ctx, `PRAGMA wal_autocheckpoint = 321`)
				return err
			}
			s := openCrypto(t, cfg)
			for range 2 {
				look := func(c *sqlite.Conn) error {
					got := ""
					for _, pragma := range []string{"synchronous", "fullfsync", "checkpoint_fullfsync", "wal_autocheckpoint"} {
						var v int
						if err := c.QueryRow(ctx, `PRAGMA `+pragma).Scan(&v); err != nil {
							return err
						}
						got += fmt.Sprint(" ", v)
					}
					if got != " "+test.want {
						t.Errorf("%s: synchronous, fullfsync, checkpoint_fullfsync and the caller's own are%s, want %s", name, got, test.want)
					}
					return nil
				}
				must(t, s.Update(ctx, look))
				must(t, s.Pause(ctx))
				must(t, s.Resume(ctx))
			}
		}
	})
}

// TestCryptoTakesManyKeys: more users, sessions and marks at once than a statement has parameters.
func TestCryptoTakesManyKeys(t *testing.T) {
	many := tier.Count(40_000, 100_000, 100_000) // SQLite allows 32,766 parameters
	s := newCrypto(t, fastest(), key(1))
	users := make([]id.UserID, many)
	tracked := make([]crypto.TrackedUser, many/2)
	shares := make([]crypto.Share, many)
	keys := make([]crypto.SessionKey, many)
	for i := range many {
		users[i] = id.UserID(fmt.Sprintf("@%d:example.org", i))
		shares[i] = crypto.Share{UserID: users[i], IdentityKey: "key", SessionID: "session"}
		keys[i] = crypto.SessionKey{RoomID: "!room", SessionID: id.SessionID(fmt.Sprint(i))}
		if i%2 == 1 {
			tracked[i/2].UserID = users[i]
		}
	}
	must(t, s.SaveTrackedUsers(ctx, tracked))
	filtered, err := s.FilterTracked(ctx, users)
	must(t, err)
	if len(filtered) != many/2 || filtered[0] != users[1] || filtered[len(filtered)-1] != users[many-1] {
		t.Errorf("of %d users, every second of whom is tracked, %d are said to be", many, len(filtered))
	}
	must(t, s.MarkOutdated(ctx, users))
	outdated, err := s.OutdatedUsers(ctx)
	must(t, err)
	if len(outdated) != many/2 {
		t.Errorf("%d users are outdated, and %d tracked ones were marked", len(outdated), many/2)
	}
	must(t, s.MarkShared(ctx, shares))
	for _, i := range []int{0, 16_383, 16_384, 32_766, 32_767, many - 1} {
		shared, err := s.IsShared(ctx, shares[i])
		must(t, err)
		if !shared {
			t.Errorf("device %d of %d is not marked", i, many)
		}
	}
	var sessions []crypto.InboundGroupSession
	for i := range many / 10 {
		sessions = append(sessions, crypto.InboundGroupSession{RoomID: "!room", SessionID: keys[i].SessionID, Pickle: []byte("pickle")})
	}
	must(t, s.SaveInboundGroupSessions(ctx, sessions, ""))
	must(t, s.MarkBackedUp(ctx, "1", keys))
	counts, err := s.CountInboundGroupSessions(ctx, "1")
	must(t, err)
	if counts != (crypto.SessionCounts{Total: int64(len(sessions)), BackedUp: int64(len(sessions))}) {
		t.Errorf("of %d sessions %+v are backed up, and all %d keys were marked", len(sessions), counts, many)
	}
	must(t, s.ResetBackup(ctx))
	var after crypto.Cursor
	for seen := 0; ; {
		page, last, err := s.InboundGroupSessionPage(ctx, crypto.SessionsNotBackedUp("1"), after, many/50)
		must(t, err)
		if len(page) == 0 {
			if seen != len(sessions) {
				t.Errorf("after a reset %d sessions of %d are offered", seen, len(sessions))
			}
			break
		}
		seen, after = seen+len(page), last
	}
	must(t, s.Check(ctx, storekit.CheckOptions{}))
}

// TestCryptoOutlivesItsKeys: another data key, another secret and a backup change nothing of what is stored, and every sealed value opens.
func TestCryptoOutlivesItsKeys(t *testing.T) {
	onEngines(t, func(t *testing.T, engine sqlite.Engine) {
		dir := t.TempDir()
		s := openCrypto(t, cryptoConfig(filepath.Join(dir, "crypto.db"), engine, key(1)))
		fillCrypto(t, s, "first")
		before := everythingOf(t, s)
		must(t, s.Rotate(ctx, key(1), storekit.RotateOptions{}))
		must(t, s.ChangeSecret(ctx, key(1), key(2)))
		must(t, s.Check(ctx, storekit.CheckOptions{Sealed: true}))
		if after := everythingOf(t, s); after != before {
			t.Errorf("after a rotation there is\n%s\nand was\n%s", after, before)
		}
		must(t, s.Backup(ctx, filepath.Join(dir, "backup.db"), nil))
		fillCrypto(t, s, "second")
		must(t, s.Restore(ctx, filepath.Join(dir, "backup.db"), storekit.RestoreOptions{}))
		if after := everythingOf(t, s); after != before {
			t.Errorf("from a backup there is\n%s\nand was\n%s", after, before)
		}
	})
}

// cryptoData is a crypto.Store without its life.
type cryptoData interface {
	crypto.Saver
	crypto.Accounts
	crypto.MessageIndexes
	crypto.Redactions
	crypto.OutboundGroupSessions
	crypto.TrackedUsers
	crypto.CrossSigning
	crypto.Secrets
	crypto.Verifications
	crypto.CustomValues
}

// fillCrypto stores something in every table.
func fillCrypto(t testing.TB, s cryptoData, mark string) {
	t.Helper()
	user, room, some := id.UserID("@"+mark), id.RoomID("!"+mark), []byte("pickle "+mark)
	session, sender := id.SessionID("session "+mark), id.SenderKey("sender "+mark)
	withheld := crypto.Withheld{}
	withheld.RoomID, withheld.SessionID, withheld.Code, withheld.Reason = room, "withheld "+session, "m.unverified", "reason "+mark
	device := crypto.Device{Device: id.Device{UserID: user, DeviceID: "DEVICE " + id.DeviceID(mark), IdentityKey: sender, Name: "name " + mark}, Data: some}
	c := &crypto.Changes{
		PrivateIdentity: &crypto.PrivateIdentity{UserID: user, Pickle: some}, NextBatch: "token " + mark,
		BackupDecryptionKey: some, BackupVersion: "version " + id.KeyBackupVersion(mark), DehydratedDeviceKey: some,
		Devices: crypto.DeviceChanges{New: []crypto.Device{device}}, Identities: crypto.IdentityChanges{New: []crypto.Identity{{UserID: user, Data: some}}},
		Sessions: []crypto.Session{{ID: session, SenderKey: sender, LastDecrypted: time.UnixMilli(5), Pickle: some}},
		InboundGroupSessions: []crypto.InboundGroupSession{
			{RoomID: room, SessionID: session, SenderKey: sender, BackupVersion: "version " + id.KeyBackupVersion(mark), Pickle: some},
			{RoomID: room, SessionID: "redacted " + session, SenderKey: sender, ReceivedAt: time.UnixMilli(1), MaxAge: time.Millisecond, Pickle: some},
		},
		OutboundGroupSessions: []crypto.OutboundGroupSession{{RoomID: room, SessionID: session, Pickle: some}},
		MessageHashes:         []crypto.MessageHash{{SenderKey: sender, Hash: some, At: time.UnixMilli(7)}},
		KeyRequests:           []crypto.KeyRequest{{ID: "request " + mark, Info: crypto.SessionRequest(room, session, "algorithm "+id.Algorithm(mark))}},
		Withheld:              []crypto.Withheld{withheld},
		RoomSettings:          map[id.RoomID]crypto.RoomSettings{room: {Algorithm: "algorithm " + id.Algorithm(mark)}},
		Secrets:               []crypto.InboxSecret{{Name: "inbox " + id.Secret(mark), Secret: some}},
		RoomKeyBundles:        []crypto.RoomKeyBundle{{RoomID: room, Sender: user, Data: some}},
		DownloadedRooms:       []id.RoomID{room},
		PendingKeyBundles:     map[id.RoomID]*crypto.PendingKeyBundle{room: {Inviter: user}},
	}
	if a, err := s.Account(ctx); err != nil || a == nil {
		must(t, err)
		c.Account = &crypto.Account{UserID: user, DeviceID: device.DeviceID, IdentityKey: sender, Pickle: some}
	}
	must(t, s.SaveChanges(ctx, c))
	_, err := s.CheckMessageIndex(ctx, crypto.MessageIndex{SenderKey: sender, SessionID: session, EventID: "$event " + id.EventID(mark), Timestamp: 1})
	must(t, err)
	_, err = s.RedactGroupSession(ctx, room, "redacted "+session, "reason "+mark)
	must(t, err)
	must(t, s.MarkShared(ctx, []crypto.Share{{UserID: user, IdentityKey: sender, SessionID: session}, {UserID: user, IdentityKey: "other " + sender, SessionID: session}}))
	must(t, s.SaveTrackedUsers(ctx, []crypto.TrackedUser{{UserID: user, Outdated: true}}))
	must(t, s.SaveCrossSigningKey(ctx, user, id.XSUsageMaster, "key "+id.Ed25519(mark)))
	must(t, s.SaveSignature(ctx, crypto.Signature{SignedUser: user, SignedKey: "key " + id.Ed25519(mark), Signer: user, SignerKey: "key " + id.Ed25519(mark), Signature: "signature " + mark}))
	must(t, s.PutSecret(ctx, "secret "+id.Secret(mark), some))
	must(t, s.SaveVerification(ctx, &crypto.Verification{ID: "verification " + id.VerificationTransactionID(mark), UserID: user, DeviceID: device.DeviceID, Data: some}))
	must(t, s.SetCustomValue(ctx, []byte("custom "+mark), some))
}

// everythingOf is what there is of fillCrypto(first), as one text.
func everythingOf(t testing.TB, s crypto.Store) string {
	t.Helper()
	text := ""
	add := func(v any, err error) {
		t.Helper()
		must(t, err)
		text += fmt.Sprintf("%+v\n", v)
	}
	account, err := s.Account(ctx)
	add(*account, err)
	add(s.NextBatch(ctx))
	add(s.BackupKeys(ctx))
	add(s.DehydratedDeviceKey(ctx))
	device, err := s.OwnDevice(ctx)
	add(*device, err)
	add(s.Sessions(ctx, "sender first"))
	add(s.InboundGroupSessions(ctx))
	add(s.WithheldOfRoom(ctx, "!first"))
	add(s.TrackedUsers(ctx))
	add(s.UnsentKeyRequests(ctx))
	add(s.CrossSigningKeys(ctx, "@first"))
	add(s.SignaturesBy(ctx, "@first", "key first", "@first"))
	add(s.PendingKeyBundles(ctx))
	add(s.Verifications(ctx))
	add(s.InboxSecrets(ctx, "inbox first"))
	add(s.CountInboundGroupSessions(ctx, "version first"))
	outbound, err := s.OutboundGroupSession(ctx, "!first")
	add(*outbound, err)
	settings, err := s.RoomSettings(ctx, "!first")
	add(*settings, err)
	bundle, err := s.RoomKeyBundle(ctx, "!first", "@first")
	add(*bundle, err)
	value, found, err := s.CustomValue(ctx, []byte("custom first"))
	add(string(value)+fmt.Sprint(found), err)
	value, found, err = s.Secret(ctx, "secret first")
	add(string(value)+fmt.Sprint(found), err)
	at, known, err := s.MessageHash(ctx, "sender first", []byte("pickle first"))
	add(fmt.Sprint(at, known), err)
	add(s.IsShared(ctx, crypto.Share{UserID: "@first", IdentityKey: "sender first", SessionID: "session first"}))
	add(s.CheckMessageIndex(ctx, crypto.MessageIndex{SenderKey: "sender first", SessionID: "session first"}))
	add(s.HasDownloadedRoom(ctx, "!first"))
	return text
}
