package memorystore

import (
	"context"
	"slices"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/state"
)

// What is yet to be sent: state.SendQueue and state.DependentQueue.

// checkQueue refuses what names no room, or no request.
func checkQueue(room id.RoomID, check func() error) error {
	switch {
	case room == "":
		return state.ErrNoRoomID
	case !utf8.ValidString(string(room)):
		return state.ErrNotUTF8
	}
	return check()
}

// SaveRequest appends a request; see state.SendQueue.
func (s *StateStore) SaveRequest(ctx context.Context, room id.RoomID, r state.QueuedRequest) error {
	return s.write(ctx, "save a request", checkQueue(room, r.Check), func(t *stateTx) error {
		request, err := state.MarshalRequest(r.Request)
		if err != nil {
			return err
		}
		problem, err := state.MarshalWedgeError(r.Error)
		if err != nil {
			return err
		}
		_, there, err := requests.First(t.t, "id", roomKey(room, r.TransactionID))
		if err != nil {
			return err
		}
		if there {
			return state.ErrDuplicate
		}
		row := &requestRow{t.number(0, false), room, r.TransactionID, r.Priority, r.CreatedAt, request, problem}
		if row.created == 0 {
			row.created = s.now()
		}
		return requests.Insert(t.t, row)
	})
}

// changeRequest stores a request that was changed. changed is false where there is none.
func (s *StateStore) changeRequest(ctx context.Context, op string, room id.RoomID, transaction string, check error, change func(*requestRow)) (changed bool, err error) {
	err = s.write(ctx, op, check, func(t *stateTx) error {
		changed = false
		row, there, err := requests.First(t.t, "id", roomKey(room, transaction))
		if err != nil || !there {
			return err
		}
		next := *row
		change(&next)
		changed = true
		return requests.Insert(t.t, &next)
	})
	return changed && err == nil, err
}

// UpdateRequest replaces what is to be sent; see state.SendQueue.
func (s *StateStore) UpdateRequest(ctx context.Context, room id.RoomID, transaction string, r state.Request) (updated bool, err error) {
	request, err := state.MarshalRequest(r)
	return s.changeRequest(ctx, "update a request", room, transaction, err, func(row *requestRow) {
		row.request, row.problem = request, nil
	})
}

// SetRequestError says why a request cannot be sent; see state.SendQueue.
func (s *StateStore) SetRequestError(ctx context.Context, room id.RoomID, transaction string, reason state.WedgeError) error {
	problem, err := state.MarshalWedgeError(reason)
	_, err = s.changeRequest(ctx, "set the error of a request", room, transaction, err, func(row *requestRow) { row.problem = problem })
	return err
}

// RemoveRequest removes a request; see state.SendQueue.
func (s *StateStore) RemoveRequest(ctx context.Context, room id.RoomID, transaction string) (removed bool, err error) {
	err = s.write(ctx, "remove a request", nil, func(t *stateTx) error {
		n, err := t.t.DeleteAll("request", "id", roomKey(room, transaction))
		removed = n > 0
		return err
	})
	return removed && err == nil, err
}

