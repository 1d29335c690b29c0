package memorystore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/matrixstores/media"
	"github.com/quiesce-go/quiesce/matrixstores/memorystore"
)

// What is shown before it was sent is kept whatever the policy says, until the server has given it a URI.
func ExampleMedia_Rename() {
	ctx := context.Background()
	cache, err := memorystore.OpenMedia(ctx, memorystore.MediaConfig{})
	if err != nil {
		panic(err)
	}
	defer cache.Close(ctx)

	local, sent := media.File("mxc://send-queue.localhost/1"), media.File("mxc://example.org/kettle")
	_, err = cache.Add(ctx, local, []byte("a picture of a kettle"), media.AddOptions{IgnorePolicy: true})
	fmt.Println("add:", err)
	renamed, err := cache.Rename(ctx, local, sent, media.RenameOptions{ObeyPolicy: true})
	fmt.Println("renamed:", renamed, err)
	info, found, err := cache.Info(ctx, sent)
	fmt.Println(found, info.Size, info.IgnorePolicy, err)
	// Output:
	// add: <nil>
	// renamed: true <nil>
	// true 21 false <nil>
}

// Of several formats the file itself is the best one, and then the largest thumbnail.
func ExampleMedia_GetForURI() {
	ctx := context.Background()
	cache, err := memorystore.OpenMedia(ctx, memorystore.MediaConfig{})
	if err != nil {
		panic(err)
	}
	defer cache.Close(ctx)

	small, large := media.Thumbnail("mxc://example.org/kettle", 32, 32), media.Thumbnail("mxc://example.org/kettle", 320, 320)
	_, err1 := cache.Add(ctx, large, []byte("a large picture"), media.AddOptions{})
	_, err2 := cache.Add(ctx, small, []byte("a small picture"), media.AddOptions{})
	data, r, found, err := cache.GetForURI(ctx, "mxc://example.org/kettle")
	fmt.Printf("%s, %dx%d, %v %v\n", data, r.Format.Width, r.Format.Height, found, errors.Join(err1, err2, err))
	// Output:
	// a large picture, 320x320, true <nil>
}

// A policy says how much is kept, and for how long; what does not fit any more, a cleaning removes.
func ExampleMedia_SetPolicy() {
	ctx := context.Background()
	now := time.Now()
	cache, err := memorystore.OpenMedia(ctx, memorystore.MediaConfig{Config: memorystore.Config{Clock: func() time.Time { return now }}})
	if err != nil {
		panic(err)
	}
	defer cache.Close(ctx)

	fmt.Println("set:", cache.SetPolicy(ctx, media.NoLimits().WithLastAccessExpiry(24*time.Hour)))
	_, err = cache.Add(ctx, media.File("mxc://example.org/kettle"), []byte("a picture of a kettle"), media.AddOptions{})
	fmt.Println("add:", err)
	now = now.Add(48 * time.Hour)
	cleaned, err := cache.Clean(ctx)
	fmt.Println("removed:", cleaned.Removed, err)
	// Output:
	// set: <nil>
	// add: <nil>
	// removed: 1 <nil>
}
