package storekit

// Progress tells how far something is that may take long.
type Progress struct {
	Operation  string // "migrate", "rotate", "optimize", "vacuum", "backup", "restore" or "check"
	Step       string // what is being worked on: a migration, a column
	Number, Of int    // which step it is, of how many; 0 where there is one
	Done       int64  // in units of the operation: rows, pages, bytes
	Total      int64  // 0 where it is not known
}

// progress tells the store's user, where he wants to know.
func (s *Store) progress(p Progress) { p.to(s.told) }

func (p Progress) to(told func(Progress)) {
	if told != nil {
		told(p)
	}
}