// Requests returns the queue of a room; see state.SendQueue.
func (s *StateStore) Requests(ctx context.Context, room id.RoomID) (queue []state.QueuedRequest, err error) {
	err = s.read(ctx, "get the requests of a room", func(t *stateTx) error {
		for row, err := range requests.Get(t.t, "order_prefix", inRoom(room)) {
			if err != nil {
				return err
			}
			q := state.QueuedRequest{TransactionID: row.transaction, Priority: row.priority, CreatedAt: row.created}
			if q.Request, err = state.UnmarshalRequest(row.request); err != nil {
				return err
			}
			if row.problem != nil {
				if q.Error, err = state.UnmarshalWedgeError(row.problem); err != nil {
					return err
				}
			}
			queue = append(queue, q)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return queue, nil
}

// RoomsWithRequests returns the rooms whose queues are not empty; see state.SendQueue.
func (s *StateStore) RoomsWithRequests(ctx context.Context) (found []id.RoomID, err error) {
	err = s.read(ctx, "get the rooms with requests", func(t *stateTx) error {
		for row, err := range requests.Get(t.t, "id") {
			if err != nil {
				return err
			}
			if len(found) == 0 || found[len(found)-1] != row.room {
				found = append(found, row.room)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	return found, nil
}

// SaveDependent appends a request; see state.DependentQueue.
func (s *StateStore) SaveDependent(ctx context.Context, room id.RoomID, r state.DependentRequest) error {
	return s.write(ctx, "save a dependent request", checkQueue(room, r.Check), func(t *stateTx) error {
		dependent, err := state.MarshalDependent(r.Dependent)
		if err != nil {
			return err
		}
		var sent []byte
		if r.ParentKey != nil {
			if sent, err = state.MarshalSentKey(r.ParentKey); err != nil {
				return err
			}
		}
		_, there, err := dependents.First(t.t, "id", roomKey(room, r.TransactionID))
		if err != nil {
			return err
		}
		if there {
			return state.ErrDuplicate
		}
		row := &dependentRow{t.number(0, false), room, r.TransactionID, r.Parent, r.CreatedAt, dependent, sent}
		if row.created == 0 {
			row.created = s.now()
		}
		return dependents.Insert(t.t, row)
	})
}

// MarkDependentsReady tells those that depend on a request what it has become; see state.DependentQueue.
func (s *StateStore) MarkDependentsReady(ctx context.Context, room id.RoomID, parent string, k state.SentKey) (count int, err error) {
	sent, err := state.MarshalSentKey(k)
	err = s.write(ctx, "mark dependent requests as ready", err, func(t *stateTx) error {
		count = 0
		for row, err := range dependents.Get(t.t, "parent_prefix", roomKey(room, parent)) {
			if err != nil {
				return err
			}
			next := *row
			next.key = sent
			if err := dependents.Insert(t.t, &next); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return count, nil
}

// UpdateDependent replaces what is to be done; see state.DependentQueue.
func (s *StateStore) UpdateDependent(ctx context.Context, room id.RoomID, own string, d state.Dependent) (updated bool, err error) {
	dependent, err := state.MarshalDependent(d)
	err = s.write(ctx, "update a dependent request", err, func(t *stateTx) error {
		updated = false
		row, there, err := dependents.First(t.t, "id", roomKey(room, own))
		if err != nil || !there {
			return err
		}
		next := *row
		next.dependent = dependent
		updated = true
		return dependents.Insert(t.t, &next)
	})
	return updated && err == nil, err
}

// RemoveDependent removes a request; see state.DependentQueue.
func (s *StateStore) RemoveDependent(ctx context.Context, room id.RoomID, own string) (removed bool, err error) {
	err = s.write(ctx, "remove a dependent request", nil, func(t *stateTx) error {
		n, err := t.t.DeleteAll("dependent", "id", roomKey(room, own))
		removed = n > 0
		return err
	})
	return removed && err == nil, err
}

// Dependents returns those of a room; see state.DependentQueue.
func (s *StateStore) Dependents(ctx context.Context, room id.RoomID) (queue []state.DependentRequest, err error) {
	err = s.read(ctx, "get the dependent requests of a room", func(t *stateTx) error {
		for row, err := range dependents.Get(t.t, "order_prefix", inRoom(room)) {
			if err != nil {
				return err
			}
			d := state.DependentRequest{TransactionID: row.own, Parent: row.parent, CreatedAt: row.created}
			if d.Dependent, err = state.UnmarshalDependent(row.dependent); err != nil {
				return err
			}
			if row.key != nil {
				if d.ParentKey, err = state.UnmarshalSentKey(row.key); err != nil {
					return err
				}
			}
			queue = append(queue, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return queue, nil
}
