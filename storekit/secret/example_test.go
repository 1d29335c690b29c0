package secret_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/storekit/secret"
)

// key is what a platform's keychain would keep.
var key = bytes.Repeat([]byte{42}, 32)

// disk stands for the store's own table of settings.
type disk struct{ header []byte }

// save is UPDATE … SET value = header WHERE value = old, in a transaction.
func (d *disk) save(old, header []byte) error {
	if !bytes.Equal(d.header, old) {
		return secret.ErrStale
	}
	d.header = header
	return nil
}

func Example() {
	ctx, d := context.Background(), new(disk)
	c, err := secret.Create(ctx, secret.Key(key), d.save)
	if err != nil {
		panic(err)
	}

	row := secret.NewRowID() // stored beside the value
	at := secret.Place{Table: "note", Column: "text", Row: row[:]}
	sealed, err := c.Seal(nil, []byte("buy milk"), at)
	if err != nil {
		panic(err)
	}
	plain, err := c.Open(nil, sealed, at)
	fmt.Printf("%s %v\n", plain, err)

	at.Column = "title"
	_, err = c.Open(nil, sealed, at)
	fmt.Println(errors.Is(err, secret.ErrTampered))
	// Output:
	// buy milk <nil>
	// true
}

func ExampleNeeded() {
	ctx, d := context.Background(), new(disk)
	if _, err := secret.Create(ctx, secret.Passphrase([]byte("correct horse")), d.save); err != nil {
		panic(err)
	}
	_, err := secret.Needed(d.header, secret.Secret{})
	fmt.Println(err)
	_, err = secret.Needed(nil, secret.Key(key))
	fmt.Println(err)
	_, err = secret.Open(ctx, d.header, secret.Passphrase([]byte("battery staple")))
	fmt.Println(err)
	// Output:
	// secret: the store is encrypted, and no secret was given
	// secret: a secret was given, but the store is not encrypted
	// secret: the secret is wrong
}

func ExampleCipher_Forget() {
	ctx, d := context.Background(), new(disk)
	keychain := secret.Ask(func(context.Context) (secret.Secret, error) { return secret.Key(key), nil })
	c, err := secret.Create(ctx, keychain, d.save)
	if err != nil {
		panic(err)
	}
	c.Forget() // at Pause
	_, err = c.HashKey("note", []byte("title"))
	fmt.Println(err)
	fmt.Println(c.Unlock(ctx, d.header, keychain)) // at Resume
	// Output:
	// secret: hash a key of note: the keys were forgotten
	// <nil>
}

func ExampleCipher_ChangeSecret() {
	ctx, d := context.Background(), new(disk)
	old, next := secret.Passphrase([]byte("old")), secret.Passphrase([]byte("new"))
	c, err := secret.Create(ctx, old, d.save)
	if err != nil {
		panic(err)
	}
	fmt.Println(c.ChangeSecret(ctx, old, next, d.save))
	_, err = secret.Open(ctx, d.header, old)
	fmt.Println(errors.Is(err, secret.ErrWrongSecret))
	// Output:
	// <nil>
	// true
}

func ExampleCipher_Reseal() {
	ctx, d := context.Background(), new(disk)
	s := secret.Key(key)
	c, err := secret.Create(ctx, s, d.save)
	if err != nil {
		panic(err)
	}
	at := secret.Place{Table: "note", Column: "text", Row: []byte("1")}
	value, _ := c.Seal(nil, []byte("buy milk"), at)

	if err := c.Rotate(ctx, s, d.save); err != nil {
		panic(err)
	}
	for range 2 { // for every row; to be repeated after a kill
		var changed bool
		value, changed, err = c.Reseal(value, at)
		fmt.Println(changed, err)
	}
	fmt.Println(c.DropOldKeys(ctx, s, d.save)) // once all rows are through
	// Output:
	// true <nil>
	// false <nil>
	// <nil>
}

func ExampleCipher_SealWriter() {
	ctx, d := context.Background(), new(disk)
	c, err := secret.Create(ctx, secret.Key(key), d.save)
	if err != nil {
		panic(err)
	}
	at := secret.Place{Table: "media", Column: "data", Row: []byte("1")}
	var file bytes.Buffer
	w, err := c.SealWriter(&file, at)
	if err != nil {
		panic(err)
	}
	fmt.Fprint(w, "a picture")
	if err := w.Close(); err != nil {
		panic(err)
	}
	plain, err := io.ReadAll(c.OpenReader(&file, at))
	fmt.Printf("%s %v\n", plain, err)
	// Output: a picture <nil>
}
