package sqlite

// ForgetOptimize makes the next Resume run PRAGMA optimize as if a day had gone by.
func (db *DB) ForgetOptimize() { db.optimized.Store(0) }
