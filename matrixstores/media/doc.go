// Package media is the contract of a Matrix client's media cache: files and
// thumbnails, by their content URI and format, as many as a retention policy allows.
//
// # What a Store promises
//
// A content is there whole or not at all. What replaces it does so in one
// step; an upload that was not committed leaves nothing that anybody would see.
//
// Absent is no error: Get returns false, removing what is not there does nothing.
// Asking for something creates nothing. Two stores that were told the same give
// the same answers; conformance/mediatest proves it for an implementation.
//
// Large contents are written and read as streams, of which only a small piece
// is in memory. A stream holds nothing of the store between two calls, so a
// pause does not wait for it, and it goes on after the Resume.
//
// Reading does not write. When something was last read is gathered in memory and
// stored with the next write, at intervals, and by Pause and Close: a process
// that is killed forgets at most one interval of it.
//
// # Retention
//
// A Policy limits how large the cache is, how large a content may be, and how
// long it is kept unread. DefaultPolicy is in force unless another one was set.
// Contents that are flagged to ignore the policy, such as uploads that were not
// sent yet, are never removed by it and do not count. Cleaning is a background
// job of the store, which stops before a pause.
//
// URIs are any strings, as a server may send anything: they are hashed or
// compared as they are, and never read.
package media
