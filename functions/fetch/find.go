package fetch

import "bytes"

// MaxFindBytes is the longest string to search for, in bytes: each worker keeps
// up to four times that much beside the chunk it reads.
const MaxFindBytes = 1024

// searcher searches a stream of chunks with bounded memory.
type searcher interface {
	write(p []byte) // takes the next chunk
	end()           // says that the stream has ended
	reset()         // begins another stream
	close()         // gives up what it holds
	found() bool
	done() bool                           // says whether more bytes cannot change anything
	locate() (offset int64, line *string) // gives where the first match is, if that was asked for
}

// finder searches a stream of chunks for a string with constant memory.
type finder struct {
	needle []byte
	found  bool
	tail   []byte // the last len(needle)-1 bytes seen, or all where there were fewer
	seam   []byte // scratch: tail and the head of the next chunk
}

func newFinder(needle string) *finder {
	return &finder{needle: []byte(needle), tail: make([]byte, 0, len(needle)), seam: make([]byte, 0, 2*len(needle))}
}

func (f *finder) reset() { f.found, f.tail = false, f.tail[:0] }

// keep is how many of the last bytes may be the beginning of a match.
func (f *finder) keep() int { return len(f.needle) - 1 }

// write takes the next chunk.
func (f *finder) write(p []byte) {
	if f.found {
		return
	}
	keep := f.keep()
	if len(f.tail) > 0 {
		f.seam = append(append(f.seam[:0], f.tail...), p[:min(keep, len(p))]...)
		if bytes.Contains(f.seam, f.needle) {
			f.found = true
			return
		}
	}
	if bytes.Contains(p, f.needle) {
		f.found = true
		return
	}
	if len(p) >= keep {
		f.tail = append(f.tail[:0], p[len(p)-keep:]...)
		return
	}
	f.tail = append(f.tail, p...)
	if extra := len(f.tail) - keep; extra > 0 {
		f.tail = append(f.tail[:0], f.tail[extra:]...)
	}
}

// stringFinder is a finder as a searcher.
type stringFinder struct{ *finder }

func (f stringFinder) end()                     {}
func (f stringFinder) close()                   {}
func (f stringFinder) found() bool              { return f.finder.found }
func (f stringFinder) done() bool               { return f.finder.found }
func (f stringFinder) locate() (int64, *string) { return 0, nil }

// placeFinder finds where in a stream a string is for the first time.
type placeFinder struct {
	finder *finder
	seen   int64 // bytes
	place  int64
}

func newPlaceFinder(needle string) *placeFinder { return &placeFinder{finder: newFinder(needle)} }

func (f *placeFinder) reset() {
	f.finder.reset()
	f.seen = 0
}

// write takes the next chunk, and says whether the string has been found.
func (f *placeFinder) write(p []byte) bool {
	if f.finder.found {
		return true
	}
	tail := len(f.finder.tail)
	if f.finder.write(p); f.finder.found {
		// The finder looks at the seam first: what is in p alone is no sooner.
		f.place = f.seen + int64(bytes.Index(p, f.finder.needle))
		if at := bytes.Index(f.finder.seam, f.finder.needle); tail > 0 && at >= 0 {
			f.place = f.seen - int64(tail) + int64(at)
		}
	}
	f.seen += int64(len(p))
	return f.finder.found
}

// lineFinder searches for a string, and finds where it is and in which line.
type lineFinder struct {
	place  *placeFinder
	around excerpt
}

func newLineFinder(needle string) *lineFinder {
	return &lineFinder{place: newPlaceFinder(needle), around: excerpt{keep: maxLineBytes + len(needle)}}
}

func (f *lineFinder) write(p []byte) {
	f.around.write(p)
	if f.place.write(p) && !f.around.started {
		f.around.start(f.place.place)
	}
}

func (f *lineFinder) reset() {
	f.place.reset()
	f.around.reset()
}

func (f *lineFinder) end()                     {}
func (f *lineFinder) close()                   {}
func (f *lineFinder) found() bool              { return f.around.started }
func (f *lineFinder) done() bool               { return f.around.ended }
func (f *lineFinder) locate() (int64, *string) { return f.around.offset, f.around.line() }
