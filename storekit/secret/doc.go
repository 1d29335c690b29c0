// Package secret is the cipher of a store: it seals values and streams, hashes
// keys, and keeps its data keys wrapped by the user's secret.
//
//	c, err := secret.Create(ctx, secret.Passphrase(p), saveHeader) // once
//	c, err := secret.Open(ctx, header, secret.Passphrase(p))       // ever after
//
//	row := secret.NewRowID()
//	at := secret.Place{Table: "note", Column: "text", Row: row[:]}
//	sealed, err := c.Seal(nil, plain, at)
//	plain, err := c.Open(nil, sealed, at)
//	hash, err := c.HashKey("note", []byte("title"))
//
// # What it promises
//
// A sealed value opens only with the key of its store and at the [Place] it was
// sealed for: another table, column or row, and every changed bit, is
// [ErrTampered]. It is 45 bytes longer than the plain text. A stream ([Cipher.SealWriter],
// [Cipher.OpenReader]) is sealed in chunks of 64 KiB; a chunk that is missing,
// repeated, at another number or behind the end is an error too.
//
// An equal key in the same table has the same hash, so that it can be looked
// up; in another table or another store it has a different one.
//
// A wrong secret, none where one is needed and one that is not needed are
// different errors, and all of them are returned before any value is touched.
//
// [Cipher.Forget] wipes the keys, until [Cipher.Unlock] brings them back.
// The secret is changed by [Cipher.ChangeSecret] without rewriting data.
// [Cipher.Rotate] adds a data key, [Cipher.Reseal] brings old values over to it.
//
// All functions and methods may be called from any number of goroutines. No
// input, however damaged or hostile, makes one panic.
//
// What is protected and what is not stands in docs/encryption.md, with the
// format; DESIGN.md in this directory says why it is as it is.
package secret
