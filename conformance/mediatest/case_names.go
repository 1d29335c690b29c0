package mediatest

// Names as nobody should send them, and somebody will.

import (
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var nameCases = []Case{
	{
		Name:    "requests-that-name-nothing",
		Promise: "a request without a URI, a thumbnail without a method, or with a negative size, is refused with ErrRequest by every method that takes one, and nothing has changed",
		Origins: from("contract", "bad input/empty ids"), run: caseErrRequest,
	},
	{
		Name:    "strange-uris",
		Promise: "any bytes can be a URI, or a method: binary, no UTF-8, control characters, what looks like a number, a pattern or a path; each is itself and no other one",
		Origins: from("bad input/binary ids"), run: caseStrange,
	},
	{
		Name:    "huge-uris",
		Promise: "a URI or a method may be a megabyte long, and is told apart from one that differs in its last byte",
		Origins: from("bad input/oversized ids"), run: caseHuge,
	},
	{
		Name:    "sql-in-uris",
		Promise: "SQL in a URI or a method is text like any other (CVE-2025-53549): it finds what is named so, and nothing else, and changes nothing",
		Origins: from("bad input/SQL in ids"), run: caseInjection,
	},
	{
		Name:    "names-that-look-alike",
		Promise: "a URI that ends like another one's name with its format, and formats that look alike, are different contents",
		Origins: from("bad input/formats that look alike"),
		Differs: "matrix-rust-sdk's memory store has one string for both, URI_FORMAT, in which they collide",
		run:     caseAlike,
	},
}

func caseErrRequest(p *probe) {
	s := p.open()
	good := file("a")
	data := s.add(good, []byte("data"))
	thumb := func(f media.Format) media.Request { return media.Request{URI: good.URI, Format: f} }
	bad := map[string]media.Request{
		"without a URI":                    {},
		"of a thumbnail, without a URI":    media.Thumbnail("", 1, 1),
		"of a thumbnail without a method":  thumb(media.Format{Width: 1, Height: 1}),
		"of an animated file":              thumb(media.Format{Animated: true}),
		"of a thumbnail of negative width": thumb(media.Format{Method: media.Scale, Width: -1, Height: 1}),
		"of one of negative height":        thumb(media.Format{Method: media.Crop, Width: 1, Height: -1}),
	}
	for what, r := range bad {
		p.About("a request "+what, func() {
			stored, err := s.Add(p.Ctx, r, []byte("bad"), media.AddOptions{})
			p.Is("Add", err, media.ErrRequest)
			data, found, err := s.Get(p.Ctx, r)
			p.Is("Get", err, media.ErrRequest)
			p.Is("Remove", s.Remove(p.Ctx, r), media.ErrRequest)
			renamed, err := s.Rename(p.Ctx, r, good, media.RenameOptions{})
			p.Is("Rename from it", err, media.ErrRequest)
			again, err := s.Rename(p.Ctx, good, r, media.RenameOptions{})
			p.Is("Rename to it", err, media.ErrRequest)
			p.Is("SetIgnorePolicy", s.SetIgnorePolicy(p.Ctx, r, true), media.ErrRequest)
			info, known, err := s.Info(p.Ctx, r)
			p.Is("Info", err, media.ErrRequest)
			if stored || found || len(data) > 0 || renamed || again || known || info != (media.Info{}) {
				p.Broken("something was returned beside the error")
			}
			w, err := s.Create(p.Ctx, r, media.AddOptions{})
			p.Is("Create", err, media.ErrRequest)
			in, err := s.Open(p.Ctx, r)
			p.Is("Open", err, media.ErrRequest)
			if w != nil || in != nil {
				p.Broken("Create returned %v beside the error, and Open %v", w, in)
			}
		})
	}
	_, _, found, err := s.GetForURI(p.Ctx, "")
	p.Is("GetForURI without a URI", err, media.ErrRequest)
	p.Is("RemoveForURI without a URI", s.RemoveForURI(p.Ctx, ""), media.ErrRequest)
	if found {
		p.Broken("GetForURI without a URI has found something")
	}
	s.has(good, data)
	s.obeys(good)
	s.counts("after requests that were refused", media.Stats{Contents: 1, Bytes: 4})
}

// strange are different strings, some of which are often taken for each other.
var strange = []string{
	"a", "A", "a ", " a", "a\x00", "\x00a", "\x00", "a\x00b", "a\x00c", "a\n", "a\t", "aa",
	"é", "e\u0301", "É", "ß", "ss", "İ", "i", "\ufffd", "\xff", "\xfe", "\xff\xfe", "\xc3\x28", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\u202egro.live", "😀",
	"0", "00", "1", "1.0", "01", "1e0", "0x1", "9223372036854775808", "NULL", "null", "true",
	"%", "_", "*", "?", "a%", "a_", "[a]", "\\", "'", "\"", "`", ";", "--", "/*", "x'00'", "?1", ":a", "@a", "$1", "#",
	"{}", `["a"]`, "YQ==", "61", "../a", "/", ".", "a/b", "a|b", "<a>", "&amp;", "file", "_file",
	"mxc://example.org/a", "mxc://example.org/A", "mxc://example.org//a", "mxc://example.org/a/", "MXC://example.org/a", "mxc://example.org/a?b#c", "mxc://[::1]:80/%61",
}

// injections are attempts to be more than text.
var injections = []string{
	`' OR '1'='1`, `'; DROP TABLE media; --`, `" OR ""="`, `x' UNION SELECT data FROM chunk --`, `') OR 1=1 --`, `%' ESCAPE '`, "`; DELETE FROM media; --", `\'; --`,
	`(SELECT uri FROM media LIMIT 1)`, `a"); DROP TABLE chunk; --`, `mxc://example.org/' OR format != '`, `?1`, `x'6d786300'`,
}

// apart stores a content under each of these requests, and takes them away again, one after another.
func apart(s *subject, all []media.Request) {
	p := s.p
	for i, r := range all {
		s.add(r, fmt.Appendf(nil, "content %d", i), media.AddOptions{IgnorePolicy: i%3 == 0})
	}
	if got := s.stats().Contents; got != len(all) {
		p.Broken("%d contents with different names were stored, and there are %d", len(all), got)
	}
	for i, r := range all {
		s.has(r, fmt.Appendf(nil, "content %d", i))
		s.flag(r, i%3 == 0)
	}
	if p.Failed() {
		return
	}
	for i, r := range all { // from each to a name that nobody has, and away
		if i%2 == 0 {
			p.Must("Remove", s.Remove(p.Ctx, r))
		} else {
			renamed, err := s.Rename(p.Ctx, r, file(fmt.Sprint("renamed ", i)), media.RenameOptions{})
			p.Must("Rename", err)
			if !renamed {
				p.Broken("Rename does not find %s", name(r))
			}
			s.has(file(fmt.Sprint("renamed ", i)), fmt.Appendf(nil, "content %d", i))
		}
		if _, found, err := s.Get(p.Ctx, r); found || err != nil {
			p.Broken("%s is still there: %v, %v", name(r), found, err)
		}
		if i+1 < len(all) {
			s.has(all[i+1], fmt.Appendf(nil, "content %d", i+1))
		}
	}
	if got := s.stats().Contents; got != len(all)/2 {
		p.Broken("there are %d contents, and %d were renamed, and all others removed", got, len(all)/2)
	}
}

// named makes files, thumbnails, and methods of texts.
func named(texts []string) (all []media.Request) {
	for _, text := range texts {
		all = append(all, media.File(id.ContentURIString(text)), media.Thumbnail(id.ContentURIString(text), 1, 1),
			media.Request{URI: mxc("one"), Format: media.Format{Method: media.Method(text), Width: 1}})
	}
	return all
}

func caseStrange(p *probe) {
	s := p.open()
	apart(s, named(strange))
	for _, text := range strange {
		uri := id.ContentURIString(text)
		s.noneOf(uri)
		s.stream(media.File(uri), []byte(text), 1)
		s.byURI(uri, media.File(uri), []byte(text))
	}
	for _, text := range strange {
		p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, id.ContentURIString(text)))
		s.noneOf(id.ContentURIString(text))
	}
}

