package sqlite

// A replacement that is accepted once: for whoever restores a back-up, which
// is to pause, put another file in the place, and resume. Settings are shared
// by stores that are configured alike, so this stands beside them.

// AcceptReplacement lets the next Resume that succeeds find another database
// where the paused one was, as Config.AcceptReplaced lets every Resume. A
// Resume that fails does not use the acceptance up, one that is under way
// already leaves it to the next, and accepting twice is accepting once.
func (db *DB) AcceptReplacement() {
	d := db.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replacement.given++
	d.replacement.accepted = d.replacement.given
}

// RefuseReplacement takes an AcceptReplacement back that was not used. A Resume
// that is under way already may still use it.
func (db *DB) RefuseReplacement() {
	d := db.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replacement.accepted = 0
}

// replacement numbers the acceptances, so that a Resume uses up the one that it began with and no later one.
type replacement struct {
	given    uint32 // the last number
	accepted uint32 // the acceptance that is in force, or 0
	using    uint32 // … when the last Resume began
}

// begin is called when a Resume begins.
func (r *replacement) begin() { r.using = r.accepted }

// used is called when a Resume has succeeded.
func (r *replacement) used() {
	if r.using == r.accepted {
		r.accepted = 0
	}
	r.using = 0
}

// acceptsReplaced says whether the Resume under way may find another database. d.mu is held.
func (d *storeDriver) acceptsReplaced() bool {
	return d.settings().acceptReplaced || d.replacement.using != 0
}
