package sqlitestore_test

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

var cryptoTables = []string{
	"single", "session", "olm_hash", "message_index", "backup_version", "inbound", "withheld", "outbound", "shared", "device", "tracked_user",
	"identity", "cross_signing", "signature", "key_request", "secret", "inbox", "room_settings", "bundle", "pending_bundle", "downloaded",
	"verification", "custom",
}

// cryptoPlans are the statements whose answer is everything, or nearly.
var cryptoPlans = map[string]string{
	`SELECT id, row, name FROM backup_version`:                "there are as many as backups were ever made",
	`SELECT outdated, row, data FROM tracked_user ORDER BY n`: "TrackedUsers returns all of them",
	`SELECT n, row, data FROM pending_bundle ORDER BY n`:      "PendingKeyBundles returns all of them",
	`SELECT n, row, data FROM verification ORDER BY n`:        "Verifications returns all of them",
}

// cryptoSearches are statements, by a part of them that no other one has, whose index counts: another one would
// be a search too, and read all sessions of a sender, or all devices of a user.
var cryptoSearches = map[string]string{
	"FROM session WHERE sender = ? ORDER BY decrypted DESC, n DESC LIMIT 1": "session_latest (sender=?)",
	"AND used = 1 ORDER BY created DESC LIMIT 1":                            "session_newest (sender=?)",
	"session = ? AND room = ?\x00":                                          "(session=? AND room=?)",
	"WHERE room = ? AND n > ? ORDER BY n":                                   "inbound_room (room=? AND rowid>?)",
	"sender = ? AND known = ? AND n > ?":                                    "inbound_device (sender=? AND known=? AND rowid>?)",
	"SELECT n FROM inbound WHERE backup = ? AND n > ?":                      "inbound_backup (backup=? AND rowid>?)",
	"SELECT count(*) FROM inbound WHERE backup = ?":                         "inbound_backup (backup=?)",
	"expires < ?": "inbound_expires (expires<?)",
	"undated = 1": "inbound_undated (undated=?)",
	"FROM device WHERE user = ? AND active = 1": "device_active (user=? AND active=?)",
	"FROM device WHERE identity = ?":            "device_identity (identity=?)",
	"WHERE outdated = 1 ORDER BY n":             "tracked_user_outdated (outdated=?)",
	"WHERE sent = 0 ORDER BY n":                 "key_request_unsent (sent=?)",
	"FROM key_request WHERE info = ? AND id":    "(info=?)",
	"FROM inbox WHERE name = ? ORDER BY n":      "inbox_name (name=?)",
	"FROM withheld WHERE room = ? ORDER BY n":   "withheld_room (room=?)",
	"DELETE FROM signature WHERE signer = ?":    "signature_signer (signer=?)",
	"FROM verification WHERE device = ?":        "verification_device (device=?)",
	"DELETE FROM olm_hash WHERE at < ?":         "olm_hash_at (at<?)",
}

// checkCryptoPlans finds out how statements are answered by a store with thousands of rows, with statistics and without.
func checkCryptoPlans(t *testing.T, statements []string) {
	if len(statements) < 70 {
		if regexp.MustCompile(`/.*/.*/`).MatchString(flag.Lookup("test.run").Value.String()) {
			t.Skip("only some cases have run")
		}
		t.Fatalf("only %d statements were seen: the engine does not see them all\n%s", len(statements), strings.Join(statements, "\n"))
	}
	t.Logf("%d statements", len(statements))
	s := newCrypto(t, modernc.Engine(), secret.Secret{})
	must(t, s.Update(ctx, func(c *sqlite.Conn) error {
		manyOfAll(t, s.In(c))
		return nil
	}))
	for _, statistics := range []bool{false, true} {
		if statistics {
			must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, `ANALYZE`) }))
			must(t, s.Pause(ctx)) // so that every connection reads them
			must(t, s.Resume(ctx))
		}
		t.Run(fmt.Sprint("statistics=", statistics), func(t *testing.T) {
			checkPlans(t, s, statements, cryptoPlans)
			checkSearches(t, s, statements, cryptoSearches)
		})
	}
	for statement := range cryptoPlans {
		if !slices.Contains(statements, statement) {
			t.Errorf("%q is allowed, and does not exist", statement)
		}
	}
}

