package mediatest

import "slices"

// cases are all of them, in the order in which they run: what is simple comes first.
var cases = slices.Concat(
	contentCases,
	cleanCases,
)
