package media

import (
	"errors"
	"fmt"
	"time"
)

// Policy says what is kept, and for how long. A nil field is no limit; so the
// zero value limits nothing. Sizes are those of the contents, in bytes, encrypted or not.
type Policy struct {
	// MaxCacheSize is how large all contents together may be. Cleaning enforces
	// it; until then there may be more.
	MaxCacheSize *int64 `json:"max_cache_size,omitempty"`

	// MaxFileSize is how large one content may be. A larger one is not
	// stored, and cleaning removes it where it is there already.
	MaxFileSize *int64 `json:"max_file_size,omitempty"`

	// LastAccessExpiry is for how long a content is kept that nobody reads.
	LastAccessExpiry *time.Duration `json:"last_access_expiry,omitempty"`

	// CleanupFrequency is how often the store cleans by itself: at most once in
	// such a time, and at every opportunity where it is 0. Nil: never by itself.
	// An opportunity is SetPolicy, a content that was stored, and one that was asked for, found or not.
	CleanupFrequency *time.Duration `json:"cleanup_frequency,omitempty"`
}

// The limits of DefaultPolicy.
const (
	DefaultMaxCacheSize     = 400 << 20
	DefaultMaxFileSize      = 20 << 20
	DefaultLastAccessExpiry = 60 * 24 * time.Hour
	DefaultCleanupFrequency = 24 * time.Hour
)

// DefaultPolicy returns the policy that is in force unless another was set: 400
// MiB, 20 MiB for one content, 60 days, and cleaning once a day.
func DefaultPolicy() Policy {
	return Policy{}.WithMaxCacheSize(DefaultMaxCacheSize).WithMaxFileSize(DefaultMaxFileSize).
		WithLastAccessExpiry(DefaultLastAccessExpiry).WithCleanupFrequency(DefaultCleanupFrequency)
}

// NoLimits returns the zero value: nothing is ever refused or removed.
func NoLimits() Policy { return Policy{} }

// WithMaxCacheSize returns the policy with this limit.
func (p Policy) WithMaxCacheSize(bytes int64) Policy { p.MaxCacheSize = &bytes; return p }

// WithMaxFileSize returns the policy with this limit.
func (p Policy) WithMaxFileSize(bytes int64) Policy { p.MaxFileSize = &bytes; return p }

// WithLastAccessExpiry returns the policy with this limit.
func (p Policy) WithLastAccessExpiry(d time.Duration) Policy { p.LastAccessExpiry = &d; return p }

// WithCleanupFrequency returns the policy with this frequency.
func (p Policy) WithCleanupFrequency(d time.Duration) Policy { p.CleanupFrequency = &d; return p }

// ErrPolicy is returned by SetPolicy for a policy with a negative limit.
var ErrPolicy = errors.New("a limit must not be negative")

// Check returns an error that matches ErrPolicy where a limit is negative.
func (p Policy) Check() error {
	switch {
	case p.MaxCacheSize != nil && *p.MaxCacheSize < 0:
		return fmt.Errorf("%w: the size of the cache is %d", ErrPolicy, *p.MaxCacheSize)
	case p.MaxFileSize != nil && *p.MaxFileSize < 0:
		return fmt.Errorf("%w: the size of a file is %d", ErrPolicy, *p.MaxFileSize)
	case p.LastAccessExpiry != nil && *p.LastAccessExpiry < 0:
		return fmt.Errorf("%w: the expiry is %v", ErrPolicy, *p.LastAccessExpiry)
	case p.CleanupFrequency != nil && *p.CleanupFrequency < 0:
		return fmt.Errorf("%w: the frequency is %v", ErrPolicy, *p.CleanupFrequency)
	}
	return nil
}

// HasLimits says whether anything is limited. How often is cleaned is no limit.
func (p Policy) HasLimits() bool {
	return p.MaxCacheSize != nil || p.MaxFileSize != nil || p.LastAccessExpiry != nil
}

// FileLimit returns how large one content may be: the smaller one of MaxCacheSize and MaxFileSize.
func (p Policy) FileLimit() (bytes int64, limited bool) {
	switch {
	case p.MaxFileSize == nil && p.MaxCacheSize == nil:
		return 0, false
	case p.MaxFileSize == nil:
		return *p.MaxCacheSize, true
	case p.MaxCacheSize == nil:
		return *p.MaxFileSize, true
	default:
		return min(*p.MaxFileSize, *p.MaxCacheSize), true
	}
}

// TooLarge says whether one content of this size is larger than FileLimit.
func (p Policy) TooLarge(size int64) bool {
	limit, limited := p.FileLimit()
	return limited && size > limit
}

// TooMuch says whether this is more than MaxCacheSize.
func (p Policy) TooMuch(total int64) bool { return p.MaxCacheSize != nil && total > *p.MaxCacheSize }

// Expired says whether what was last read at lastAccess has not been read for
// LastAccessExpiry. What was read in the future has not expired.
func (p Policy) Expired(now, lastAccess time.Time) bool {
	return p.LastAccessExpiry != nil && !lastAccess.After(now) && now.Sub(lastAccess) >= *p.LastAccessExpiry
}

// CleanupDue says whether a store should clean by itself that has cleaned at last. A
// cleaning in the future is not repeated before its time.
func (p Policy) CleanupDue(now, last time.Time) bool {
	return p.CleanupFrequency != nil && p.HasLimits() && !last.After(now) && now.Sub(last) >= *p.CleanupFrequency
}
