package term

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fanout/bench/internal/trial"
)

// openPTY gives both ends of a new pseudoterminal.
func openPTY(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("open a pseudoterminal: %v (mount devpts: mount -t devpts devpts /dev/pts)", err)
	}
	t.Cleanup(func() { _ = control.Close() })
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return control, terminal
}

func resize(t *testing.T, control *os.File, columns, rows int) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(control.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)}); err != nil {
		t.Fatal(err)
	}
}

// model is a terminal: what it shows of the bytes written to it.
type model struct {
	columns, rows int
	reflows       bool // wraps its lines anew after a change of width, as most do; otherwise it cuts them
	lines         [][]rune
	soft          []bool // the line goes on in the next one: it was wrapped
	row, column   int
	wrapped       []string // lines that were too long when they were written
}

func newModel(columns, rows int, reflows bool) *model {
	return &model{columns: columns, rows: rows, reflows: reflows, lines: [][]rune{nil}, soft: []bool{false}}
}

var token = regexp.MustCompile(`(?s)\x1b\[[0-9;]*[A-Za-z]|.`)

func (m *model) write(t *testing.T, text string) {
	t.Helper()
	for _, part := range token.FindAllString(text, -1) {
		switch {
		case part == "\r":
			m.column = 0
		case part == "\n":
			if m.row++; m.row == len(m.lines) {
				m.lines, m.soft = append(m.lines, nil), append(m.soft, false)
			}
		case part == "\x1b[J":
			m.lines[m.row] = m.lines[m.row][:min(m.column, len(m.lines[m.row]))]
			m.lines, m.soft = m.lines[:m.row+1], m.soft[:m.row+1]
			m.soft[m.row] = false
		case strings.HasPrefix(part, "\x1b[") && part[len(part)-1] == 'A':
			n, err := strconv.Atoi(part[2 : len(part)-1])
			if err != nil || n > m.row || n >= m.rows {
				t.Fatalf("%q in row %d of a terminal of %d rows", part, m.row, m.rows)
			}
			m.row -= n
		case part[0] < ' ' || part[0] == 0x7f:
			t.Fatalf("%q was written to the terminal", part)
		default:
			m.put([]rune(part)[0])
		}
	}
}

func (m *model) put(c rune) {
	if m.column+cells(c) > m.columns {
		m.wrapped = append(m.wrapped, string(m.lines[m.row]))
		m.soft[m.row] = true
		m.row, m.column = m.row+1, 0
		if m.row == len(m.lines) {
			m.lines, m.soft = append(m.lines, nil), append(m.soft, false)
		}
	}
	line := m.lines[m.row]
	for len(line) <= m.column {
		line = append(line, ' ')
	}
	line[m.column] = c
	if cells(c) == 2 {
		line = append(line[:m.column+1], 0) // the other half of a wide character
	}
	m.lines[m.row] = line
	m.column += cells(c)
}

// resize changes the width, as a terminal does that is made narrower by mouse.
func (m *model) resize(columns int) {
	m.columns = columns
	var lines [][]rune
	row := 0
	for i, line := range m.lines {
		if i == m.row {
			row = len(lines)
		}
		if !m.reflows {
			lines = append(lines, line[:min(len(line), columns)])
			continue
		}
		for len(line) > columns {
			lines, line = append(lines, line[:columns:columns]), line[columns:]
		}
		lines = append(lines, line)
	}
	m.lines, m.row, m.soft = lines, row, make([]bool, len(lines))
}

// text is what the terminal shows, without empty lines at the end.
func (m *model) text() []string {
	var all []string
	for _, line := range m.lines {
		all = append(all, strings.TrimRight(strings.ReplaceAll(string(line), "\x00", ""), " "))
	}
	for len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

// terminal is a pseudoterminal with the model of what it shows.
type terminal struct {
	*model
	t                 *testing.T
	control, terminal *os.File
	read              chan []byte
}

func newTerminal(t *testing.T, columns, rows int, reflows bool) *terminal {
	x := &terminal{model: newModel(columns, rows, reflows), t: t, read: make(chan []byte)}
	x.control, x.terminal = openPTY(t)
	resize(t, x.control, columns, rows)
	go func() {
		defer close(x.read)
		for {
			b := make([]byte, 4096)
			n, err := x.control.Read(b)
			if err != nil { // EIO: the other end is closed
				return
			}
			x.read <- b[:n]
		}
	}()
	return x
}

// sync takes over all that was written until now.
func (x *terminal) sync() {
	x.t.Helper()
	const mark = "\x00"
	go func() { _, _ = io.WriteString(x.terminal, mark) }()
	for text := range x.read {
		before, after, found := bytes.Cut(text, []byte(mark))
		x.write(x.t, string(before))
		if found {
			if len(after) > 0 {
				x.t.Fatalf("%q after the mark", after)
			}
			return
		}
	}
	x.t.Fatal("the terminal was closed")
}

// A run and its seeding at every width, made narrower or wider in the middle:
// no line wraps, nothing of an earlier frame stays, what was on the terminal
// before is still there, and in the end nothing else is.
func TestTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, widths := range [][2]int{{60, 60}, {80, 80}, {200, 200}, {80, 60}, {200, 60}, {60, 200}, {200, 80}, {12, 5}} {
		for _, reflows := range []bool{true, false} {
			for _, rows := range []int{24, 6} {
				t.Run(fmt.Sprintf("%d to %d columns, %d rows, reflows %v", widths[0], widths[1], rows, reflows), func(t *testing.T) {
					testRun(t, newTerminal(t, widths[0], rows, reflows), widths[1])
				})
			}
		}
	}
}

