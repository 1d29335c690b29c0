package statetest

import "slices"

// cases are all of them, in the order in which they run: what is simple comes first.
var cases = slices.Concat(
	valueCases,
	changeCases,
	memberCases,
	receiptCases,
	roomCases,
	queueCases,
	threadCases,
	profileCases,
	inputCases,
	manyCases,
	lifeCases,
	serialCases,
	randomCases,
	stormCases,
	secretCases,
	mautrixCases,
)
