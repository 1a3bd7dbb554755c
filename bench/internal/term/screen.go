// Package term writes to a terminal. [Screen] is the one painter: it keeps a
// frame of lines at the lower end, whatever width the terminal has by then.
// [Clean] makes foreign text harmless, [Confirm] asks a question.
package term

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// Is says whether w is a terminal that a frame can be drawn on. A terminal
// that calls itself dumb cannot move its cursor.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Screen keeps a frame of lines at the lower end of a terminal: each drawing
// replaces the one before, and what is written to the Screen goes above it. A
// Screen can be used from several goroutines.
type Screen struct {
	out  io.Writer
	size func() (columns, rows int)

	mu      sync.Mutex
	frame   Frame  // nil: none
	pending []byte // written, but not a whole line yet
}

// Frame gives the lines of a frame for a terminal of this size. Lines that are
// too long are cut, and so are those beyond the last row but one.
type Frame func(columns, rows int) []string

// Size of a terminal that does not say how large it is.
const (
	defaultColumns = 80
	defaultRows    = 24
)

// NewScreen draws on the terminal f. It asks for the terminal's size at each
// drawing, so that a frame fits also after the size has changed.
func NewScreen(f *os.File) *Screen {
	return &Screen{out: f, size: func() (int, int) {
		columns, rows, err := term.GetSize(int(f.Fd()))
		if err != nil || columns <= 0 || rows <= 0 {
			return defaultColumns, defaultRows
		}
		return columns, rows
	}}
}

// Show draws a frame in place of the one before.
func (s *Screen) Show(frame Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frame = frame
	s.draw(nil)
}

// Draw draws the frame anew: what it shows, or the terminal, has changed.
func (s *Screen) Draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frame != nil {
		s.draw(nil)
	}
}

// Clear takes the frame off the terminal. An unfinished line that was written
// above it is written out.
func (s *Screen) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frame == nil {
		return
	}
	s.frame = nil
	s.draw(s.pending)
	s.pending = nil
}

// Write writes above the frame, line by line. It never gives an error: a
// terminal that is gone is no reason to stop measuring.
func (s *Screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, text...)
	whole := bytes.LastIndexByte(s.pending, '\n') + 1
	if s.frame == nil {
		whole = len(s.pending)
	}
	if whole > 0 {
		s.draw(s.pending[:whole])
		s.pending = append([]byte(nil), s.pending[whole:]...)
	}
	return len(text), nil
}

// draw replaces what is on the terminal by text and, below it, the frame.
//
// subtle: between two drawings the cursor stands at the frame's first
// character. Whatever a terminal does to the lines below the cursor when it
// becomes narrower (most wrap them again, some cut them), clearing from the
// cursor to the end takes away the whole frame and nothing else.
func (s *Screen) draw(text []byte) {
	var b bytes.Buffer
	b.WriteString("\r\x1b[J") // to the first column; clear to the end
	b.Write(text)
	if s.frame != nil {
		columns, rows := s.size()
		lines := s.frame(columns, rows)
		lines = lines[:min(len(lines), max(rows-1, 1))]
		for i, line := range lines {
			if i > 0 {
				b.WriteString("\r\n")
			}
			// The last column stays empty: some terminals wrap as soon as it is full.
			b.WriteString(Cut(Clean(line), columns-1))
		}
		b.WriteString("\r")
		if up := len(lines) - 1; up > 0 {
			fmt.Fprintf(&b, "\x1b[%dA", up)
		}
	}
	_, _ = s.out.Write(b.Bytes()) // one write: no half a frame is seen
}
