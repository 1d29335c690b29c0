package main

// What --version says: everything that a report of a bug needs, from the build itself.

import (
	"runtime"
	"runtime/debug"
	"strings"
)

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "quiesce (unknown) " + runtime.Version()
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	parts := []string{"quiesce", v}
	if revision := settings["vcs.revision"]; revision != "" && !strings.Contains(v, revision[:min(12, len(revision))]) {
		if settings["vcs.modified"] == "true" {
			revision += "+changes"
		}
		parts = append(parts, revision)
	}
	parts = append(parts, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH, "cgo="+settings["CGO_ENABLED"])
	for _, d := range info.Deps {
		if d.Path == "modernc.org/sqlite" || d.Path == "github.com/mattn/go-sqlite3" {
			parts = append(parts, d.Path+"@"+d.Version)
		}
	}
	return strings.Join(parts, " ")
}
