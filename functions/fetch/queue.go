package fetch

import (
	"context"
	"sync"
)

// item is one object to read; index is its place in list order.
type item struct {
	index int
	key   string
}

// queue hands listed objects to workers, a page at a time. While one page is
// read the next is listed and waits, so that memory is the same for any number
// of objects. A channel of objects would do, but once it is full each object
// taken wakes the lister for one more: at many objects that cost a fifth of
// the CPU time.
type queue struct {
	pages chan []Object // without a buffer: the next page waits with the lister
	put   int           // objects in pages handed over; the lister's

	mu    sync.Mutex
	page  []Object // what is left of the one being read
	taken int
}

func newQueue() *queue { return &queue{pages: make(chan []Object)} }

// add hands a page over once the one before is used up. Only one goroutine
// adds.
func (q *queue) add(ctx context.Context, page []Object) error {
	if len(page) == 0 {
		return nil
	}
	select {
	case q.pages <- page:
		q.put += len(page)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end says that no more pages come.
func (q *queue) end() { close(q.pages) }

// take waits for the next object, in list order; false: there are no more.
func (q *queue) take() (item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.page) == 0 {
		// Whoever else wants one waits for the lock, and so for the same page.
		var ok bool
		if q.page, ok = <-q.pages; !ok {
			return item{}, false
		}
	}
	it := item{q.taken, q.page[0].Key}
	q.page = q.page[1:]
	q.taken++
	return it, true
}
