package sqlitestore

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/storekit/codec"
)

// Megolm sessions: crypto.InboundGroupSessions and crypto.OutboundGroupSessions.

const (
	upsertInbound = `INSERT INTO inbound (row, data, session, room, sender, known, backup, fixed, undated, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (session, room) DO UPDATE SET row = excluded.row, data = excluded.data, sender = excluded.sender, known = excluded.known,
			backup = excluded.backup, fixed = excluded.fixed, undated = excluded.undated, expires = excluded.expires`
	hasInbound = `SELECT n FROM inbound WHERE session = ? AND room = ?`

	inboundColumns       = `SELECT n, backup, row, data FROM inbound WHERE `
	selectInbound        = inboundColumns + `session = ? AND room = ?`
	selectInboundAt      = inboundColumns + `n = ?`
	selectInboundAll     = inboundColumns + `n > ? ORDER BY n LIMIT ?`
	selectInboundRoom    = inboundColumns + `room = ? AND n > ? ORDER BY n LIMIT ?`
	selectInboundDevice  = inboundColumns + `sender = ? AND known = ? AND n > ? ORDER BY n LIMIT ?`
	selectInboundVersion = `SELECT n FROM inbound WHERE backup = ? AND n > ? ORDER BY n LIMIT ?`

	upsertWithheld = `INSERT INTO withheld (row, data, session, room) VALUES (?, ?, ?, ?)
		ON CONFLICT (session, room) DO UPDATE SET row = excluded.row, data = excluded.data`
	selectWithheld     = `SELECT row, data FROM withheld WHERE session = ? AND room = ?`
	selectWithheldRoom = `SELECT n, row, data FROM withheld WHERE room = ? ORDER BY n`
	deleteWithheld     = `DELETE FROM withheld WHERE session = ? AND room = ?`

	upsertOutbound = `INSERT INTO outbound (row, data, room, session) VALUES (?, ?, ?, ?)
		ON CONFLICT (room) DO UPDATE SET row = excluded.row, data = excluded.data, session = excluded.session`
	updateOutbound = `UPDATE outbound SET row = ?, data = ? WHERE room = ? AND session = ?`
	selectOutbound = `SELECT row, data FROM outbound WHERE room = ?`
	deleteOutbound = `DELETE FROM outbound WHERE room = ?`

	insertShared = `INSERT INTO shared (mark) VALUES (?) ON CONFLICT (mark) DO NOTHING`
	insertShares = `WITH ` + codec.Listed + ` INSERT INTO shared (mark) SELECT key FROM listed WHERE true ON CONFLICT (mark) DO NOTHING`
	hasShared    = `SELECT 1 FROM shared WHERE mark = ?`
)

// PutInbound is a step of SaveChanges.
func (t *cryptoTx) PutInbound(s *crypto.InboundGroupSession) error {
	version, err := t.makeVersion(s.BackupVersion)
	if err != nil {
		return err
	}
	args, err := t.keys(domainInbound, string(s.SessionID), domainInboundRoom, string(s.RoomID), domainInboundSender, string(s.SenderKey))
	if err != nil {
		return err
	}
	undated := s.ReceivedAt.IsZero()
	var expires any
	if ms, ever := s.Expires(); ever {
		expires = ms
	}
	args = append(args, int64(s.SenderData), version, flag(s.Scheduled || undated), flag(undated), expires)
	return t.putRecord("inbound", upsertInbound, s, args...)
}

// inboundKeys are how a session is found, and in withheldKeys that it was withheld.
func (t *cryptoTx) inboundKeys(k crypto.SessionKey) ([]any, error) {
	return t.keys(domainInbound, string(k.SessionID), domainInboundRoom, string(k.RoomID))
}

func (t *cryptoTx) withheldKeys(k crypto.SessionKey) ([]any, error) {
	return t.keys(domainWithheld, string(k.SessionID), domainWithheldRoom, string(k.RoomID))
}

// HasInbound is a step of SaveChanges.
func (t *cryptoTx) HasInbound(k crypto.SessionKey) (bool, error) {
	keys, err := t.inboundKeys(k)
	if err != nil {
		return false, err
	}
	n, err := t.number(hasInbound, keys...)
	return n != 0, err
}

// storedInbound is a session, and the number of its row.
type storedInbound struct {
	n int64
	crypto.InboundGroupSession
}

