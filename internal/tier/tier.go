// Package tier tells tests how much to do. The tiers are those of ./test:
// short is what every change runs, full and soak have the big counts.
package tier

import (
	"os"
	"time"
)

// Count returns the count for the tier that runs.
func Count(short, full, soak int) int { return pick(short, full, soak) }

// Duration returns the duration for the tier that runs.
func Duration(short, full, soak time.Duration) time.Duration { return pick(short, full, soak) }

func pick[T any](short, full, soak T) T {
	switch os.Getenv("QUIESCE_TIER") {
	case "full":
		return full
	case "soak":
		return soak
	default:
		return short
	}
}
