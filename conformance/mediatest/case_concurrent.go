package mediatest

// Many at once.

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var concurrentCases = []Case{
	{
		Name:    "readers-beside-writers",
		Promise: "whoever reads while others store, as a whole or as streams, under the same names, gets a whole content, never a part of one or parts of two; and never none, where there was one all the time",
		Origins: from("contract", "OBS-32"), run: caseBeside,
	},
	{
		Name:    "names-change-in-one-step",
		Promise: "a content that is renamed is there at every moment, under one of its names, and two are never left",
		Origins: from("contract", "ME-03"), run: caseRenamesBeside,
	},
	{
		Name:    "all-at-once",
		Promise: "goroutines that do everything at once, each with names of its own, get the same answers as if they were alone, and what Stats counts is right at the end",
		Origins: from("contract"), run: caseAllAtOnce,
	},
}

func caseBeside(p *probe) {
	s := p.open()
	names := []media.Request{file("a"), thumbnail("a", 1, 1), file("b")}
	for i, r := range names {
		s.add(r, marked(uint32(i), 100*kib))
	}
	check := func(how string, data []byte, found bool, err error) {
		p.Must(how, err)
		if !found {
			p.Fatal("%s found nothing, and there was a content all the time", how)
		}
		if _, err := whole(data); err != nil {
			p.Fatal("%s returned %d bytes: %v", how, len(data), err)
		}
	}
	var over atomic.Bool
	rounds := p.count(10, 20, 200, 2000)
	var all []func()
	writers := atomic.Int32{}
	for w := range 3 {
		writers.Add(1)
		all = append(all, func() {
			defer func() { over.Store(writers.Add(-1) == 0) }()
			for i := 0; i < rounds && !p.Over(); i++ {
				r := names[(w+i)%len(names)]
				data := marked(uint32(w*rounds+i), 50+(i*37*kib)%(200*kib))
				if i%2 == 0 {
					s.add(r, data)
				} else {
					s.stream(r, data, 50*kib)
				}
			}
		})
	}
	for n := range 4 {
		all = append(all, func() {
			for i := 0; !over.Load() && !p.Over(); i++ {
				r := names[(i+n)%len(names)]
				switch (i / 3) % 3 {
				case 0:
					data, found, err := s.Get(p.Ctx, r)
					check("Get", data, found, err)
				case 1:
					data, _, found, err := s.GetForURI(p.Ctx, r.URI)
					check("GetForURI", data, found, err)
				case 2:
					in, err := s.Open(p.Ctx, r)
					p.Must("Open", err)
					if in == nil {
						p.Fatal("Open found nothing, and there was a content all the time")
					}
					data, err := io.ReadAll(in)
					if !errors.Is(err, media.ErrGone) { // replaced meanwhile
						check("a Reader", data, true, err)
						if in.Size() != int64(len(data)) {
							p.Broken("a Reader says that its content has %d bytes, and has returned %d", in.Size(), len(data))
						}
					}
					p.Must("Close", in.Close())
				}
			}
		})
	}
	p.All(all...)
	if got := s.stats(); got.Contents != len(names) || got.Uploads != 0 {
		p.Broken("three names were written to, and Stats counts %+v", got)
	}
}

func caseRenamesBeside(p *probe) {
	s := p.open()
	one, two := thumbnail("a", 1, 1), thumbnail("a", 2, 2)
	data := s.add(one, bytesOf(1, 100*kib))
	var over atomic.Bool
	all := []func(){func() {
		defer over.Store(true)
		for i := 0; i < p.count(20, 40, 500, 5000) && !p.Over(); i++ {
			s.rename(one, two, media.RenameOptions{})
			s.rename(two, one, media.RenameOptions{})
		}
	}}
	for range 3 {
		all = append(all, func() {
			for !over.Load() && !p.Over() {
				got, r, found, err := s.GetForURI(p.Ctx, one.URI)
				p.Must("GetForURI", err)
				if !found || r != one && r != two || string(got) != string(data) {
					p.Fatal("GetForURI of what is being renamed returned %d bytes, %+v, %v", len(got), r, found)
				}
				if st := s.stats(); st != (media.Stats{Contents: 1, Bytes: 100 * kib}) {
					p.Fatal("while one content is renamed Stats counts %+v", st)
				}
				for _, r := range []media.Request{one, two} {
					in, err := s.Open(p.Ctx, r)
					p.Must("Open", err)
					if in == nil {
						continue
					}
					got, err := io.ReadAll(in)
					if err != nil || string(got) != string(data) {
						p.Fatal("a Reader of what is being renamed returned %d bytes, %v", len(got), err)
					}
					p.Must("Close", in.Close())
				}
			}
		})
	}
	p.All(all...)
}

func caseAllAtOnce(p *probe) {
	s := p.open()
	s.policy(media.NoLimits().WithMaxFileSize(100 * kib))
	workers, each := 6, p.count(4, 8, 100, 1000)
	var all []func()
	for n := range workers {
		me := func(name string) media.Request { return file(fmt.Sprint(n, " ", name)) }
		all = append(all, func() {
			for i := 0; i < each && !p.Over(); i++ {
				data := bytesOf(n, 1000*i%(90*kib))
				s.add(me("a"), data, media.AddOptions{IgnorePolicy: i%2 == 0})
				s.has(me("a"), data)
				s.tooLarge(me("large"), bytesOf(n, 100*kib+1))
				s.stream(me("b"), data, 30*kib)
				in := s.opened(me("b"))
				s.rename(me("a"), me("c"), media.RenameOptions{ObeyPolicy: i%3 == 0})
				s.flag(me("c"), i%2 == 0 && i%3 != 0)
				if _, err := s.Clean(p.Ctx); err != nil {
					p.Broken("Clean returned: %v", err)
				}
				p.reads("it, beside others at work,", in, data)
				s.everyWay(me("c"), data)
				s.absent(me("a"), me("d"))
				p.Must("Remove", s.Remove(p.Ctx, me("c")))
				w := s.create(me("b"))
				p.write(w, bytesOf(n, 70*kib), 64*kib)
				p.Must("Close", w.Close())
				s.takes(fmt.Sprint(n), "me", hour, 1)
			}
			s.has(me("b"), bytesOf(n, 1000*(each-1)%(90*kib)))
		})
	}
	p.All(all...)
	size := int64(1000 * (each - 1) % (90 * kib))
	s.counts("after all of them", media.Stats{Contents: workers, Bytes: int64(workers) * size})
}
