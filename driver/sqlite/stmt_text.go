package sqlite

import "strings"

// How much of SQL has to be understood before the engine sees it: where a
// statement ends, what its first word is, and whether it has named
// parameters. mattn silently drops what follows the first statement of a
// prepared text, modernc runs it; neither says so.

// statementText is the first statement of a text.
type statementText struct {
	body  string // without what surrounds it; "" where there is none
	rest  string // what follows the semicolon that ends it
	verb  string // its first word
	named bool   // it has a parameter like :name, @name, $name
	nul   bool   // the text contains a NUL, where SQLite would stop reading
}

// more says whether anything but comments follows the statement.
func (t statementText) more() bool {
	for rest := t.rest; rest != ""; {
		next := parseStatement(rest)
		if next.body != "" {
			return true
		}
		rest = next.rest
	}
	return false
}

// control says whether the statement begins or ends a transaction or a savepoint.
func (t statementText) control() bool {
	return t.is("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")
}

// changes says whether the statement may be one that counts the rows it changed.
func (t statementText) changes() bool {
	return t.is("INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
}

func (t statementText) is(verbs ...string) bool {
	for _, verb := range verbs {
		if strings.EqualFold(t.verb, verb) {
			return true
		}
	}
	return false
}

// parseStatement finds the first statement of a text. A trigger contains
// semicolons: it ends with the one after an END that follows another one, as
// sqlite3_complete has it.
func parseStatement(text string) statementText {
	var (
		t         = statementText{nul: strings.IndexByte(text, 0) >= 0}
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
			t.body, t.rest = text[start:i], text[i+n:]
			return t
		}
		if start < 0 {
			start = i
			if kind == word {
				t.verb = tok
			}
		}
		if kind == variable {
			t.named = true
		}
		if kind == word {
			switch {
			case words == 0 && isWord(tok, "EXPLAIN", "QUERY", "PLAN"):
				words-- // made up for below
			case words == 0:
				create = isWord(tok, "CREATE")
			case create && isWord(tok, "TEMP", "TEMPORARY") && words == 1:
				words--
			case create && words == 1:
				trigger = isWord(tok, "TRIGGER")
			}
			words++
		}
		end = trigger && semicolon && kind == word && isWord(tok, "END")
		semicolon = false
		i += n
	}
	if start >= 0 {
		t.body = text[start:]
	}
	return t
}

func isWord(tok string, words ...string) bool {
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
