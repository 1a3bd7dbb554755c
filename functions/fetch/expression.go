package fetch

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

const (
	// MaxRegexpInstructions bounds an expression, in instructions of package
	// regexp, as its time per byte grows with them: a{1,500} has 1,000.
	MaxRegexpInstructions = 1000

	// wholeBytes is up to how many bytes a body is searched as a whole, which is
	// faster than as a stream; and wholeInstructions up to which expression, as
	// such a search cannot be interrupted.
	wholeBytes        = 64 << 10
	wholeInstructions = 100

	// keptBytes is how far a match may reach back for its line to be known.
	keptBytes = 16 << 10
)

// pattern is a compiled regular expression.
type pattern struct {
	re     *regexp.Regexp
	prefix string // that each match begins with
	needed []byte // that each match has in it
	whole  bool
}

func compile(expression string) (*pattern, error) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if n := len(program.Inst); n > MaxRegexpInstructions {
		return nil, fmt.Errorf("the expression takes %d instructions, at most %d are allowed: repeat less", n, MaxRegexpInstructions)
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	prefix, _ := re.LiteralPrefix()
	if program.StartCond()&syntax.EmptyBeginText != 0 {
		prefix = "" // where else it is says nothing: a match begins with the body, or there is none
	}
	p := &pattern{re: re, prefix: prefix, whole: len(program.Inst) <= wholeInstructions}
	if prefix == "" { // package regexp looks for that first itself
		p.needed = []byte(needed(parsed))
	}
	return p, nil
}

// needed gives the longest string that is in every match, as far as the expression
// says so plainly. To look for it first is a hundred times as fast as an expression.
func needed(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		// U+FFFD also matches bytes that are no text.
		if re.Flags&syntax.FoldCase == 0 && !slices.Contains(re.Rune, utf8.RuneError) {
			return string(re.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needed(re.Sub[0])
		}
	case syntax.OpConcat:
		longest := ""
		for _, sub := range re.Sub {
			if s := needed(sub); len(s) > len(longest) {
				longest = s
			}
		}
		return longest
	}
	return ""
}

// expressionFinder searches a stream for a regular expression, as if it were one
// string: a match may be of any length, and lie across any number of chunks and
// lines. A short stream is kept and searched at its end. Of a longer one nothing is
// kept: the expression reads along, from the first place where its literal prefix
// is, if it has one.
type expressionFinder struct {
	pattern *pattern
	locates bool
	stopped func() bool

	short  []byte       // the stream so far, up to wholeBytes
	long   bool         // it is longer
	prefix *placeFinder // nil: feed has begun
	feed   feed
	base   int64 // place in the stream where feed begins
	hit    bool
	place  []int // of the match, from base
	around excerpt
}

func newExpressionFinder(p *pattern, locates bool, stopped func() bool) *expressionFinder {
	return &expressionFinder{pattern: p, locates: locates, stopped: stopped, around: excerpt{keep: keptBytes}}
}

func (f *expressionFinder) reset() {
	f.feed.close()
	f.short, f.long, f.prefix, f.base, f.hit, f.place = f.short[:0], false, nil, 0, false, nil
	f.around.reset()
}

func (f *expressionFinder) close() { f.feed.close() }

func (f *expressionFinder) found() bool { return f.hit }

// done says whether more bytes cannot change anything.
func (f *expressionFinder) done() bool { return f.hit && (!f.locates || f.around.ended) }

func (f *expressionFinder) write(p []byte) {
	if f.done() {
		return
	}
	if !f.long {
		if f.pattern.whole && len(f.short)+len(p) <= wholeBytes {
			f.short = append(f.short, p...)
			return
		}
		f.long = true
		if f.pattern.prefix == "" {
			f.begin()
		} else {
			f.prefix = newPlaceFinder(f.pattern.prefix)
		}
		f.read(f.short)
	}
	f.read(p)
}

// begin starts to search the stream as it comes.
func (f *expressionFinder) begin() {
	f.feed.start(f.stopped, func() {
		if f.locates {
			f.place = f.pattern.re.FindReaderIndex(&f.feed)
			f.hit = f.place != nil
		} else {
			f.hit = f.pattern.re.MatchReader(&f.feed)
		}
	})
}

func (f *expressionFinder) read(p []byte) {
	if f.locates {
		f.around.write(p)
	}
	if f.prefix != nil {
		before := f.prefix.seen
		if !f.prefix.write(p) {
			return
		}
		f.base, f.prefix = f.prefix.place, nil
		f.begin()
		if at := f.base - before; at < 0 { // it begins in an earlier chunk
			f.feed.write([]byte(f.pattern.prefix[:-at]))
		} else {
			p = p[at:]
		}
	}
	if f.feed.running() {
		f.feed.write(p)
		f.settle()
	}
}

// settle notes where the match is, once it is known.
func (f *expressionFinder) settle() {
	if f.place != nil && !f.around.started {
		f.around.start(f.base + int64(f.place[0]))
	}
}

// end says that the stream has ended.
func (f *expressionFinder) end() {
	if f.long {
		if f.feed.running() {
			f.feed.end()
			f.settle()
		}
		return
	}
	if !bytes.Contains(f.short, f.pattern.needed) {
		return
	}
	if !f.locates {
		f.hit = f.pattern.re.Match(f.short)
		return
	}
	if f.place = f.pattern.re.FindIndex(f.short); f.place != nil {
		f.hit = true
		f.around.write(f.short)
		f.settle()
	}
}

func (f *expressionFinder) locate() (offset int64, line *string) {
	return f.around.offset, f.around.line()
}