func caseHuge(p *probe) {
	s := p.open()
	huge := strings.Repeat("\xffa'", p.count(32*kib, 256*kib, mib, mib)/3)
	texts := []string{huge + "a", huge + "b", huge}
	all := named(texts[1:2])
	for _, text := range texts {
		all = append(all, media.Thumbnail(id.ContentURIString(text), 2, 2))
	}
	apart(s, all)
	for _, text := range texts {
		r := media.File(id.ContentURIString(text))
		s.stream(r, []byte(text[len(text)-10:]), 5)
		s.byURI(r.URI, r, []byte(text[len(text)-10:]))
	}
	s.nap()
	for _, text := range texts {
		s.has(media.File(id.ContentURIString(text)), []byte(text[len(text)-10:]))
	}
}

func caseInjection(p *probe) {
	s := p.open()
	r := file("bystander")
	data := s.add(r, bytesOf(1, 1000), kept)
	for _, text := range injections {
		p.About(short(text), func() {
			for _, name := range named([]string{text}) {
				s.absent(name)
				p.Must("Remove", s.Remove(p.Ctx, name))
				p.Must("SetIgnorePolicy", s.SetIgnorePolicy(p.Ctx, name, false))
			}
			s.noneOf(id.ContentURIString(text))
			p.Must("RemoveForURI", s.RemoveForURI(p.Ctx, id.ContentURIString(text)))
			s.counts("after it was asked for, and removed,", media.Stats{Contents: 1, Bytes: 1000, Ignoring: 1})
		})
	}
	p.Must("Remove", s.Remove(p.Ctx, file("bystander2")))
	s.has(r, data)
	p.Must("Remove", s.Remove(p.Ctx, r))
	apart(s, named(injections))
}