// inbounds runs a query for rows of inboundColumns.
func (t *cryptoTx) inbounds(query string, args ...any) (all []storedInbound, err error) {
	var versions []int64
	err = t.c.Each(t.ctx, query, func(r *sqlite.Row) error {
		var n, version int64
		var row, data []byte
		if err := r.Scan(&n, &version, &row, &data); err != nil {
			return err
		}
		plain, err := t.codec.Open(dataPlace("inbound", row), data)
		if err != nil {
			return err
		}
		s := storedInbound{n: n}
		err = decoded(plain, &s.InboundGroupSession)
		all, versions = append(all, s), append(versions, version)
		return err
	}, args...)
	for i := range all {
		if err != nil {
			return nil, err
		}
		all[i].BackupVersion, err = t.version(versions[i])
	}
	return all, err
}

// PutOutbound is a step of SaveChanges.
func (t *cryptoTx) PutOutbound(s *crypto.OutboundGroupSession) error {
	keys, err := t.keys(domainOutbound, string(s.RoomID), domainOutboundSession, string(s.SessionID))
	if err != nil {
		return err
	}
	return t.putRecord("outbound", upsertOutbound, s, keys...)
}

// Withheld is a step of SaveChanges.
func (t *cryptoTx) Withheld(k crypto.SessionKey) (*crypto.Withheld, error) {
	keys, err := t.withheldKeys(k)
	if err != nil {
		return nil, err
	}
	return recordOf[crypto.Withheld](t, "withheld", selectWithheld, keys...)
}

// PutWithheld is a step of SaveChanges.
func (t *cryptoTx) PutWithheld(w *crypto.Withheld) error {
	keys, err := t.withheldKeys(w.Key())
	if err != nil {
		return err
	}
	return t.putRecord("withheld", upsertWithheld, w, keys...)
}

// DeleteWithheld is a step of SaveChanges.
func (t *cryptoTx) DeleteWithheld(k crypto.SessionKey) error {
	keys, err := t.withheldKeys(k)
	if err != nil {
		return err
	}
	_, err = t.exec(deleteWithheld, keys...)
	return err
}

// InboundGroupSession returns a session; see crypto.InboundGroupSessions.
func (s CryptoData) InboundGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (found *crypto.InboundGroupSession, err error) {
	err = s.read(ctx, "get an inbound group session", func(t *cryptoTx) error {
		keys, err := t.inboundKeys(crypto.SessionKey{RoomID: room, SessionID: session})
		if err != nil {
			return err
		}
		all, err := t.inbounds(selectInbound, keys...)
		if len(all) > 0 {
			found = &all[0].InboundGroupSession
		}
		return err
	})
	return orNil(found, err)
}

// InboundGroupSessions returns all sessions; see crypto.InboundGroupSessions.
func (s CryptoData) InboundGroupSessions(ctx context.Context) ([]crypto.InboundGroupSession, error) {
	all, _, err := s.page(ctx, "get inbound group sessions", crypto.AllSessions(), 0, -1)
	return all, err
}

// InboundGroupSessionsOfRoom returns those of a room; see crypto.InboundGroupSessions.
func (s CryptoData) InboundGroupSessionsOfRoom(ctx context.Context, room id.RoomID) ([]crypto.InboundGroupSession, error) {
	all, _, err := s.page(ctx, "get the inbound group sessions of a room", crypto.SessionsOfRoom(room), 0, -1)
	return all, err
}

// InboundGroupSessionPage returns a page of sessions; see crypto.InboundGroupSessions.
func (s CryptoData) InboundGroupSessionPage(ctx context.Context, q crypto.SessionQuery, after crypto.Cursor, limit int) ([]crypto.InboundGroupSession, crypto.Cursor, error) {
	return s.page(ctx, "get a page of inbound group sessions", q, after, max(limit, 0))
}

// page is InboundGroupSessionPage. A negative limit is none.
func (s CryptoData) page(ctx context.Context, op string, q crypto.SessionQuery, after crypto.Cursor, limit int) (page []crypto.InboundGroupSession, last crypto.Cursor, err error) {
	last = after
	err = s.read(ctx, op, func(t *cryptoTx) error {
		all, err := t.page(q, int64(after), limit)
		for _, one := range all {
			page, last = append(page, one.InboundGroupSession), crypto.Cursor(one.n)
		}
		return err
	})
	if err != nil {
		return nil, after, err
	}
	return page, last, nil
}

func (t *cryptoTx) page(q crypto.SessionQuery, after int64, limit int) (all []storedInbound, err error) {
	return all, q.Match(crypto.SessionQueryCases{
		All: func() error {
			all, err = t.inbounds(selectInboundAll, after, limit)
			return err
		},
		Room: func(room id.RoomID) error {
			k, err := t.key(domainInboundRoom, string(room))
			if err == nil {
				all, err = t.inbounds(selectInboundRoom, k, after, limit)
			}
			return err
		},
		Device: func(sender id.SenderKey, known crypto.SenderData) error {
			k, err := t.key(domainInboundSender, string(sender))
			if err == nil {
				all, err = t.inbounds(selectInboundDevice, k, int64(known), after, limit)
			}
			return err
		},
		Backup: func(version id.KeyBackupVersion) error {
			all, err = t.notIn(version, after, limit)
			return err
		},
	})
}

