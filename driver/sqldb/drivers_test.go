package sqldb_test

import (
	"database/sql"
	"slices"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"
)

// drivers are what the tests here run on, by their registered names.
var drivers = []string{"sqlite", "sqlite3"}

// onDrivers runs a test on every driver that this build has.
func onDrivers(t *testing.T, test func(t *testing.T, driver string)) {
	for _, driver := range drivers {
		t.Run("driver="+driver, func(t *testing.T) {
			if !slices.Contains(sql.Drivers(), driver) || driver == "sqlite3" && !withCgo {
				t.Skip("this driver needs cgo, and this is a build without; the other build runs it")
			}
			test(t, driver)
		})
	}
}