func caseAlike(p *probe) {
	s := p.open()
	format := func(uri string, f media.Format) media.Request {
		return media.Request{URI: id.ContentURIString(uri), Format: f}
	}
	var all []media.Request
	for _, uri := range []string{
		"mxc://a/b", "mxc://a/b_file", "mxc://a/b_file_file", "mxc://a/b_crop_64x48", "mxc://a/b_scale_64x48", "mxc://a/b_scale_64x48_animated", "mxc://a/b_scale", "mxc://a/bcrop", "mxc://a/b_", "mxc://a/b_crop_6",
	} {
		all = append(all, format(uri, media.Format{}))
		for _, f := range []media.Format{
			{Method: media.Crop, Width: 64, Height: 48}, {Method: media.Crop, Width: 64, Height: 48, Animated: true},
			{Method: media.Crop, Width: 48, Height: 64}, {Method: media.Scale, Width: 64, Height: 48},
			{Method: media.Crop, Width: 6, Height: 448}, {Method: media.Crop, Width: 644, Height: 8}, {Method: media.Crop}, {Method: media.Crop, Animated: true},
			{Method: "file"}, {Method: "file", Animated: true}, {Method: "crop_64x48", Width: 64, Height: 48}, {Method: "crop_64x48"}, {Method: "_crop", Width: 64, Height: 48},
			{Method: "crop_64x48_animated", Width: 64, Height: 48}, {Method: "crop_64x48_animated", Width: 64, Height: 48, Animated: true}, {Method: "Crop", Width: 64, Height: 48},
			{Method: "crop\x00", Width: 64, Height: 48}, {Method: "animated", Width: 64, Height: 48}, {Method: "0x0_crop", Width: 64, Height: 48}, {Method: "_"}, {Method: "__"},
		} {
			all = append(all, format(uri, f))
		}
	}
	apart(s, all)
}
