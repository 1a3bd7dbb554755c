package progress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/term/termtest"
	"fanout/bench/internal/trial"
)

// A run and its seeding at every width, made narrower or wider in the middle:
// no line wraps, nothing of an earlier frame stays, what was on the terminal
// before is still there, and in the end nothing else is.
func TestTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, widths := range [][2]int{{60, 60}, {80, 80}, {200, 200}, {80, 60}, {200, 60}, {60, 200}, {200, 80}, {12, 5}} {
		for _, reflows := range []bool{true, false} {
			for _, rows := range []int{24, 6} {
				t.Run(fmt.Sprintf("%d to %d columns, %d rows, reflows %v", widths[0], widths[1], rows, reflows), func(t *testing.T) {
					testRun(t, widths[0], widths[1], rows, reflows)
				})
			}
		}
	}
}

// shown is a Progress on a terminal, with nothing but a prompt above it.
type shown struct {
	*Progress
	t        *testing.T
	terminal *termtest.Terminal
	rows     int
	clock    *testClock
	done     int
}

const prompt = "$"

// look draws, and checks what the terminal shows: the prompt, and so many rows,
// or as many as fit.
func (s *shown) look(rows int) []string {
	s.t.Helper()
	s.screen.Draw()
	text := s.terminal.Shows()
	if wrapped := s.terminal.Wrapped(); len(wrapped) > 0 {
		s.t.Fatalf("wrapped: %q", wrapped)
	}
	if len(text) != min(rows, s.rows-1)+1 || text[0] != prompt {
		s.t.Fatalf("want %d rows below %q:\n%s", min(rows, s.rows-1), prompt, strings.Join(text, "\n"))
	}
	return text
}

// invoke shows one step, of a second.
func (s *shown) invoke(setting trial.Setting, total int) {
	results := []trial.Result{
		{OK: true, Start: trial.Cold, InitMS: 20, DurationMS: 480},
		{OK: true, Start: trial.Warm, DurationMS: 1000},
		{ErrorType: "\x1b[2J\x1b]0;title\x07\x9bBad\nthing\u202e, of a name that does not fit at sixty columns, but at two hundred"},
	}
	step := trial.Step{Done: s.done, Total: total, Left: time.Minute, Setting: setting, Start: trial.Warm}
	s.Step(step)
	s.clock.at = s.clock.at.Add(time.Second)
	s.done++
	step.Done, step.Last = s.done, &results[s.done%len(results)]
	s.Step(step)
}

func testRun(t *testing.T, columns, then, rows int, reflows bool) {
	x := termtest.New(t, columns, rows, reflows)
	s := &shown{t: t, terminal: x, rows: rows, Progress: New(x.File), clock: &testClock{}}
	s.now, s.every = s.clock.now, time.Hour // drawn when the test looks, and when a phase begins
	fmt.Fprintln(s.Progress, prompt)
	s.Begin("seeding", 1000)
	s.Count(500, 0)
	if text := s.look(2); columns >= 60 && !strings.HasSuffix(text[1], "seeding: 500 of 1000 objects") {
		t.Errorf("%q", text)
	}
	s.End()

	var settings []trial.Setting
	for _, contender := range []string{"go", "a-contender-of-a-very-long-name-32", "名前がとても長い参加者"} {
		for _, memory := range []int{128, 1769} {
			target := trial.Target{Contender: contender, MemoryMB: memory}
			settings = append(settings, trial.Setting{Target: target, Client: "lean", Concurrency: 64})
		}
	}
	const around = 3 // head, bar, times
	for i, setting := range settings {
		s.invoke(setting, 24)
		s.look(i + 1 + around)
	}
	x.Resize(then)
	s.look(len(settings) + around)
	var last []string
	for range 2 {
		for _, setting := range settings {
			s.invoke(setting, 24)
			last = s.look(len(settings) + around)
		}
	}
	checkFrame(t, then, rows, strings.Join(last, "\n"))
	s.End()
	s.End()
	if text := x.Shows(); len(text) != 1 {
		t.Errorf("left on the terminal: %q", text)
	}
}

// checkFrame looks for what must be readable.
func checkFrame(t *testing.T, columns, rows int, frame string) {
	t.Helper()
	if columns == 200 && strings.Contains(frame, "…") {
		t.Errorf("cut at 200 columns:\n%s", frame)
	}
	if columns < 60 || rows < 24 {
		return
	}
	for _, want := range []string{
		"go 128 MB lean ×64 ", "warm ms    ±  cold ms", "18 of 24 measured (warm-ups not counted)", "elapsed 18s, left about 58s",
	} {
		if !strings.Contains(frame, want) {
			t.Errorf("no %q in\n%s", want, frame)
		}
	}
}
