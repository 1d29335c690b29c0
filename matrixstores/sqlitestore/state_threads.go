package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// Which threads the user follows: state.ThreadSubscriptions. Nothing in them is worth sealing but which thread it is, and that is hashed.

const (
	upsertSubscription = `INSERT INTO subscription (room, root, status, stamp) VALUES (?, ?, ?, ?) ON CONFLICT (room, root) DO UPDATE SET status = excluded.status, stamp = excluded.stamp`
	selectSubscription = `SELECT status, stamp FROM subscription WHERE room = ? AND root = ?`
	removeSubscription = `DELETE FROM subscription WHERE room = ? AND root = ?`
)

// subscriptionStatuses are the statuses by the number that is stored.
var subscriptionStatuses = [...]state.SubscriptionStatus{
	1: state.SubscribedAutomatically, 2: state.SubscribedManually, 3: state.Unsubscribed,
}

func statusNumber(status state.SubscriptionStatus) (int64, error) {
	for n, s := range subscriptionStatuses {
		if n > 0 && s == status {
			return int64(n), nil
		}
	}
	return 0, state.ErrStatus
}

// SaveSubscriptions merges subscriptions into those that are stored; see state.ThreadSubscriptions.
func (s StateData) SaveSubscriptions(ctx context.Context, subscriptions []state.ThreadSubscription) error {
	var err error
	for i := range subscriptions {
		if err == nil {
			err = subscriptions[i].Check()
		}
	}
	switch {
	case err != nil:
	case len(subscriptions) == 0:
		err = s.admitted(ctx)
	default:
		err = s.update(ctx, func(t *stateTx) error {
			for _, sub := range subscriptions {
				if err := t.saveSubscription(sub); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return s.failed("save thread subscriptions", err)
}

func (t *stateTx) saveSubscription(sub state.ThreadSubscription) error {
	n, err := t.makeRoom(sub.Room)
	if err != nil {
		return err
	}
	root, err := t.key(domainRoot, string(sub.Root))
	if err != nil {
		return err
	}
	stored, err := t.subscription(n, root)
	if err != nil {
		return err
	}
	merged := state.MergeSubscription(stored, sub.Subscription)
	status, err := statusNumber(merged.Status)
	if err != nil {
		return err
	}
	var stamp any
	if merged.Stamped {
		stamp = int64(merged.Stamp)
	}
	_, err = t.exec(upsertSubscription, n, root, status, stamp)
	return err
}

// subscription returns the subscription of a thread, nil where there is none.
func (t *stateTx) subscription(room int64, root []byte) (*state.Subscription, error) {
	var status int64
	var stamp sql.NullInt64
	err := t.c.QueryRow(t.ctx, selectSubscription, room, root).Scan(&status, &stamp)
	switch {
	case errors.Is(err, sqlite.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case status < 1 || status >= int64(len(subscriptionStatuses)) || stamp.Int64 < 0:
		return nil, fmt.Errorf("%w: the subscription of a thread", state.ErrBroken)
	}
	return &state.Subscription{Status: subscriptionStatuses[status], Stamp: uint64(stamp.Int64), Stamped: stamp.Valid}, nil
}

// Subscription returns the subscription of a thread; see state.ThreadSubscriptions.
func (s StateData) Subscription(ctx context.Context, room id.RoomID, root id.EventID) (sub state.Subscription, found bool, err error) {
	err = s.viewRoom(ctx, room, func(t *stateTx, n int64) error {
		key, err := t.key(domainRoot, string(root))
		if err != nil {
			return err
		}
		stored, err := t.subscription(n, key)
		if err == nil && stored != nil {
			sub, found = *stored, true
		}
		return err
	})
	return sub, found, s.failed("get the subscription of a thread", err)
}

// RemoveSubscription removes the subscription of a thread; see state.ThreadSubscriptions.
func (s StateData) RemoveSubscription(ctx context.Context, room id.RoomID, root id.EventID) error {
	return s.failed("remove the subscription of a thread", s.updateRoom(ctx, room, func(t *stateTx, n int64) error {
		_, err := t.removeBy(removeSubscription, n, domainRoot, string(root))
		return err
	}))
}
