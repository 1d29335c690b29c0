package sqltext_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quiesce-go/quiesce/internal/sqltext"
)

func TestScriptsAreSplitWhereSQLiteSplitsThem(t *testing.T) {
	trigger := "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM t; END"
	for _, test := range []struct {
		script string
		want   []string
	}{
		{"", nil},
		{" \n\t;; ; -- comment ; \n /* ; */ ;", nil},
		{"SELECT 1", []string{"SELECT 1"}},
		{"SELECT 1;", []string{"SELECT 1"}},
		{"\uFEFF SELECT 1; SELECT 2 ;", []string{"SELECT 1", "SELECT 2 "}},
		{"SELECT ';'; SELECT \";\"\";\"; SELECT [;]; SELECT `;`", []string{"SELECT ';'", "SELECT \";\"\";\"", "SELECT [;]", "SELECT `;`"}},
		{"SELECT 'it''s;' -- a; b\n; SELECT 2 /* ; */", []string{"SELECT 'it''s;' -- a; b\n", "SELECT 2 /* ; */"}},
		{"SELECT x'00'; SELECT 1.5e3; SELECT a$b", []string{"SELECT x'00'", "SELECT 1.5e3", "SELECT a$b"}},
		{trigger + "; SELECT 1", []string{trigger, "SELECT 1"}},
		{"explain query plan create temp trigger x; SELECT 1; END; SELECT 2", []string{"explain query plan create temp trigger x; SELECT 1; END", "SELECT 2"}},
		{"CREATE TEMPORARY TRIGGER a BEGIN SELECT 1; END -- c\n ; SELECT 2", []string{"CREATE TEMPORARY TRIGGER a BEGIN SELECT 1; END -- c\n ", "SELECT 2"}},
		{"CREATE TABLE trigger_log (v); SELECT 1", []string{"CREATE TABLE trigger_log (v)", "SELECT 1"}},
		{"SELECT 'never ends; SELECT 2", []string{"SELECT 'never ends; SELECT 2"}},
		{"SELECT 1 /* never ends; SELECT 2", []string{"SELECT 1 /* never ends; SELECT 2"}},
	} {
		if diff := cmp.Diff(test.want, statements(test.script)); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", test.script, diff)
		}
	}
}

func TestTransactionControlIsRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"BEGIN": true, "begin immediate": true, " ;; -- c\n /* d */ CoMmIt": true, "END": true, "ROLLBACK": true, "rollback to a": true,
		"SAVEPOINT a": true, "RELEASE a": true, "\uFEFFCOMMIT": true, "COMMIT;": true,
		"SELECT 1": false, "EXPLAIN COMMIT": false, "CREATE TABLE begin (v)": false, "INSERT INTO t VALUES ('COMMIT')": false, "": false,
		"PRAGMA user_version": false,
	} {
		if got := sqltext.Parse(text).Control(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestNamedParametersAreRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT :a": true, "SELECT @a": true, "SELECT $a": true, "SELECT $1": true, "SELECT 1+:a": true,
		"SELECT ?": false, "SELECT ?1": false, "SELECT ':a'": false, "SELECT 1 -- :a": false, "SELECT a$b": false, "SELECT [:a], \"@b\"": false,
		"SELECT x->>'$.a'": false,
	} {
		if got := sqltext.Parse(text).Named; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// statements splits a script.
func statements(script string) (bodies []string) {
	for script != "" {
		t := sqltext.Parse(script)
		script = t.Rest
		if t.Body != "" {
			bodies = append(bodies, t.Body)
		}
	}
	return bodies
}

func TestTokensAndVerb(t *testing.T) {
	text := " ;/* a */ pragma main . foreign_keys=OFF -- c"
	if got := sqltext.Verb(text); got != "pragma" {
		t.Errorf("the verb is %q", got)
	}
	want := []string{"pragma", "main", ".", "foreign_keys", "=", "OFF"}
	if diff := cmp.Diff(want, sqltext.Tokens(text[2:], 9)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, text := range []string{"", " -- SELECT", "(SELECT 1)", "'SELECT'"} {
		if got := sqltext.Verb(text); got != "" {
			t.Errorf("%q: the verb is %q", text, got)
		}
	}
}
