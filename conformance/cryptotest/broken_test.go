package cryptotest

// Stores that break a promise, each by one method, and the case that has to find it.

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/conformance/internal/trial"
	"github.com/quiesce-go/quiesce/lifecycle"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

func newChance(seed int) chance { return chance{rand.New(rand.NewPCG(uint64(seed), 1))} }

var faults = []struct {
	name, by string
	strict   bool // it is one of a store with a gate
	wrap     func(crypto.Store) crypto.Store
}{
	{"erases the account with every change without one", "absent-fields", false, func(s crypto.Store) crypto.Store { return &erasesAccount{Store: s} }},
	{"stores no account that is new", "account", false, func(s crypto.Store) crypto.Store { return noAccounts{s} }},
	{"takes any account", "another-account", false, func(s crypto.Store) crypto.Store { return anyAccount{s} }},
	{"has no device without an account", "no-account", false, func(s crypto.Store) crypto.Store { return noError{s} }},
	{"forgets that a room was downloaded", "an-empty-change", false, func(s crypto.Store) crypto.Store { return forgetsDownloads{s} }},
	{"keeps the first private identity", "private-identity", false, func(s crypto.Store) crypto.Store { return firstIdentity{s} }},
	{"does not know the token at first", "next-batch", false, func(s crypto.Store) crypto.Store { return &laterToken{Store: s} }},
	{"forgets the key with a new version", "backup-keys", false, func(s crypto.Store) crypto.Store { return &oneBackupKey{Store: s} }},
	{"deletes no key of a dehydrated device", "dehydrated-device", false, func(s crypto.Store) crypto.Store { return neverDeletes{s} }},

	{"finds sessions by the beginning of a key", "olm-sessions", false, func(s crypto.Store) crypto.Store { return prefixes{s} }},
	{"has the latest session last", "latest-session", false, func(s crypto.Store) crypto.Store { return reversed{s} }},
	{"counts sessions that were never used", "newest-session", false, func(s crypto.Store) crypto.Store { return countsUnused{s} }},
	{"brings deleted sessions back", "a-deleted-session-stays-so", false, func(s crypto.Store) crypto.Store { return upserts{s} }},
	{"stores the sessions before the account", "account-and-sessions-together", false, func(s crypto.Store) crypto.Store { return twoSteps{s} }},
	{"says that every hash is new", "message-hashes", false, func(s crypto.Store) crypto.Store { return alwaysNew{s} }},
	{"ignores the time of a message", "replays", false, func(s crypto.Store) crypto.Store { return timeless{s} }},
	{"checks an index, and then stores it", "one-of-many-replays", false, func(s crypto.Store) crypto.Store { return checksFirst{s} }},

	{"loses what belongs to a session", "inbound-sessions", false, func(s crypto.Store) crypto.Store { return losesExtra{s} }},
	{"has one list for all rooms", "sessions-of-rooms", false, func(s crypto.Store) crypto.Store { return oneRoom{s} }},
	{"finds sessions by their id alone", "rooms-are-never-crossed", false, func(s crypto.Store) crypto.Store { return crosses{s} }},
	{"counts pages by positions", "pages-of-sessions", false, func(s crypto.Store) crypto.Store { return positions{s} }},
	{"withholds what is there", "withheld-sessions", false, func(s crypto.Store) crypto.Store {
		return &keepsWithheld{Store: s, all: map[crypto.SessionKey]crypto.Withheld{}}
	}},
	{"replaces a new session by an old one", "outbound-sessions", false, func(s crypto.Store) crypto.Store { return upserts{s} }},
	{"fails when something is marked twice", "shared-with", false, func(s crypto.Store) crypto.Store { return onlyOnce{s} }},

	{"ignores the version when it counts", "session-from-an-old-backup", false, func(s crypto.Store) crypto.Store { return noVersions{s} }},
	{"ignores the version when it stores", "session-from-a-backup", false, func(s crypto.Store) crypto.Store { return storesNoVersion{s} }},
	{"marks every session of the id", "marking", false, func(s crypto.Store) crypto.Store { return marksAll{s} }},
	{"resets nothing", "reset-of-a-backup", false, func(s crypto.Store) crypto.Store { return neverDeletes{s} }},
	{"keeps the version of what was replaced", "a-better-session-is-not-backed-up", false, func(s crypto.Store) crypto.Store { return keepsVersion{s} }},
	{"has room for 16383 keys", "many-sessions", false, func(s crypto.Store) crypto.Store { return chunks{s} }},

	{"forgets why", "redacting-a-session", false, func(s crypto.Store) crypto.Store { return noReasons{s} }},
	{"redacts what is scheduled", "redacting-a-room-or-a-sender", false, func(s crypto.Store) crypto.Store { return redactsAll{s} }},
	{"lets nothing expire", "redacting-what-has-expired", false, func(s crypto.Store) crypto.Store { return neverRedacts{s} }},
	{"lets nothing be outdated", "redacting-what-is-outdated", false, func(s crypto.Store) crypto.Store { return neverRedacts{s} }},

	{"lists users by their names", "tracked-users", false, func(s crypto.Store) crypto.Store { return sortsUsers{s} }},
	{"stores users one after another", "tracked-users-together", false, func(s crypto.Store) crypto.Store { return oneByOne{s} }},
	{"tracks whom it marks", "outdated-users", false, func(s crypto.Store) crypto.Store { return oneByOne{s} }},
	{"loses what it does not know", "devices", false, func(s crypto.Store) crypto.Store { return losesData{s} }},
	{"lists what is marked as deleted", "deleted-devices", false, func(s crypto.Store) crypto.Store { return listsDeleted{s} }},
	{"finds deleted devices first", "device-by-key", false, func(s crypto.Store) crypto.Store { return deletedFirst{s} }},
	{"adds devices", "replacing-devices", false, func(s crypto.Store) crypto.Store { return addsDevices{s} }},
	{"stores what has not changed", "identities", false, func(s crypto.Store) crypto.Store { return storesUnchanged{s} }},
	{"forgets what it saw first", "cross-signing-keys", false, func(s crypto.Store) crypto.Store { return lastSeen{s} }},
	{"drops what others have signed", "signatures", false, func(s crypto.Store) crypto.Store { return dropsMore{s} }},

	{"takes a request for sent", "key-requests", false, func(s crypto.Store) crypto.Store { return allSent{s} }},
	{"joins what is asked for", "one-request-for-one-thing", false, func(s crypto.Store) crypto.Store { return joinsInfo{s} }},
	{"keeps a secret as often as it comes", "secrets-of-the-inbox", false, func(s crypto.Store) crypto.Store { return &everySecret{Store: s} }},
	{"takes an empty secret for none", "named-secrets", false, func(s crypto.Store) crypto.Store { return noEmpty{s} }},
	{"knows settings of every room", "room-settings", false, func(s crypto.Store) crypto.Store { return everyRoom{s} }},
	{"has one bundle for a room", "room-key-bundles", false, func(s crypto.Store) crypto.Store { return oneBundle{s} }},
	{"believes what a bundle says of its room", "pending-bundles", false, func(s crypto.Store) crypto.Store { return &believes{Store: s} }},
	{"forgets that a room was downloaded", "downloaded-rooms", false, func(s crypto.Store) crypto.Store { return forgetsDownloads{s} }},
	{"finds the first verification", "verifications", false, func(s crypto.Store) crypto.Store { return firstVerification{s} }},
	{"keeps values among its own", "custom-values", false, func(s crypto.Store) crypto.Store { return sharesKeys{s} }},
	{"takes no room", "size-and-compact", false, func(s crypto.Store) crypto.Store { return noSize{s} }},

	{"reads identifiers as text", "strange-identifiers", false, func(s crypto.Store) crypto.Store { return readsText{s} }},
	{"shows a message that it cannot check", "what-cannot-be-stored", false, func(s crypto.Store) crypto.Store { return showsAnyway{s} }},
	{"cuts pickles off", "large-records", false, func(s crypto.Store) crypto.Store { return cutsOff{s} }},
	{"gives out what it keeps", "what-is-given-is-the-callers", false, func(s crypto.Store) crypto.Store { return &keeps{Store: s} }},
	{"counts no generations", "leases", false, func(s crypto.Store) crypto.Store { return noGenerations{s} }},

	{"forgets the token in a pause", "everything-survives", false, func(s crypto.Store) crypto.Store { return forgetful{s} }},
	{"says while paused that there is no session", "refused-while-paused", true, func(s crypto.Store) crypto.Store { return noSession{s} }},
	{"never waits", "waits-for-resume", true, func(s crypto.Store) crypto.Store { return neverWaits{s} }},
	{"refuses work all the same", "a-pause-that-changes-nothing", false, func(s crypto.Store) crypto.Store { return &refuses{Store: s} }},
	{"says after Close that there is no session", "closed-for-good", false, func(s crypto.Store) crypto.Store { return noSession{s} }},
	{"ignores contexts", "contexts-that-have-ended", false, func(s crypto.Store) crypto.Store { return noContexts{s} }},
	{"lists users by their names", "any-operations", false, func(s crypto.Store) crypto.Store { return sortsUsers{s} }},
	{"says that it has done what was cut off", "pauses-at-any-moment", true, func(s crypto.Store) crypto.Store { return saysDone{s} }},
	{"stores a change in two steps", "an-interrupted-change", true, func(s crypto.Store) crypto.Store { return halves{s} }},
}

