//go:build !linux

package sqlite

// renameNew gives a file a name that nothing has.
func renameNew(from, to string) error { return renameAfterLook(from, to) }
