// Package termtest is a pseudoterminal for tests, with a model of what a terminal
// shows of the bytes written to it.
package termtest

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/text/width"
)

// Terminal is a pseudoterminal with the model of what it shows.
type Terminal struct {
	File *os.File // to write to

	model
	t       *testing.T
	control *os.File
	read    chan []byte
}

// New gives a terminal of this size. If its width changes, one that reflows wraps
// its lines anew, as most do, and another cuts them.
func New(t *testing.T, columns, rows int, reflows bool) *Terminal {
	x := &Terminal{t: t, read: make(chan []byte), model: model{
		columns: columns, rows: rows, reflows: reflows, lines: [][]rune{nil}, soft: []bool{false},
	}}
	x.control, x.File = open(t)
	setSize(t, x.control, columns, rows)
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
func (x *Terminal) sync() {
	x.t.Helper()
	const mark = "\x00"
	go func() { _, _ = io.WriteString(x.File, mark) }()
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

// Shows gives the lines on the terminal, without empty ones at the end.
func (x *Terminal) Shows() []string {
	x.t.Helper()
	x.sync()
	return x.text()
}

// Wrapped gives the lines that were too long when they were written.
func (x *Terminal) Wrapped() []string { return x.wrapped }

// Resize changes the width, as a user does with a mouse. Nobody may write to the
// terminal meanwhile.
func (x *Terminal) Resize(columns int) {
	x.t.Helper()
	x.sync()
	setSize(x.t, x.control, columns, x.rows)
	x.resize(columns)
}

// open gives both ends of a new pseudoterminal.
func open(t *testing.T) (control, terminal *os.File) {
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

func setSize(t *testing.T, control *os.File, columns, rows int) {
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

// cells is how many columns a terminal gives to a character.
func cells(c rune) int {
	switch width.LookupRune(c).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