// TestEveryFaultIsFound: each fault is found by the case that is meant for it.
func TestEveryFaultIsFound(t *testing.T) {
	var mu sync.Mutex
	found := map[string]bool{}
	t.Run("fault", func(t *testing.T) {
		for _, f := range faults {
			t.Run(strings.ReplaceAll(f.name, " ", "-")+"/"+f.by, func(t *testing.T) {
				t.Parallel()
				i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == f.by })
				if i < 0 {
					t.Fatalf("there is no case %q", f.by)
				}
				h := func() *Harness { h := memoryHarness(f.strict, f.wrap); h.Limit = time.Minute; return h }
				if !cases[i].fits(h()) || h().lacks(cases[i].Needs) != "" {
					t.Fatalf("the case %q is not meant for this store", f.by)
				}
				r := trial.Search(20*time.Second, func() *trial.Result { return runCase(t.Context(), &cases[i], h(), t.TempDir) })
				if !r.Found() {
					t.Fatalf("a store that %s was not found out by the case %q (notes: %q)", f.name, f.by, r.Notes)
				}
				t.Log(r.Findings[0].Error())
				mu.Lock()
				defer mu.Unlock()
				found[f.by] = true
			})
		}
	})
	for _, cs := range cases {
		if !found[cs.Name] {
			t.Logf("no fault here proves that the case %q finds anything", cs.Name)
		}
	}
}

