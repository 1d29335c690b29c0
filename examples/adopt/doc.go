// Package adopt has nothing to import: it is the tests of docs/adopt.md.
//
// They use sqlx, code as sqlc writes it, gorm, bun, goose and dbutil with
// mautrix's state store, all unchanged, on databases that are paused and resumed
// under them. It is a module of its own, so that nobody inherits those libraries.
package adopt
