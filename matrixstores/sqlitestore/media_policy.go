package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/storekit/kv"
)

// The policy, and when it was last enforced, are stored among the keys and
// values of the store, and kept in memory: every operation asks for them. Every
// Resume reads them again.

const (
	mediaNamespace = "sqlitestore.media"
	policyKey      = "policy"
	cleanedKey     = "cleaned" // in milliseconds since 1970
)

type retention struct {
	mu      sync.Mutex
	policy  media.Policy
	cleaned *time.Time // nil: never
	turns   uint64     // counts the transactions that change one of these
	applied struct{ policy, cleaned uint64 }
}

func (r *retention) init() { r.policy = media.DefaultPolicy() }

// turn is called inside a write transaction, of which there is one at a time. A
// change that another transaction has overtaken before it got here is not applied.
func (r *retention) turn() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns++
	return r.turns
}

func (r *retention) setPolicy(turn uint64, p media.Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if turn > r.applied.policy {
		r.policy, r.applied.policy = p, turn
	}
}

func (r *retention) setCleaned(turn uint64, at *time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if turn > r.applied.cleaned {
		r.cleaned, r.applied.cleaned = at, turn
	}
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

// loadRetention is the hook AfterReopen.
func (m *Media) loadRetention(ctx context.Context, c *sqlite.Conn) error {
	damage, err := m.readRetention(ctx, c)
	m.tell(damage)
	return err
}

// readRetention reads the policy and the time of the last cleaning. A cache is not worth a store that cannot be opened: where one of
// them is damaged the default policy is in force, and there was no cleaning; the next SetPolicy, or Clean, stores it anew.
func (m *Media) readRetention(ctx context.Context, c *sqlite.Conn) (damage, err error) {
	turn := m.retention.turn()
	p, err := kv.JSON[media.Policy](m.KV(mediaNamespace).In(c)).Get(ctx, policyKey)
	if err == nil {
		err = p.Check()
	}
	switch {
	case err == nil:
	case errors.Is(err, kv.ErrNotFound):
		p = media.DefaultPolicy()
	case isDamage(err):
		damage = m.failed("read the policy, in whose place the default is in force", err)
		p = media.DefaultPolicy()
	default:
		return nil, m.failed("read the policy", err)
	}
	at, err := m.readCleaned(ctx, c)
	if isDamage(err) {
		damage = errors.Join(damage, m.failed("read the time of the last cleaning, which counts as unknown", err))
	} else if err != nil {
		return nil, m.failed("read the time of the last cleaning", err)
	}
	m.retention.setPolicy(turn, p)
	m.retention.setCleaned(turn, at)
	return damage, nil
}

func (m *Media) readCleaned(ctx context.Context, c *sqlite.Conn) (*time.Time, error) {
	b, err := m.KV(mediaNamespace).In(c).Get(ctx, cleanedKey)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ms, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: the time of the last cleaning is no number", media.ErrBroken)
	}
	at := time.UnixMilli(ms).UTC()
	return &at, nil
}

// Policy returns the policy in force; see media.Retention.
func (m *Media) Policy() media.Policy {
	m.retention.mu.Lock()
	defer m.retention.mu.Unlock()
	return clonePolicy(m.retention.policy)
}

// tooLarge says whether the policy in force allows no content of this size.
func (r *retention) tooLarge(size int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policy.TooLarge(size)
}

// SetPolicy sets the policy; see media.Retention.
func (m *Media) SetPolicy(ctx context.Context, p media.Policy) error {
	if err := p.Check(); err != nil {
		return m.failed("set the policy", err)
	}
	p = clonePolicy(p)
	var turn uint64
	err := m.update(ctx, func(c *sqlite.Conn) error {
		turn = m.retention.turn()
		return kv.JSON[media.Policy](m.KV(mediaNamespace).In(c)).Set(ctx, policyKey, p)
	})
	if err != nil {
		return m.failed("set the policy", err)
	}
	m.retention.setPolicy(turn, p)
	m.opportunity()
	return nil
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

// LastCleaned returns when a Clean ended last; see media.Retention.
func (m *Media) LastCleaned(ctx context.Context) (at time.Time, known bool, err error) {
	err = m.View(ctx, func(c *sqlite.Conn) error {
		found, err := m.readCleaned(ctx, c)
		if found != nil {
			at, known = *found, true
		}
		if isDamage(err) { // as readRetention has told
			return nil
		}
		return err
	})
	if err != nil {
		return time.Time{}, false, m.failed("time of the last cleaning", err)
	}
	return at, known, nil
}
