package adopt

import (
	"errors"
	"fmt"
	"testing"
	"time"

	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

type author struct {
	ID        uint
	Name      string `gorm:"uniqueIndex"`
	CreatedAt time.Time
	Books     []book `gorm:"constraint:OnDelete:CASCADE"`
}

type book struct {
	ID        uint
	AuthorID  uint
	Title     string
	DeletedAt gorm.DeletedAt `gorm:"index"`
}

// TestGorm: migrations, associations, preloading, transactions, soft deletes,
// and the statements that gorm keeps prepared.
func TestGorm(t *testing.T) {
	onEveryWay(t, func(t *testing.T, d database) {
		db, err := gorm.Open(gormsqlite.New(gormsqlite.Config{Conn: d.DB}), &gorm.Config{
			PrepareStmt: true, Logger: logger.Default.LogMode(logger.Silent),
		})
		must(t, err)
		must(t, db.AutoMigrate(&author{}, &book{}))

		counts := underPauses(t, d.store,
			func(n int) error { // an author with two books, in gorm's own transaction
				return db.Create(&author{Name: fmt.Sprint("author ", n), Books: []book{{Title: "one"}, {Title: "two"}}}).Error
			},
			func(n int) error { // a transaction that is given up every second time
				errNo := errors.New("no")
				err := db.Transaction(func(tx *gorm.DB) error {
					a := author{Name: fmt.Sprint("other ", n)}
					if err := tx.Create(&a).Error; err != nil {
						return err
					}
					if err := tx.Model(&a).Association("Books").Append(&book{Title: "three"}); err != nil {
						return err
					}
					if n%2 == 1 {
						return errNo
					}
					return nil
				})
				if n%2 == 1 && errors.Is(err, errNo) {
					return nil
				}
				return err
			},
			func(n int) error {
				var authors []author
				err := db.Preload("Books").Where("name <> ?", "of the deleted").Order("id DESC").Limit(10).Find(&authors).Error
				for _, a := range authors {
					if len(a.Books) == 0 || a.CreatedAt.IsZero() {
						return fmt.Errorf("%q has %d books and was created at %v", a.Name, len(a.Books), a.CreatedAt)
					}
				}
				return err
			},
			func(n int) error {
				const deleted = 1_000_000
				if n == 0 {
					if err := db.Save(&author{ID: deleted, Name: "of the deleted"}).Error; err != nil {
						return err
					}
				}
				b := book{AuthorID: deleted, Title: "four"}
				if err := db.Create(&b).Error; err != nil {
					return err
				}
				return db.Delete(&b).Error
			},
			func(int) error { // gorm hands out rows as well
				rows, err := db.Model(&author{}).Select("name").Limit(50).Rows()
				if err != nil {
					return err
				}
				defer rows.Close() //nolint:errcheck // read to its end
				for rows.Next() {
					var name string
					if err := rows.Scan(&name); err != nil {
						return err
					}
				}
				return rows.Err()
			},
		)
		for what, q := range map[string]struct {
			db   *gorm.DB
			want int
		}{
			"authors":       {db.Model(&author{}).Where("name LIKE ?", "author %"), counts[0]},
			"their books":   {db.Model(&book{}).Where("title IN ?", []string{"one", "two"}), 2 * counts[0]},
			"others":        {db.Model(&author{}).Where("name LIKE ?", "other %"), (counts[1] + 1) / 2},
			"deleted books": {db.Model(&book{}).Unscoped().Where("deleted_at IS NOT NULL"), counts[3]},
		} {
			var got int64
			must(t, q.db.Count(&got).Error)
			equal(t, what, got, int64(q.want))
		}
	})
}
