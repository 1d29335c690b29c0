package cryptotest

// Everything that can be asked of a store, about the names that random operations use, as text.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// data is a store without its life.
type data interface {
	crypto.Saver
	crypto.Accounts
	crypto.OlmSessions
	crypto.MessageHashes
	crypto.MessageIndexes
	crypto.InboundGroupSessions
	crypto.Backups
	crypto.Redactions
	crypto.OutboundGroupSessions
	crypto.Devices
	crypto.TrackedUsers
	crypto.CrossSigning
	crypto.KeyRequests
	crypto.Secrets
	crypto.Rooms
	crypto.Verifications
	crypto.CustomValues
}

// The names of the universe.
var (
	theUsers    = []id.UserID{alice, bob, "@\x00\xff"}
	theDevices  = []id.DeviceID{"DEVICE", "OTHER"}
	theRooms    = []id.RoomID{kitchen, garden}
	theSessions = []id.SessionID{"one", "two", "three"}
	theKeys     = []id.SenderKey{key, "another key"}
	theSigners  = []id.Ed25519{"ed one", "ed two"}
	theVersions = []id.KeyBackupVersion{"1", "2"}
	theSecrets  = []id.Secret{"secret", "another secret"}
	theTexts    = []string{"", "text", "another\x00text"}
)

// answers are lines of a question and what was answered.
type answers []string

func (a *answers) add(question string, answer any, err error) {
	*a = append(*a, fmt.Sprintf("%s: %s, %v", question, show(answer), err))
}

