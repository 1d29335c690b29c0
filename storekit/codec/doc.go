// Package codec says how a store keeps its keys and values: as they are, or
// hashed and sealed. A store asks it for every key and every value, and is the
// same code for both.
//
//	c := codec.New(cipher)                      // or new(codec.Codec): nothing is encrypted
//	row := secret.NewRowID()                    // stored beside the value
//	at := secret.Place{Table: "note", Column: "text", Row: row[:]}
//	key, err := c.KeyString("note", "title")    // what is stored, and looked up
//	stored, err := c.SealJSON(at, note)
//	note, err := codec.JSON[Note](c, at, stored)
//
// # What it promises
//
// With a cipher, every value is sealed for its place and every key is hashed
// for its table, with the promises of package secret. Without one, both are
// stored as they are, byte for byte. A [Codec] that waits for its cipher
// ([Sealed]) refuses everything with [secret.ErrLocked] until [Codec.Use]:
// nothing is ever stored in clear because the cipher came late.
//
// No key and no value is a nil slice, which would be stored as NULL: an empty
// one is stored as an empty BLOB.
//
// What cannot be decoded is a [*DecodeError]. It says where, down to the place
// inside a JSON document, and contains nothing of what is stored.
//
// All functions and methods may be called from any number of goroutines.
//
// # Rows
//
// A sealed value is bound to table, column and a row id that stays with the row
// for its life ([secret.NewRowID]). Whoever keeps a column for it in any case
// needs no second schema for the store that is not encrypted:
//
//	CREATE TABLE note (
//		title BLOB PRIMARY KEY,       -- Key
//		text  BLOB NOT NULL,          -- Seal, bound to row
//		row   BLOB NOT NULL UNIQUE    -- secret.NewRowID, at INSERT only
//	) STRICT
//
// An UPDATE leaves the column as it is, so a value has to be sealed for the row
// that is there: read it first, in the same transaction.
//
// # Many keys
//
// A statement has a limited number of parameters, and another number of them is
// another statement to prepare. So all keys go as one parameter, made by [List]
// or [KeyList], and the statement reads them with [In] or [Listed]. One prepared
// statement serves any number of keys, in one piece.
package codec
