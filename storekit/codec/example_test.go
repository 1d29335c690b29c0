package codec_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/driver/sqlite"
	"github.com/quiesce-go/quiesce/driver/sqlite/modernc"
	"github.com/quiesce-go/quiesce/storekit/codec"
	"github.com/quiesce-go/quiesce/storekit/secret"
)

// One table, one code, for a store that is encrypted and for one that is not.
func Example() {
	ctx := context.Background()
	key := secret.Key(bytes.Repeat([]byte{42}, 32))
	cipher, err := secret.Create(ctx, key, func(old, header []byte) error { return nil }) // a store keeps the header
	if err != nil {
		panic(err)
	}
	for _, c := range []*codec.Codec{new(codec.Codec), codec.New(cipher)} {
		at := secret.Place{Table: "note", Column: "text"}
		row := secret.NewRowID()
		at.Row = row[:]
		title, err := c.KeyString("note", "shopping")
		if err != nil {
			panic(err)
		}
		text, err := c.SealJSON(at, []string{"milk", "bread"})
		if err != nil {
			panic(err)
		}
		fmt.Println(len(title), len(text))
		items, err := codec.JSON[[]string](c, at, text)
		fmt.Println(items, err)
	}
	// Output:
	// 8 16
	// [milk bread] <nil>
	// 32 61
	// [milk bread] <nil>
}

func ExampleDecodeError() {
	var note struct {
		Items []struct {
			Count int `json:"count"`
		} `json:"items"`
	}
	at := secret.Place{Table: "note", Column: "text"}
	fmt.Println(codec.DecodeJSON(at, []byte(`{"items":[{"count":1},{"count":"two"}]}`), &note))
	// Output: codec: decode note.text at items[1].count: json: cannot unmarshal string into Go value of type int
}

func ExampleList() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Engine: modernc.Engine(), Path: filepath.Join(dir, "notes.db")})
	if err != nil {
		panic(err)
	}
	defer db.Close(ctx)

	titles := codec.List([]string{"milk", "bread", "tea"})
	err = db.Update(ctx, func(c *sqlite.Conn) error {
		if err := c.ExecScript(ctx, `CREATE TABLE note (title BLOB PRIMARY KEY)`); err != nil {
			return err
		}
		written, err := c.Exec(ctx, `WITH `+codec.Listed+` INSERT INTO note SELECT key FROM listed`, titles)
		if err != nil {
			return err
		}
		deleted, err := c.Exec(ctx, `DELETE FROM note WHERE title IN `+codec.In, codec.List([]string{"tea", "rice"}))
		fmt.Println(written.RowsAffected, deleted.RowsAffected)
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output: 3 1
}
