package main

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestHelpWidth: no line of any command's help is wider than a terminal's
// window usually is.
func TestHelpWidth(t *testing.T) {
	commands := [][]string{{"help"}}
	for c := range below(rootCommand(nil, io.Discard, io.Discard)) {
		commands = append(commands, append([]string{"help"}, strings.Fields(c.CommandPath())[1:]...))
	}
	if len(commands) < 5 {
		t.Fatalf("got %d commands", len(commands))
	}
	for _, args := range commands {
		var stdout, stderr strings.Builder
		if status := run(t.Context(), args, &stdout, &stderr); status != 0 || stdout.Len() == 0 {
			t.Errorf("%v: status %d, %q", args, status, stderr.String())
		}
		for line := range strings.Lines(stdout.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpColumns {
				t.Errorf("%v: %d columns: %s", args, n, line)
			}
		}
	}
}

// TestCompletionOfFiles: the shell offers files where one is meant, and only
// there.
func TestCompletionOfFiles(t *testing.T) {
	const files, folders, none = ":0", ":16", ":4"
	for _, c := range []struct {
		typed []string
		want  string // what fanout __complete prints: values, then what else the shell may offer
	}{
		{[]string{"report", ""}, files},
		{[]string{"compare", "results/a", ""}, files},
		{[]string{"report", "--prices", ""}, files},
		{[]string{"prices", "--output", ""}, files},
		{[]string{"check", "--contender", "mine="}, files},
		{[]string{"run", "--contender", "mine=bin/b"}, files},
		{[]string{"run", "--out", ""}, folders},
		{[]string{"run", ""}, none},
		{[]string{"version", ""}, none},
		{[]string{"run", "--invocations", ""}, none},
		{[]string{"run", "--stack", ""}, none},
		{[]string{"seed", "--endpoint", ""}, none},
		{[]string{"run", "--network", "s3-e"}, "s3-express\n" + none}, // values are offered as before
		{[]string{"run", "--quiet", ""}, none},
		{[]string{"scan", "--out", ""}, folders},
		{[]string{"scan", "--format", "j"}, "jsonl\n" + none},
		{[]string{"scan", "r"}, "redrive\nresult\n" + none}, // a subcommand's own
		{[]string{"scan", "status", "--stack", ""}, none},
		{[]string{"scan", "result", "--format", "c"}, "csv\n" + none},
	} {
		var stdout, stderr strings.Builder
		status := run(t.Context(), append([]string{"__complete"}, c.typed...), &stdout, &stderr)
		got := ""
		for line := range strings.Lines(stdout.String()) {
			value, _, _ := strings.Cut(strings.TrimSpace(line), "\t") // without what it is described as
			got = strings.TrimSpace(got + "\n" + value)
		}
		if status != 0 || got != c.want {
			t.Errorf("%q: status %d, got %q; want %q", c.typed, status, got, c.want)
		}
	}
}