type erasesAccount struct {
	crypto.Store
	erased atomic.Bool
}

func (s *erasesAccount) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	s.erased.Store(c == nil || c.Account == nil)
	return s.Store.SaveChanges(ctx, c)
}

func (s *erasesAccount) Account(ctx context.Context) (*crypto.Account, error) {
	if s.erased.Load() {
		return nil, nil
	}
	return s.Store.Account(ctx)
}

type noAccounts struct{ crypto.Store }

func (s noAccounts) SaveAccount(context.Context, *crypto.Account) error { return nil }

type anyAccount struct{ crypto.Store }

func (s anyAccount) SaveAccount(ctx context.Context, a *crypto.Account) error {
	if err := s.Store.SaveAccount(ctx, a); !errors.Is(err, crypto.ErrOtherAccount) {
		return err
	}
	return nil
}

type noError struct{ crypto.Store }

func (s noError) OwnDevice(ctx context.Context) (*crypto.Device, error) {
	d, err := s.Store.OwnDevice(ctx)
	if errors.Is(err, crypto.ErrNoAccount) {
		err = nil
	}
	return d, err
}

type forgetsDownloads struct{ crypto.Store }

func (s forgetsDownloads) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	if c != nil {
		other := *c
		other.DownloadedRooms = nil
		c = &other
	}
	return s.Store.SaveChanges(ctx, c)
}

