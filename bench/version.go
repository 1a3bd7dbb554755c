package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// What the build may set, with -ldflags "-X main.version=…". Where it does not,
// they come from what Go notes in every binary: see [readBuild].
var version, commit, date = "dev", "", ""

// buildNote is what "fanout version" says.
type buildNote struct {
	version  string // a tag, or what "git describe" gives
	commit   string // full hash; " (modified)" follows where the work tree was not clean
	date     string // of the commit, RFC 3339, UTC
	compiler string // Go's version
	platform string // GOOS/GOARCH
}

// readBuild takes what the build set, and what it did not set from info: the
// main module's version and the fields that Go takes from version control.
func readBuild(version, commit, date string, info *debug.BuildInfo) buildNote {
	b := buildNote{version: version, commit: commit, date: date, compiler: runtime.Version(), platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return b
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if v := info.Main.Version; b.version == "dev" && v != "" && v != "(devel)" {
		b.version = v
	}
	if b.commit == "" && settings["vcs.revision"] != "" {
		b.commit = settings["vcs.revision"]
		if settings["vcs.modified"] == "true" {
			b.commit += " (modified)"
		}
	}
	if b.date == "" {
		b.date = settings["vcs.time"]
	}
	return b
}

// print writes one line for each field; what is not known is left out.
func (b buildNote) print(w io.Writer) error {
	lines := []string{"fanout    " + b.version}
	for _, f := range []struct{ name, value string }{
		{"commit", b.commit}, {"date", b.date}, {"go", b.compiler}, {"platform", b.platform},
	} {
		if f.value != "" {
			lines = append(lines, fmt.Sprintf("%-9s %s", f.name, f.value))
		}
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the build: version, commit, date, Go, platform",
		Example: `  fanout version`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo() // nil where there is none
			return readBuild(version, commit, date, info).print(c.OutOrStdout())
		},
	}
}
