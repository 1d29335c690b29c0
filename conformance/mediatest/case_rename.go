package mediatest

// Other names for contents, as for an upload that has got its URI.

import (
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/matrixstores/media"
)

var renameCases = []Case{
	{
		Name:    "rename",
		Promise: "Rename changes the name, URI and format, and nothing else: data, last access, flag, and which was stored first stay; other formats of the URI stay where they are",
		Origins: from(seed(9), "ME-03"), run: caseRename,
	},
	{
		Name:    "rename-over",
		Promise: "Rename to a name that has a content replaces that content: one is left, with the data, the last access and the flag of the one that was renamed",
		Origins: from("DIV-30", "GAP-ME/replace onto an existing key", "ME-03"),
		Differs: "matrix-rust-sdk fails, or has two contents of one name then",
		run:     caseRenameOver,
	},
	{
		Name:    "rename-to-itself",
		Promise: "Rename of a content to its own name does nothing but what the options say",
		Origins: from("contract"), run: caseRenameToItself,
	},
	{
		Name:    "sent-upload",
		Promise: "an upload gets its new name, and obeys the policy again, in one call: it is kept until then, and from then on cleaned as any other",
		Origins: from("contract", "ME-03", "ME-10"),
		Differs: "these are two calls in matrix-rust-sdk, and a cleaning may come between them",
		run:     caseSentUpload,
	},
}

// rename renames what has to be there.
func (s *subject) rename(from, to media.Request, o media.RenameOptions) {
	renamed, err := s.Rename(s.p.Ctx, from, to, o)
	s.p.Must("Rename", err)
	if !renamed {
		s.p.Fatal("Rename of %s, which is there, to %s returned false", name(from), name(to))
	}
}

func caseRename(p *probe) {
	s := p.open()
	for i, c := range []struct {
		from, to media.Request
		keep     media.AddOptions
		o        media.RenameOptions
		ignores  bool // afterwards
	}{
		{file("local"), file("server"), media.AddOptions{}, media.RenameOptions{}, false},
		{file("local"), file("server"), kept, media.RenameOptions{}, true},
		{file("local"), file("server"), kept, media.RenameOptions{ObeyPolicy: true}, false},
		{file("local"), file("server"), media.AddOptions{}, media.RenameOptions{ObeyPolicy: true}, false},
		{thumbnail("local", 10, 10), thumbnail("server", 10, 10), kept, media.RenameOptions{}, true},
		{thumbnail("local", 10, 10), thumbnail("local", 20, 20), kept, media.RenameOptions{}, true}, // formats need not be alike
		{thumbnail("local", 10, 10), file("local2"), kept, media.RenameOptions{ObeyPolicy: true}, false},
	} {
		for _, size := range []int{0, 100, 200 * kib} {
			p.About(fmt.Sprintf("case %d with %d bytes", i, size), func() {
				bystanders := []media.Request{thumbnail(string(c.from.URI)[len(mxc("")):], 77, 77), thumbnail(string(c.to.URI)[len(mxc("")):], 78, 78)}
				for n, r := range bystanders {
					s.add(r, bytesOf(n, 10))
				}
				data := s.add(c.from, bytesOf(i, size), c.keep)
				at := p.Clock.Add(hour)
				s.has(c.from, data)
				p.Clock.Add(hour)
				s.rename(c.from, c.to, c.o)
				s.absent(c.from)
				s.accessed(c.to, at)
				s.flag(c.to, c.ignores)
				s.everyWay(c.to, data)
				for n, r := range bystanders {
					s.has(r, bytesOf(n, 10))
				}
				want := media.Stats{Contents: 3, Bytes: int64(size) + 20}
				if c.ignores {
					want.Ignoring = 1
				}
				s.counts("after Rename", want)
				for _, r := range append(bystanders, c.to) {
					p.Must("Remove", s.Remove(p.Ctx, r))
				}
				s.counts("after all was removed", media.Stats{})
			})
		}
	}
}

