package crypto_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"

	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// records are all kinds of them.
func records() []crypto.Record {
	return []crypto.Record{
		&crypto.Account{}, &crypto.PrivateIdentity{}, &crypto.InboxSecret{}, &crypto.Verification{}, &crypto.Session{},
		&crypto.InboundGroupSession{}, &crypto.Withheld{}, &crypto.OutboundGroupSession{}, &crypto.Device{}, &crypto.Identity{},
		&crypto.TrackedUser{}, &crypto.CrossSigningKey{}, &crypto.Signature{}, &crypto.RoomSettings{}, &crypto.RoomKeyBundle{},
		&crypto.PendingKeyBundle{}, &crypto.KeyRequest{},
	}
}

// fill gives every field of a value another content.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.UnixMilli(int64(1_700_000_000_000 + *n)).UTC()))
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(*n) * int64(time.Millisecond))
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes([]byte{byte(*n), 0, 0xff})
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("text\x00\xff%d", *n))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(-int64(*n))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("nobody has said how to fill a %v", v.Type())
	}
}

func filled(t *testing.T, r crypto.Record) crypto.Record {
	t.Helper()
	n := 0
	fill(t, reflect.ValueOf(r).Elem(), &n)
	return r
}

func fresh(r crypto.Record) crypto.Record {
	return reflect.New(reflect.TypeOf(r).Elem()).Interface().(crypto.Record)
}

// TestRecordsKeepEverything: every field of every record comes back as it was, and so does none at all.
func TestRecordsKeepEverything(t *testing.T) {
	for _, empty := range records() {
		for _, r := range []crypto.Record{fresh(empty), filled(t, empty)} {
			back := fresh(r)
			if err := crypto.Decode(crypto.Encode(nil, r), back); err != nil {
				t.Fatalf("%T: %v", r, err)
			}
			if !reflect.DeepEqual(back, r) {
				t.Errorf("%+v\n\tcame back as %+v", r, back)
			}
		}
	}
}

// TestRecordsAreApart: what was read from bytes does not change with them, nor do bytes with what they were made of.
func TestRecordsAreApart(t *testing.T) {
	for _, r := range records() {
		filled(t, r)
		b := crypto.Encode([]byte("in front"), r)
		if !bytes.HasPrefix(b, []byte("in front")) {
			t.Errorf("%T: Encode does not append", r)
		}
		b = b[len("in front"):]
		back := fresh(r)
		if err := crypto.Decode(b, back); err != nil {
			t.Fatal(err)
		}
		clear(b)
		if !reflect.DeepEqual(back, r) {
			t.Errorf("a %T has changed with the bytes that it was read from", r)
		}
	}
}

// TestBrokenRecordsAreTold: what is cut off anywhere, goes on, or is of another version is an error, and never a record.
func TestBrokenRecordsAreTold(t *testing.T) {
	for _, r := range records() {
		b := crypto.Encode(nil, filled(t, r))
		for n := range b {
			if err := crypto.Decode(b[:n], fresh(r)); !errors.Is(err, crypto.ErrBroken) {
				t.Errorf("%T, %d bytes of %d: %v", r, n, len(b), err)
			}
		}
		if err := crypto.Decode(append(bytes.Clone(b), 0), fresh(r)); !errors.Is(err, crypto.ErrBroken) {
			t.Errorf("%T and a byte more: %v", r, err)
		}
		b[0]++
		if err := crypto.Decode(b, fresh(r)); !errors.Is(err, crypto.ErrNewer) {
			t.Errorf("%T of another version: %v", r, err)
		}
	}
}

// FuzzDecode: no bytes make a record panic, and what is read is written alike.
func FuzzDecode(f *testing.F) {
	for _, r := range records() {
		f.Add(crypto.Encode(nil, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range records() {
			if crypto.Decode(b, r) != nil {
				continue
			}
			again := fresh(r)
			if err := crypto.Decode(crypto.Encode(nil, r), again); err != nil {
				t.Fatalf("%T: %v", r, err)
			}
		}
	})
}

// TestRecordsHaveTheirForm: stores keep these bytes for good. A program that reads others cannot read what was stored.
func TestRecordsHaveTheirForm(t *testing.T) {
	for want, r := range map[string]crypto.Record{
		"0101730173" + "ffffffffffffffffff01" + "d00f" + "00" + "0200ff" + "00": &crypto.Session{
			ID: "s", SenderKey: "s", LastEncrypted: time.UnixMilli(1000), LastDecrypted: time.UnixMilli(0), Pickle: []byte{0, 0xff},
		},
		"01" + "0172" + "00" + "0173" + "00" + "0163" + "00": &crypto.Withheld{RoomKeyWithheldEventContent: event.RoomKeyWithheldEventContent{
			RoomID: "r", SessionID: "s", Code: "c",
		}},
		"01" + "0161" + "03" + "e807" + "14": &crypto.RoomSettings{
			Algorithm: "a", EncryptStateEvents: true, OnlyTrustedDevices: true, RotationPeriod: 500 * time.Millisecond, RotationMessages: 10,
		},
	} {
		if got := hex.EncodeToString(crypto.Encode(nil, r)); got != want {
			t.Errorf("%T is %s, and was %s", r, got, want)
		}
	}
}

// TestTimesAreMilliseconds: in UTC, and the zero time stays what it is.
func TestTimesAreMilliseconds(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_789_000, time.FixedZone("", 3600))
	if got, want := crypto.FromMillis(crypto.Millis(at)), at.UTC().Truncate(time.Millisecond); !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("%v came back as %v", at, got)
	}
	if got := crypto.FromMillis(crypto.Millis(time.Time{})); !got.IsZero() {
		t.Errorf("the zero time came back as %v", got)
	}
}