// manyOfAll fills every table with many rows.
func manyOfAll(t testing.TB, s cryptoData) {
	t.Helper()
	fillCrypto(t, s, "first")
	c := &crypto.Changes{RoomSettings: map[id.RoomID]crypto.RoomSettings{}, PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{}}
	var shares []crypto.Share
	var users []crypto.TrackedUser
	some := []byte("pickle")
	for i := range 1500 {
		user, room := id.UserID(fmt.Sprintf("@%d", i/5)), id.RoomID(fmt.Sprintf("!%d", i/20))
		sender, session := id.SenderKey(fmt.Sprint("sender ", i/10)), id.SessionID(fmt.Sprint("session ", i))
		c.Sessions = append(c.Sessions, crypto.Session{ID: session, SenderKey: sender, LastDecrypted: time.UnixMilli(int64(i)), Pickle: some})
		one := crypto.InboundGroupSession{RoomID: room, SessionID: session, SenderKey: sender, SenderData: crypto.SenderData(i % 6), Pickle: some}
		if i%3 > 0 {
			one.ReceivedAt, one.MaxAge, one.BackupVersion = time.UnixMilli(int64(i)), time.Second, id.KeyBackupVersion(fmt.Sprint(i%3))
		}
		c.InboundGroupSessions = append(c.InboundGroupSessions, one)
		w := crypto.Withheld{}
		w.RoomID, w.SessionID = room, "withheld "+session
		c.Withheld = append(c.Withheld, w)
		c.OutboundGroupSessions = append(c.OutboundGroupSessions, crypto.OutboundGroupSession{RoomID: room + id.RoomID(session), SessionID: session, Pickle: some})
		d := crypto.Device{}
		d.UserID, d.DeviceID, d.IdentityKey, d.Deleted = user, id.DeviceID(fmt.Sprint(i)), sender, i%2 == 0
		c.Devices.New = append(c.Devices.New, d)
		c.Identities.New = append(c.Identities.New, crypto.Identity{UserID: id.UserID(session)})
		c.KeyRequests = append(c.KeyRequests, crypto.KeyRequest{ID: string(session), Info: crypto.SecretRequest(id.Secret(session)), Sent: i%4 > 0})
		c.MessageHashes = append(c.MessageHashes, crypto.MessageHash{Hash: []byte(session), At: time.UnixMilli(int64(i))})
		c.RoomSettings[id.RoomID(session)] = crypto.RoomSettings{}
		c.Secrets = append(c.Secrets, crypto.InboxSecret{Name: id.Secret(sender), Secret: []byte(session)})
		c.RoomKeyBundles = append(c.RoomKeyBundles, crypto.RoomKeyBundle{RoomID: id.RoomID(session), Sender: user})
		c.DownloadedRooms = append(c.DownloadedRooms, id.RoomID(session))
		c.PendingKeyBundles[id.RoomID(session)] = &crypto.PendingKeyBundle{}
		shares = append(shares, crypto.Share{UserID: user, IdentityKey: sender, SessionID: session})
		users = append(users, crypto.TrackedUser{UserID: id.UserID(session), Outdated: i%4 == 0})
	}
	must(t, s.SaveChanges(ctx, c))
	must(t, s.MarkShared(ctx, shares))
	must(t, s.SaveTrackedUsers(ctx, users))
	for i := range 300 {
		user, k := id.UserID(fmt.Sprintf("@%d", i/3)), id.Ed25519(fmt.Sprint("key ", i))
		must(t, s.SaveCrossSigningKey(ctx, user, id.CrossSigningUsage(fmt.Sprint(i%3)), k))
		must(t, s.SaveSignature(ctx, crypto.Signature{SignedUser: user, SignedKey: k, Signer: user, SignerKey: k}))
	}
}
