package adopt

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
)

type item struct {
	bun.BaseModel `bun:"table:item"`

	ID    int64 `bun:",pk,autoincrement"`
	Name  string
	Stock int64
}

type sale struct {
	bun.BaseModel `bun:"table:sale"`

	ID     int64 `bun:",pk,autoincrement"`
	ItemID int64
	Item   *item `bun:"rel:belongs-to,join:item_id=id"`
}

// TestBun: models, relations, RunInTx, RETURNING, scanning and counting.
func TestBun(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		db := bun.NewDB(d.DB, sqlitedialect.New())
		for _, model := range []any{(*item)(nil), (*sale)(nil)} {
			_, err := db.NewCreateTable().Model(model).IfNotExists().Exec(ctx)
			must(t, err)
		}
		items := []item{{Name: "pen"}, {Name: "cup"}, {Name: "hat"}}
		_, err := db.NewInsert().Model(&items).Exec(ctx)
		must(t, err)

		counts := underPauses(t, d.store,
			func(n int) error { // a sale, and one less in stock
				return db.RunInTx(ctx, &sql.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
					s := &sale{ItemID: items[n%3].ID}
					if _, err := tx.NewInsert().Model(s).Exec(ctx); err != nil {
						return err
					}
					if s.ID == 0 {
						return fmt.Errorf("sale %d got no number", n)
					}
					_, err := tx.NewUpdate().Model((*item)(nil)).Set("stock = stock - 1").Where("id = ?", s.ItemID).Exec(ctx)
					return err
				})
			},
			func(n int) error { // stock and sales agree, in one read
				var got []struct {
					Stock int64
					Sales int64
				}
				err := db.NewSelect().Model((*item)(nil)).Column("stock").
					ColumnExpr("(SELECT count(*) FROM sale WHERE item_id = item.id) AS sales").Scan(ctx, &got)
				for _, g := range got {
					if g.Stock != -g.Sales {
						return fmt.Errorf("stock is %d after %d sales", g.Stock, g.Sales)
					}
				}
				return err
			},
			func(int) error {
				var last []sale
				err := db.NewSelect().Model(&last).Relation("Item").OrderExpr("sale.id DESC").Limit(5).Scan(ctx)
				for _, s := range last {
					if s.Item == nil || s.Item.Name == "" {
						return fmt.Errorf("sale %d is of nothing", s.ID)
					}
				}
				return err
			},
			func(n int) error { // written and taken back
				it := &item{Name: fmt.Sprint("fad ", n)}
				if _, err := db.NewInsert().Model(it).Exec(ctx); err != nil {
					return err
				}
				_, err := db.NewDelete().Model(it).WherePK().Exec(ctx)
				return err
			},
		)
		sales, err := db.NewSelect().Model((*sale)(nil)).Count(ctx)
		must(t, err)
		equal(t, "sales", int(sales), counts[0])
		left, err := db.NewSelect().Model((*item)(nil)).Count(ctx)
		must(t, err)
		equal(t, "items", int(left), 3)
	})
}
