package state_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/quiesce-go/quiesce/internal/tier"
	"github.com/quiesce-go/quiesce/matrixstores/state"
)

func TestNamesThatLookTheSameAreTheSame(t *testing.T) {
	for _, same := range [][]string{
		{"Alice", "alice", "ALICE", "A l i c e", "  Alice\t", "Ａｌｉｃｅ", "𝔸𝕝𝕚𝕔𝕖", "Alіce" /* Ukrainian і */, "Аlice" /* Cyrillic А */},
		{"Alice", "\u202EAlice", "Al\u200Bice", "Ali\u0301ce", "Al\u00ADice", "\uFEFFAlice", "A\u2062lice", "Alice\uFE0F", "Ali\u034Fce"},
		{"Bill", "BiII", "B1ll", "Bi|l"},
		{"Zoo", "Z00", "ZOO", "ｚｏｏ"},
		{"ẞaß", "ssass"},
		{"@alice:example.org", "@alice.example.org", "＠alice：example.org"},
		{"김치", "김치" /* decomposed */},
		{"Ёлка", "Елка"},
		{"\xff", "\uFFFD"},
		{"😀", "😀\uFE0F", "\u200D😀"},
	} {
		for _, name := range same[1:] {
			if state.NameKey(name) != state.NameKey(same[0]) {
				t.Errorf("%q looks like %q, and is not the same: %q, %q", name, same[0], state.NormalizeName(name), state.NormalizeName(same[0]))
			}
		}
	}
}

func TestNamesThatLookDifferentAreDifferent(t *testing.T) {
	names := []string{
		"Alice", "Alicia", "Bob", "ალისა", "爱丽丝", "アリス", "أليس", "עליזה", "आलिस", "अलिस", "कि", "के", "😀", "😁", "👨‍👩‍👧", "",
		"\u200B", "\u200B\u200B", "\x00", "\x00\x00", " ", "🏳️‍🌈", "김치", "김", "\uFFFD\uFFFDx",
	}
	keys := map[string]string{}
	for _, name := range names {
		key := state.NameKey(name)
		if key == "" {
			t.Errorf("the name %q has no key", name)
		}
		if other, is := keys[key]; is {
			t.Errorf("the names %q and %q have the same key %q", name, other, key)
		}
		keys[key] = name
	}
}

func TestNormalizingIsTotalAndRestful(t *testing.T) {
	step := rune(tier.Count(17, 3, 1))
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if r > 0x2FF { // every one of those that most names are written in
			r += step - 1
		}
		for _, name := range []string{string(r), "a" + string(r) + "\u0301"} {
			once := state.NormalizeName(name)
			if twice := state.NormalizeName(once); twice != once {
				t.Fatalf("%q (%U) becomes %q, and that %q: normalizing twice is not normalizing once", name, r, once, twice)
			}
			if !utf8.ValidString(once) {
				t.Fatalf("%q (%U) becomes %q, which is not UTF-8", name, r, once)
			}
		}
	}
}

func TestNamesThatPretendToBeSomethingElseAreInherentlyAmbiguous(t *testing.T) {
	for _, name := range []string{
		"@alice:example.org", "＠alice：example.org", "@alice.example.org", "@ alice : example.org", "\u202EecilA", "Al\u200Bice", "Alice\x00",
		"Al\u00ADice", "", "\u200B", " ", "Alice\uFEFF", "Al\u2063ice",
	} {
		if !state.InherentlyAmbiguous(name) {
			t.Errorf("%q is not called ambiguous by itself", name)
		}
	}
	for _, name := range []string{
		"Alice", "Alice B.", "alice@example.org", "@alice", "Élodie", "😀 Alice", "👨‍👩‍👧", "❤️", "אליס", "می\u200cخواهم", "林　太郎", "a:b",
	} {
		if state.InherentlyAmbiguous(name) {
			t.Errorf("%q is called ambiguous by itself", name)
		}
	}
}

func TestALongNameIsComparedAsItIs(t *testing.T) {
	long := strings.Repeat("a", 1025)
	if state.NameKey(long) == state.NameKey(long+" ") || !state.InherentlyAmbiguous(long) {
		t.Error("a name that no server allows is compared by what it looks like, which anybody could make us spend time on")
	}
}

func TestASortKeyOrdersNamesAsPeopleDo(t *testing.T) {
	names := []string{"ägypten", "  Alpha", "BETA", "beta 2", "Ωmega", "\u200B"}
	for i := range names[1:] {
		if a, b := state.SortKey(names[i]), state.SortKey(names[i+1]); a > b {
			t.Errorf("%q comes after %q: %q, %q", names[i], names[i+1], a, b)
		}
	}
}

func FuzzNormalizeName(f *testing.F) {
	for _, name := range []string{"Alice", "\u202EAlice", "\xff\xfe", "", "\x00", "ﷺ", "Ⅷ½℀", "e\u0301\u0302\u0303", "🏴\U000E0067\U000E0062", strings.Repeat("\u0344", 9)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		once := state.NormalizeName(name)
		if state.NormalizeName(once) != once {
			t.Fatalf("%q becomes %q, and that %q", name, once, state.NormalizeName(once))
		}
		if state.NameKey(name) == "" || !utf8.ValidString(state.NameKey(name)) {
			t.Fatalf("%q has the key %q", name, state.NameKey(name))
		}
		if state.NameKey(strings.ToUpper(name)) != state.NameKey(strings.ToUpper(name)+"\u200B") && once != "" && len(name) < 300 {
			t.Fatalf("%q: something invisible makes another name", name)
		}
		state.InherentlyAmbiguous(name)
		state.SortKey(name)
	})
}

func BenchmarkNameKey(b *testing.B) {
	for _, name := range []string{"Alice Liddell", "Алиса Лидделл"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				state.NameKey(name)
			}
		})
	}
}