type firstIdentity struct{ crypto.Store }

func (s firstIdentity) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	if was, err := s.PrivateIdentity(ctx); err == nil && was != nil {
		return nil
	}
	return s.Store.SaveChanges(ctx, c)
}

type laterToken struct {
	crypto.Store
	asked atomic.Bool
}

func (s *laterToken) NextBatch(ctx context.Context) (string, error) {
	token, err := s.Store.NextBatch(ctx)
	if token != "" && !s.asked.Swap(true) {
		return "", err
	}
	return token, err
}

type oneBackupKey struct {
	crypto.Store
	forgotten atomic.Bool
}

func (s *oneBackupKey) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	s.forgotten.Store(c.BackupVersion != "" && len(c.BackupDecryptionKey) == 0)
	return s.Store.SaveChanges(ctx, c)
}

func (s *oneBackupKey) BackupKeys(ctx context.Context) (crypto.BackupKeys, error) {
	keys, err := s.Store.BackupKeys(ctx)
	if s.forgotten.Load() {
		keys.DecryptionKey = nil
	}
	return keys, err
}

type neverDeletes struct{ crypto.Store }

func (neverDeletes) DeleteDehydratedDeviceKey(context.Context) error { return nil }
func (neverDeletes) ResetBackup(context.Context) error               { return nil }

type prefixes struct{ crypto.Store }

func (s prefixes) Sessions(ctx context.Context, k id.SenderKey) ([]crypto.Session, error) {
	if strings.HasPrefix(string(key), string(k)) {
		k = key
	}
	return s.Store.Sessions(ctx, k)
}

type reversed struct{ crypto.Store }

func (s reversed) Sessions(ctx context.Context, k id.SenderKey) ([]crypto.Session, error) {
	all, err := s.Store.Sessions(ctx, k)
	slices.Reverse(all)
	return all, err
}

type countsUnused struct{ crypto.Store }

func (s countsUnused) NewestSessionCreation(ctx context.Context, k id.SenderKey) (newest time.Time, err error) {
	all, err := s.Sessions(ctx, k)
	for _, one := range all {
		if one.CreatedAt.After(newest) {
			newest = one.CreatedAt
		}
	}
	return newest, err
}

type upserts struct{ crypto.Store }

func (s upserts) UpdateSession(ctx context.Context, session *crypto.Session) (bool, error) {
	return true, s.SaveChanges(ctx, &crypto.Changes{Sessions: []crypto.Session{*session}})
}

func (s upserts) UpdateOutboundGroupSession(ctx context.Context, session *crypto.OutboundGroupSession) (bool, error) {
	return true, s.SaveChanges(ctx, &crypto.Changes{OutboundGroupSessions: []crypto.OutboundGroupSession{*session}})
}

type twoSteps struct{ crypto.Store }

func (s twoSteps) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	first, second := *c, crypto.Changes{Account: c.Account}
	first.Account = nil
	if err := s.Store.SaveChanges(ctx, &first); err != nil {
		return err
	}
	time.Sleep(100 * time.Microsecond)
	return s.Store.SaveChanges(ctx, &second)
}

type alwaysNew struct{ crypto.Store }

func (s alwaysNew) AddMessageHash(ctx context.Context, h crypto.MessageHash) (bool, error) {
	_, err := s.Store.AddMessageHash(ctx, h)
	return err == nil, err
}

type timeless struct{ crypto.Store }

func (s timeless) CheckMessageIndex(ctx context.Context, m crypto.MessageIndex) (bool, error) {
	if !m.ChecksOnly() {
		m.Timestamp = 1
	}
	return s.Store.CheckMessageIndex(ctx, m)
}

type checksFirst struct{ crypto.Store }

func (s checksFirst) CheckMessageIndex(ctx context.Context, m crypto.MessageIndex) (bool, error) {
	free, err := s.Store.CheckMessageIndex(ctx, crypto.MessageIndex{SenderKey: m.SenderKey, SessionID: m.SessionID, Index: m.Index})
	if err != nil || !free || m.ChecksOnly() {
		return free, err
	}
	time.Sleep(100 * time.Microsecond)
	_, err = s.Store.CheckMessageIndex(ctx, m)
	return true, err
}

