package sqlitestore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// Olm sessions, and what protects from messages that come twice.

const (
	upsertOlm = `INSERT INTO session (row, data, id, sender, created, decrypted, used) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET row = excluded.row, data = excluded.data, sender = excluded.sender,
			created = excluded.created, decrypted = excluded.decrypted, used = excluded.used`
	updateOlm       = `UPDATE session SET row = ?1, data = ?2, sender = ?4, created = ?5, decrypted = ?6, used = ?7 WHERE id = ?3`
	selectOlm       = `SELECT n, row, data FROM session WHERE sender = ? ORDER BY decrypted DESC, n DESC`
	selectLatestOlm = `SELECT row, data FROM session WHERE sender = ? ORDER BY decrypted DESC, n DESC LIMIT 1`
	selectNewestOlm = `SELECT created FROM session WHERE sender = ? AND used = 1 ORDER BY created DESC LIMIT 1`
	hasOlm          = `SELECT 1 FROM session WHERE sender = ? LIMIT 1`
	deleteOlm       = `DELETE FROM session WHERE id = ?`

	insertOlmHash   = `INSERT INTO olm_hash (hash, at) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING`
	selectOlmHash   = `SELECT at FROM olm_hash WHERE hash = ?`
	deleteOlmHashes = `DELETE FROM olm_hash WHERE at < ?`

	// What is there and the same is not written, and returns no row. What is there and another one returns itself.
	checkIndex = `INSERT INTO message_index (session, idx, seen) VALUES (?, ?, ?)
		ON CONFLICT (session, idx) DO UPDATE SET seen = seen WHERE seen <> excluded.seen RETURNING seen = ?3`
	selectIndex = `SELECT 1 FROM message_index WHERE session = ? AND idx = ?`
)

// olmArguments are what upsertOlm and updateOlm need besides row and data.
func (t *cryptoTx) olmArguments(s *crypto.Session) ([]any, error) {
	args, err := t.keys(domainCryptoSession, string(s.ID), domainCryptoSender, string(s.SenderKey))
	return append(args, crypto.Millis(s.CreatedAt), crypto.Millis(s.LastDecrypted), flag(s.Used())), err
}

// PutSession is a step of SaveChanges.
func (t *cryptoTx) PutSession(s *crypto.Session) error {
	args, err := t.olmArguments(s)
	if err != nil {
		return err
	}
	return t.putRecord("session", upsertOlm, s, args...)
}

// AddMessageHash is a step of SaveChanges.
func (t *cryptoTx) AddMessageHash(h *crypto.MessageHash) (added bool, err error) {
	hash, err := t.key(domainOlmHash, joined(string(h.SenderKey), string(h.Hash)))
	if err != nil {
		return false, err
	}
	at := t.now()
	if !h.At.IsZero() {
		at = crypto.Millis(h.At)
	}
	changed, err := t.exec(insertOlmHash, hash, at)
	return changed > 0, err
}

// Sessions returns those with a device; see crypto.OlmSessions.
func (s CryptoData) Sessions(ctx context.Context, sender id.SenderKey) ([]crypto.Session, error) {
	return findRecords[crypto.Session](ctx, s, "get Olm sessions", "session", selectOlm, domainCryptoSender, string(sender))
}

// LatestSession returns the first one of Sessions; see crypto.OlmSessions.
func (s CryptoData) LatestSession(ctx context.Context, sender id.SenderKey) (*crypto.Session, error) {
	return findRecord[crypto.Session](ctx, s, "get the latest Olm session", "session", selectLatestOlm, domainCryptoSender, string(sender))
}

// HasSession tells whether there is one; see crypto.OlmSessions.
func (s CryptoData) HasSession(ctx context.Context, sender id.SenderKey) (bool, error) {
	return s.there(ctx, "ask for an Olm session", hasOlm, domainCryptoSender, string(sender))
}

// timeOf runs a query for one time. found is false where there is no row.
func (s CryptoData) timeOf(ctx context.Context, op, query, domain, text string) (at time.Time, found bool, err error) {
	err = s.read(ctx, op, func(t *cryptoTx) error {
		k, err := t.key(domain, text)
		if err != nil {
			return err
		}
		var ms int64
		err = t.c.QueryRow(t.ctx, query, k).Scan(&ms)
		if errors.Is(err, sqlite.ErrNoRows) {
			return nil
		}
		at, found = crypto.FromMillis(ms), true
		return err
	})
	if err != nil {
		return time.Time{}, false, err
	}
	return at, found, nil
}

