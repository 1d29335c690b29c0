package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// values are what has to come back as it was.
var values = []string{"", "a", "\x00", "a\x00b", "\xff\xfe", "héllo", strings.Repeat("x", 100_000)}

func TestWhatIsStoredComesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, c *codec.Codec) {
		for _, v := range values {
			stored := got[[]byte](t)(c.Seal(place, []byte(v)))
			if c.Encrypted() == (string(stored) == v) {
				t.Errorf("%.20q is stored as %.20q: only an encrypted store hides it", v, stored)
			}
			if plain := got[[]byte](t)(c.Open(place, stored)); string(plain) != v {
				t.Errorf("%.20q came back as %.20q", v, plain)
			}
			appended := got[[]byte](t)(c.AppendSeal([]byte("before"), place, []byte(v)))
			rest, ok := bytes.CutPrefix(appended, []byte("before"))
			if !ok {
				t.Errorf("AppendSeal must append")
			}
			if plain := got[[]byte](t)(c.AppendOpen([]byte("front"), place, rest)); string(plain) != "front"+v {
				t.Errorf("%.20q was appended as %.20q", v, plain)
			}
			type document struct {
				Text []byte `json:"text"`
				N    int    `json:"n"`
			}
			stored = got[[]byte](t)(c.SealJSON(place, document{[]byte(v), 3}))
			if d := got[document](t)(codec.JSON[document](c, place, stored)); string(d.Text) != v || d.N != 3 {
				t.Errorf("%.20q came back from JSON as %+.20v", v, d)
			}
		}
	})
}

func TestKeysAreHashedExactlyWhereTheStoreIsEncrypted(t *testing.T) {
	onBoth(t, func(t *testing.T, c *codec.Codec) {
		seen := map[string]string{}
		for _, k := range values {
			key := got[[]byte](t)(c.Key("note", []byte(k)))
			if c.Encrypted() && (len(key) != secret.HashSize || len(k) > 3 && bytes.Contains(key, []byte(k))) || !c.Encrypted() && string(key) != k {
				t.Errorf("%.20q is stored as %.40q", k, key)
			}
			if other, ok := seen[string(key)]; ok {
				t.Errorf("%.20q and %.20q are stored alike", k, other)
			}
			seen[string(key)] = k
			for name, same := range map[string][]byte{
				"Key":       got[[]byte](t)(c.Key("note", []byte(k))),
				"KeyString": got[[]byte](t)(c.KeyString("note", k)),
				"AppendKey": bytes.TrimPrefix(got[[]byte](t)(c.AppendKey([]byte("dst"), "note", []byte(k))), []byte("dst")),
			} {
				if !bytes.Equal(same, key) {
					t.Errorf("%s of %.20q is %.40q, and was %.40q: it would not be found", name, k, same, key)
				}
			}
			if other := got[[]byte](t)(c.Key("tag", []byte(k))); bytes.Equal(other, key) == c.Encrypted() {
				t.Errorf("%.20q: the hash must depend on the table, and a raw key must not", k)
			}
		}
	})
}

// TestNothingIsStoredAsNULL: an empty key or value is not the same as none.
func TestNothingIsStoredAsNULL(t *testing.T) {
	onBoth(t, func(t *testing.T, c *codec.Codec) {
		sealed := got[[]byte](t)(c.Seal(place, nil))
		for name, b := range map[string][]byte{
			"Seal":       sealed,
			"AppendSeal": got[[]byte](t)(c.AppendSeal(nil, place, nil)),
			"Open":       got[[]byte](t)(c.Open(place, sealed)),
			"AppendOpen": got[[]byte](t)(c.AppendOpen(nil, place, sealed)),
			"Key":        got[[]byte](t)(c.Key("note", nil)),
			"KeyString":  got[[]byte](t)(c.KeyString("note", "")),
			"AppendKey":  got[[]byte](t)(c.AppendKey(nil, "note", nil)),
		} {
			if b == nil {
				t.Errorf("%s returned a nil slice, which SQLite stores as NULL", name)
			}
		}
	})
}

func TestNoCodecIsTheOneThatStoresAsItIs(t *testing.T) {
	var c *codec.Codec
	stored := got[[]byte](t)(c.Seal(place, []byte("text")))
	key := got[[]byte](t)(c.Key("note", []byte("title")))
	if c.Encrypted() || string(stored) != "text" || string(key) != "title" {
		t.Errorf("%v %q %q", c.Encrypted(), stored, key)
	}
}

// calls are all that need a cipher.
var calls = map[string]func(c *codec.Codec) error{
	"Seal":       func(c *codec.Codec) error { _, err := c.Seal(place, nil); return err },
	"AppendSeal": func(c *codec.Codec) error { _, err := c.AppendSeal(nil, place, nil); return err },
	"SealJSON":   func(c *codec.Codec) error { _, err := c.SealJSON(place, 1); return err },
	"Open":       func(c *codec.Codec) error { _, err := c.Open(place, []byte{1}); return err },
	"AppendOpen": func(c *codec.Codec) error { _, err := c.AppendOpen(nil, place, []byte{1}); return err },
	"OpenJSON":   func(c *codec.Codec) error { return c.OpenJSON(place, []byte{1}, new(int)) },
	"JSON":       func(c *codec.Codec) error { _, err := codec.JSON[int](c, place, []byte{1}); return err },
	"Key":        func(c *codec.Codec) error { _, err := c.Key("note", nil); return err },
	"KeyString":  func(c *codec.Codec) error { _, err := c.KeyString("note", ""); return err },
	"AppendKey":  func(c *codec.Codec) error { _, err := c.AppendKey(nil, "note", nil); return err },
	"KeyList":    func(c *codec.Codec) error { _, err := codec.KeyList(c, "note", []string{""}); return err },
}

