package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryExportedNameIsDocumented: a name that a user can see says what it promises.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	checked := 0
	for _, dir := range []string{"lifecycle", "driver", "conformance", "storekit", "matrixstores", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "internal" && dir != "internal" {
				return filepath.SkipDir // no user sees it
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				for _, name := range undocumented(decl, &checked) {
					t.Errorf("%s: %s has no documentation", fset.Position(name.Pos()), name.Name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if checked < 200 {
		t.Errorf("only %d exported names were found", checked)
	}
}

// undocumented returns the exported names of a declaration that have no comment, neither of their own nor of their group.
func undocumented(decl ast.Decl, checked *int) (names []*ast.Ident) {
	check := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		*checked++
		for _, doc := range docs {
			if doc != nil {
				return
			}
		}
		names = append(names, name)
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil || exportedReceiver(decl.Recv) {
			check(decl.Name, decl.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				check(spec.Name, spec.Doc, spec.Comment, decl.Doc)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					check(name, spec.Doc, spec.Comment, decl.Doc)
				}
			}
		}
	}
	return names
}

// exportedReceiver tells methods that a user can see. Error, Is and Unwrap of error types explain themselves, but are checked like the rest.
func exportedReceiver(recv *ast.FieldList) bool {
	expr := recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}
