// Package storekit is what a store is built on. Schema and queries are the
// author's; pausing, migrations, encryption, leases, background jobs and
// maintenance come from here.
//
//	type Notes struct{ *storekit.Store }
//
//	func Open(ctx context.Context, path string, key []byte) (*Notes, error) {
//		s, err := storekit.Open(ctx, storekit.Config{
//			Database:   sqlite.Config{Engine: modernc.Engine(), Path: path},
//			Migrations: []storekit.Migration{{Version: 1, SQL: `CREATE TABLE note (…)`}},
//			Secret:     secret.Key(key),
//		})
//		return &Notes{s}, err
//	}
//
// A type that embeds a Store is a lifecycle.Pausable without a line of its own.
// docs/write-a-store.md goes through all of it, and examples/notes is that guide in code.
//
// # What it promises
//
// What lifecycle and driver/sqlite promise of Pause, Resume and Close holds for
// the store as a whole: its database, its leases, its jobs.
//
// Before Open or Resume returns nil, and before anybody else gets in, the file
// was recognised, the secret was checked, and the schema was brought to the
// program's version. A database newer than the program is refused. A migration
// that fails or is killed leaves the version before it, whole.
//
// In an encrypted store, what the store's Codec and package kv store is sealed
// and hashed. Config.ForgetKeyOnPause wipes the keys at every pause.
// ChangeSecret rewrites nothing; Rotate seals everything anew, and goes on where it was ended.
//
// Long work (Optimize, Check, Backup, Rotate, Restore) goes in small steps or is
// ended at once by a Pause, which never waits for it longer than for any other
// operation. Whatever ends it, also a kill, the store is whole afterwards.
//
// DESIGN.md in this directory says why it is as it is.
package storekit
