package fetch

import (
	"io"
	"iter"
	"unicode/utf8"
)

// feed turns chunks that come in by themselves into a stream for code that asks
// for bytes, such as gzip and regexp. That code runs as a coroutine of the one that
// writes: both wait for each other, and never run at once.
type feed struct {
	chunk   []byte // what is left of the one being written
	ended   bool   // no more come
	stopped func() bool

	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	runes int // read, to ask stopped now and then
}

// start begins run, which reads from f, up to its first wish for bytes. stopped
// says whether nobody wants to know any more: the stream ends early then.
func (f *feed) start(stopped func() bool, run func()) {
	f.close()
	*f = feed{stopped: stopped}
	f.next, f.stop = iter.Pull(func(yield func(struct{}) bool) {
		f.yield = yield
		run()
	})
	f.resume()
}

// resume lets run go on until it wants more bytes, or returns.
func (f *feed) resume() {
	if f.next == nil {
		return
	}
	if _, ok := f.next(); !ok {
		f.close()
	}
}

// write passes the next bytes to run.
func (f *feed) write(p []byte) {
	f.chunk = p
	f.resume()
	f.chunk = nil
}

// end says that the stream has ended, and waits until run returns.
func (f *feed) end() {
	f.ended = true
	f.resume()
	f.close()
}

// close ends run where it has not ended: for it, the stream ends early.
func (f *feed) close() {
	if f.stop != nil {
		f.stop()
	}
	f.next, f.stop = nil, nil
}

// running says whether run wants more bytes.
func (f *feed) running() bool { return f.next != nil }

// fill makes sure that there is a byte; false: the stream has ended.
func (f *feed) fill() bool {
	for len(f.chunk) == 0 {
		if f.ended || f.stopped() || !f.yield(struct{}{}) {
			f.ended = true
			return false
		}
	}
	return true
}

func (f *feed) Read(p []byte) (int, error) {
	if !f.fill() {
		return 0, io.EOF
	}
	n := copy(p, f.chunk)
	f.chunk = f.chunk[n:]
	return n, nil
}

func (f *feed) ReadByte() (byte, error) {
	if !f.fill() {
		return 0, io.EOF
	}
	c := f.chunk[0]
	f.chunk = f.chunk[1:]
	return c, nil
}

// stopEvery is how many runes are read between two questions whether to stop: the
// largest expression takes up to 10 µs for each.
const stopEvery = 1024

// ReadRune reads a character, or a byte that is part of none as U+FFFD, wherever
// chunks end.
func (f *feed) ReadRune() (rune, int, error) {
	if f.runes++; f.runes%stopEvery == 0 && f.stopped() {
		f.ended, f.chunk = true, nil
	}
	if !f.fill() {
		return 0, 0, io.EOF
	}
	if c := f.chunk[0]; c < utf8.RuneSelf {
		f.chunk = f.chunk[1:]
		return rune(c), 1, nil
	}
	if utf8.FullRune(f.chunk) {
		r, size := utf8.DecodeRune(f.chunk)
		f.chunk = f.chunk[size:]
		return r, size, nil
	}
	var whole [utf8.UTFMax]byte
	n := copy(whole[:], f.chunk)
	for f.chunk = nil; !utf8.FullRune(whole[:n]) && f.fill(); n++ {
		whole[n] = f.chunk[0]
		f.chunk = f.chunk[1:]
	}
	r, size := utf8.DecodeRune(whole[:n])
	if size < n { // the first byte was part of no character: the others come again
		f.chunk = append(append([]byte(nil), whole[size:n]...), f.chunk...)
	}
	return r, size, nil
}
