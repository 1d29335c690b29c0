package mediatest

// Where cases come from: every row of these tables has a case at least, and
// docs/conformance-matrix.md says which.

import "fmt"

// seedTests are the tests of matrix-rust-sdk's media stores that run against any of them, in its order.
var seedTests = []string{
	"test_store_media_retention_policy",
	"test_media_expiry",
	"test_media_ignore_expiry",
	"test_store_last_media_cleanup_time",
	"test_media_max_file_size",
	"test_media_max_cache_size",
	"test_media_ignore_max_size",
	"test_media_content",
	"test_replace_media_key",
	"test_lease_locks",
}

// seed names one of them by its number, from 1.
func seed(n int) string { return fmt.Sprintf("7.7/%d %s", n, seedTests[n-1]) }

func from(rows ...string) []string { return rows }
