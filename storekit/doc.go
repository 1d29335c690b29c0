// Package storekit is what a store is built on: schema and queries are the
// author's, pausing, migrations, encryption, leases, maintenance and background
// jobs come from here.
package storekit