// changed is a store that stores other inbound sessions than it was given.
func changed(ctx context.Context, s crypto.Store, c *crypto.Changes, change func(*crypto.InboundGroupSession)) error {
	if c != nil {
		other := *c
		other.InboundGroupSessions = slices.Clone(c.InboundGroupSessions)
		for i := range other.InboundGroupSessions {
			change(&other.InboundGroupSessions[i])
		}
		c = &other
	}
	return s.SaveChanges(ctx, c)
}

type losesExtra struct{ crypto.Store }

func (s losesExtra) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	return changed(ctx, s.Store, c, func(one *crypto.InboundGroupSession) { one.Extra = nil })
}

type oneRoom struct{ crypto.Store }

func (s oneRoom) InboundGroupSessionsOfRoom(ctx context.Context, _ id.RoomID) ([]crypto.InboundGroupSession, error) {
	return s.InboundGroupSessions(ctx)
}

type crosses struct{ crypto.Store }

func (s crosses) InboundGroupSession(ctx context.Context, _ id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	all, err := s.InboundGroupSessions(ctx)
	for _, one := range all {
		if one.SessionID == session {
			return &one, err
		}
	}
	return nil, err
}

type positions struct{ crypto.Store }

func (s positions) InboundGroupSessionPage(ctx context.Context, q crypto.SessionQuery, after crypto.Cursor, limit int) ([]crypto.InboundGroupSession, crypto.Cursor, error) {
	all, _, err := s.Store.InboundGroupSessionPage(ctx, q, 0, 1000)
	all = all[min(len(all), int(after)):]
	all = all[:min(len(all), max(limit, 0))]
	return all, after + crypto.Cursor(len(all)), err
}

type keepsWithheld struct {
	crypto.Store
	mu  sync.Mutex
	all map[crypto.SessionKey]crypto.Withheld
}

func (s *keepsWithheld) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range c.Withheld {
		s.all[w.Key()] = w
	}
	return s.Store.SaveChanges(ctx, c)
}

func (s *keepsWithheld) Withheld(_ context.Context, room id.RoomID, session id.SessionID) (*crypto.Withheld, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, there := s.all[crypto.SessionKey{RoomID: room, SessionID: session}]; there {
		return &w, nil
	}
	return nil, nil
}

type onlyOnce struct{ crypto.Store }

func (s onlyOnce) MarkShared(ctx context.Context, shares []crypto.Share) error {
	for _, share := range shares {
		if is, err := s.IsShared(ctx, share); err != nil || is {
			return errors.Join(err, errors.New("UNIQUE constraint failed"))
		}
	}
	return s.Store.MarkShared(ctx, shares)
}

type noVersions struct{ crypto.Store }

func (s noVersions) CountInboundGroupSessions(ctx context.Context, _ id.KeyBackupVersion) (crypto.SessionCounts, error) {
	return s.Store.CountInboundGroupSessions(ctx, "")
}

type storesNoVersion struct{ crypto.Store }

func (s storesNoVersion) SaveInboundGroupSessions(ctx context.Context, sessions []crypto.InboundGroupSession, _ id.KeyBackupVersion) error {
	return s.SaveChanges(ctx, &crypto.Changes{InboundGroupSessions: sessions})
}

type marksAll struct{ crypto.Store }

func (s marksAll) MarkBackedUp(ctx context.Context, version id.KeyBackupVersion, keys []crypto.SessionKey) error {
	for _, k := range slices.Clone(keys) {
		keys = append(slices.Clip(keys), crypto.SessionKey{RoomID: kitchen, SessionID: k.SessionID})
	}
	return s.Store.MarkBackedUp(ctx, version, keys)
}

type keepsVersion struct{ crypto.Store }

func (s keepsVersion) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	return changed(ctx, s.Store, c, func(one *crypto.InboundGroupSession) {
		if was, _ := s.InboundGroupSession(ctx, one.RoomID, one.SessionID); was != nil {
			one.BackupVersion = was.BackupVersion
		}
	})
}

