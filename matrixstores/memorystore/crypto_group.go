package memorystore

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/memory"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// Megolm sessions, and how they are backed up, redacted and shared.

// InboundGroupSession returns a session; see crypto.InboundGroupSessions.
func (s *Crypto) InboundGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (found *crypto.InboundGroupSession, err error) {
	err = s.read(ctx, "get an inbound group session", func(t *cryptoTx) error {
		row, there, err := cryptoInbounds.First(t.t, "id", inboundKey(crypto.SessionKey{RoomID: room, SessionID: session}))
		if err != nil || !there {
			return err
		}
		open, err := row.open()
		found = &open
		return err
	})
	return orNil(found, err)
}

// inbounds opens rows.
func (s *Crypto) inbounds(ctx context.Context, index string, args ...any) (all []crypto.InboundGroupSession, err error) {
	err = s.read(ctx, "get inbound group sessions", func(t *cryptoTx) error {
		for row, err := range cryptoInbounds.Get(t.t, index, args...) {
			if err != nil {
				return err
			}
			open, err := row.open()
			if err != nil {
				return err
			}
			all = append(all, open)
		}
		return nil
	})
	return orNil(all, err)
}

// InboundGroupSessions returns all sessions; see crypto.InboundGroupSessions.
func (s *Crypto) InboundGroupSessions(ctx context.Context) ([]crypto.InboundGroupSession, error) {
	return s.inbounds(ctx, "age")
}

// InboundGroupSessionsOfRoom returns those of a room; see crypto.InboundGroupSessions.
func (s *Crypto) InboundGroupSessionsOfRoom(ctx context.Context, room id.RoomID) ([]crypto.InboundGroupSession, error) {
	return s.inbounds(ctx, "room_prefix", keyOf(room))
}

// InboundGroupSessionPage returns a page of sessions; see crypto.InboundGroupSessions.
func (s *Crypto) InboundGroupSessionPage(ctx context.Context, q crypto.SessionQuery, after crypto.Cursor, limit int) (page []crypto.InboundGroupSession, last crypto.Cursor, err error) {
	const op = "get a page of inbound group sessions"
	type rows = iter.Seq2[*inboundRow, error]
	var from func(*cryptoTx) rows
	var fits, ends func(*inboundRow) bool
	next := uint64(after) + 1
	everything := func(t *cryptoTx) rows { return cryptoInbounds.LowerBound(t.t, "age", key{}.number(next)) }
	err = q.Match(crypto.SessionQueryCases{
		All: func() error {
			from = everything
			return nil
		},
		Room: func(room id.RoomID) error {
			from = func(t *cryptoTx) rows { return cryptoInbounds.LowerBound(t.t, "room", keyOf(room).number(next)) }
			ends = func(r *inboundRow) bool { return r.key.RoomID != room }
			return nil
		},
		Device: func(sender id.SenderKey, known crypto.SenderData) error {
			from = func(t *cryptoTx) rows {
				return cryptoInbounds.LowerBound(t.t, "device", keyOf(sender).signed(int64(known)).number(next))
			}
			ends = func(r *inboundRow) bool { return r.sender != sender || r.known != known }
			return nil
		},
		Backup: func(version id.KeyBackupVersion) error {
			from = everything
			fits = func(r *inboundRow) bool {
				return version == "" && r.version == "" || version != "" && r.version != version
			}
			return nil
		},
	})
	if err != nil {
		return nil, after, s.failed(op, err)
	}
	last = after
	err = s.read(ctx, op, func(t *cryptoTx) error {
		for row, err := range from(t) {
			if err != nil {
				return err
			}
			if len(page) >= limit || ends != nil && ends(row) {
				break
			}
			if fits != nil && !fits(row) {
				continue
			}
			open, err := row.open()
			if err != nil {
				return err
			}
			page, last = append(page, open), crypto.Cursor(row.n)
		}
		return nil
	})
	if err != nil {
		return nil, after, err
	}
	return page, last, nil
}

// SaveInboundGroupSessions stores sessions; see crypto.InboundGroupSessions.
func (s *Crypto) SaveInboundGroupSessions(ctx context.Context, sessions []crypto.InboundGroupSession, version id.KeyBackupVersion) error {
	return s.SaveChanges(ctx, &crypto.Changes{InboundGroupSessions: crypto.BackedUp(sessions, version)})
}

// Withheld returns why there is no session; see crypto.InboundGroupSessions.
func (s *Crypto) Withheld(ctx context.Context, room id.RoomID, session id.SessionID) (w *crypto.Withheld, err error) {
	err = s.read(ctx, "get a withheld session", func(t *cryptoTx) error {
		w, err = t.Withheld(crypto.SessionKey{RoomID: room, SessionID: session})
		return err
	})
	return orNil(w, err)
}

