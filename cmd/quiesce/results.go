package main

// What a demo finds out, one record per pause and one for the whole. The JSON
// names are documented in demoHelp and are part of the program's interface.

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
)

// heldCount is what the operating system shows that this process holds.
type heldCount struct {
	Descriptors number `json:"descriptors"`
	Locks       number `json:"locks"`
	Maps        number `json:"maps"`
}

// number is how many there are, or unknown.
type number int

// unknown is what the system does not show. It is never taken for 0.
const unknown number = -1

// String is the number, or "?".
func (n number) String() string {
	if n == unknown {
		return "?"
	}
	return strconv.Itoa(int(n))
}

// MarshalJSON writes the number, or null.
func (n number) MarshalJSON() ([]byte, error) {
	if n == unknown {
		return []byte("null"), nil
	}
	return []byte(strconv.Itoa(int(n))), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = unknown
		return nil
	}
	i, err := strconv.Atoi(string(text))
	*n = number(i)
	return err
}

func count(h sqlite.Held) *heldCount {
	return &heldCount{number(h.Descriptors()), number(h.Locks()), number(h.Maps())}
}

// asSeen replaces zeros of what the system did not show of an open and busy
// database either: lsof shows no locks on some systems.
func (h *heldCount) asSeen(open *heldCount) *heldCount {
	seen := *h
	for _, n := range []struct{ now, open *number }{{&seen.Descriptors, &open.Descriptors}, {&seen.Locks, &open.Locks}, {&seen.Maps, &open.Maps}} {
		if *n.now == 0 && *n.open <= 0 {
			*n.now = unknown
		}
	}
	return &seen
}

// String is "descriptors/locks/maps". Nobody's count is unknown, and never 0.
func (h *heldCount) String() string {
	if h == nil {
		return "unknown"
	}
	return fmt.Sprintf("%v/%v/%v", h.Descriptors, h.Locks, h.Maps)
}

// all tells whether every number is known.
func (h *heldCount) all() bool {
	return h != nil && h.Descriptors != unknown && h.Locks != unknown && h.Maps != unknown
}

// some tells whether anything is held, as far as it is known.
func (h *heldCount) some() bool {
	return h != nil && (h.Descriptors > 0 || h.Locks > 0 || h.Maps > 0)
}

// atLeast makes h the larger of both, count by count.
func (h *heldCount) atLeast(other *heldCount) *heldCount {
	switch {
	case h == nil:
		return other
	case other == nil:
		return h
	}
	return &heldCount{max(h.Descriptors, other.Descriptors), max(h.Locks, other.Locks), max(h.Maps, other.Maps)}
}

// opening is the contrast: what a store that is open and busy holds.
type opening struct {
	Engine    string
	SQLite    string // its version
	Path      string
	Temporary bool
	Found     int64 // rows of an earlier demo
	Readers   int
	Pauses    int
	Length    time.Duration
	Held      *heldCount
	Refused   string // what another process is told that wants the database for itself; "" if it got it
	Unproved  string // why the system cannot tell what is held, or ""
}

// pauseRecord is one pause and the resume after it.
type pauseRecord struct {
	Type     string `json:"type"` // "pause"
	Number   int    `json:"pause"`
	InFlight int    `json:"in_flight"` // operations that ran when the pause began

	Drain      time.Duration `json:"drain_ns"`
	Readers    time.Duration `json:"readers_ns"`
	Checkpoint time.Duration `json:"checkpoint_ns"`
	Writer     time.Duration `json:"writer_ns"`
	Verify     time.Duration `json:"verify_ns"`
	Total      time.Duration `json:"total_ns"`  // of the call of Pause
	Paused     time.Duration `json:"paused_ns"` // between its end and Resume
	Resume     time.Duration `json:"resume_ns"` // of the call of Resume

	Open       *heldCount `json:"held_before"` // just before; null where the system cannot tell
	Held       *heldCount `json:"held"`        // while paused; null where the system cannot tell
	Holders    []string   `json:"holders"`     // each of them, for people
	Leftovers  []string   `json:"leftovers"`   // -wal and -shm, if they stayed
	BytesFree  *bool      `json:"lock_bytes_free"`
	Exclusive  bool       `json:"exclusive_lock"`
	Interrupts int        `json:"interrupts"`

	Rows    int64  `json:"rows"` // acknowledged before the pause, and there after the resume
	Lost    int64  `json:"lost"`
	Problem string `json:"problem,omitempty"`
	OK      bool   `json:"ok"`
}

// summary is the whole demo.
type summary struct {
	Type        string  `json:"type"` // "summary"
	Engine      string  `json:"engine"`
	SQLite      string  `json:"sqlite"`
	Path        string  `json:"path"`
	Temporary   bool    `json:"temporary"`
	Seconds     float64 `json:"seconds"` // from the first operation under load to the last
	Interrupted bool    `json:"interrupted"`

	Pauses    int        `json:"pauses"`
	Open      *heldCount `json:"held_open"`   // the most while open and busy
	HeldMax   *heldCount `json:"held_max"`    // the most in any pause
	HeldClose *heldCount `json:"held_closed"` // after the end
	Exclusive int        `json:"exclusive_locks"`
	Unproved  string     `json:"unproved,omitempty"` // why the system cannot tell

	Reads  int64 `json:"reads"`
	Writes int64 `json:"writes"` // transactions that were acknowledged
	Rows   int64 `json:"rows"`   // in the database at the end
	Lost   int64 `json:"lost"`
	Extra  int64 `json:"extra"` // rows that nobody acknowledged

	Integrity string `json:"integrity_check"`

	PauseP50  time.Duration `json:"pause_p50_ns"`
	PauseMax  time.Duration `json:"pause_max_ns"`
	ResumeP50 time.Duration `json:"resume_p50_ns"`
	ResumeMax time.Duration `json:"resume_max_ns"`

	Problems []string `json:"problems"`
	OK       bool     `json:"ok"`
}

// middle returns the median, the lower one of two, and the largest.
func middle(times []time.Duration) (p50, most time.Duration) {
	if len(times) == 0 {
		return 0, 0
	}
	times = slices.Sorted(slices.Values(times))
	return times[(len(times)-1)/2], times[len(times)-1]
}
