package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"fanout/bench/internal/trial"
)

func screen(t *testing.T, out string) []string {
	t.Helper()
	lines, at := []string{""}, 0
	for _, part := range regexp.MustCompile(`\x1b\[[0-9]*[A-Z]|\n|[^\x1b\n]+`).FindAllString(out, -1) {
		var n int
		switch {
		case part == "\n":
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
		case part == "\x1b[J":
			lines = append(lines[:at], "")
		case strings.HasPrefix(part, "\x1b["):
			if _, err := fmt.Sscanf(part, "\x1b[%dA", &n); err != nil || n > at {
				t.Fatalf("%q at line %d", part, at)
			}
			at -= n
		default:
			lines[at] = part
		}
	}
	return lines
}

func TestLive(t *testing.T) {
	var out bytes.Buffer
	l := newLive(&out)
	l.height = 3
	setting := func(memory, workers int) trial.Setting {
		return trial.Setting{Target: trial.Target{Function: fmt.Sprint(memory), Contender: "a-contender-of-a-very-long-name-32", MemoryMB: memory}, Client: "lean", Concurrency: workers}
	}
	l.add(setting(1769, 64), trial.Result{OK: true, Start: trial.Cold, InitMS: 20, DurationMS: 480})
	for i := range 6 {
		l.add(setting(128, 64), warmLine(1000+float64(i)))
	}
	l.add(setting(128, 16), trial.Result{ErrorType: "\x1b[2JBad\nthing, of a very long name that does not fit at all"})
	got := screen(t, out.String())
	want := []string{`n   0  failed,  \[2JBad thing, of a`, `n   6  warm   100[23] ms ±0%   cold         –`, `n   0  warm         –       cold    500 ms`}
	if len(got) != len(want)+1 || got[3] != "" {
		t.Fatalf("%d lines: %q", len(got), got)
	}
	for i, pattern := range want {
		if !regexp.MustCompile(pattern).MatchString(got[i]) || utf8.RuneCountInString(got[i]) > 79 {
			t.Errorf("line %d: %q, want %s", i, got[i], pattern)
		}
	}
	// A fourth has no room: the one that changed longest ago goes.
	l.add(setting(256, 64), warmLine(700))
	if got := screen(t, out.String()); len(got) != 4 || slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "500 ms") }) {
		t.Errorf("%q", got)
	}
	l.erase()
	if got := screen(t, out.String()); strings.Join(got, "") != "" {
		t.Errorf("left on the screen: %q", got)
	}
}

func warmLine(ms float64) trial.Result {
	return trial.Result{OK: true, Start: trial.Warm, DurationMS: ms, RoundtripMS: ms}
}
