package sqlitestore

// ReadAhead says how much of an export Import reads before its transaction begins, in bytes.
func (s *EventCache) ReadAhead(n int64) { s.ahead = n }
