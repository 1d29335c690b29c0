package adopt

import (
	"context"
	"fmt"
	"testing"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/sqlstatestore"
)

// TestDbutil: the state store of mautrix on dbutil: the migrations that it
// brings, single statements, and transactions.
func TestDbutil(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		db, err := dbutil.NewWithDB(d.DB, "sqlite3")
		must(t, err)
		state := sqlstatestore.NewSQLStateStore(db, dbutil.NoopLogger, false)
		must(t, state.Upgrade(ctx))

		const lobby, team = id.RoomID("!lobby:example.org"), id.RoomID("!team:example.org")
		user := func(n int) id.UserID { return id.UserID(fmt.Sprintf("@user%d:example.org", n)) }
		must(t, state.SetEncryptionEvent(ctx, team, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}))

		counts := underPauses(t, d.store,
			func(n int) error { // somebody comes
				return state.SetMember(ctx, lobby, user(n), &event.MemberEventContent{Membership: event.MembershipJoin, Displayname: fmt.Sprint("user ", n)})
			},
			func(n int) error { // the team is replaced: always three, in a transaction of the store's own
				var members []*event.Event
				for i := range 3 {
					u := string(user(n + i))
					members = append(members, &event.Event{
						RoomID: team, Type: event.StateMember, StateKey: &u,
						Content: event.Content{Parsed: &event.MemberEventContent{Membership: event.MembershipJoin, Displayname: u}},
					})
				}
				return state.ReplaceCachedMembers(ctx, team, members)
			},
			func(n int) error {
				members, err := state.GetAllMembers(ctx, team)
				if err == nil && n > 0 && len(members) != 3 && len(members) != 0 {
					err = fmt.Errorf("the team has %d members: half a transaction", len(members))
				}
				return err
			},
			func(n int) error {
				levels := &event.PowerLevelsEventContent{Users: map[id.UserID]int{user(0): n}}
				if err := state.SetPowerLevels(ctx, lobby, levels); err != nil {
					return err
				}
				level, err := state.GetPowerLevel(ctx, lobby, user(0))
				if err == nil && level != n {
					err = fmt.Errorf("the level is %d, want %d", level, n)
				}
				return err
			},
			func(int) error {
				encrypted, err := state.IsEncrypted(ctx, team)
				if err == nil && !encrypted {
					err = fmt.Errorf("the team's room is not encrypted any more")
				}
				return err
			},
			func(n int) error { // transactions within a transaction are the same one
				return db.DoTxn(ctx, nil, func(ctx context.Context) error {
					if err := state.SetMembership(ctx, "!other:example.org", user(n), event.MembershipInvite); err != nil {
						return err
					}
					return db.DoTxn(ctx, nil, func(ctx context.Context) error {
						return state.SetMembership(ctx, "!other:example.org", user(n), event.MembershipJoin)
					})
				})
			},
		)
		for room, want := range map[id.RoomID]int{lobby: counts[0], team: 3, "!other:example.org": counts[5]} {
			members, err := state.GetRoomMembers(ctx, room, event.MembershipJoin)
			must(t, err)
			equal(t, "members of "+string(room), len(members), want)
		}
	})
}

// TestDbutilUpgradeWithoutForeignKeys: such an upgrade takes a connection out of
// the pool and never gives it back. It must hold nothing up, and the setting
// that it makes must be in force whenever it drops a table.
func TestDbutilUpgradeWithoutForeignKeys(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		_, err := d.Exec(`CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT);
			CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE);
			INSERT INTO parent (id, name) VALUES (1, 'a');
			INSERT INTO child (parent_id) VALUES (1), (1), (1);` + notesSchema)
		must(t, err)
		queries := NewQueries(d.DB)

		var upgrades dbutil.UpgradeTable
		upgrades.Register(-1, 1, 0, "rebuild parent", dbutil.TxnModeSQLiteForeignKeysOff, func(ctx context.Context, db *dbutil.Database) error {
			for _, sql := range []string{
				`CREATE TABLE parent_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL)`,
				`INSERT INTO parent_new SELECT id, name FROM parent`,
				`DROP TABLE parent`,
				`ALTER TABLE parent_new RENAME TO parent`,
			} {
				if _, err := db.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		})
		const most = 10 // connections that are lost to the pool
		counts := underPauses(t, d.store,
			func(n int) error {
				if n < most {
					db, err := dbutil.NewWithDB(d.DB, "sqlite3")
					if err != nil {
						return err
					}
					db.VersionTable, db.UpgradeTable = fmt.Sprint("version_", n), upgrades
					if err := db.Upgrade(ctx); err != nil {
						return err
					}
				}
				var children int
				err := d.QueryRow(`SELECT count(*) FROM child JOIN parent ON parent_id = parent.id`).Scan(&children)
				if err == nil && children != 3 {
					err = fmt.Errorf("%d of 3 children are left", children)
				}
				return err
			},
			func(n int) error {
				_, err := queries.CreateNote(ctx, CreateNoteParams{Author: "ann", Text: fmt.Sprint(n)})
				return err
			},
			func(int) error {
				_, err := queries.ListNotes(ctx, "ann")
				return err
			},
		)
		got, err := queries.CountNotes(ctx, "ann")
		must(t, err)
		equal(t, "notes", got, int64(counts[1]))
		equal(t, "connections that the upgrades have kept", d.Stats().InUse, min(most, counts[0]))
		equal(t, "operations in flight", len(d.store.Holders()), 0)
	})
}