type chunks struct{ crypto.Store }

func (s chunks) FilterTracked(ctx context.Context, users []id.UserID) ([]id.UserID, error) {
	return s.Store.FilterTracked(ctx, users[:min(len(users), 16_383)])
}

type noReasons struct{ crypto.Store }

func (s noReasons) RedactGroupSession(ctx context.Context, room id.RoomID, session id.SessionID, _ string) (bool, error) {
	return s.Store.RedactGroupSession(ctx, room, session, "")
}

type redactsAll struct{ crypto.Store }

func (s redactsAll) RedactGroupSessions(ctx context.Context, room id.RoomID, sender id.SenderKey, reason string) (keys []crypto.SessionKey, err error) {
	all, err := s.InboundGroupSessions(ctx)
	for _, one := range all {
		if (room == "" || one.RoomID == room) && (sender == "" || one.SenderKey == sender) {
			_, err = s.RedactGroupSession(ctx, one.RoomID, one.SessionID, reason)
			keys = append(keys, one.Key())
		}
	}
	return keys, err
}

type neverRedacts struct{ crypto.Store }

func (neverRedacts) RedactExpiredGroupSessions(context.Context, string) ([]crypto.SessionKey, error) {
	return nil, nil
}

func (neverRedacts) RedactOutdatedGroupSessions(context.Context, string) ([]crypto.SessionKey, error) {
	return nil, nil
}

type sortsUsers struct{ crypto.Store }

func (s sortsUsers) TrackedUsers(ctx context.Context) ([]crypto.TrackedUser, error) {
	all, err := s.Store.TrackedUsers(ctx)
	slices.SortFunc(all, func(a, b crypto.TrackedUser) int { return strings.Compare(string(a.UserID), string(b.UserID)) })
	return all, err
}

type oneByOne struct{ crypto.Store }

func (s oneByOne) SaveTrackedUsers(ctx context.Context, users []crypto.TrackedUser) error {
	for i := range users {
		if err := s.Store.SaveTrackedUsers(ctx, users[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s oneByOne) MarkOutdated(ctx context.Context, users []id.UserID) error {
	for _, u := range users {
		if err := s.Store.SaveTrackedUsers(ctx, []crypto.TrackedUser{{UserID: u, Outdated: true}}); err != nil {
			return err
		}
	}
	return nil
}

type losesData struct{ crypto.Store }

func (s losesData) Device(ctx context.Context, user id.UserID, device id.DeviceID) (*crypto.Device, error) {
	d, err := s.Store.Device(ctx, user, device)
	if d != nil {
		d.Data = nil
	}
	return d, err
}

type listsDeleted struct{ crypto.Store }

func (s listsDeleted) Devices(ctx context.Context, user id.UserID) (map[id.DeviceID]*crypto.Device, bool, error) {
	devices, tracked, err := s.Store.Devices(ctx, user)
	for _, name := range []id.DeviceID{"A", "B", "C"} {
		if d, _ := s.Device(ctx, user, name); d != nil {
			devices[name] = d
		}
	}
	return devices, tracked, err
}

type deletedFirst struct{ crypto.Store }

func (s deletedFirst) DeviceByKey(ctx context.Context, user id.UserID, k id.IdentityKey) (*crypto.Device, error) {
	if d, err := s.Device(ctx, user, "Q"); d != nil {
		return d, err
	}
	return s.Store.DeviceByKey(ctx, user, k)
}

type addsDevices struct{ crypto.Store }

func (s addsDevices) ReplaceDevices(ctx context.Context, user id.UserID, devices []crypto.Device) error {
	all, _, err := s.Devices(ctx, user)
	if err != nil {
		return err
	}
	devices = slices.Clone(devices)
	for _, d := range all {
		if !slices.ContainsFunc(devices, func(o crypto.Device) bool { return o.DeviceID == d.DeviceID }) {
			devices = append(devices, *d)
		}
	}
	return s.Store.ReplaceDevices(ctx, user, devices)
}

type storesUnchanged struct{ crypto.Store }

func (s storesUnchanged) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	other := *c
	other.Identities.Changed = slices.Concat(c.Identities.Changed, c.Identities.Unchanged)
	return s.Store.SaveChanges(ctx, &other)
}

type lastSeen struct{ crypto.Store }

func (s lastSeen) CrossSigningKeys(ctx context.Context, user id.UserID) (map[id.CrossSigningUsage]id.CrossSigningKey, error) {
	keys, err := s.Store.CrossSigningKeys(ctx, user)
	for usage, k := range keys {
		k.First = k.Key
		keys[usage] = k
	}
	return keys, err
}

type dropsMore struct{ crypto.Store }

func (s dropsMore) DropSignaturesBy(ctx context.Context, signer id.UserID, k id.Ed25519) (int64, error) {
	more, err := s.Store.DropSignaturesBy(ctx, bob, k)
	if err != nil {
		return 0, err
	}
	n, err := s.Store.DropSignaturesBy(ctx, signer, k)
	return n + more, err
}

type allSent struct{ crypto.Store }

func (allSent) UnsentKeyRequests(context.Context) ([]crypto.KeyRequest, error) { return nil, nil }

type joinsInfo struct{ crypto.Store }

func joinedInfo(i crypto.RequestInfo) crypto.RequestInfo {
	if i.Secret == "" {
		i.RoomID, i.SessionID = "joined", id.SessionID(strings.ReplaceAll(string(i.RoomID)+":"+string(i.SessionID), ":", ""))
	}
	return i
}

func (s joinsInfo) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	other := *c
	other.KeyRequests = slices.Clone(c.KeyRequests)
	for i := range other.KeyRequests {
		other.KeyRequests[i].Info = joinedInfo(other.KeyRequests[i].Info)
	}
	return s.Store.SaveChanges(ctx, &other)
}

func (s joinsInfo) KeyRequestFor(ctx context.Context, i crypto.RequestInfo) (*crypto.KeyRequest, error) {
	return s.Store.KeyRequestFor(ctx, joinedInfo(i))
}

type everySecret struct {
	crypto.Store
	mu  sync.Mutex
	all []crypto.InboxSecret
}

func (s *everySecret) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, c.Secrets...)
	return s.Store.SaveChanges(ctx, c)
}