// notIn returns a page of the sessions that a backup does not have: of those that each other one has, and those that none has, the first ones.
func (t *cryptoTx) notIn(version id.KeyBackupVersion, after int64, limit int) (all []storedInbound, err error) {
	others, err := t.otherVersions(version)
	if err != nil {
		return nil, err
	}
	var rows []int64
	for _, other := range others {
		err := t.c.Each(t.ctx, selectInboundVersion, func(r *sqlite.Row) error {
			var n int64
			err := r.Scan(&n)
			rows = append(rows, n)
			return err
		}, other, after, limit)
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(rows)
	for _, n := range rows[:min(len(rows), limit)] {
		one, err := t.inbounds(selectInboundAt, n)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// SaveInboundGroupSessions stores sessions; see crypto.InboundGroupSessions.
func (s CryptoData) SaveInboundGroupSessions(ctx context.Context, sessions []crypto.InboundGroupSession, version id.KeyBackupVersion) error {
	return s.SaveChanges(ctx, &crypto.Changes{InboundGroupSessions: crypto.BackedUp(sessions, version)})
}

// Withheld returns why there is no session; see crypto.InboundGroupSessions.
func (s CryptoData) Withheld(ctx context.Context, room id.RoomID, session id.SessionID) (*crypto.Withheld, error) {
	return findRecord[crypto.Withheld](ctx, s, "get a withheld session", "withheld", selectWithheld,
		domainWithheld, string(session), domainWithheldRoom, string(room))
}

// WithheldOfRoom returns all of a room; see crypto.InboundGroupSessions.
func (s CryptoData) WithheldOfRoom(ctx context.Context, room id.RoomID) ([]crypto.Withheld, error) {
	return findRecords[crypto.Withheld](ctx, s, "get withheld sessions", "withheld", selectWithheldRoom, domainWithheldRoom, string(room))
}

// OutboundGroupSession returns the session of a room; see crypto.OutboundGroupSessions.
func (s CryptoData) OutboundGroupSession(ctx context.Context, room id.RoomID) (*crypto.OutboundGroupSession, error) {
	return findRecord[crypto.OutboundGroupSession](ctx, s, "get an outbound group session", "outbound", selectOutbound, domainOutbound, string(room))
}

// UpdateOutboundGroupSession replaces a session by itself; see crypto.OutboundGroupSessions.
func (s CryptoData) UpdateOutboundGroupSession(ctx context.Context, session *crypto.OutboundGroupSession) (updated bool, err error) {
	err = s.write(ctx, "update an outbound group session", session.Check(), func(t *cryptoTx) error {
		keys, err := t.keys(domainOutbound, string(session.RoomID), domainOutboundSession, string(session.SessionID))
		if err != nil {
			return err
		}
		updated, err = t.updateRecord("outbound", updateOutbound, session, keys...)
		return err
	})
	return updated && err == nil, err
}

// RemoveOutboundGroupSession removes the session of a room; see crypto.OutboundGroupSessions.
func (s CryptoData) RemoveOutboundGroupSession(ctx context.Context, room id.RoomID) error {
	_, err := s.run(ctx, "remove an outbound group session", deleteOutbound, domainOutbound, string(room))
	return err
}

func shareText(s crypto.Share) string {
	return joined(string(s.UserID), string(s.IdentityKey), string(s.SessionID))
}

// MarkShared notes who has got a session; see crypto.OutboundGroupSessions.
func (s CryptoData) MarkShared(ctx context.Context, shares []crypto.Share) error {
	return s.write(ctx, "mark a session as shared", crypto.CheckAll(shares, (*crypto.Share).Check), func(t *cryptoTx) error {
		if len(shares) == 1 {
			mark, err := t.key(domainShared, shareText(shares[0]))
			if err == nil {
				_, err = t.exec(insertShared, mark)
			}
			return err
		}
		texts := make([]string, len(shares))
		for i, share := range shares {
			texts[i] = shareText(share)
		}
		list, err := codec.KeyList(t.codec, domainShared, texts)
		if err == nil {
			_, err = t.exec(insertShares, list)
		}
		return err
	})
}

// IsShared tells who has got a session; see crypto.OutboundGroupSessions.
func (s CryptoData) IsShared(ctx context.Context, share crypto.Share) (bool, error) {
	return s.there(ctx, "ask whether a session is shared", hasShared, domainShared, shareText(share))
}
