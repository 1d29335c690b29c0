package memorystore_test

import (
	"context"
	"testing"

	"github.com/quiesce-go/quiesce/conformance/mediatest"
	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// TestMediaContract: the media store gives the answers of the contract, whether a pause means something or not.
func TestMediaContract(t *testing.T) {
	onModes(t, func(t *testing.T, strict bool) {
		mediatest.Run(t, func() *mediatest.Harness { return mediaHarness(strict) })
	})
}

func mediaHarness(strict bool) *mediatest.Harness {
	return &mediatest.Harness{
		Brief: !strict, // what needs many is tested with a gate
		Open: func(ctx context.Context, _ string, o mediatest.Options) (media.Store, error) {
			return memorystore.OpenMedia(ctx, memorystore.MediaConfig{Cleaned: o.Cleaned, Config: memorystore.Config{
				Strict: strict, Timeout: o.Timeout, Grace: o.Grace, WhenPaused: o.WhenPaused, Clock: o.Clock,
			}})
		},
		Without: without(strict),
	}
}