// ask asks for everything. What it asks changes nothing.
func ask(ctx context.Context, s data) (a answers) {
	one := func(question string) func(any, error) {
		return func(answer any, err error) { a.add(question, answer, reason(err)) }
	}
	one("Account")(any1(s.Account(ctx)))
	one("OwnDevice")(any1(s.OwnDevice(ctx)))
	one("PrivateIdentity")(any1(s.PrivateIdentity(ctx)))
	one("NextBatch")(any1(s.NextBatch(ctx)))
	one("DehydratedDeviceKey")(any1(s.DehydratedDeviceKey(ctx)))
	one("BackupKeys")(any1(s.BackupKeys(ctx)))
	one("InboundGroupSessions")(any1(s.InboundGroupSessions(ctx)))
	one("TrackedUsers")(any1(s.TrackedUsers(ctx)))
	one("OutdatedUsers")(any1(s.OutdatedUsers(ctx)))
	one("FilterTracked")(any1(s.FilterTracked(ctx, theUsers)))
	one("UnsentKeyRequests")(any1(s.UnsentKeyRequests(ctx)))
	one("PendingKeyBundles")(any1(s.PendingKeyBundles(ctx)))
	one("Verifications")(any1(s.Verifications(ctx)))
	for _, version := range append(slices.Clone(theVersions), "") {
		one("CountInboundGroupSessions " + string(version))(any1(s.CountInboundGroupSessions(ctx, version)))
		one("SessionsNotBackedUp " + string(version))(any2(s.InboundGroupSessionPage(ctx, crypto.SessionsNotBackedUp(version), 0, 3)))
	}
	for _, k := range theKeys {
		one("Sessions " + string(k))(any1(s.Sessions(ctx, k)))
		one("LatestSession " + string(k))(any1(s.LatestSession(ctx, k)))
		one("HasSession " + string(k))(any1(s.HasSession(ctx, k)))
		one("NewestSessionCreation " + string(k))(any1(s.NewestSessionCreation(ctx, k)))
		for _, data := range []crypto.SenderData{crypto.SenderNotRecorded, crypto.SenderVerified} {
			one(fmt.Sprint("SessionsOfDevice ", k, data))(any2(s.InboundGroupSessionPage(ctx, crypto.SessionsOfDevice(k, data), 0, 100)))
		}
		for _, session := range theSessions {
			one(fmt.Sprint("CheckMessageIndex ", k, session))(any1(s.CheckMessageIndex(ctx, crypto.MessageIndex{SenderKey: k, SessionID: session})))
		}
		for _, text := range theTexts[1:] {
			one(fmt.Sprint("MessageHash ", k, text))(any2(s.MessageHash(ctx, k, []byte(text))))
		}
	}
	for _, room := range theRooms {
		one("InboundGroupSessionsOfRoom " + string(room))(any1(s.InboundGroupSessionsOfRoom(ctx, room)))
		one("WithheldOfRoom " + string(room))(any1(s.WithheldOfRoom(ctx, room)))
		one("OutboundGroupSession " + string(room))(any1(s.OutboundGroupSession(ctx, room)))
		one("RoomSettings " + string(room))(any1(s.RoomSettings(ctx, room)))
		one("PendingKeyBundle " + string(room))(any1(s.PendingKeyBundle(ctx, room)))
		one("HasDownloadedRoom " + string(room))(any1(s.HasDownloadedRoom(ctx, room)))
		for _, session := range theSessions {
			one(fmt.Sprint("InboundGroupSession ", room, session))(any1(s.InboundGroupSession(ctx, room, session)))
			one(fmt.Sprint("Withheld ", room, session))(any1(s.Withheld(ctx, room, session)))
			one(fmt.Sprint("KeyRequestFor ", room, session))(any1(s.KeyRequestFor(ctx, crypto.SessionRequest(room, session, id.AlgorithmMegolmV1))))
		}
		for _, user := range theUsers {
			one(fmt.Sprint("RoomKeyBundle ", room, user))(any1(s.RoomKeyBundle(ctx, room, user)))
		}
	}
	for _, user := range theUsers {
		devices, tracked, err := s.Devices(ctx, user)
		var lines []string
		for name, d := range devices {
			lines = append(lines, fmt.Sprintf("%s %s", name, show(d)))
		}
		slices.Sort(lines)
		a.add("Devices "+string(user), fmt.Sprint(lines, tracked), reason(err))
		one("Identity " + string(user))(any1(s.Identity(ctx, user)))
		one("CrossSigningKeys " + string(user))(any1(s.CrossSigningKeys(ctx, user)))
		for _, name := range theDevices {
			one(fmt.Sprint("Device ", user, name))(any1(s.Device(ctx, user, name)))
			one(fmt.Sprint("VerificationWith ", user, name))(any1(s.VerificationWith(ctx, user, name)))
		}
		for _, k := range theKeys {
			one(fmt.Sprint("DeviceByKey ", user, k))(any1(s.DeviceByKey(ctx, user, k)))
			for _, session := range theSessions {
				one(fmt.Sprint("IsShared ", user, k, session))(any1(s.IsShared(ctx, crypto.Share{UserID: user, IdentityKey: k, SessionID: session})))
			}
		}
		for _, signed := range theSigners {
			for _, signer := range theUsers {
				one(fmt.Sprint("SignaturesBy ", user, signed, signer))(any1(s.SignaturesBy(ctx, user, signed, signer)))
			}
		}
	}
	for _, name := range theSecrets {
		one("Secret " + string(name))(any2(s.Secret(ctx, name)))
		one("InboxSecrets " + string(name))(any1(s.InboxSecrets(ctx, name)))
		one("KeyRequestFor " + string(name))(any1(s.KeyRequestFor(ctx, crypto.SecretRequest(name))))
	}
	for _, text := range theTexts {
		one("CustomValue " + text)(any2(s.CustomValue(ctx, []byte(text))))
		one("KeyRequest " + text)(any1(s.KeyRequest(ctx, text)))
		one("Verification " + text)(any1(s.Verification(ctx, id.VerificationTransactionID(text))))
	}
	return a
}

// any2 is any1 for a method that also says whether it has found something, or where a page ends. Places in lists are not answers: every store has its own.
func any2[A, B any](answer A, more B, err error) (any, error) {
	if _, place := any(more).(crypto.Cursor); place {
		return answer, err
	}
	return fmt.Sprint(show(answer), " ", more), err
}

// dump is everything that can be asked, as one text, and how much there is.
func (s *subject) dump() string {
	return strings.Join(ask(s.p.Ctx, s.Store), "\n")
}

// unchanged checks that a dump is as before.
func (s *subject) unchanged(what, before string) {
	if after := s.dump(); after != before {
		s.p.Broken("%s has changed something:\n%s", what, others(strings.Split(before, "\n"), strings.Split(after, "\n")))
	}
}

// others lists what is answered otherwise than it should be.
func others(want, got answers) string {
	var b strings.Builder
	for i := range max(len(want), len(got)) {
		w, g := "nothing", "nothing"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			fmt.Fprintf(&b, "want %s\ngot  %s\n", w, g)
		}
	}
	return b.String()
}
