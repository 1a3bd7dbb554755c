package main

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	platform := "go        " + runtime.Version() + "\nplatform  " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	vcs := func(modified string) *debug.BuildInfo {
		return &debug.BuildInfo{
			Main: debug.Module{Version: "v0.0.0-20261125180000-0123456789ab"},
			Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-25T18:00:00Z"},
				{Key: "vcs.modified", Value: modified},
			},
		}
	}
	for _, c := range []struct {
		name                  string
		version, commit, date string
		info                  *debug.BuildInfo
		want                  string
	}{
		{"all set by the build", "v1.2.0", "abc", "2026-01-02T03:04:05Z", vcs("false"),
			"fanout    v1.2.0\ncommit    abc\ndate      2026-01-02T03:04:05Z\n"},
		{"none set: from version control", "dev", "", "", vcs("false"),
			"fanout    v0.0.0-20261125180000-0123456789ab\ncommit    0123456789abcdef\ndate      2026-11-25T18:00:00Z\n"},
		{"the version set only, as by make build", "v1.2.0-dirty", "", "", vcs("true"),
			"fanout    v1.2.0-dirty\ncommit    0123456789abcdef (modified)\ndate      2026-11-25T18:00:00Z\n"},
		{"built outside version control", "dev", "", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "fanout    dev\n"},
		{"no build information at all", "dev", "", "", nil, "fanout    dev\n"},
	} {
		var out strings.Builder
		if err := readBuild(c.version, c.commit, c.date, c.info).print(&out); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != c.want+platform {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want+platform)
		}
	}
}

// TestVersionCommand: the command, its arguments, and the flag that stays.
func TestVersionCommand(t *testing.T) {
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string // how each begins
	}{
		{[]string{"version"}, 0, "fanout    ", ""},
		{[]string{"--version"}, 0, "fanout version ", ""},
		{[]string{"version", "now"}, 2, "", "error: version: unexpected argument \"now\"\nhint: see fanout help version\n"},
	} {
		var stdout, stderr strings.Builder
		status := run(t.Context(), c.args, &stdout, &stderr)
		if status != c.status || !strings.HasPrefix(stdout.String(), c.stdout) || !strings.HasPrefix(stderr.String(), c.stderr) {
			t.Errorf("%v: status %d, stdout %q, stderr %q", c.args, status, stdout.String(), stderr.String())
		}
		if (c.stdout == "") != (stdout.Len() == 0) || (c.stderr == "") != (stderr.Len() == 0) {
			t.Errorf("%v: stdout %q, stderr %q", c.args, stdout.String(), stderr.String())
		}
	}
}