// NewestSessionCreation tells when the newest one was made; see crypto.OlmSessions.
func (s CryptoData) NewestSessionCreation(ctx context.Context, sender id.SenderKey) (time.Time, error) {
	at, _, err := s.timeOf(ctx, "get the newest Olm session", selectNewestOlm, domainCryptoSender, string(sender))
	return at, err
}

// UpdateSession replaces one that is there; see crypto.OlmSessions.
func (s CryptoData) UpdateSession(ctx context.Context, session *crypto.Session) (updated bool, err error) {
	err = s.write(ctx, "update an Olm session", session.Check(), func(t *cryptoTx) error {
		args, err := t.olmArguments(session)
		if err != nil {
			return err
		}
		updated, err = t.updateRecord("session", updateOlm, session, args...)
		return err
	})
	return updated && err == nil, err
}

// updateRecord seals a record, runs a statement whose first parameters are row and data, and tells whether it has changed anything.
func (t *cryptoTx) updateRecord(table, query string, r crypto.Record, args ...any) (updated bool, err error) {
	t.record = crypto.Encode(t.record[:0], r)
	defer clear(t.record)
	row, data, err := t.seal(table, "data", t.record)
	if err != nil {
		return false, err
	}
	changed, err := t.exec(query, append([]any{row, data}, args...)...)
	return changed > 0, err
}

// DeleteSession removes one; see crypto.OlmSessions.
func (s CryptoData) DeleteSession(ctx context.Context, session id.SessionID) error {
	_, err := s.run(ctx, "delete an Olm session", deleteOlm, domainCryptoSession, string(session))
	return err
}

// AddMessageHash adds the hash of a message; see crypto.MessageHashes.
func (s CryptoData) AddMessageHash(ctx context.Context, h crypto.MessageHash) (added bool, err error) {
	err = s.write(ctx, "add a message hash", h.Check(), func(t *cryptoTx) error {
		added, err = t.AddMessageHash(&h)
		return err
	})
	return added && err == nil, err
}

// MessageHash tells when a message was received; see crypto.MessageHashes.
func (s CryptoData) MessageHash(ctx context.Context, sender id.SenderKey, hash []byte) (at time.Time, known bool, err error) {
	return s.timeOf(ctx, "get a message hash", selectOlmHash, domainOlmHash, joined(string(sender), string(hash)))
}

// DeleteMessageHashes removes what is old; see crypto.MessageHashes.
func (s CryptoData) DeleteMessageHashes(ctx context.Context, before time.Time) (deleted int64, err error) {
	err = s.write(ctx, "delete message hashes", nil, func(t *cryptoTx) error {
		deleted, err = t.exec(deleteOlmHashes, crypto.Millis(before))
		return err
	})
	return orNil(deleted, err)
}

// CheckMessageIndex finds replays; see crypto.MessageIndexes.
func (s CryptoData) CheckMessageIndex(ctx context.Context, m crypto.MessageIndex) (ok bool, err error) {
	const op = "check a message index"
	session := joined(string(m.SenderKey), string(m.SessionID))
	if err := m.Check(); err != nil {
		return false, s.failed(op, err)
	}
	if m.ChecksOnly() {
		err = s.read(ctx, op, func(t *cryptoTx) error {
			k, err := t.key(domainMessageIndex, session)
			if err != nil {
				return err
			}
			n, err := t.number(selectIndex, k, int64(m.Index))
			ok = n == 0
			return err
		})
		return ok && err == nil, err
	}
	err = s.write(ctx, op, nil, func(t *cryptoTx) error {
		keys, err := t.keys(domainMessageIndex, session, domainMessageSeen, string(m.EventID)+" "+strconv.FormatInt(m.Timestamp, 10))
		if err != nil {
			return err
		}
		err = t.c.QueryRow(t.ctx, checkIndex, keys[0], int64(m.Index), keys[1]).Scan(&ok)
		if errors.Is(err, sqlite.ErrNoRows) {
			ok, err = true, nil
		}
		return err
	})
	return ok && err == nil, err
}
