package cryptotest

// The life of a store: what stays over a pause and a new opening, and what every
// method returns while it is paused, closed, or nobody waits any more.

import (
	"context"
	"math/rand/v2"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance"
	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

var lifeCases = []Case{
	{
		Name:    "everything-survives",
		Promise: "everything is after a Resume, and after the store was closed and opened again, as it was before, and goes on from there",
		Origins: from("contract", "CR-44", "CR-45", "GAP-CR/data across close/reopen"), run: caseSurvives,
	},
	{
		Name:    "refused-while-paused",
		Promise: "while paused every method returns an error that matches lifecycle.ErrPaused, at once, and nothing has changed",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: casePaused,
	},
	{
		Name:    "waits-for-resume",
		Promise: "under the policy Wait every method waits for Resume and then does its work, for as long as its context allows",
		Origins: from("contract"), Needs: needs(conformance.Gate), run: caseWait,
	},
	{
		Name:    "a-pause-that-changes-nothing",
		Promise: "a store without a gate goes on with its work while it is paused, and nothing is lost or changed",
		Origins: from("contract", "DIV-14"), For: conformance.Gate, run: caseNoGate,
	},
	{
		Name:    "closed-for-good",
		Promise: "after Close every method returns an error that matches lifecycle.ErrClosed; closing it again is nil",
		Origins: from("contract", "CR-44", "GAP-CR/write when closed"), run: caseClosed,
	},
	{
		Name:    "contexts-that-have-ended",
		Promise: "with a context that has ended every method returns an error that matches the context's, and nothing has changed",
		Origins: from("contract"), run: caseCancelled,
	},
}

// full has something of everything.
func full(s *subject) {
	p := s.p
	c := chance{rand.New(rand.NewPCG(1, 1))}
	for range p.count(6, 6, 40, 40) {
		for _, make := range operations {
			if _, err := make(c).do(p.Ctx, s.Store); err != nil && reason(err) == err {
				p.Fatal("an operation returned %v", err)
			}
		}
	}
	p.Must("SaveAccount", s.SaveAccount(p.Ctx, account("here")))
}

func caseSurvives(p *probe) {
	s := p.open()
	full(s)
	for range p.count(1, 2, 5, 20) {
		before := s.dump()
		for range 2 { // pausing what is paused, resuming what runs
			p.Must("Pause", s.Pause(p.Ctx))
		}
		for range 2 {
			p.Must("Resume", s.Resume(p.Ctx))
		}
		s.unchanged("a Pause and a Resume", before)
		if p.has(conformance.Files) {
			s.close()
			s.Store = p.openIn(s.dir, p.options()).Store
			s.unchanged("closing and opening again", before)
			p.Must("Pause", s.Pause(p.Ctx))
			s.close() // closed while paused
			s.Store = p.openIn(s.dir, p.options()).Store
			s.unchanged("closing while paused, and opening again", before)
		}
		full(s)
	}
}

// state checks the state, which a store reports at every moment.
func (s *subject) state(want lifecycle.State) {
	if got := s.State(); got != want {
		s.p.Broken("the state is %s, and should be %s", got, want)
	}
}

func casePaused(p *probe) {
	s := p.open()
	full(s)
	before := s.dump()
	for range 2 {
		s.state(lifecycle.Active)
		p.Must("Pause", s.Pause(p.Ctx))
		s.state(lifecycle.Paused)
		for name, call := range calls {
			p.Is(name+" while paused", call(p.Ctx, s.Store), lifecycle.ErrPaused)
		}
		p.Must("Resume", s.Resume(p.Ctx))
		s.unchanged("what was refused while it was paused", before)
	}
}

func caseWait(p *probe) {
	s := p.open()
	full(s)
	type result struct {
		method string
		err    error
	}
	p.Must("Pause", s.Pause(p.Ctx))
	results := make(chan result, len(calls))
	ended, cancel := context.WithCancel(p.Ctx)
	impatient := make(chan result, len(calls))
	for name, call := range calls {
		p.Go(func() { results <- result{name, call(waiting(p.Ctx), s.Store)} })
		p.Go(func() { impatient <- result{name, call(waiting(ended), s.Store)} })
	}
	select {
	case r := <-results:
		p.Fatal("%s returned (%v) while the store was paused, and should wait", r.method, r.err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	for range cap(impatient) {
		r := trial.Receive(p.T, "the end of a method whose context has ended", impatient)
		p.Is(r.method+", whose context has ended while it waited,", r.err, context.Canceled)
	}
	p.Must("Resume", s.Resume(p.Ctx))
	for range cap(results) {
		r := trial.Receive(p.T, "the end of a method that has waited", results)
		p.Is(r.method+" after it has waited", r.err, nil)
	}
}

func caseNoGate(p *probe) {
	s := p.open()
	full(s)
	before := s.dump()
	p.Must("Pause", s.Pause(p.Ctx))
	s.unchanged("a pause", before)
	for name, call := range calls {
		p.Must(name+" while paused", call(p.Ctx, s.Store))
	}
	before = s.dump()
	p.Must("Resume", s.Resume(p.Ctx))
	s.unchanged("a Resume", before)
}

func caseClosed(p *probe) {
	s := p.open()
	full(s)
	s.close()
	s.state(lifecycle.Closed)
	for range 2 {
		for name, call := range calls {
			p.Is(name+" after Close", call(p.Ctx, s.Store), lifecycle.ErrClosed)
			p.Is(name+" after Close, under the policy Wait,", call(waiting(p.Ctx), s.Store), lifecycle.ErrClosed)
		}
		p.Is("Resume after Close", s.Resume(p.Ctx), lifecycle.ErrClosed)
		p.Must("Close after Close", s.Close(p.Ctx))
		s.state(lifecycle.Closed)
	}
}

func caseCancelled(p *probe) {
	s := p.open()
	full(s)
	before := s.dump()
	cancelled, cancel := context.WithCancel(p.Ctx)
	cancel()
	late, cancel := context.WithDeadline(p.Ctx, time.Now().Add(-time.Hour))
	defer cancel()
	for name, call := range calls {
		p.Is(name+" with a cancelled context", call(cancelled, s.Store), context.Canceled)
		p.Is(name+" with a context whose time is over", call(late, s.Store), context.DeadlineExceeded)
	}
	s.unchanged("methods whose context had ended", before)
}

// lifeMethods are the methods of a store that calls leaves out.
var lifeMethods = []string{"Pause", "Resume", "Close", "State"}

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }

// calls are all others, with arguments for which there is something to do; behind " of " stands one for which there is not.
var calls = map[string]func(ctx context.Context, s crypto.Store) error{
	"SaveChanges": func(ctx context.Context, s crypto.Store) error {
		return s.SaveChanges(ctx, &crypto.Changes{NextBatch: "called", Sessions: []crypto.Session{olm("one", key, 100)}})
	},
	"SaveChanges of nothing": func(ctx context.Context, s crypto.Store) error { return s.SaveChanges(ctx, &crypto.Changes{}) },
	"SaveChanges of nil":     func(ctx context.Context, s crypto.Store) error { return s.SaveChanges(ctx, nil) },
	"Account":                func(ctx context.Context, s crypto.Store) error { return second(s.Account(ctx)) },
	"SaveAccount":            func(ctx context.Context, s crypto.Store) error { return s.SaveAccount(ctx, account("called")) },
	"SaveAccount of nil":     func(ctx context.Context, s crypto.Store) error { return s.SaveAccount(ctx, nil) },
	"OwnDevice":              func(ctx context.Context, s crypto.Store) error { return second(s.OwnDevice(ctx)) },
	"PrivateIdentity":        func(ctx context.Context, s crypto.Store) error { return second(s.PrivateIdentity(ctx)) },
	"NextBatch":              func(ctx context.Context, s crypto.Store) error { return second(s.NextBatch(ctx)) },
	"DehydratedDeviceKey":    func(ctx context.Context, s crypto.Store) error { return second(s.DehydratedDeviceKey(ctx)) },
	"DeleteDehydratedDeviceKey": func(ctx context.Context, s crypto.Store) error {
		return s.DeleteDehydratedDeviceKey(ctx)
	},
	"Sessions":              func(ctx context.Context, s crypto.Store) error { return second(s.Sessions(ctx, key)) },
	"LatestSession":         func(ctx context.Context, s crypto.Store) error { return second(s.LatestSession(ctx, key)) },
	"HasSession":            func(ctx context.Context, s crypto.Store) error { return second(s.HasSession(ctx, key)) },
	"NewestSessionCreation": func(ctx context.Context, s crypto.Store) error { return second(s.NewestSessionCreation(ctx, key)) },
	"UpdateSession": func(ctx context.Context, s crypto.Store) error {
		session := olm("two", key, 3)
		return second(s.UpdateSession(ctx, &session))
	},
	"DeleteSession": func(ctx context.Context, s crypto.Store) error { return s.DeleteSession(ctx, "three") },
	"AddMessageHash": func(ctx context.Context, s crypto.Store) error {
		return second(s.AddMessageHash(ctx, crypto.MessageHash{Hash: []byte("called")}))
	},
	"MessageHash":         func(ctx context.Context, s crypto.Store) error { return third(s.MessageHash(ctx, key, []byte("text"))) },
	"DeleteMessageHashes": func(ctx context.Context, s crypto.Store) error { return second(s.DeleteMessageHashes(ctx, at(5))) },
	"CheckMessageIndex": func(ctx context.Context, s crypto.Store) error {
		return second(s.CheckMessageIndex(ctx, crypto.MessageIndex{SessionID: "called", EventID: "$event"}))
	},
	"CheckMessageIndex of no event": func(ctx context.Context, s crypto.Store) error {
		return second(s.CheckMessageIndex(ctx, crypto.MessageIndex{SessionID: "called"}))
	},
	"InboundGroupSession": func(ctx context.Context, s crypto.Store) error {
		return second(s.InboundGroupSession(ctx, kitchen, "one"))
	},
	"InboundGroupSessions": func(ctx context.Context, s crypto.Store) error { return second(s.InboundGroupSessions(ctx)) },
	"InboundGroupSessionsOfRoom": func(ctx context.Context, s crypto.Store) error {
		return second(s.InboundGroupSessionsOfRoom(ctx, kitchen))
	},
	"InboundGroupSessionPage": func(ctx context.Context, s crypto.Store) error {
		return third(s.InboundGroupSessionPage(ctx, crypto.SessionsNotBackedUp("1"), 0, 2))
	},
	"InboundGroupSessionPage of no sessions": func(ctx context.Context, s crypto.Store) error {
		return third(s.InboundGroupSessionPage(ctx, crypto.AllSessions(), 0, 0))
	},
	"SaveInboundGroupSessions": func(ctx context.Context, s crypto.Store) error {
		return s.SaveInboundGroupSessions(ctx, inbounds(garden, 2), "1")
	},
	"SaveInboundGroupSessions of none": func(ctx context.Context, s crypto.Store) error { return s.SaveInboundGroupSessions(ctx, nil, "1") },
	"Withheld":                         func(ctx context.Context, s crypto.Store) error { return second(s.Withheld(ctx, kitchen, "one")) },
	"WithheldOfRoom":                   func(ctx context.Context, s crypto.Store) error { return second(s.WithheldOfRoom(ctx, kitchen)) },
	"BackupKeys":                       func(ctx context.Context, s crypto.Store) error { return second(s.BackupKeys(ctx)) },
	"CountInboundGroupSessions": func(ctx context.Context, s crypto.Store) error {
		return second(s.CountInboundGroupSessions(ctx, "1"))
	},
	"MarkBackedUp": func(ctx context.Context, s crypto.Store) error {
		return s.MarkBackedUp(ctx, "called", []crypto.SessionKey{{RoomID: kitchen, SessionID: "one"}})
	},
	"MarkBackedUp of none": func(ctx context.Context, s crypto.Store) error { return s.MarkBackedUp(ctx, "called", nil) },
	"ResetBackup":          func(ctx context.Context, s crypto.Store) error { return s.ResetBackup(ctx) },
	"RedactGroupSession": func(ctx context.Context, s crypto.Store) error {
		return second(s.RedactGroupSession(ctx, kitchen, "one", "called"))
	},
	"RedactGroupSessions": func(ctx context.Context, s crypto.Store) error {
		return second(s.RedactGroupSessions(ctx, garden, "", "called"))
	},
	"RedactExpiredGroupSessions": func(ctx context.Context, s crypto.Store) error {
		return second(s.RedactExpiredGroupSessions(ctx, "called"))
	},
	"RedactOutdatedGroupSessions": func(ctx context.Context, s crypto.Store) error {
		return second(s.RedactOutdatedGroupSessions(ctx, "called"))
	},
	"OutboundGroupSession": func(ctx context.Context, s crypto.Store) error { return second(s.OutboundGroupSession(ctx, kitchen)) },
	"UpdateOutboundGroupSession": func(ctx context.Context, s crypto.Store) error {
		session := outbound(kitchen, "one", 5)
		return second(s.UpdateOutboundGroupSession(ctx, &session))
	},
	"RemoveOutboundGroupSession": func(ctx context.Context, s crypto.Store) error { return s.RemoveOutboundGroupSession(ctx, garden) },
	"MarkShared": func(ctx context.Context, s crypto.Store) error {
		return s.MarkShared(ctx, []crypto.Share{{UserID: alice, IdentityKey: key, SessionID: "called"}})
	},
	"MarkShared of none": func(ctx context.Context, s crypto.Store) error { return s.MarkShared(ctx, nil) },
	"IsShared":           func(ctx context.Context, s crypto.Store) error { return second(s.IsShared(ctx, crypto.Share{})) },
	"Device":             func(ctx context.Context, s crypto.Store) error { return second(s.Device(ctx, alice, "DEVICE")) },
	"Devices":            func(ctx context.Context, s crypto.Store) error { return third(s.Devices(ctx, alice)) },
	"DeviceByKey":        func(ctx context.Context, s crypto.Store) error { return second(s.DeviceByKey(ctx, alice, key)) },
	"ReplaceDevices": func(ctx context.Context, s crypto.Store) error {
		return s.ReplaceDevices(ctx, bob, []crypto.Device{device(bob, "CALLED")})
	},
	"ReplaceDevices of none": func(ctx context.Context, s crypto.Store) error { return s.ReplaceDevices(ctx, bob, nil) },
	"Identity":               func(ctx context.Context, s crypto.Store) error { return second(s.Identity(ctx, alice)) },
	"TrackedUsers":           func(ctx context.Context, s crypto.Store) error { return second(s.TrackedUsers(ctx)) },
	"SaveTrackedUsers": func(ctx context.Context, s crypto.Store) error {
		return s.SaveTrackedUsers(ctx, []crypto.TrackedUser{{UserID: "@called"}})
	},
	"SaveTrackedUsers of none": func(ctx context.Context, s crypto.Store) error { return s.SaveTrackedUsers(ctx, nil) },
	"FilterTracked":            func(ctx context.Context, s crypto.Store) error { return second(s.FilterTracked(ctx, theUsers)) },
	"FilterTracked of none":    func(ctx context.Context, s crypto.Store) error { return second(s.FilterTracked(ctx, nil)) },
	"MarkOutdated":             func(ctx context.Context, s crypto.Store) error { return s.MarkOutdated(ctx, theUsers) },
	"MarkOutdated of none":     func(ctx context.Context, s crypto.Store) error { return s.MarkOutdated(ctx, nil) },
	"OutdatedUsers":            func(ctx context.Context, s crypto.Store) error { return second(s.OutdatedUsers(ctx)) },
	"SaveCrossSigningKey": func(ctx context.Context, s crypto.Store) error {
		return s.SaveCrossSigningKey(ctx, alice, id.XSUsageUserSigning, "called")
	},
	"CrossSigningKeys": func(ctx context.Context, s crypto.Store) error { return second(s.CrossSigningKeys(ctx, alice)) },
	"SaveSignature": func(ctx context.Context, s crypto.Store) error {
		return s.SaveSignature(ctx, crypto.Signature{SignedUser: alice, SignedKey: "called", Signer: bob, SignerKey: "called"})
	},
	"IsSignedBy": func(ctx context.Context, s crypto.Store) error { return second(s.IsSignedBy(ctx, crypto.Signature{})) },
	"SignaturesBy": func(ctx context.Context, s crypto.Store) error {
		return second(s.SignaturesBy(ctx, alice, "ed one", bob))
	},
	"DropSignaturesBy": func(ctx context.Context, s crypto.Store) error { return second(s.DropSignaturesBy(ctx, bob, "ed one")) },
	"KeyRequest":       func(ctx context.Context, s crypto.Store) error { return second(s.KeyRequest(ctx, "text")) },
	"KeyRequestFor": func(ctx context.Context, s crypto.Store) error {
		return second(s.KeyRequestFor(ctx, crypto.SecretRequest("secret")))
	},
	"UnsentKeyRequests": func(ctx context.Context, s crypto.Store) error { return second(s.UnsentKeyRequests(ctx)) },
	"DeleteKeyRequest":  func(ctx context.Context, s crypto.Store) error { return s.DeleteKeyRequest(ctx, "text") },
	"PutSecret":         func(ctx context.Context, s crypto.Store) error { return s.PutSecret(ctx, "secret", []byte("called")) },
	"Secret":            func(ctx context.Context, s crypto.Store) error { return third(s.Secret(ctx, "secret")) },
	"DeleteSecret":      func(ctx context.Context, s crypto.Store) error { return s.DeleteSecret(ctx, "another secret") },
	"InboxSecrets":      func(ctx context.Context, s crypto.Store) error { return second(s.InboxSecrets(ctx, "secret")) },
	"DeleteInboxSecrets": func(ctx context.Context, s crypto.Store) error {
		return s.DeleteInboxSecrets(ctx, "another secret")
	},
	"RoomSettings":      func(ctx context.Context, s crypto.Store) error { return second(s.RoomSettings(ctx, kitchen)) },
	"RoomKeyBundle":     func(ctx context.Context, s crypto.Store) error { return second(s.RoomKeyBundle(ctx, kitchen, alice)) },
	"PendingKeyBundle":  func(ctx context.Context, s crypto.Store) error { return second(s.PendingKeyBundle(ctx, kitchen)) },
	"PendingKeyBundles": func(ctx context.Context, s crypto.Store) error { return second(s.PendingKeyBundles(ctx)) },
	"HasDownloadedRoom": func(ctx context.Context, s crypto.Store) error { return second(s.HasDownloadedRoom(ctx, kitchen)) },
	"SaveVerification": func(ctx context.Context, s crypto.Store) error {
		return s.SaveVerification(ctx, &crypto.Verification{ID: "called", UserID: bob})
	},
	"Verification": func(ctx context.Context, s crypto.Store) error { return second(s.Verification(ctx, "text")) },
	"VerificationWith": func(ctx context.Context, s crypto.Store) error {
		return second(s.VerificationWith(ctx, alice, "DEVICE"))
	},
	"Verifications":      func(ctx context.Context, s crypto.Store) error { return second(s.Verifications(ctx)) },
	"DeleteVerification": func(ctx context.Context, s crypto.Store) error { return second(s.DeleteVerification(ctx, "text")) },
	"CustomValue":        func(ctx context.Context, s crypto.Store) error { return third(s.CustomValue(ctx, []byte("text"))) },
	"SetCustomValue":     func(ctx context.Context, s crypto.Store) error { return s.SetCustomValue(ctx, []byte("called"), nil) },
	"RemoveCustomValue":  func(ctx context.Context, s crypto.Store) error { return s.RemoveCustomValue(ctx, []byte("text")) },
	"TakeLease": func(ctx context.Context, s crypto.Store) error {
		return third(s.TakeLease(ctx, "called", "holder", hour))
	},
	"Bytes":   func(ctx context.Context, s crypto.Store) error { return second(s.Bytes(ctx)) },
	"Compact": func(ctx context.Context, s crypto.Store) error { return s.Compact(ctx) },
}
