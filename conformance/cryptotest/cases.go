package cryptotest

import "slices"

// cases are all of them, in the order in which they run: what is simple comes first.
var cases = slices.Concat(
	accountCases,
	olmCases,
	groupCases,
	backupCases,
	redactCases,
	userCases,
	valueCases,
	inputCases,
	leaseCases,
	lifeCases,
	randomCases,
	stormCases,
	secretCases,
)
