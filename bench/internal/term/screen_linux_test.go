package term

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"fanout/bench/internal/term/termtest"
)

// A frame of more lines than the terminal has, too long and not clean, fits.
func TestFrameFits(t *testing.T) {
	x := termtest.New(t, 20, 4, true)
	s := NewScreen(x.File)
	s.Show(func(int, int) []string {
		return []string{"\x1b[2Jone\rline", strings.Repeat("x", 30), "three", "four", "five"}
	})
	if got := x.Shows(); !slices.Equal(got, []string{"one line", strings.Repeat("x", 18) + "…", "three"}) || len(x.Wrapped()) > 0 {
		t.Errorf("%q", got)
	}
}

// What is written while a frame is shown stands above it, line by line.
func TestWriteAboveFrame(t *testing.T) {
	x := termtest.New(t, 80, 24, true)
	s := NewScreen(x.File)
	s.Show(func(int, int) []string { return []string{"one", "two"} })
	for _, text := range []string{"first\nsec", "ond\n", "unfinished"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := x.Shows(); !slices.Equal(got, []string{"first", "second", "one", "two"}) {
		t.Errorf("%q", got)
	}
	s.Clear()
	if got := x.Shows(); !slices.Equal(got, []string{"first", "second", "unfinished"}) {
		t.Errorf("%q", got)
	}
}

func TestIs(t *testing.T) {
	terminal := termtest.New(t, 80, 24, true).File
	for _, tc := range []struct {
		name, kind string
		out        io.Writer
		want       bool
	}{
		{"a terminal", "xterm", terminal, true},
		{"a terminal without a kind", "", terminal, true},
		{"one that cannot move its cursor", "dumb", terminal, false}, // as in an editor
		{"a buffer", "xterm", &bytes.Buffer{}, false},
	} {
		t.Setenv("TERM", tc.kind)
		if got := Is(tc.out); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