// testClock is a clock that stands still until it is moved.
type testClock struct{ at time.Time }

func (c *testClock) now() time.Time { return c.at }

// shown is a Progress on a terminal, with nothing but a prompt above it.
type shown struct {
	*terminal
	*Progress
	clock *testClock
	done  int
}

const prompt = "$"

// look draws, and checks what the terminal shows: the prompt, and so many rows,
// or as many as fit.
func (s *shown) look(rows int) []string {
	s.t.Helper()
	s.screen.Draw()
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	s.sync()
	if len(s.wrapped) > 0 {
		s.t.Fatalf("wrapped: %q", s.wrapped)
	}
	text := s.text()
	if len(text) != min(rows, s.rows-1)+1 || text[0] != prompt {
		s.t.Fatalf("want %d rows below %q:\n%s", min(rows, s.rows-1), prompt, strings.Join(text, "\n"))
	}
	return text
}

// resize changes the terminal's width between two drawings.
func (s *shown) resize(columns int) {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	s.sync()
	resize(s.t, s.control, columns, s.rows)
	s.model.resize(columns)
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

func testRun(t *testing.T, x *terminal, then int) {
	s := &shown{terminal: x, Progress: NewProgress(x.terminal), clock: &testClock{}}
	s.now = s.clock.now
	fmt.Fprintln(s.Progress, prompt)
	s.Begin("seeding", 1000)
	s.Count(500, 0)
	if text := s.look(2); x.columns >= 60 && !strings.HasSuffix(text[1], "seeding: 500 of 1000 objects") {
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
	s.resize(then)
	s.look(len(settings) + around)
	var last []string
	for range 2 {
		for _, setting := range settings {
			s.invoke(setting, 24)
			last = s.look(len(settings) + around)
		}
	}
	checkFrame(t, x, strings.Join(last, "\n"))
	s.End()
	s.End()
	x.sync()
	if text := x.text(); len(text) != 1 {
		t.Errorf("left on the terminal: %q", text)
	}
}

// checkFrame looks for what must be readable.
func checkFrame(t *testing.T, x *terminal, frame string) {
	t.Helper()
	if x.columns == 200 && strings.Contains(frame, "…") {
		t.Errorf("cut at 200 columns:\n%s", frame)
	}
	if x.columns < 60 || x.rows < 24 {
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

// A frame of more lines than the terminal has, too long and not clean, fits.
func TestFrameFits(t *testing.T) {
	x := newTerminal(t, 20, 4, true)
	s := NewScreen(x.terminal)
	s.Show(func(int, int) []string {
		return []string{"\x1b[2Jone\rline", strings.Repeat("x", 30), "three", "four", "five"}
	})
	x.sync()
	if got := x.text(); !slices.Equal(got, []string{"one line", strings.Repeat("x", 18) + "…", "three"}) || len(x.wrapped) > 0 {
		t.Errorf("%q", got)
	}
}

// What is written while a frame is shown stands above it, line by line.
func TestWriteAboveFrame(t *testing.T) {
	x := newTerminal(t, 80, 24, true)
	s := NewScreen(x.terminal)
	s.Show(func(int, int) []string { return []string{"one", "two"} })
	for _, text := range []string{"first\nsec", "ond\n", "unfinished"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	x.sync()
	if got := x.text(); !slices.Equal(got, []string{"first", "second", "one", "two"}) {
		t.Errorf("%q", got)
	}
	s.Clear()
	x.sync()
	if got := x.text(); !slices.Equal(got, []string{"first", "second", "unfinished"}) {
		t.Errorf("%q", got)
	}
}

func TestIs(t *testing.T) {
	_, terminal := openPTY(t)
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
