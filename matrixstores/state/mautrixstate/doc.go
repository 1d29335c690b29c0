// Package mautrixstate lets mautrix run on a state store: a Store of package state, whatever keeps it.
package mautrixstate

import "maunium.net/go/mautrix"

var _ mautrix.Syncer
