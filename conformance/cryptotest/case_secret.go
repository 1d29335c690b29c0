package cryptotest

// Nothing that a user, a server or a client has written can be read in the files of an encrypted store.

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var secretCases = []Case{
	{
		Name:    "nothing-in-clear",
		Promise: "no identifier, pickle, secret, hash or value can be read in the files of an encrypted store, whichever way it came in: not while it is open, not while it is paused, not after Close",
		Origins: from("contract", seed(4)), Needs: needs(conformance.Files, conformance.Encryption), run: caseSecret,
	},
	{
		Name:    "files-are-named",
		Promise: "every file that the store makes in its directory is one that Files names",
		Origins: from("contract"), Needs: needs(conformance.Files), run: caseFilesNamed,
	},
}

// markers make texts that are in no file by chance, and remember them.
type markers []marker

type marker struct{ place, text string }

// common is in every marker.
const common = "XvMark"

// mark returns a text of twelve bytes that names a place.
func (m *markers) mark(place string) string {
	text := fmt.Sprintf("Zq%04d"+common, len(*m)) // the same length each, and none is a part of another
	*m = append(*m, marker{place, text})
	return text
}

// many is a text that is full of a marker: some of it is at every edge.
func (m *markers) many(place string) []byte { return bytes.Repeat([]byte(m.mark(place)), 40) }

// forms are how a text may stand in a file without being encrypted.
func forms(text string) map[string][]byte {
	all := map[string][]byte{
		"as it is": []byte(text), "in hex": []byte(hex.EncodeToString([]byte(text))), "in HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(text)))),
	}
	var wide []byte
	for _, b := range []byte(text) {
		wide = append(wide, b, 0)
	}
	all["in UTF-16"] = wide
	for offset := range 3 { // base64 of it, wherever it begins in what is encoded
		padded := append(make([]byte, offset), text...)
		encoded := base64.StdEncoding.EncodeToString(padded)
		first, last := (offset*8+5)/6, len(padded)*8/6
		all[fmt.Sprint("in base64, from byte ", offset)] = []byte(encoded[first:last])
	}
	return all
}

// in says which of them can be read in a file.
func (m markers) in(content []byte) string {
	var all []string
	for _, marker := range m {
		for _, bytesOf := range forms(marker.text) {
			if bytes.Contains(content, bytesOf) {
				all = append(all, marker.place)
				break
			}
		}
	}
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("and %d more", len(all)-20))
	}
	return strings.Join(all, "; ")
}

