// Package memory is a transactional in-memory database on hashicorp/go-memdb
// with the shape of every other store of this module: Read, Write, Pause, Resume, Close.
//
// A Read works on a snapshot: it sees what was committed when it began, and
// nothing that is committed later. Any number of Reads run at a time. One Write
// runs at a time, in the order of their coming; it is committed when its
// callback returns nil, and rolled back when that returns an error, panics or
// calls runtime.Goexit.
//
// # Pausing
//
// There is nothing to give back: a memory database holds no file, no lock and
// no descriptor, and what it would free is the data itself. So Pause and Resume
// succeed and change nothing. Operations in flight go on, new ones are served,
// the data stay, and the state remains Active.
//
// With Config.Strict the data stay all the same, but the gate is real: work is
// refused with lifecycle.ErrPaused, or waits, while the database is paused; a
// Pause waits for operations in flight, interrupts them after the grace, and
// ends with a lifecycle.HeldError that names those who do not let go; the
// latest intent wins. That is for tests: a program whose tests run on a strict
// memory database finds every use of a paused store without a file.
//
// A strict database severs nobody. There is no connection to close under an
// operation; one that was interrupted can neither read nor commit any more, and
// the pause ends when its callback returns.
//
// Close is for good in both modes.
//
// # Interrupts
//
// When the context of an operation ends, or a pause or Close interrupts it, its
// next statement, its next row and its commit return lifecycle.ErrInterrupted.
// A Write that was interrupted before its commit is never committed, even when
// its callback returns nil. A single statement is not stopped midway, except
// DeleteAll, which looks between rows.
//
// # Rows
//
// Rows are not copied, neither by Insert nor by the statements that read: a row
// is shared by everybody who has seen it, and must never be changed after it
// was inserted, also not after it was deleted. To change one, insert a changed copy.
//
// A row is what the indexes of its table accept, usually a pointer to a struct.
// Table gives the statements of one table the type of its rows.
//
// Unique means less than in SQL: go-memdb enforces it for the index "id" alone,
// where Insert replaces. Two rows with the same value in another unique index
// are both stored, and that index then finds the later one only.
package memory
