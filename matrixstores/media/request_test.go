package media

import (
	"errors"
	"strings"
	"testing"

	"maunium.net/go/mautrix/event"
	"pgregory.net/rapid"
)

// TestRequestsOf: a file, an encrypted one and a thumbnail are named by what they are known by.
func TestRequestsOf(t *testing.T) {
	const uri = "mxc://example.org/a"
	for _, c := range []struct {
		got, want Request
		format    string
		file      bool
	}{
		{File(uri), Request{URI: uri}, "file", true},
		{EncryptedFile(&event.EncryptedFileInfo{URL: uri}), Request{URI: uri}, "file", true},
		{Thumbnail(uri, 64, 48), Request{URI: uri, Format: Format{Method: Scale, Width: 64, Height: 48}}, "scale_64x48", false},
		{Request{URI: uri, Format: Format{Method: Crop, Width: 64, Height: 48, Animated: true}}, Request{URI: uri, Format: Format{Method: Crop, Width: 64, Height: 48, Animated: true}}, "crop_64x48_animated", false},
	} {
		if c.got != c.want || c.got.Format.String() != c.format || c.got.Format.IsFile() != c.file {
			t.Errorf("the request is %+v with the format %v, and should be %+v with %s", c.got, c.got.Format, c.want, c.format)
		}
	}
	if File(uri) == Thumbnail(uri, 0, 0) {
		t.Error("a thumbnail of no size is taken for the file")
	}
}

// anyFormat is one that Check accepts, from few parts, so that two look alike often.
var anyFormat = rapid.Custom(func(t *rapid.T) Format {
	number := rapid.OneOf(rapid.IntRange(0, 12), rapid.IntMin(0))
	method := rapid.OneOf(
		rapid.SampledFrom([]Method{Crop, Scale, "file"}),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"crop", "_", "x", "1", "12", "_1x2", "animated", "_animated", "file", "\x00", "\xff"}), 1, 5), func(parts []string) Method {
			return Method(strings.Join(parts, ""))
		}),
	)
	if rapid.IntRange(0, 9).Draw(t, "file") == 0 {
		return Format{}
	}
	return Format{Method: method.Draw(t, "method"), Width: number.Draw(t, "width"), Height: number.Draw(t, "height"), Animated: rapid.Bool().Draw(t, "animated")}
})

// TestFormatsAreToldApart: two formats that Check accepts have the same String only if they are the same.
func TestFormatsAreToldApart(t *testing.T) {
	seen := map[string]Format{}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			f := anyFormat.Draw(t, "format")
			if err := (Request{URI: "a", Format: f}).Check(); err != nil {
				t.Fatalf("Check of %+v returned: %v", f, err)
			}
			if other, there := seen[f.String()]; there && other != f {
				t.Fatalf("%+v and %+v are both %q", f, other, f.String())
			}
			seen[f.String()] = f
		}
	})
	// What one might take for each other.
	for _, pair := range [][2]Format{
		{{}, {Method: "file"}},
		{{Method: "a", Width: 1, Height: 1, Animated: true}, {Method: "a", Width: 1, Height: 1}},
		{{Method: "a_1x1", Width: 2, Height: 2}, {Method: "a", Width: 1, Height: 1}},
		{{Method: "a_1x1_animated", Width: 2, Height: 2}, {Method: "a", Width: 1, Height: 1, Animated: true}},
		{{Method: "a", Width: 1, Height: 11}, {Method: "a", Width: 11, Height: 1}},
		{{Method: "a_1", Width: 1, Height: 1}, {Method: "a", Width: 11, Height: 1}},
	} {
		if pair[0].String() == pair[1].String() {
			t.Errorf("%+v and %+v are both %q", pair[0], pair[1], pair[0].String())
		}
	}
}

// TestRequestCheck: what names nothing is refused, and everything else is not, whatever bytes it has.
func TestRequestCheck(t *testing.T) {
	for _, r := range []Request{
		{}, {Format: Format{Method: Crop}},
		{URI: "a", Format: Format{Width: 1}}, {URI: "a", Format: Format{Height: 1}}, {URI: "a", Format: Format{Animated: true}}, {URI: "a", Format: Format{Width: -1}},
		{URI: "a", Format: Format{Method: Crop, Width: -1}}, {URI: "a", Format: Format{Method: Crop, Height: -1}},
	} {
		if err := r.Check(); !errors.Is(err, ErrRequest) {
			t.Errorf("Check of %+v returned %v", r, err)
		}
	}
	for _, r := range []Request{
		File("\x00"), File("a b"), File("\xff"), Thumbnail("a", 0, 0), {URI: "a", Format: Format{Method: "\xff", Width: 1 << 30, Animated: true}},
		{URI: "a", Format: Format{Method: " "}},
	} {
		if err := r.Check(); err != nil {
			t.Errorf("Check of %+v returned: %v", r, err)
		}
	}
}
