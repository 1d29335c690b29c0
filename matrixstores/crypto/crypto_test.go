package crypto_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// TestWhatCannotBeStoredIsTold: for each identifier that is needed, and each pickle, when it is missing.
func TestWhatCannotBeStoredIsTold(t *testing.T) {
	some := []byte("pickle")
	for name, test := range map[string]struct {
		c    crypto.Changes
		want error
	}{
		"account without a device":       {crypto.Changes{Account: &crypto.Account{UserID: "@a", IdentityKey: "k", Pickle: some}}, crypto.ErrNoID},
		"account without a pickle":       {crypto.Changes{Account: &crypto.Account{UserID: "@a", DeviceID: "D", IdentityKey: "k"}}, crypto.ErrNoPickle},
		"private identity without keys":  {crypto.Changes{PrivateIdentity: &crypto.PrivateIdentity{}}, crypto.ErrNoPickle},
		"new device without an id":       {crypto.Changes{Devices: crypto.DeviceChanges{New: []crypto.Device{{}}}}, crypto.ErrNoID},
		"changed device without an id":   {crypto.Changes{Devices: crypto.DeviceChanges{Changed: []crypto.Device{{}}}}, crypto.ErrNoID},
		"new identity of nobody":         {crypto.Changes{Identities: crypto.IdentityChanges{New: []crypto.Identity{{}}}}, crypto.ErrNoID},
		"changed identity of nobody":     {crypto.Changes{Identities: crypto.IdentityChanges{Changed: []crypto.Identity{{}}}}, crypto.ErrNoID},
		"session without an id":          {crypto.Changes{Sessions: []crypto.Session{{SenderKey: "k", Pickle: some}}}, crypto.ErrNoID},
		"session without a pickle":       {crypto.Changes{Sessions: []crypto.Session{{ID: "s", SenderKey: "k"}}}, crypto.ErrNoPickle},
		"inbound without a room":         {crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{{SessionID: "s", Pickle: some}}}, crypto.ErrNoID},
		"second inbound without pickle":  {crypto.Changes{InboundGroupSessions: []crypto.InboundGroupSession{{RoomID: "r", SessionID: "s", Pickle: some}, {RoomID: "r", SessionID: "s"}}}, crypto.ErrNoPickle},
		"outbound without an id":         {crypto.Changes{OutboundGroupSessions: []crypto.OutboundGroupSession{{RoomID: "r", Pickle: some}}}, crypto.ErrNoID},
		"empty message hash":             {crypto.Changes{MessageHashes: []crypto.MessageHash{{SenderKey: "k"}}}, crypto.ErrNoID},
		"request without an id":          {crypto.Changes{KeyRequests: []crypto.KeyRequest{{Info: crypto.SecretRequest("s")}}}, crypto.ErrNoID},
		"request for nothing":            {crypto.Changes{KeyRequests: []crypto.KeyRequest{{ID: "1"}}}, crypto.ErrNoID},
		"withheld without a session":     {crypto.Changes{Withheld: []crypto.Withheld{{}}}, crypto.ErrNoID},
		"secret without a name":          {crypto.Changes{Secrets: []crypto.InboxSecret{{Secret: some}}}, crypto.ErrNoID},
		"bundle without a sender":        {crypto.Changes{RoomKeyBundles: []crypto.RoomKeyBundle{{RoomID: "r"}}}, crypto.ErrNoID},
		"settings of no room":            {crypto.Changes{RoomSettings: map[id.RoomID]crypto.RoomSettings{"": {}}}, crypto.ErrNoID},
		"no room was downloaded":         {crypto.Changes{DownloadedRooms: []id.RoomID{""}}, crypto.ErrNoID},
		"no room has a pending bundle":   {crypto.Changes{PendingKeyBundles: map[id.RoomID]*crypto.PendingKeyBundle{"": nil}}, crypto.ErrNoID},
		"everything is there":            {crypto.Changes{Account: &crypto.Account{UserID: "@a", DeviceID: "D", IdentityKey: "k", Pickle: some}}, nil},
		"a session for a room's request": {crypto.Changes{KeyRequests: []crypto.KeyRequest{{ID: "1", Info: crypto.SessionRequest("r", "s", "")}}}, nil},
	} {
		if err := test.c.Check(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if test.c.Empty() {
			t.Errorf("%s: the Changes is said to be empty", name)
		}
	}
	if err := (*crypto.Changes)(nil).Check(); err != nil || !(*crypto.Changes)(nil).Empty() {
		t.Errorf("nil: %v", err)
	}
}

