//go:build !unix

package sqlite

const (
	exclusiveSupported = false
	deleteWhileOpen    = false
)

func isReadOnlyFS(error) bool { return false }

// writable cannot ask here; opening will tell.
func writable(string) error    { return nil }
func writableDir(string) error { return nil }

// syncDir does nothing: a directory cannot be synced here.
func syncDir(string) error { return nil }
