package term

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"unicode"
)

func TestClean(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"plain", "Runtime.ExitError ×64 名前", "Runtime.ExitError ×64 名前"},
		{"colour", "\x1b[1;31mred\x1b[0m", "red"},
		{"clear the terminal", "a\x1b[2J\x1b[Hb", "ab"},
		{"window title", "a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"},
		{"a string without an end", "a\x1b]52;c;aGVsbG8=", "a"},
		{"8-bit CSI and OSC", "a\u009b2Jb\u009d0;x\u009cc", "abc"},
		{"device control string", "a\x1bP1$r\x1b\\b", "ab"},
		{"short sequences", "a\x1bcb\x1b(0c\x1b7", "abc"},
		{"ends in the middle", "a\x1b[1", "a"},
		{"control characters", "a\nb\rc\td\x00e\x7ff", "a b c d e f"},
		{"text direction and zero width", "a\u202eb\u200bc", "a b c"},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
	} {
		if got := Clean(tc.text); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := CleanLines("a\x1b[2Jb\nc\rd"); got != "ab\nc d" {
		t.Errorf("lines: %q", got)
	}
}

// Whatever the text: one line of what prints, which is clean already.
func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;a\x07\x1b[2J\x9b\n")
	f.Add("\x1b\x1b[[2J")
	f.Fuzz(func(t *testing.T, text string) {
		got := Clean(text)
		if strings.ContainsFunc(got, func(c rune) bool { return !unicode.IsPrint(c) }) || Clean(got) != got {
			t.Errorf("%q gives %q", text, got)
		}
		for _, columns := range []int{1, 2, 60} {
			if n := Width(Cut(got, columns)); n > columns {
				t.Errorf("%q takes %d columns of %d", got, n, columns)
			}
		}
	})
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{
		"y\n": true, "YES\n": true, " yes \r\n": true,
		"\n": false, "n\n": false, "": false, "yesterday\n": false,
	} {
		var out bytes.Buffer
		got, err := Confirm(t.Context(), strings.NewReader(answer), &out, "Go on?")
		if got != want || err != nil || out.String() != "Go on? [y/N] " {
			t.Errorf("%q: %v, %v, asked %q", answer, got, err, &out)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close() //nolint:errcheck // only read from
	if _, err := Confirm(t.Context(), null, io.Discard, "?"); !errors.Is(err, ErrNobodyToAsk) {
		t.Errorf("no terminal: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, w := io.Pipe()
	defer w.Close() //nolint:errcheck // never fails
	if _, err := Confirm(ctx, silent, io.Discard, "?"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A shell reads back what was quoted for it.
func TestShellWord(t *testing.T) {
	for _, tc := range []struct{ name, text, word, quoted string }{
		{"plain", "results/scan-1_a.jsonl", "results/scan-1_a.jsonl", "'results/scan-1_a.jsonl'"},
		{"what stands in ARNs and lists", "a:b=c,d@e+f%", "a:b=c,d@e+f%", "'a:b=c,d@e+f%'"},
		{"nothing", "", "''", "''"},
		{"a space", "a b", "'a b'", "'a b'"},
		{"what a shell expands", "$HOME*", "'$HOME*'", "'$HOME*'"},
		{"a quotation mark", "it's", `'it'\''s'`, `'it'\''s'`},
		{"not ASCII", "ü", "'ü'", "'ü'"},
	} {
		if word, quoted := ShellWord(tc.text), ShellQuoted(tc.text); word != tc.word || quoted != tc.quoted {
			t.Errorf("%s: %s and %s, want %s and %s", tc.name, word, quoted, tc.word, tc.quoted)
		}
	}
}