// TestEmptyForgetsNoField: a Changes with any field at all is not empty. The seed's forgets two.
func TestEmptyForgetsNoField(t *testing.T) {
	v := reflect.ValueOf(&crypto.Changes{}).Elem()
	for i := range v.NumField() {
		c := crypto.Changes{}
		f := reflect.ValueOf(&c).Elem().Field(i)
		name := v.Type().Field(i).Name
		switch f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.String:
			f.SetString("x")
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
			f.SetMapIndex(reflect.ValueOf(id.RoomID("r")), reflect.Zero(f.Type().Elem()))
		case reflect.Struct:
			for j := range f.NumField() {
				if f.Type().Field(j).Name == "Unchanged" {
					continue
				}
				f.SetZero()
				f.Field(j).Set(reflect.MakeSlice(f.Field(j).Type(), 1, 1))
				if c.Empty() {
					t.Errorf("with %s.%s it is said to be empty", name, f.Type().Field(j).Name)
				}
			}
			continue
		}
		if c.Empty() {
			t.Errorf("with %s it is said to be empty", name)
		}
	}
	if c := (crypto.Changes{Identities: crypto.IdentityChanges{Unchanged: make([]crypto.Identity, 1)}}); !c.Empty() {
		t.Error("identities that have not changed are something to store")
	}
}

// TestRequestsForOtherThingsAreApart: no two things that can be asked for have the same key, also where their parts do when joined.
func TestRequestsForOtherThingsAreApart(t *testing.T) {
	all := []crypto.RequestInfo{
		crypto.SecretRequest("m.megolm_backup.v1"), crypto.SecretRequest("k"), crypto.SecretRequest("krs"),
		crypto.SessionRequest("r", "s", "a"), crypto.SessionRequest("rs", "", "a"), crypto.SessionRequest("r", "sa", ""), crypto.SessionRequest("r:s", "", "a"),
		crypto.SessionRequest("r", ":s", "a"),
	}
	for i, a := range all {
		for j, b := range all {
			if bytes.Equal(a.Key(), b.Key()) != (i == j) {
				t.Errorf("%+v and %+v", a, b)
			}
		}
	}
}

// TestExpiry: a session expires after twice its age, unless something that it needs for that is missing.
func TestExpiry(t *testing.T) {
	at := time.UnixMilli(1_000_000)
	for name, test := range map[string]struct {
		s    crypto.InboundGroupSession
		ms   int64
		ever bool
	}{
		"twice its age":          {crypto.InboundGroupSession{ReceivedAt: at, MaxAge: time.Second}, 1_002_000, true},
		"no time":                {crypto.InboundGroupSession{MaxAge: time.Second}, 0, false},
		"no age":                 {crypto.InboundGroupSession{ReceivedAt: at}, 0, false},
		"less than none":         {crypto.InboundGroupSession{ReceivedAt: at, MaxAge: -time.Second}, 0, false},
		"scheduled":              {crypto.InboundGroupSession{ReceivedAt: at, MaxAge: time.Second, Scheduled: true}, 0, false},
		"longer than there is":   {crypto.InboundGroupSession{ReceivedAt: time.UnixMilli(math.MaxInt64 - 1), MaxAge: time.Second}, 0, false},
		"less than it can count": {crypto.InboundGroupSession{ReceivedAt: at, MaxAge: time.Microsecond}, 0, false},
	} {
		if ms, ever := test.s.Expires(); ms != test.ms || ever != test.ever {
			t.Errorf("%s: %d, %v", name, ms, ever)
		}
	}
}

// TestUsedSessions: a session whose three times are the same has never been used.
func TestUsedSessions(t *testing.T) {
	at := time.UnixMilli(5)
	for s, used := range map[*crypto.Session]bool{
		{CreatedAt: at, LastEncrypted: at, LastDecrypted: at}:                                                          false,
		{CreatedAt: at, LastEncrypted: at.Add(time.Millisecond), LastDecrypted: at}:                                    true,
		{CreatedAt: at, LastEncrypted: at, LastDecrypted: at.Add(time.Millisecond)}:                                    true,
		{CreatedAt: at, LastEncrypted: at.Add(time.Microsecond), LastDecrypted: at}:                                    false, // it cannot be told once it was stored
		{CreatedAt: at, LastEncrypted: at.Add(time.Nanosecond), LastDecrypted: at.Add(time.Microsecond).Local().UTC()}: false,
	} {
		if s.Used() != used {
			t.Errorf("%+v: %v", s, s.Used())
		}
	}
}

// TestTheZeroQueryAsksForNothing: a query that somebody has forgotten to set is an error.
func TestTheZeroQueryAsksForNothing(t *testing.T) {
	if err := (crypto.SessionQuery{}).Match(crypto.SessionQueryCases{}); !errors.Is(err, crypto.ErrQuery) {
		t.Errorf("%v", err)
	}
}
