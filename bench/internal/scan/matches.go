package scan

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	fn "fanout/functions/scan"
)

// Formats of the matches.
const (
	Text  = "text"  // a key a line, with tabs before its offset and line; see TextKey
	JSONL = "jsonl" // an object a line, as in the parts
	CSV   = "csv"   // with a line of names
)

// Formats is all of them; the first is the default.
var Formats = []string{Text, JSONL, CSV}

// MatchWriter writes matches in one of the formats.
type MatchWriter struct {
	out    *bufio.Writer
	csv    *csv.Writer
	format string
	locate bool
	begun  bool
}

// NewMatchWriter writes to out; locate says whether there are offsets and lines.
func NewMatchWriter(out io.Writer, format string, locate bool) *MatchWriter {
	w := &MatchWriter{out: bufio.NewWriter(out), format: format, locate: locate}
	w.csv = csv.NewWriter(w.out)
	return w
}

// Write writes one match.
func (w *MatchWriter) Write(m fn.Match) error {
	if err := w.begin(); err != nil {
		return err
	}
	offset, line := "", ""
	if m.Offset != nil {
		offset = strconv.FormatInt(*m.Offset, 10)
	}
	if m.Line != nil {
		line = *m.Line
	}
	switch w.format {
	case JSONL:
		text, err := json.Marshal(m)
		if err == nil {
			_, err = w.out.Write(append(text, '\n'))
		}
		return err
	case CSV:
		if w.locate {
			return w.csv.Write([]string{m.Key, offset, line})
		}
		return w.csv.Write([]string{m.Key})
	}
	text := TextKey(m.Key)
	if w.locate {
		text += "\t" + offset + "\t" + printable(line)
	}
	_, err := w.out.WriteString(text + "\n")
	return err
}

// begin writes what stands before the first match.
func (w *MatchWriter) begin() error {
	if w.begun || w.format != CSV {
		return nil
	}
	w.begun = true
	if w.locate {
		return w.csv.Write([]string{"key", "offset", "line"})
	}
	return w.csv.Write([]string{"key"})
}

// Close writes what is left; it does not close out.
func (w *MatchWriter) Close() error {
	if err := w.begin(); err != nil {
		return err
	}
	w.csv.Flush()
	if err := w.csv.Error(); err != nil {
		return fmt.Errorf("write matches: %w", err)
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write matches: %w", err)
	}
	return nil
}

// TextKey is a key on one line: as it is if each of its characters prints,
// otherwise quoted as in Go and JSON, so that no two keys look alike.
func TextKey(key string) string {
	if !strings.HasPrefix(key, `"`) && utf8.ValidString(key) && strings.IndexFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return key
	}
	return strconv.Quote(key)
}

// printable is a line with an escape in place of each character that does not
// print.
func printable(line string) string {
	quoted := strconv.Quote(line)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}

// Sorter puts matches in the order of their keys as far as it may hold them in
// memory; beyond that they come as they are.
type Sorter struct {
	MostBytes int                  // held
	Write     func(fn.Match) error // gets all of them

	held     []fn.Match
	bytes    int
	overflow bool
}

// SortedBytes is a Sorter's usual bound: some 500,000 keys of 60 bytes.
const SortedBytes = 64 << 20

// matchBytes is what a match takes in memory beside its texts.
const matchBytes = 64

// Add takes matches.
func (s *Sorter) Add(matches []fn.Match) error {
	for _, m := range matches {
		s.bytes += matchBytes + len(m.Key)
		if m.Line != nil {
			s.bytes += len(*m.Line)
		}
	}
	if !s.overflow && s.bytes <= s.MostBytes {
		s.held = append(s.held, matches...)
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.overflow = true
	for _, m := range matches {
		if err := s.Write(m); err != nil {
			return err
		}
	}
	return nil
}

// Close writes what is held, and says whether everything came in order.
func (s *Sorter) Close() (sorted bool, err error) { return !s.overflow, s.flush() }

func (s *Sorter) flush() error {
	slices.SortStableFunc(s.held, func(a, b fn.Match) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(offset(a), offset(b)))
	})
	for _, m := range s.held {
		if err := s.Write(m); err != nil {
			return err
		}
	}
	s.held = nil
	return nil
}

func offset(m fn.Match) int64 {
	if m.Offset == nil {
		return 0
	}
	return *m.Offset
}
