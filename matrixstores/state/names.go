package state

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Anybody can call himself what he likes, also by a name that only looks like
// somebody else's. So names are compared by what they look like.

// maxName is the longest name, in bytes, of which is told what it looks like. Servers allow a quarter of it.
const maxName = 1024

// NameKey returns under which key a name is stored: two names have the same key if they look the same. It is never empty,
// and it is there for any string. What has nothing visible in it, or more than 1024 bytes, is only the same as itself.
func NameKey(name string) string {
	if len(name) > maxName {
		return "r" + strings.ToValidUTF8(name, "\uFFFD")
	}
	if seen := NormalizeName(name); seen != "" {
		return "n" + seen
	}
	return "r" + strings.ToValidUTF8(name, "\uFFFD")
}

// NormalizeName returns what a name looks like, for comparing only: without
// differences of case and width, accents, white space, and what is invisible or changes the direction of
// writing; with letters that look alike, in whichever script, as one (UTS #39; besides, i as l, and . as :). It is empty where nothing
// is visible. What is not UTF-8 counts as U+FFFD. Normalizing twice is normalizing once.
func NormalizeName(name string) string {
	if seen, ok := normalizeASCII(name); ok {
		return seen
	}
	// What one step yields, another may change: a replacement can be a capital letter, or an accented one. Every known name is
	// at rest after two rounds; the bound is there so that no name can keep us busy.
	for range 4 {
		next := normalizeOnce(name)
		if next == name {
			break
		}
		name = next
	}
	return name
}

func normalizeOnce(name string) string {
	name = norm.NFKD.String(strings.ToValidUTF8(name, "\uFFFD"))
	name = cases.Fold().String(visible(name))
	var b strings.Builder
	b.Grow(len(name))
	for _, r := range name {
		if repl := confusable.GetReplacement(r); repl != "" {
			b.WriteString(repl)
		} else {
			b.WriteRune(r)
		}
	}
	name = cases.Fold().String(norm.NFKD.String(b.String()))
	return alike.Replace(visible(name))
}

// alike are letters that look alike when case does not matter, which UTS #39 says nothing about.
var alike = strings.NewReplacer("i", "l", ".", ":")

// visible leaves out what cannot be seen, and the accents.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, s)
}

func invisible(r rune) bool {
	switch {
	case r >= 0x300 && r <= 0x36F: // accents, after decomposing. Marks of other scripts are more than accents, and stay
		return true
	case r == 0x2800: // a pattern of Braille without dots
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z, unicode.White_Space,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// asciiSeen is what normalizeOnce makes of each character of ASCII; "" for what is left out.
var asciiSeen = func() (seen [utf8.RuneSelf]string) {
	for c := range seen {
		s := string(rune(c))
		for range 4 {
			s = normalizeOnce(s)
		}
		seen[c] = s
	}
	return seen
}()

// normalizeASCII does it for names in ASCII, which most are, without looking further. ok is false for others.
func normalizeASCII(name string) (seen string, ok bool) {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return "", false
		}
	}
	var b strings.Builder
	b.Grow(len(name) + 4)
	for i := range len(name) {
		b.WriteString(asciiSeen[name[i]])
	}
	return b.String(), true
}

// InherentlyAmbiguous says whether a name is to be shown with the user's id even if nobody else has it: it looks like an id of a user, or
// has something in it that is invisible or changes the direction of writing, or nothing visible at all, or is longer than 1024 bytes.
func InherentlyAmbiguous(name string) bool {
	if len(name) > maxName {
		return true
	}
	seen := NormalizeName(name)
	if seen == "" {
		return true
	}
	if at, rest, found := strings.Cut(seen, "@"); found && at == "" {
		if local, server, found := strings.Cut(rest, ":"); found && local != "" && server != "" {
			return true
		}
	}
	// Joiners and variation selectors are a part of many an emoji, and of some scripts.
	return strings.ContainsFunc(name, func(r rune) bool {
		switch {
		case r == ' ' || r == 0x200C || r == 0x200D || unicode.Is(unicode.Variation_Selector, r) || r >= 0x300 && r <= 0x36F:
			return false
		}
		return invisible(r) && !(unicode.Is(unicode.Zs, r) && r == 0x3000)
	})
}

// SortKey returns what names are ordered by in a list: letters before their accents matter, without regard to case. Names
// without anything visible come last.
func SortKey(name string) string {
	seen := cases.Fold().String(norm.NFKD.String(strings.ToValidUTF8(name, "\uFFFD")))
	seen = strings.Join(strings.Fields(visibleOrSpace(seen)), " ")
	if seen == "" {
		return "\U0010FFFF"
	}
	return seen
}

func visibleOrSpace(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case invisible(r):
			return -1
		}
		return r
	}, s)
}