// WithheldOfRoom returns all of a room; see crypto.InboundGroupSessions.
func (s *Crypto) WithheldOfRoom(ctx context.Context, room id.RoomID) (all []crypto.Withheld, err error) {
	err = s.read(ctx, "get withheld sessions", func(t *cryptoTx) error {
		all, err = recordsOf[crypto.Withheld](t, cryptoWithheld, "group_prefix", keyOf(room))
		return err
	})
	return orNil(all, err)
}

// BackupKeys returns what is known of the backup; see crypto.Backups.
func (s *Crypto) BackupKeys(ctx context.Context) (keys crypto.BackupKeys, err error) {
	err = s.read(ctx, "get the backup keys", func(t *cryptoTx) error {
		if keys.DecryptionKey, err = t.single(singleBackupKey); err != nil {
			return err
		}
		version, err := t.single(singleBackupVersion)
		keys.Version = id.KeyBackupVersion(version)
		return err
	})
	return keys, err
}

// CountInboundGroupSessions counts sessions; see crypto.Backups.
func (s *Crypto) CountInboundGroupSessions(ctx context.Context, version id.KeyBackupVersion) (counts crypto.SessionCounts, err error) {
	err = s.read(ctx, "count inbound group sessions", func(t *cryptoTx) error {
		for row, err := range cryptoInbounds.Get(t.t, "id") {
			if err != nil {
				return err
			}
			counts.Total++
			if row.version != "" && (version == "" || version == row.version) {
				counts.BackedUp++
			}
		}
		return nil
	})
	if err != nil {
		return crypto.SessionCounts{}, err
	}
	return counts, nil
}

func (t *cryptoTx) setVersion(row *inboundRow, version id.KeyBackupVersion) error {
	changed := *row
	changed.version = version
	return cryptoInbounds.Insert(t.t, &changed)
}

