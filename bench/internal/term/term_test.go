package term

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"fanout/bench/internal/trial"
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
			if n := textWidth(cut(got, columns)); n > columns {
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

// On what is no terminal: a line for each phase and each invocation, clean.
func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	clock := &testClock{}
	p.now = clock.now
	p.Begin("seeding", 60)
	p.Count(60, 60)
	p.End()
	setting := trial.Setting{Target: trial.Target{Contender: "go", MemoryMB: 128}, Client: "lean"}
	s := trial.Step{Total: 14, Left: 75 * time.Second, Setting: setting, Start: trial.Cold}
	for _, last := range []*trial.Result{nil, {OK: true, DurationMS: 12.4}, nil, {ErrorType: "\x1b[2JBad\nthing"}} {
		if s.Last = last; last != nil {
			s.Done++
			clock.at = clock.at.Add(3 * time.Second)
		}
		p.Step(s)
	}
	s.Done, s.Last, s.Left = 14, &trial.Result{ErrorType: "Sandbox.Timedout"}, 0
	p.Step(s)
	p.End()
	want := `seeding 60 objects
14 invocations to measure; warm-ups are not counted
[ 1/14] go 128 MB lean auto cold: 12 ms, elapsed 3s, left about 1m15s
[ 2/14] go 128 MB lean auto cold: failed, Bad thing, elapsed 6s, left about 1m14s
[14/14] go 128 MB lean auto cold: timed out
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// The time left counts down by itself, takes the first measurement's word for
// it, and later moves a part of the way to each new forecast.
func TestTimeLeft(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var left timeLeft
	left.set(at(0), 100*time.Second) // guessed
	left.adjust(at(10), 200*time.Second)
	if got := left.at(at(20)); got != 190*time.Second {
		t.Errorf("%v after the first measurement, want 190s", got)
	}
	left.adjust(at(20), 180*time.Second)
	left.adjust(at(20), 180*time.Second)
	left.adjust(at(20), 283*time.Second)
	if got := left.at(at(21)); got < 212*time.Second || got > 213*time.Second {
		t.Errorf("%v, want 0.3 of the way from 183 to 283, less a second", got)
	}
	if got := left.at(at(1000)); got != 0 {
		t.Errorf("%v, want nothing below 0", got)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", 119 * time.Second: "1m59s", 134 * time.Second: "2m10s",
		20 * time.Minute: "20m0s", time.Hour: "1h0m", 65*time.Minute + 20*time.Second: "1h5m", 30 * time.Hour: "30h0m",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
