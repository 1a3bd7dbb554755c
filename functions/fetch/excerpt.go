package fetch

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	// maxLineBytes is how much of a line is shown.
	maxLineBytes = 1024

	// leastBefore is how much of a longer line is shown before the match, at least.
	leastBefore = 256
)

// excerpt takes the line around a match out of a stream with bounded memory.
type excerpt struct {
	keep   int   // bytes to keep before those that are being written
	base   int64 // place in the stream of recent's first byte
	recent []byte

	started bool
	offset  int64 // of the match
	before  []byte
	known   bool   // before is the line's, not cut off by keep
	after   []byte // from the match on
	ended   bool   // the line
}

func (e *excerpt) reset() {
	*e = excerpt{keep: e.keep, recent: e.recent[:0], before: e.before[:0], after: e.after[:0]}
}

// write takes the next bytes.
func (e *excerpt) write(p []byte) {
	if e.started {
		e.extend(p)
		return
	}
	if extra := len(e.recent) - e.keep; extra > 0 {
		e.base += int64(extra)
		e.recent = append(e.recent[:0], e.recent[extra:]...)
	}
	e.recent = append(e.recent, p...)
}

// start says where the match begins, in bytes from the stream's beginning.
func (e *excerpt) start(offset int64) {
	e.started, e.offset = true, offset
	at := offset - e.base
	if at < 0 { // longer ago than is kept
		e.ended = true
		return
	}
	e.known = true
	before := e.recent[:at]
	if newline := bytes.LastIndexByte(before, '\n'); newline >= 0 {
		before = before[newline+1:]
	}
	e.before = append(e.before, before[max(len(before)-maxLineBytes, 0):]...)
	e.extend(e.recent[at:])
}

func (e *excerpt) extend(p []byte) {
	if e.ended {
		return
	}
	if newline := bytes.IndexByte(p, '\n'); newline >= 0 {
		p, e.ended = p[:newline], true
	}
	e.after = append(e.after, p[:min(len(p), maxLineBytes-len(e.after))]...)
	e.ended = e.ended || len(e.after) == maxLineBytes
}

// line gives the line in which the match begins, without its end, or of a longer one
// the maxLineBytes around it; nil: the match began longer ago than was kept. Bytes
// that are no UTF-8 are replaced.
func (e *excerpt) line() *string {
	if !e.known {
		return nil
	}
	before, after := e.before, e.after
	cutBefore, cutAfter := len(before) == maxLineBytes, len(after) == maxLineBytes
	if over := len(before) + len(after) - maxLineBytes; over > 0 {
		before = before[min(over, max(len(before)-leastBefore, 0)):]
		after = after[:min(len(after), maxLineBytes-len(before))]
		cutBefore, cutAfter = true, true
	}
	for range utf8.UTFMax - 1 { // not in the midst of a character
		if cutBefore && len(before) > 0 && !utf8.RuneStart(before[0]) {
			before = before[1:]
		}
	}
	for i := 1; cutAfter && i < utf8.UTFMax && i <= len(after); i++ {
		if last := after[len(after)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				after = after[:len(after)-i]
			}
			break
		}
	}
	text := strings.ToValidUTF8(strings.TrimSuffix(string(before)+string(after), "\r"), "\uFFFD")
	return &text
}