// MarkBackedUp notes that sessions are in a backup; see crypto.Backups.
func (s *Crypto) MarkBackedUp(ctx context.Context, version id.KeyBackupVersion, sessions []crypto.SessionKey) error {
	return s.write(ctx, "mark sessions as backed up", crypto.CheckVersion(version), func(t *cryptoTx) error {
		for _, k := range sessions {
			row, there, err := cryptoInbounds.First(t.t, "id", inboundKey(k))
			if err == nil && there {
				err = t.setVersion(row, version)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ResetBackup forgets what is backed up; see crypto.Backups.
func (s *Crypto) ResetBackup(ctx context.Context) error {
	return s.write(ctx, "reset the backup", nil, func(t *cryptoTx) error {
		for row, err := range cryptoInbounds.Get(t.t, "id") {
			if err == nil && row.version != "" {
				err = t.setVersion(row, "")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// redact leaves of rows that they were redacted.
func (s *Crypto) redact(ctx context.Context, check error, reason string, rows func(*cryptoTx) iter.Seq2[*inboundRow, error], fits func(*inboundRow) bool) (keys []crypto.SessionKey, err error) {
	err = s.write(ctx, "redact group sessions", check, func(t *cryptoTx) error {
		var all []*inboundRow
		for row, err := range rows(t) {
			if err != nil {
				return err
			}
			if fits(row) {
				all = append(all, row)
			}
		}
		slices.SortFunc(all, func(a, b *inboundRow) int { return cmp.Compare(a.n, b.n) })
		for _, row := range all {
			open, err := row.open()
			if err == nil {
				err = cryptoInbounds.Delete(t.t, row)
			}
			if err == nil {
				err = t.PutWithheld(crypto.Redact(&open, reason))
			}
			if err != nil {
				return err
			}
			keys = append(keys, row.key)
		}
		return nil
	})
	return orNil(keys, err)
}

// RedactGroupSession redacts a session; see crypto.Redactions.
func (s *Crypto) RedactGroupSession(ctx context.Context, room id.RoomID, session id.SessionID, reason string) (redacted bool, err error) {
	keys, err := s.redact(ctx, nil, reason, func(t *cryptoTx) iter.Seq2[*inboundRow, error] {
		return cryptoInbounds.Get(t.t, "id", inboundKey(crypto.SessionKey{RoomID: room, SessionID: session}))
	}, func(*inboundRow) bool { return true })
	return len(keys) > 0, err
}

// RedactGroupSessions redacts those of a room or a sender; see crypto.Redactions.
func (s *Crypto) RedactGroupSessions(ctx context.Context, room id.RoomID, sender id.SenderKey, reason string) ([]crypto.SessionKey, error) {
	var check error
	if room == "" && sender == "" {
		check = crypto.ErrNoSelection
	}
	return s.redact(ctx, check, reason, func(t *cryptoTx) iter.Seq2[*inboundRow, error] {
		if room == "" {
			return cryptoInbounds.Get(t.t, "sender_prefix", keyOf(sender))
		}
		return cryptoInbounds.Get(t.t, "room_prefix", keyOf(room))
	}, func(r *inboundRow) bool { return !r.fixed && (sender == "" || r.sender == sender) })
}

// RedactExpiredGroupSessions redacts what has expired; see crypto.Redactions.
func (s *Crypto) RedactExpiredGroupSessions(ctx context.Context, reason string) ([]crypto.SessionKey, error) {
	now := s.now()
	return s.redact(ctx, nil, reason, func(t *cryptoTx) iter.Seq2[*inboundRow, error] {
		return cryptoInbounds.Get(t.t, "expires")
	}, func(r *inboundRow) bool { return r.expires < now })
}

// RedactOutdatedGroupSessions redacts those without a time; see crypto.Redactions.
func (s *Crypto) RedactOutdatedGroupSessions(ctx context.Context, reason string) ([]crypto.SessionKey, error) {
	return s.redact(ctx, nil, reason, func(t *cryptoTx) iter.Seq2[*inboundRow, error] {
		return cryptoInbounds.Get(t.t, "undated")
	}, func(*inboundRow) bool { return true })
}

// OutboundGroupSession returns the session of a room; see crypto.OutboundGroupSessions.
func (s *Crypto) OutboundGroupSession(ctx context.Context, room id.RoomID) (*crypto.OutboundGroupSession, error) {
	return readRecord[crypto.OutboundGroupSession](ctx, s, "get an outbound group session", cryptoOutbounds, "id", keyOf(room))
}

// UpdateOutboundGroupSession replaces a session by itself; see crypto.OutboundGroupSessions.
func (s *Crypto) UpdateOutboundGroupSession(ctx context.Context, session *crypto.OutboundGroupSession) (updated bool, err error) {
	err = s.write(ctx, "update an outbound group session", session.Check(), func(t *cryptoTx) error {
		was, err := record[crypto.OutboundGroupSession](t, cryptoOutbounds, "id", keyOf(session.RoomID))
		if err != nil || was == nil || was.SessionID != session.SessionID {
			return err
		}
		updated = true
		return t.PutOutbound(session)
	})
	return updated && err == nil, err
}

// RemoveOutboundGroupSession removes the session of a room; see crypto.OutboundGroupSessions.
func (s *Crypto) RemoveOutboundGroupSession(ctx context.Context, room id.RoomID) error {
	_, err := s.remove(ctx, "remove an outbound group session", cryptoOutbounds, keyOf(room))
	return err
}

// MarkShared notes who has got a session; see crypto.OutboundGroupSessions.
func (s *Crypto) MarkShared(ctx context.Context, shares []crypto.Share) error {
	return s.write(ctx, "mark a session as shared", crypto.CheckAll(shares, (*crypto.Share).Check), func(t *cryptoTx) error {
		for _, share := range shares {
			if err := t.put(cryptoShares, &cryptoRow{id: shareKey(share)}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// IsShared tells who has got a session; see crypto.OutboundGroupSessions.
func (s *Crypto) IsShared(ctx context.Context, share crypto.Share) (shared bool, err error) {
	return s.there(ctx, "ask whether a session is shared", cryptoShares, shareKey(share))
}

// CheckMessageIndex finds replays; see crypto.MessageIndexes.
func (s *Crypto) CheckMessageIndex(ctx context.Context, m crypto.MessageIndex) (ok bool, err error) {
	const op = "check a message index"
	look := func(t *cryptoTx) (*indexRow, error) {
		row, _, err := cryptoIndexes.First(t.t, "id", indexKey(&m))
		return row, err
	}
	if m.ChecksOnly() {
		if err = m.Check(); err == nil {
			err = s.read(ctx, op, func(t *cryptoTx) error {
				row, err := look(t)
				ok = row == nil
				return err
			})
			return ok && err == nil, err
		}
		return false, s.failed(op, err)
	}
	err = s.write(ctx, op, m.Check(), func(t *cryptoTx) error {
		row, err := look(t)
		switch {
		case err != nil:
			return err
		case row != nil:
			ok = row.seen == seenOf(&m)
			return nil
		}
		ok = true
		return cryptoIndexes.Insert(t.t, &indexRow{indexKey(&m), seenOf(&m)})
	})
	return ok && err == nil, err
}

// AddMessageHash adds the hash of a message; see crypto.MessageHashes.
func (s *Crypto) AddMessageHash(ctx context.Context, h crypto.MessageHash) (added bool, err error) {
	err = s.write(ctx, "add a message hash", h.Check(), func(t *cryptoTx) error {
		added, err = t.AddMessageHash(&h)
		return err
	})
	return added && err == nil, err
}

// remove removes a row of a table.
func (s *Crypto) remove(ctx context.Context, op string, in memory.Table[*cryptoRow], k key) (removed bool, err error) {
	err = s.write(ctx, op, nil, func(t *cryptoTx) error {
		removed, err = t.delete(in, k)
		return err
	})
	return removed && err == nil, err
}
