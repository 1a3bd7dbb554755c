package fetch

import (
	"fmt"
	"slices"
	"sync"
)

// stretch is a part of a body that has no gaps. Of its bytes it keeps what its
// neighbors will need to know: memory stays the same, however long it is.
type stretch struct {
	from, size int64 // in bytes
	crc        uint32
	finder     *finder // nil: it is not searched
	head       []byte  // as many of its first bytes as finder keeps of its last ones
}

// newStretch gives one that is searched for find; nil: for nothing.
func newStretch(find *string) stretch {
	if find == nil {
		return stretch{}
	}
	return stretch{finder: newFinder(*find), head: make([]byte, 0, len(*find))}
}

func (s *stretch) reset(from int64) {
	s.from, s.size, s.crc, s.head = from, 0, 0, s.head[:0]
	if s.finder != nil {
		s.finder.reset()
	}
}

func (s *stretch) found() bool { return s.finder != nil && s.finder.found }

func (s *stretch) write(p []byte) {
	s.size += int64(len(p))
	s.crc = BodyCRC(s.crc, p)
	if s.finder != nil {
		s.keepHead(p)
		s.finder.write(p)
	}
}

// keepHead takes what still belongs to head.
func (s *stretch) keepHead(p []byte) {
	if missing := s.finder.keep() - len(s.head); missing > 0 {
		s.head = append(s.head, p[:min(missing, len(p))]...)
	}
}

// join takes in the stretch that begins where s ends.
func (s *stretch) join(next *stretch) {
	s.size += next.size
	s.crc = joinCRC(s.crc, next.crc, next.size)
	if s.finder == nil {
		return
	}
	s.keepHead(next.head)
	s.finder.write(next.head) // which is all of next if it is that short
	if next.size > int64(len(next.head)) {
		s.finder.tail = append(s.finder.tail[:0], next.finder.tail...)
	}
	s.finder.found = s.finder.found || next.finder.found
}

// ranges are the parts of a body that come apart from its beginning, in any order.
// Those that have ended and touch become one, so that there are hardly more than are
// being written at once.
type ranges struct {
	find *string

	mu    sync.Mutex
	ended []*bodyRange // by their places; no two of them touch
	spare []*bodyRange
	begun bool // any of the body
	found bool // in one that has ended
}

// bodyRange is a [RangeWriter].
type bodyRange struct {
	stretch
	of *ranges
}

func (r *bodyRange) Write(p []byte) (int, error) {
	r.write(p)
	return len(p), nil
}

// End counts the range in.
func (r *bodyRange) End() { r.of.end(r) }

func (r *ranges) begin(offset int64) *bodyRange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var one *bodyRange
	if last := len(r.spare) - 1; last >= 0 {
		one, r.spare = r.spare[last], r.spare[:last]
	} else {
		one = &bodyRange{stretch: newStretch(r.find), of: r}
	}
	one.reset(offset)
	r.begun = true
	if r.found {
		one.finder.found = true // there is no need to look any more
	}
	return one
}

func (r *ranges) end(one *bodyRange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.size == 0 {
		r.spare = append(r.spare, one)
		return
	}
	r.found = r.found || one.found()
	at, _ := slices.BinarySearchFunc(r.ended, one.from, func(e *bodyRange, from int64) int {
		if e.from < from {
			return -1
		}
		return 1
	})
	r.ended = slices.Insert(r.ended, at, one)
	r.joinAt(at)
	if at > 0 {
		r.joinAt(at - 1)
	}
}

// joinAt joins the range at a place of the list with the next one, if they touch.
func (r *ranges) joinAt(i int) {
	if i+1 == len(r.ended) {
		return
	}
	one, next := r.ended[i], r.ended[i+1]
	if one.from+one.size != next.from {
		return
	}
	one.join(&next.stretch)
	r.spare = append(r.spare, next)
	r.ended = slices.Delete(r.ended, i+1, i+2)
}

func (r *ranges) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare, r.ended, r.begun, r.found = append(r.spare, r.ended...), r.ended[:0], false, false
}

// joinTo takes the ranges, if there are any, in behind body, which is then of size bytes.
// It fails where it is not: bytes are missing, or came twice.
func (r *ranges) joinTo(body *stretch, size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun {
		return nil
	}
	for _, one := range r.ended {
		if one.from != body.size {
			return fmt.Errorf("bytes %d to %d came, and then those from %d on", body.from, body.size, one.from)
		}
		body.join(&one.stretch)
	}
	if body.size != size {
		return fmt.Errorf("%d bytes came of %d", body.size, size)
	}
	return nil
}
