package adopt

import (
	"fmt"
	"testing"
)

// TestSQLX: named parameters, structs, slices, transactions and a prepared
// statement that is older than every pause.
func TestSQLX(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		type account struct {
			ID      int64  `db:"id"`
			Owner   string `db:"owner"`
			Balance int64  `db:"balance"`
		}
		db := d.sqlx
		_, err := db.Exec(`CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL);
			CREATE TABLE transfer (id INTEGER PRIMARY KEY, n INTEGER NOT NULL UNIQUE)`)
		must(t, err)
		for i := range 4 {
			_, err := db.NamedExec(`INSERT INTO account (owner, balance) VALUES (:owner, :balance)`, account{Owner: fmt.Sprint("owner ", i), Balance: 100})
			must(t, err)
		}
		one, err := db.PrepareNamed(`SELECT id, owner, balance FROM account WHERE id = :id`)
		must(t, err)
		t.Cleanup(func() { must(t, one.Close()) })

		counts := underPauses(t, d.store,
			func(n int) error { // money moves, in transactions
				tx, err := db.Beginx()
				if err != nil {
					return err
				}
				defer tx.Rollback() //nolint:errcheck // it is committed
				from, to := n%4+1, (n+1)%4+1
				var has int64
				if err := tx.Get(&has, `SELECT balance FROM account WHERE id = ?`, from); err != nil {
					return err
				}
				if _, err := tx.NamedExec(`UPDATE account SET balance = balance - :by WHERE id = :id`, map[string]any{"by": 1, "id": from}); err != nil {
					return err
				}
				if _, err := tx.Exec(`UPDATE account SET balance = balance + 1 WHERE id = ?`, to); err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO transfer (n) VALUES (?)`, n); err != nil {
					return err
				}
				return tx.Commit()
			},
			func(int) error { // no reader sees money on its way
				var all []account
				if err := db.Select(&all, `SELECT * FROM account ORDER BY id`); err != nil {
					return err
				}
				var sum int64
				for _, a := range all {
					sum += a.Balance
				}
				if len(all) != 4 || sum != 400 {
					return fmt.Errorf("%d accounts have %d, want 4 and 400", len(all), sum)
				}
				return nil
			},
			func(n int) error {
				var a account
				if err := one.Get(&a, map[string]any{"id": n%4 + 1}); err != nil {
					return err
				}
				if want := fmt.Sprint("owner ", n%4); a.Owner != want {
					return fmt.Errorf("account %d is %q's, want %q's", a.ID, a.Owner, want)
				}
				return nil
			},
			func(int) error { // none is missing among the last ones
				rows, err := db.Queryx(`SELECT n FROM transfer ORDER BY n DESC LIMIT 100`)
				if err != nil {
					return err
				}
				defer rows.Close() //nolint:errcheck // read to its end
				for next := -1; rows.Next(); next-- {
					var n int
					if err := rows.Scan(&n); err != nil {
						return err
					}
					if next >= 0 && n != next {
						return fmt.Errorf("transfer %d is missing", next)
					}
					next = n
				}
				return rows.Err()
			},
		)
		var transfers int
		must(t, db.Get(&transfers, `SELECT count(*) FROM transfer`))
		equal(t, "transfers", transfers, counts[0])
	})
}
