package mediatest

import "slices"

// cases are all of them, in the order in which they run: what is simple comes first.
var cases = slices.Concat(
	contentCases,
	nameCases,
	renameCases,
	policyCases,
	readerCases,
	writerCases,
	accessCases,
	cleanCases,
	autoCases,
	leaseCases,
	lifeCases,
	randomCases,
	concurrentCases,
	stormCases,
	secretCases,
)