func (s *everySecret) InboxSecrets(_ context.Context, name id.Secret) (secrets [][]byte, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if one.Name == name {
			secrets = append(secrets, one.Secret)
		}
	}
	return secrets, nil
}

type noEmpty struct{ crypto.Store }

func (s noEmpty) Secret(ctx context.Context, name id.Secret) ([]byte, bool, error) {
	secret, _, err := s.Store.Secret(ctx, name)
	return secret, len(secret) > 0, err
}

type everyRoom struct{ crypto.Store }

func (s everyRoom) RoomSettings(ctx context.Context, room id.RoomID) (*crypto.RoomSettings, error) {
	settings, err := s.Store.RoomSettings(ctx, room)
	if err == nil && settings == nil {
		settings = &crypto.RoomSettings{}
	}
	return settings, err
}

type oneBundle struct{ crypto.Store }

func (s oneBundle) RoomKeyBundle(ctx context.Context, room id.RoomID, sender id.UserID) (*crypto.RoomKeyBundle, error) {
	if sender == bob {
		sender = alice
	}
	return s.Store.RoomKeyBundle(ctx, room, sender)
}

type believes struct {
	crypto.Store
	said atomic.Value
}

func (s *believes) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	if b := c.PendingKeyBundles[kitchen]; b != nil {
		s.said.Store(b.RoomID)
	}
	return s.Store.SaveChanges(ctx, c)
}

func (s *believes) PendingKeyBundle(ctx context.Context, room id.RoomID) (*crypto.PendingKeyBundle, error) {
	b, err := s.Store.PendingKeyBundle(ctx, room)
	if b != nil {
		b.RoomID = s.said.Load().(id.RoomID)
	}
	return b, err
}

type firstVerification struct{ crypto.Store }

func (s firstVerification) VerificationWith(ctx context.Context, user id.UserID, device id.DeviceID) (*crypto.Verification, error) {
	all, err := s.Verifications(ctx)
	for _, v := range all {
		if v.UserID == user && v.DeviceID == device {
			return &v, err
		}
	}
	return nil, err
}

