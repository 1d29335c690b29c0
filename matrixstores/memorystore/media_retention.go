package memorystore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/media"
)

// What is removed when: media.Retention.

type retention struct {
	mu      sync.Mutex
	policy  media.Policy
	cleaned *time.Time // nil: never
}

// tooLarge says whether the policy in force allows no content of this size.
func (r *retention) tooLarge(size int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policy.TooLarge(size)
}

// cleanupDue says whether the store should clean by itself.
func (r *retention) cleanupDue(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cleaned == nil {
		return r.policy.CleanupFrequency != nil && r.policy.HasLimits()
	}
	return r.policy.CleanupDue(now, *r.cleaned)
}

// Policy returns the policy in force; see media.Retention.
func (m *Media) Policy() media.Policy {
	m.retention.mu.Lock()
	defer m.retention.mu.Unlock()
	return clonePolicy(m.retention.policy)
}

// clonePolicy copies what the fields point to: what is in force is changed by SetPolicy only.
func clonePolicy(p media.Policy) media.Policy {
	return media.Policy{
		MaxCacheSize: clone(p.MaxCacheSize), MaxFileSize: clone(p.MaxFileSize),
		LastAccessExpiry: clone(p.LastAccessExpiry), CleanupFrequency: clone(p.CleanupFrequency),
	}
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// SetPolicy sets the policy; see media.Retention. It takes its turn among the writers, and no
// lock that would make others wait for it.
func (m *Media) SetPolicy(ctx context.Context, p media.Policy) error {
	if err := m.write(ctx, "set the policy", p.Check(), func(*change) error { return nil }); err != nil {
		return err
	}
	m.retention.mu.Lock()
	m.retention.policy = clonePolicy(p)
	m.retention.mu.Unlock()
	m.opportunity()
	return nil
}

// LastCleaned returns when a Clean ended last; see media.Retention.
func (m *Media) LastCleaned(ctx context.Context) (at time.Time, known bool, err error) {
	err = m.read(ctx, "time of the last cleaning", nil, func(*memory.Txn) error {
		m.retention.mu.Lock()
		defer m.retention.mu.Unlock()
		if m.retention.cleaned != nil {
			at, known = *m.retention.cleaned, true
		}
		return nil
	})
	return at, known, err
}

// Clean removes what the policy does not allow; see media.Retention. It is one transaction, which copies nothing.
func (m *Media) Clean(ctx context.Context) (cleaned media.Cleaned, err error) {
	p := m.Policy()
	if !m.cleaning.TryLock() {
		return cleaned, m.failed("clean", m.admitted(ctx))
	}
	defer m.cleaning.Unlock()
	if !p.HasLimits() {
		return cleaned, m.failed("clean", m.admitted(ctx))
	}
	now := m.clock()
	err = m.write(ctx, "clean", nil, func(c *change) error {
		cleaned, err = m.clean(c, p, now)
		return err
	})
	if err != nil {
		return media.Cleaned{Ran: true}, err
	}
	m.writers.sweep()
	ended := time.UnixMilli(m.now()).UTC()
	m.retention.mu.Lock()
	defer m.retention.mu.Unlock()
	m.retention.cleaned = &ended
	return cleaned, nil
}

// clean removes, step by step, what the contract says.
func (m *Media) clean(c *change, p media.Policy, now time.Time) (cleaned media.Cleaned, err error) {
	type candidate struct {
		*contentRow
		access int64
	}
	cleaned.Ran = true
	remove := func(row *contentRow) {
		cleaned.Removed, cleaned.Bytes = cleaned.Removed+1, cleaned.Bytes+row.size
		err = errors.Join(err, c.remove(row))
	}
	var left []candidate
	for row, err := range contents.Get(c.t, "id") {
		if err != nil {
			return cleaned, err
		}
		if row.ignore {
			continue
		}
		at := m.accesses.of(row.number)
		if p.TooLarge(row.size) || p.Expired(now, time.UnixMilli(at)) {
			remove(row)
			continue
		}
		left = append(left, candidate{row, at})
	}
	slices.SortFunc(left, func(a, b candidate) int { // the newest first
		switch {
		case a.access != b.access && a.access > b.access, a.access == b.access && a.number > b.number:
			return -1
		default:
			return 1
		}
	})
	total := int64(0)
	for _, row := range left {
		if total += row.size; p.TooMuch(total) { // and so it is for all that are older
			remove(row.contentRow)
		}
	}
	return cleaned, err
}

// opportunity has the store clean by itself where that is due.
func (m *Media) opportunity() {
	if m.retention.cleanupDue(m.clock()) {
		m.due.Store(true)
		m.tidying.Now()
	}
}

// tidy is the job that cleans. A cleaning that fails is tried again at the next
// opportunity; one that a pause, or Close, has cut has not ended, and goes on after the Resume.
func (m *Media) tidy(ctx context.Context) error {
	if !m.due.Swap(false) || !m.retention.cleanupDue(m.clock()) {
		return nil
	}
	cleaned, err := m.Clean(ctx)
	if err != nil && ctx.Err() != nil {
		m.due.Store(true)
		return err
	}
	if m.told != nil && cleaned.Ran {
		m.told(cleaned, err)
	}
	return nil
}
