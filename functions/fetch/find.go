package fetch

import "bytes"

// MaxFindBytes is the longest string to search for, in bytes: each worker keeps
// up to four times that much beside the chunk it reads.
const MaxFindBytes = 1024

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

// write takes the next chunk.
func (f *finder) write(p []byte) {
	if f.found {
		return
	}
	keep := len(f.needle) - 1
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