func TestEverythingIsLockedUntilTheCipherIsThere(t *testing.T) {
	forgotten := newCipher(t)
	forgotten.Forget()
	taken := codec.New(newCipher(t))
	must(t, taken.Use(nil))
	for state, c := range map[string]*codec.Codec{
		"Sealed": codec.Sealed(), "New without a cipher": codec.New(nil), "after Forget": codec.New(forgotten), "after Use(nil)": taken,
	} {
		if !c.Encrypted() {
			t.Errorf("%s: it must be known to be encrypted before its cipher is there", state)
		}
		for name, call := range calls {
			err := call(c)
			wantError(t, state+": "+name, err, secret.ErrLocked)
			if errors.As(err, new(*codec.DecodeError)) {
				t.Errorf("%s: %s returned a DecodeError: who skips broken rows would skip every row of a locked store", state, name)
			}
		}
		must(t, c.Use(newCipher(t)))
		got[[]byte](t)(c.Seal(place, nil))
	}
}

// TestWhatForgotItsKeysSaysWhy: an operation that has got hold of the cipher before a pause made it forget its keys is told of the
// pause, as one that comes too late to get it.
func TestWhatForgotItsKeysSaysWhy(t *testing.T) {
	why := errors.New("the store is paused")
	locked, late := codec.New(newCipher(t)), codec.New(newCipher(t))
	locked.Lock(why)
	late.Lock(why)
	forgotten := newCipher(t)
	must(t, late.Use(forgotten))
	forgotten.Forget()
	for state, c := range map[string]*codec.Codec{"without the cipher": locked, "with a cipher that has forgotten its keys": late} {
		for name, call := range calls {
			err := call(c)
			wantError(t, state+": "+name, err, secret.ErrLocked)
			wantError(t, state+": "+name, err, why)
		}
	}
}

func TestAPlainStoreNeverBecomesEncrypted(t *testing.T) {
	c := new(codec.Codec)
	wantError(t, "Use", c.Use(newCipher(t)), codec.ErrPlain)
	if stored := got[[]byte](t)(c.Seal(place, []byte("text"))); string(stored) != "text" || c.Encrypted() {
		t.Errorf("it stores %q: half of the store is sealed now", stored)
	}
}

func TestUseIsAtomic(t *testing.T) {
	c, cipher := codec.Sealed(), newCipher(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				stored, err := c.Seal(place, []byte("text"))
				if err != nil {
					wantError(t, "Seal before Use", err, secret.ErrLocked)
					continue
				}
				if plain, err := cipher.Open(nil, stored, place); err != nil || string(plain) != "text" {
					t.Errorf("sealed beside Use: %q, %v", plain, err)
				}
			}
		})
	}
	must(t, c.Use(cipher))
	all.Wait()
}

// TestWhatDoesNotOpenIsADecodeError: with secret's sentinels, and without the place twice.
func TestWhatDoesNotOpenIsADecodeError(t *testing.T) {
	c := codec.New(newCipher(t))
	stored := got[[]byte](t)(c.SealJSON(place, "text"))
	changed := func(i int) []byte { b := bytes.Clone(stored); b[i]++; return b }
	elsewhere := place
	elsewhere.Row = []byte("row-2")
	for _, test := range []struct {
		name   string
		at     secret.Place
		stored []byte
		want   error
	}{
		{"another row", elsewhere, stored, secret.ErrTampered},
		{"a changed bit", place, changed(40), secret.ErrTampered},
		{"another version", place, changed(0), secret.ErrVersion},
		{"another key", place, changed(4), secret.ErrUnknownKey},
		{"nothing", place, nil, secret.ErrTampered},
	} {
		var text string
		err := c.OpenJSON(test.at, test.stored, &text)
		wantError(t, test.name, err, test.want)
		var e *codec.DecodeError
		if !errors.As(err, &e) || e.Table != "note" || e.Column != "text" || e.Path != "" {
			t.Errorf("%s: %#v", test.name, err)
		}
		if n := strings.Count(fmt.Sprint(err), "note.text"); n != 1 {
			t.Errorf("%s: the place is named %d times in %q", test.name, n, err)
		}
	}
}

func TestHotPathsAllocateNothingOfTheirOwn(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	cipher := newCipher(t)
	c := codec.New(cipher)
	plain, dst := make([]byte, 1024), make([]byte, 0, 2048)
	bare := testing.AllocsPerRun(100, func() { _, _ = cipher.Seal(dst, plain, place) })
	if n := testing.AllocsPerRun(100, func() { _, _ = c.AppendSeal(dst, place, plain) }); n > bare {
		t.Errorf("AppendSeal allocates %v times, the cipher %v times", n, bare)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = c.AppendKey(dst, "note", plain[:40]) }); n > 0 {
		t.Errorf("AppendKey allocates %v times", n)
	}
	key := strings.Repeat("k", 200)
	if n := testing.AllocsPerRun(100, func() { _, _ = c.KeyString("note", key) }); n > 1 {
		t.Errorf("KeyString allocates %v times, for more than the hash", n)
	}
}
