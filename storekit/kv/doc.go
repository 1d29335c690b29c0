// Package kv is a table of keys and values, in namespaces, in a store's own
// database: for settings, tokens and whatever is not worth a table of its own.
//
//	err := kv.Create(ctx, conn)             // once, with the store's own schema
//	t := kv.New(db, codec, "settings")
//	err := t.Set(ctx, "theme", []byte("dark"))
//	value, err := t.Get(ctx, "theme")       // ErrNotFound where there is none
//
//	err := db.Update(ctx, func(c *sqlite.Conn) error {
//		// … the store's own rows …
//		return t.In(c).Set(ctx, "next_batch", token) // together with them, or not at all
//	})
//
//	settings := kv.JSON[Settings](t)        // values of a Go type
//
// # What it promises
//
// A key is any string, of any bytes, the empty one included, and so is a
// namespace. The keys of two namespaces never meet. A value is any []byte that
// SQLite takes (up to 1,000,000,000 bytes for the row, unless configured otherwise);
// nil is stored as, and comes back as, an empty one.
//
// A [Table] is a transaction for each call: what a method that returned nil has
// written is committed, and of SetMany, DeleteMany and Clear all or nothing. [Table.In]
// has the same methods inside a transaction of the caller's. Any number of keys
// goes in one call.
//
// In an encrypted store neither keys nor namespaces nor values are in the file:
// keys and namespaces are hashed, values are sealed. A value that somebody
// copied to another row, or a row that was brought under another key or another
// namespace, is a [*codec.DecodeError] that matches [secret.ErrTampered]. Which rows are of one
// namespace can be seen, how many there are and how long their values; and that
// a row is missing, or has the value of last week, is not noticed.
//
// So that an encrypted table can be listed, and a row is known to be its key's,
// the key is also kept sealed: 45 bytes and its own and the namespace's length
// more in each row, and one more short text to open in each read.
//
// A pause waits for a call as for any other operation of the database, and
// refuses it, or lets it wait, while paused. All methods of a Table may be
// called from any number of goroutines.
package kv
