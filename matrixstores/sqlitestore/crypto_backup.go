package sqlitestore

import (
	"cmp"
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
)

// Which sessions are backed up, and which are redacted: crypto.Backups and crypto.Redactions. Versions
// of the backup are small numbers in the rows of sessions; 0 is none.

const (
	selectVersion  = `SELECT id FROM backup_version WHERE key = ?`
	selectVersions = `SELECT id, row, name FROM backup_version`
	insertVersion  = `INSERT INTO backup_version (key, row, name) VALUES (?, ?, ?)`
	countVersion   = `SELECT count(*) FROM inbound WHERE backup = ?`
	setVersion     = `UPDATE inbound SET backup = ? WHERE session = ? AND room = ? AND backup <> ?1`
	resetVersions  = `UPDATE inbound SET backup = 0 WHERE backup > 0`

	redactableRoom   = inboundColumns + `room = ? AND fixed = 0`
	redactableSender = inboundColumns + `sender = ? AND fixed = 0`
	redactableBoth   = inboundColumns + `sender = ? AND +room = ? AND fixed = 0`
	redactableOld    = inboundColumns + `expires < ?`
	redactableUndate = inboundColumns + `undated = 1`
	deleteInbound    = `DELETE FROM inbound WHERE n = ?`
)

// versionNumber returns the number of a version, 0 where it is not known.
func (t *cryptoTx) versionNumber(version id.KeyBackupVersion) (int64, error) {
	if n := t.numbers[version]; n != 0 || version == "" {
		return n, nil
	}
	k, err := t.key(domainBackupVersion, string(version))
	if err != nil {
		return 0, err
	}
	n, err := t.number(selectVersion, k)
	if n != 0 {
		t.knowVersion(version, n)
	}
	return n, err
}

func (t *cryptoTx) knowVersion(version id.KeyBackupVersion, n int64) {
	if t.numbers == nil {
		t.numbers = map[id.KeyBackupVersion]int64{}
	}
	t.numbers[version] = n
	t.names = nil
}

// makeVersion is versionNumber, and makes it known.
func (t *cryptoTx) makeVersion(version id.KeyBackupVersion) (int64, error) {
	n, err := t.versionNumber(version)
	if err != nil || n != 0 || version == "" {
		return n, err
	}
	k, err := t.key(domainBackupVersion, string(version))
	if err != nil {
		return 0, err
	}
	row, name, err := t.seal("backup_version", "name", []byte(version))
	if err != nil {
		return 0, err
	}
	r, err := t.c.Exec(t.ctx, insertVersion, k, row, name)
	if err != nil {
		return 0, err
	}
	t.knowVersion(version, r.LastInsertID)
	return r.LastInsertID, nil
}

// version returns the version with a number.
func (t *cryptoTx) version(n int64) (id.KeyBackupVersion, error) {
	if n == 0 {
		return "", nil
	}
	if err := t.readVersions(); err != nil {
		return "", err
	}
	name, known := t.names[n]
	if !known {
		return "", crypto.ErrBroken
	}
	return name, nil
}

// readVersions reads all versions, once.
func (t *cryptoTx) readVersions() error {
	if t.names != nil {
		return nil
	}
	names := map[int64]id.KeyBackupVersion{}
	err := t.c.Each(t.ctx, selectVersions, func(r *sqlite.Row) error {
		var n int64
		var row, name []byte
		if err := r.Scan(&n, &row, &name); err != nil {
			return err
		}
		plain, err := t.codec.Open(placeOf("backup_version", "name", row), name)
		names[n] = id.KeyBackupVersion(plain)
		return err
	})
	if err == nil {
		t.names = names
	}
	return err
}

// otherVersions are the numbers of what is not this version: 0 and all others; without a version, 0 alone.
func (t *cryptoTx) otherVersions(version id.KeyBackupVersion) (others []int64, err error) {
	others = []int64{0}
	if version == "" {
		return others, nil
	}
	if err := t.readVersions(); err != nil {
		return nil, err
	}
	for n, name := range t.names {
		if name != version {
			others = append(others, n)
		}
	}
	return others, nil
}

