// Package sqlitestore keeps the stores of a Matrix client in SQLite, one file
// for each, encrypted on request. They are built with package storekit, and pause as
// everything that is.
//
//	cache, err := sqlitestore.OpenEventCache(ctx, sqlitestore.EventCacheConfig{
//		Config: sqlitestore.Config{
//			Database: sqlite.Config{Engine: modernc.Engine(), Dir: dir},
//			Secret:   secret.Key(key),
//		},
//	})
//
// The contracts are in the packages eventcache, media, state and crypto.
//
// In an encrypted store no identifier and no content can be read in its files: keys
// are hashed, values are sealed for the row that they are in. What can be seen are
// numbers: how many rooms, events and chunks there are, how long the contents are, which rows are of
// one room, and when something was stored or read.
package sqlitestore
