package sqlitestore_test

import (
	"errors"
	"testing"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/matrixstores/crypto"
	"github.com/quiesce-go/quiesce/matrixstores/sqlitestore"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// TestDamagedCryptoIsTold: what somebody else has made of a record is an error that says so, and never another key than the one that was asked for.
func TestDamagedCryptoIsTold(t *testing.T) {
	sessions := func(s *sqlitestore.Crypto) error {
		_, err := s.Sessions(ctx, "sender first")
		return err
	}
	inbounds := func(s *sqlitestore.Crypto) error {
		_, err := s.InboundGroupSessions(ctx)
		return err
	}
	account := func(s *sqlitestore.Crypto) error {
		_, err := s.Account(ctx)
		return err
	}
	both, sealed := []secret.Secret{{}, key(1)}, []secret.Secret{key(1)}
	for name, test := range map[string]struct {
		damage string
		on     []secret.Secret
		read   func(*sqlitestore.Crypto) error
		want   error
	}{
		"half a record":            {`UPDATE session SET data = substr(data, 1, length(data) / 2)`, both, sessions, crypto.ErrBroken},
		"an empty record":          {`UPDATE session SET data = x''`, both, sessions, crypto.ErrBroken},
		"a newer record":           {`UPDATE session SET data = x'02'`, both[:1], sessions, crypto.ErrNewer},
		"a changed byte":           {`UPDATE session SET data = CAST(substr(data, 1, length(data) - 1) || CASE substr(data, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB)`, sealed, sessions, crypto.ErrBroken},
		"the record of another":    {`UPDATE session SET data = (SELECT data FROM session WHERE n = 2) WHERE n = 1`, sealed, sessions, crypto.ErrBroken},
		"the row of another":       {`UPDATE inbound SET row = x'00' WHERE n = 1`, sealed, inbounds, crypto.ErrBroken},
		"a version that is none":   {`UPDATE inbound SET backup = 99`, both, inbounds, crypto.ErrBroken},
		"a changed version":        {`UPDATE backup_version SET name = CAST(substr(name, 1, length(name) - 1) || CASE substr(name, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB)`, sealed, inbounds, crypto.ErrBroken},
		"the account is a session": {`UPDATE single SET data = (SELECT data FROM session WHERE n = 1) WHERE id = 1`, both, account, crypto.ErrBroken},
	} {
		for _, with := range test.on {
			s := newCrypto(t, fastest(), with)
			fillCrypto(t, s, "first")
			must(t, s.SaveChanges(ctx, &crypto.Changes{Sessions: []crypto.Session{{ID: "another", SenderKey: "sender first", Pickle: []byte("another")}}}))
			must(t, test.read(s))
			must(t, s.Update(ctx, func(c *sqlite.Conn) error { return c.ExecScript(ctx, test.damage) }))
			if err := test.read(s); !errors.Is(err, test.want) {
				t.Errorf("%s, plain: %v: reading returned %v, want %v", name, with.None(), err, test.want)
			}
		}
	}
}
