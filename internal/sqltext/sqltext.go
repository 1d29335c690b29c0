// Package sqltext understands as much of SQL as has to be known before an
// engine sees it: where a statement ends, what its first word is, and whether
// it has named parameters. mattn silently drops what follows the first
// statement of a prepared text, modernc runs it; neither says so.
package sqltext

import "strings"

// Statement is the first statement of a text.
type Statement struct {
	Body  string // without what surrounds it; "" where there is none
	Rest  string // what follows the semicolon that ends it
	Verb  string // its first word
	Named bool   // it has a parameter like :name, @name, $name
	NUL   bool   // the text contains a NUL, where SQLite would stop reading
}

// More says whether anything but comments follows the statement.
func (t Statement) More() bool {
	for rest := t.Rest; rest != ""; {
		next := Parse(rest)
		if next.Body != "" {
			return true
		}
		rest = next.Rest
	}
	return false
}

// Control says whether the statement begins or ends a transaction or a savepoint.
func (t Statement) Control() bool {
	return t.Is("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")
}

// Changes says whether the statement may be one that counts the rows it changed.
func (t Statement) Changes() bool {
	return t.Is("INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
}

// Is says whether the statement begins with one of the verbs.
func (t Statement) Is(verbs ...string) bool { return IsWord(t.Verb, verbs...) }

// Parse finds the first statement of a text. A trigger contains
// semicolons: it ends with the one after an END that follows another one, as
// sqlite3_complete has it.
func Parse(text string) Statement {
	var (
		t         = Statement{NUL: strings.IndexByte(text, 0) >= 0}
		start     = -1
		words     int  // seen so far, those of EXPLAIN not counted
		create    bool // the first word is CREATE
		trigger   bool // it creates a trigger
		semicolon bool // in a trigger: the token before was a semicolon
		end       bool // in a trigger: the tokens before were a semicolon and END
	)
	for i := 0; i < len(text); {
		kind, n := token(text[i:])
		tok := text[i : i+n]
		if kind == blank {
			i += n
			continue
		}
		if kind == semi {
			if start < 0 || trigger && !end {
				semicolon = start >= 0 // those before the statement are nothing
				i += n
				continue
			}
			t.Body, t.Rest = text[start:i], text[i+n:]
			return t
		}
		if start < 0 {
			start = i
			if kind == word {
				t.Verb = tok
			}
		}
		if kind == variable {
			t.Named = true
		}
		if kind == word {
			switch {
			case words == 0 && IsWord(tok, "EXPLAIN", "QUERY", "PLAN"):
				words-- // made up for below
			case words == 0:
				create = IsWord(tok, "CREATE")
			case create && IsWord(tok, "TEMP", "TEMPORARY") && words == 1:
				words--
			case create && words == 1:
				trigger = IsWord(tok, "TRIGGER")
			}
			words++
		}
		end = trigger && semicolon && kind == word && IsWord(tok, "END")
		semicolon = false
		i += n
	}
	if start >= 0 {
		t.Body = text[start:]
	}
	return t
}

// IsWord compares a token with keywords, whatever their case.
func IsWord(tok string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(tok, w) {
			return true
		}
	}
	return false
}

type tokenKind uint8

const (
	blank    tokenKind = iota // space or comment
	semi                      // ;
	word                      // a keyword, a name or a number
	variable                  // a named parameter
	other                     // quoted text, operators
)

// token returns the kind and the length of the first token of s. What is not
// terminated extends to the end; SQLite will complain.
func token(s string) (tokenKind, int) {
	switch c := s[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r':
		return blank, 1
	case strings.HasPrefix(s, "\uFEFF"):
		return blank, 3 // SQLite takes a byte order mark for a space
	case strings.HasPrefix(s, "--"):
		return blank, until(s, 2, "\n")
	case strings.HasPrefix(s, "/*"):
		return blank, until(s, 2, "*/")
	case c == ';':
		return semi, 1
	case c == '\'' || c == '"' || c == '`':
		return other, quoted(s, c)
	case c == '[':
		return other, until(s, 1, "]")
	case c == ':' || c == '@' || c == '$' || c == '#':
		return variable, 1
	case isIdent(c):
		n := 1
		for n < len(s) && (isIdent(s[n]) || s[n] == '$') {
			n++
		}
		return word, n
	default:
		return other, 1
	}
}

func until(s string, from int, mark string) int {
	if i := strings.Index(s[from:], mark); i >= 0 {
		return from + i + len(mark)
	}
	return len(s)
}

// quoted returns the length of a quoted text, in which the quote itself is doubled.
func quoted(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

func isIdent(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}

// Tokens returns the first n tokens of a text, without spaces and comments.
func Tokens(text string, n int) []string {
	var tokens []string
	for i := 0; i < len(text) && len(tokens) < n; {
		kind, length := token(text[i:])
		if kind != blank {
			tokens = append(tokens, text[i:i+length])
		}
		i += length
	}
	return tokens
}

// Verb returns the first word of a text, without looking further.
func Verb(text string) string {
	for i := 0; i < len(text); {
		kind, n := token(text[i:])
		switch kind {
		case blank, semi:
			i += n
		case word:
			return text[i : i+n]
		default:
			return ""
		}
	}
	return ""
}