// CountInboundGroupSessions counts sessions; see crypto.Backups.
func (s CryptoData) CountInboundGroupSessions(ctx context.Context, version id.KeyBackupVersion) (counts crypto.SessionCounts, err error) {
	err = s.read(ctx, "count inbound group sessions", func(t *cryptoTx) error {
		if err := t.readVersions(); err != nil {
			return err
		}
		if counts.Total, err = t.number(countVersion, int64(0)); err != nil {
			return err
		}
		for n, name := range t.names {
			count, err := t.number(countVersion, n)
			if err != nil {
				return err
			}
			counts.Total += count
			if version == "" || version == name {
				counts.BackedUp += count
			}
		}
		return nil
	})
	return orNil(counts, err)
}

// MarkBackedUp notes that sessions are in a backup; see crypto.Backups.
func (s CryptoData) MarkBackedUp(ctx context.Context, version id.KeyBackupVersion, sessions []crypto.SessionKey) error {
	return s.write(ctx, "mark sessions as backed up", crypto.CheckVersion(version), func(t *cryptoTx) error {
		if len(sessions) == 0 {
			return nil
		}
		n, err := t.makeVersion(version)
		if err != nil {
			return err
		}
		for _, k := range sessions {
			keys, err := t.inboundKeys(k)
			if err == nil {
				_, err = t.exec(setVersion, n, keys[0], keys[1])
			}
			if err != nil {
				return err
			}
			t.arena = t.arena[:0] // nobody needs these keys any more
		}
		return nil
	})
}

// ResetBackup forgets what is backed up; see crypto.Backups.
func (s CryptoData) ResetBackup(ctx context.Context) error {
	_, err := s.run(ctx, "reset the backup", resetVersions)
	return err
}

// redact leaves of the sessions that a query finds that they were redacted. find makes the arguments of the query.
func (s CryptoData) redact(ctx context.Context, check error, reason, query string, find func(*cryptoTx) ([]any, error)) (keys []crypto.SessionKey, err error) {
	err = s.write(ctx, "redact group sessions", check, func(t *cryptoTx) error {
		args, err := find(t)
		if err != nil {
			return err
		}
		all, err := t.inbounds(query, args...)
		slices.SortFunc(all, func(a, b storedInbound) int { return cmp.Compare(a.n, b.n) })
		for i := range all {
			if err != nil {
				return err
			}
			if _, err = t.exec(deleteInbound, all[i].n); err == nil {
				err = t.PutWithheld(crypto.Redact(&all[i].InboundGroupSession, reason))
			}
			clear(all[i].Pickle)
			keys = append(keys, all[i].Key())
		}
		return err
	})
	return orNil(keys, err)
}

// RedactGroupSession redacts a session; see crypto.Redactions.
func (s CryptoData) RedactGroupSession(ctx context.Context, room id.RoomID, session id.SessionID, reason string) (redacted bool, err error) {
	keys, err := s.redact(ctx, nil, reason, selectInbound, func(t *cryptoTx) ([]any, error) {
		return t.inboundKeys(crypto.SessionKey{RoomID: room, SessionID: session})
	})
	return len(keys) > 0, err
}

// RedactGroupSessions redacts those of a room or a sender; see crypto.Redactions.
func (s CryptoData) RedactGroupSessions(ctx context.Context, room id.RoomID, sender id.SenderKey, reason string) ([]crypto.SessionKey, error) {
	var check error
	query, domains := redactableBoth, []string{domainInboundSender, string(sender), domainInboundRoom, string(room)}
	switch {
	case room == "" && sender == "":
		check = crypto.ErrNoSelection
	case room == "":
		query, domains = redactableSender, domains[:2]
	case sender == "":
		query, domains = redactableRoom, domains[2:]
	}
	return s.redact(ctx, check, reason, query, func(t *cryptoTx) ([]any, error) { return t.keys(domains...) })
}

// RedactExpiredGroupSessions redacts what has expired; see crypto.Redactions.
func (s CryptoData) RedactExpiredGroupSessions(ctx context.Context, reason string) ([]crypto.SessionKey, error) {
	return s.redact(ctx, nil, reason, redactableOld, func(t *cryptoTx) ([]any, error) { return []any{t.now()}, nil })
}

// RedactOutdatedGroupSessions redacts those without a time; see crypto.Redactions.
func (s CryptoData) RedactOutdatedGroupSessions(ctx context.Context, reason string) ([]crypto.SessionKey, error) {
	return s.redact(ctx, nil, reason, redactableUndate, func(*cryptoTx) ([]any, error) { return nil, nil })
}