type sharesKeys struct{ crypto.Store }

func (s sharesKeys) CustomValue(ctx context.Context, k []byte) ([]byte, bool, error) {
	if token, _ := s.NextBatch(ctx); string(k) == "next_batch_token" {
		return []byte(token), true, nil
	}
	return s.Store.CustomValue(ctx, k)
}

type noSize struct{ crypto.Store }

func (noSize) Bytes(context.Context) (int64, error) { return 0, nil }

type readsText struct{ crypto.Store }

func (s readsText) SaveTrackedUsers(ctx context.Context, users []crypto.TrackedUser) error {
	users = slices.Clone(users)
	for i := range users {
		users[i].UserID = id.UserID(strings.ToValidUTF8(string(users[i].UserID), "?"))
	}
	return s.Store.SaveTrackedUsers(ctx, users)
}

type showsAnyway struct{ crypto.Store }

func (s showsAnyway) CheckMessageIndex(ctx context.Context, m crypto.MessageIndex) (bool, error) {
	ok, err := s.Store.CheckMessageIndex(ctx, m)
	return ok || err != nil, err
}

type cutsOff struct{ crypto.Store }

func (s cutsOff) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	return changed(ctx, s.Store, c, func(one *crypto.InboundGroupSession) { one.Pickle = one.Pickle[:min(len(one.Pickle), 65_535)] })
}

type keeps struct {
	crypto.Store
	mu    sync.Mutex
	given []crypto.Session
}

func (s *keeps) Sessions(ctx context.Context, k id.SenderKey) (_ []crypto.Session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given == nil {
		s.given, err = s.Store.Sessions(ctx, k)
	}
	return s.given, err
}

type noGenerations struct{ crypto.Store }

func (s noGenerations) TakeLease(ctx context.Context, k, holder string, d time.Duration) (uint64, bool, error) {
	_, taken, err := s.Store.TakeLease(ctx, k, holder, d)
	return 1, taken, err
}

type forgetful struct{ crypto.Store }

func (s forgetful) Resume(ctx context.Context) error {
	if err := s.Store.Resume(ctx); err != nil {
		return err
	}
	return s.SaveChanges(ctx, &crypto.Changes{NextBatch: "an older token"})
}

type noSession struct{ crypto.Store }

func (s noSession) HasSession(ctx context.Context, k id.SenderKey) (bool, error) {
	has, _ := s.Store.HasSession(ctx, k)
	return has, nil
}

type neverWaits struct{ crypto.Store }

func (s neverWaits) Account(ctx context.Context) (*crypto.Account, error) {
	return s.Store.Account(lifecycle.WithPolicy(ctx, lifecycle.Fail))
}

type refuses struct {
	crypto.Store
	paused atomic.Bool
}

func (s *refuses) Pause(ctx context.Context) error {
	s.paused.Store(true)
	return s.Store.Pause(ctx)
}

func (s *refuses) Resume(ctx context.Context) error {
	s.paused.Store(false)
	return s.Store.Resume(ctx)
}

func (s *refuses) Account(ctx context.Context) (*crypto.Account, error) {
	if s.paused.Load() {
		return nil, lifecycle.ErrPaused
	}
	return s.Store.Account(ctx)
}

type noContexts struct{ crypto.Store }

func (s noContexts) SaveVerification(ctx context.Context, v *crypto.Verification) error {
	return s.Store.SaveVerification(context.WithoutCancel(ctx), v)
}

type saysDone struct{ crypto.Store }

func (s saysDone) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	if err := s.Store.SaveChanges(ctx, c); !trial.OfPause(err) {
		return err
	}
	return nil
}

type halves struct{ crypto.Store }

func (s halves) SaveChanges(ctx context.Context, c *crypto.Changes) error {
	first, second := crypto.Changes{NextBatch: c.NextBatch}, *c
	if err := s.Store.SaveChanges(ctx, &first); err != nil {
		return err
	}
	return s.Store.SaveChanges(ctx, &second)
}
