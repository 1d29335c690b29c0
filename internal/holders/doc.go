// Package holders answers who holds what on a database's files: descriptors,
// memory maps and file locks, in this process or in every process of the machine.
//
// It exists because "Close returned nil" proves nothing. sqlite3_close_v2
// answers OK while a statement lives, and the connection stays behind as a
// zombie with every descriptor and lock. SQLite also postpones close(2) on a file
// while another connection of the process has locks on it, and database/sql's
// Close leaves an open transaction alone. Where the system punishes what is
// held, that matters: iOS ends an application that is suspended with a file
// lock in a shared container (0xdead10cc), and a file that is deleted or moved
// while it is open is written to in vain. So a pause that says "released" should
// be able to show it, from the kernel's books and not from its own.
//
// # Questions
//
//   - [Self] asks about this process. It is cheap and harmless, and made for being
//     called on every pause.
//   - [All] asks about every process. What may not be read is listed as
//     unknown and never counts as free.
//   - [Probe], [ProbeExclusive], [ProbeMain] and [ProbeCommand] ask the only witness
//     that locks cannot deceive: another process that tries to take them. A
//     process does not conflict with its own POSIX locks, so it cannot be its own witness.
//
// # What belongs to a database
//
// A path names the main file; -wal, -shm and -journal beside it are looked at,
// too. A file counts if it has one of these paths, or is the same file (device
// and inode) under another name. Both are needed. A file that was deleted or
// replaced by a rename has another inode than what stands at the path now,
// and on overlayfs and btrfs the kernel prints another device than stat. What
// is not found: a file that was moved elsewhere while open and no longer stands at its
// path. It has neither the name nor the inode; ask for its new path.
//
// # Rules of the house
//
// This package never opens a database's file in the calling process, Probe and
// ProbeExclusive excepted. Closing any descriptor of a file drops all POSIX locks
// that the process has on it (https://sqlite.org/howtocorrupt.html, 2.2), and SQLite
// would not learn of it.
//
// # Sources
//
// On Linux and Android, /proc. The lock lines of /proc/PID/fdinfo
// (since Linux 4.1) come first, because they tell the owner of each kind of lock, and
// the descriptor; /proc/locks has process id -1 for an OFD lock and hides
// what belongs to other pid namespaces. On macOS and the BSDs, lsof where it is installed.
// Elsewhere every question is answered with [ErrUnsupported].
package holders