func caseRenameOver(p *probe) {
	s := p.open()
	from, to := file("from"), file("to")
	for i, options := range [][2]media.AddOptions{{{}, {}}, {kept, {}}, {{}, kept}, {kept, kept}} {
		for _, obey := range []bool{false, true} {
			p.About(fmt.Sprintf("case %d, ObeyPolicy %v", i, obey), func() {
				data := s.add(from, bytesOf(1, 100*kib), options[0])
				at := p.Clock.Now()
				p.Clock.Add(hour)
				s.add(to, bytesOf(2, 150*kib), options[1])
				other := s.add(thumbnail("to", 1, 1), bytesOf(3, 10))
				s.rename(from, to, media.RenameOptions{ObeyPolicy: obey})
				s.absent(from)
				s.accessed(to, at)
				s.flag(to, options[0].IgnorePolicy && !obey)
				s.everyWay(to, data)
				s.byURI(to.URI, to, data)
				s.has(thumbnail("to", 1, 1), other)
				want := media.Stats{Contents: 2, Bytes: 100*kib + 10}
				if options[0].IgnorePolicy && !obey {
					want.Ignoring = 1
				}
				s.counts("after Rename onto another content", want)
				p.Must("Remove", s.Remove(p.Ctx, to))
				s.absent(to)
				s.byURI(to.URI, thumbnail("to", 1, 1), other)
			})
		}
	}
	// Nothing is there to be renamed: what has the other name stays.
	data := s.add(to, []byte("stays"))
	renamed, err := s.Rename(p.Ctx, from, to, media.RenameOptions{ObeyPolicy: true})
	p.Must("Rename", err)
	if renamed {
		p.Broken("Rename of what is not there returned true")
	}
	s.has(to, data)
}

func caseRenameToItself(p *probe) {
	s := p.open()
	r := file("a")
	data := s.add(r, bytesOf(1, 100*kib), kept)
	at := p.Clock.Now()
	p.Clock.Add(hour)
	s.rename(r, r, media.RenameOptions{})
	s.ignores(r)
	s.accessed(r, at)
	s.rename(r, r, media.RenameOptions{ObeyPolicy: true})
	s.obeys(r)
	s.accessed(r, at)
	s.everyWay(r, data)
	s.counts("after Rename of a content to its own name", media.Stats{Contents: 1, Bytes: 100 * kib})
}

func caseSentUpload(p *probe) {
	s := p.open()
	local, server := file("local"), file("server")
	s.policy(media.NoLimits().WithMaxFileSize(1000).WithLastAccessExpiry(time.Hour))
	data := s.add(local, bytesOf(1, 5000), kept)
	p.Clock.Add(2 * hour)
	s.cleans(0, 0)
	s.there("an upload that was not sent", []media.Request{local, server}, local)
	s.rename(local, server, media.RenameOptions{ObeyPolicy: true})
	s.there("when it was sent, before the next cleaning,", []media.Request{local, server}, server)
	s.has(server, data) // until it is cleaned
	s.cleans(1, 5000)
	s.absent(local, server)

	// Beside cleanings, one of which comes at every moment: those that are sent, and fit, are never removed.
	s.policy(media.NoLimits().WithMaxFileSize(1000).WithLastAccessExpiry(time.Hour))
	sent := make(chan struct{})
	p.All(func() {
		defer close(sent)
		for i := range 60 {
			from, to := file(fmt.Sprint("local", i)), file(fmt.Sprint("server", i))
			s.add(from, bytesOf(i, 900), kept)
			s.rename(from, to, media.RenameOptions{ObeyPolicy: true})
			s.has(to, bytesOf(i, 900))
		}
	}, func() {
		for {
			select {
			case <-sent:
				return
			default:
			}
			s.cleans(0, 0)
		}
	})
	s.counts("after 60 uploads", media.Stats{Contents: 60, Bytes: 60 * 900})
}