func caseSecret(p *probe) {
	s := p.open()
	var m markers
	text := m.mark
	for i := range 2 { // the second time replaces some, which may stay in free pages
		user, room := id.UserID(text("user")), id.RoomID(text("room"))
		sender, session := id.SenderKey(text("sender's key")), id.SessionID(text("session"))
		in := inbound(room, session)
		in.SenderKey, in.SigningKey, in.Pickle, in.Extra, in.ForwardingChains = sender, id.Ed25519(text("signing key")), m.many("inbound pickle"), m.many("extra"), []string{text("chain")}
		in.BackupVersion = id.KeyBackupVersion(text("backup version of a session"))
		redacted := in
		redacted.SessionID, redacted.ReceivedAt = id.SessionID(text("redacted session")), time.Time{}
		w := withheld(room, id.SessionID(text("withheld session")), "m.unverified")
		w.Reason = text("why it was withheld")
		d := device(user, id.DeviceID(text("device")))
		d.IdentityKey, d.SigningKey, d.Name, d.Data = sender, id.Ed25519(text("device's signing key")), text("device's name"), m.many("device keys")
		o := olm(id.SessionID(text("Olm session")), sender, i)
		o.Pickle, o.Extra = m.many("Olm pickle"), m.many("Olm extra")
		out := outbound(kitchen, id.SessionID(text("outbound session")), i)
		out.Pickle, out.Extra = m.many("outbound pickle"), m.many("outbound extra")
		c := &crypto.Changes{
			PrivateIdentity: &crypto.PrivateIdentity{UserID: user, Pickle: m.many("private identity")},
			NextBatch:       text("token"), BackupDecryptionKey: m.many("backup key"), BackupVersion: id.KeyBackupVersion(text("backup version")),
			DehydratedDeviceKey: m.many("dehydrated key"), Devices: crypto.DeviceChanges{New: []crypto.Device{d}},
			Identities: crypto.IdentityChanges{New: []crypto.Identity{{UserID: user, Data: m.many("identity")}}},
			Sessions:   []crypto.Session{o}, InboundGroupSessions: []crypto.InboundGroupSession{in, redacted}, OutboundGroupSessions: []crypto.OutboundGroupSession{out},
			MessageHashes: []crypto.MessageHash{{SenderKey: id.SenderKey(text("sender of a hash")), Hash: []byte(text("hash"))}},
			KeyRequests: []crypto.KeyRequest{
				{ID: text("request"), Info: crypto.SessionRequest(room, session, id.Algorithm(text("algorithm"))), Data: m.many("request")},
				{ID: text("secret request"), Info: crypto.SecretRequest(id.Secret(text("wanted secret")))},
			},
			Withheld: []crypto.Withheld{w}, RoomSettings: map[id.RoomID]crypto.RoomSettings{room: {Algorithm: id.Algorithm(text("room's algorithm"))}},
			Secrets:           []crypto.InboxSecret{{Name: id.Secret(text("name in the inbox")), Secret: m.many("secret in the inbox")}},
			RoomKeyBundles:    []crypto.RoomKeyBundle{{RoomID: room, Sender: id.UserID(text("bundle's sender")), Data: m.many("bundle")}},
			DownloadedRooms:   []id.RoomID{id.RoomID(text("downloaded room"))},
			PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{id.RoomID(text("pending room")): {Inviter: id.UserID(text("inviter"))}},
		}
		if i == 0 {
			c.Account = &crypto.Account{UserID: user, DeviceID: d.DeviceID, IdentityKey: sender, SigningKey: id.Ed25519(text("account's key")), Pickle: m.many("account")}
		}
		s.save(c)
		_, err := s.CheckMessageIndex(p.Ctx, crypto.MessageIndex{SenderKey: id.SenderKey(text("sender of an index")), SessionID: id.SessionID(text("session of an index")), EventID: id.EventID(text("event of an index")), Timestamp: 1})
		p.Must("CheckMessageIndex", err)
		_, err = s.RedactOutdatedGroupSessions(p.Ctx, text("reason of a redaction"))
		p.Must("RedactOutdatedGroupSessions", err)
		p.Must("MarkBackedUp", s.MarkBackedUp(p.Ctx, id.KeyBackupVersion(text("marked version")), []crypto.SessionKey{in.Key()}))
		p.Must("MarkShared", s.MarkShared(p.Ctx, []crypto.Share{
			{UserID: user, IdentityKey: sender, SessionID: id.SessionID(text("shared session"))},
			{UserID: id.UserID(text("whom it is shared with")), IdentityKey: id.IdentityKey(text("key it is shared with")), SessionID: session},
		}))
		p.Must("MarkShared", s.MarkShared(p.Ctx, []crypto.Share{{UserID: user, IdentityKey: sender, SessionID: id.SessionID(text("another shared session"))}}))
		tracked := id.UserID(text("tracked user"))
		p.Must("SaveTrackedUsers", s.SaveTrackedUsers(p.Ctx, []crypto.TrackedUser{{UserID: tracked}}))
		p.Must("MarkOutdated", s.MarkOutdated(p.Ctx, []id.UserID{tracked, id.UserID(text("user who is not tracked"))}))
		p.Must("ReplaceDevices", s.ReplaceDevices(p.Ctx, user, []crypto.Device{device(user, id.DeviceID(text("another device")))}))
		p.Must("SaveCrossSigningKey", s.SaveCrossSigningKey(p.Ctx, user, id.CrossSigningUsage(text("usage")), id.Ed25519(text("cross-signing key"))))
		p.Must("SaveSignature", s.SaveSignature(p.Ctx, crypto.Signature{
			SignedUser: user, SignedKey: id.Ed25519(text("signed key")), Signer: id.UserID(text("signer")), SignerKey: id.Ed25519(text("signer's key")), Signature: text("signature"),
		}))
		p.Must("PutSecret", s.PutSecret(p.Ctx, id.Secret(text("secret's name")), m.many("secret")))
		p.Must("SaveVerification", s.SaveVerification(p.Ctx, &crypto.Verification{
			ID: id.VerificationTransactionID(text("verification")), UserID: user, DeviceID: id.DeviceID(text("verified device")), Data: m.many("verification"),
		}))
		p.Must("SetCustomValue", s.SetCustomValue(p.Ctx, []byte(text("custom key")), m.many("custom value")))
		s.takes(text("key of a lease"), text("holder of a lease"), long, 1)
	}
	before, err := s.InboundGroupSessions(p.Ctx)
	p.Must("InboundGroupSessions", err)
	p.searchWhileOpen(s.dir, m)
	p.Must("Pause", s.Pause(p.Ctx))
	p.search("while it is paused", s.dir, m, os.ReadFile)
	p.Must("Resume", s.Resume(p.Ctx))
	p.Must("Compact", s.Compact(p.Ctx))
	s.close()
	p.search("after Close", s.dir, m, os.ReadFile)
	s.Store = p.openIn(s.dir, p.options()).Store
	is(p, "InboundGroupSessions", before)(s.InboundGroupSessions(p.Ctx))
}

// searchWhileOpen lets another process read the files: to open and close a file of
// SQLite in this one would drop its locks.
func (p *probe) searchWhileOpen(dir string, m markers) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		p.Note("there is no program cat, so the files were not looked into while the store was open")
		return
	}
	p.search("while it is open", dir, m, func(path string) ([]byte, error) {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		return exec.CommandContext(p.Ctx, cat, path).Output()
	})
}

func (p *probe) search(when, dir string, m markers, read func(path string) ([]byte, error)) {
	size := 0
	for _, path := range p.h.Files(dir) {
		content, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.Must("reading a file of the store", err)
		size += len(content)
		for form, bytesOf := range forms(common) { // most files have none, which is told soon
			if bytes.Contains(content, bytesOf) {
				p.Broken("%s can be read in %s %s, %s", m.in(content), strings.TrimPrefix(path, dir), when, form)
			}
		}
	}
	if size < 20_000 && when != "while it is open" {
		p.Broken("the files that Files names have %d bytes together %s: what is stored must lie somewhere else", size, when)
	}
}

func caseFilesNamed(p *probe) {
	s := p.open()
	check := func(when string) {
		named := p.h.Files(s.dir)
		p.Must("looking into the store's directory", filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !slices.Contains(named, path) {
				p.Broken("%s there is a file %s, which Files does not name", when, strings.TrimPrefix(path, s.dir))
			}
			return err
		}))
	}
	s.save(&crypto.Changes{InboundGroupSessions: inbounds(kitchen, 100)})
	s.takes("key", "holder", long, 1)
	check("while the store is open")
	p.Must("Pause", s.Pause(p.Ctx))
	check("while the store is paused")
	p.Must("Resume", s.Resume(p.Ctx))
	s.close()
	check("after Close")
}
