package lean

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"fanout/functions/fetch"
)

// partBytes is the size of a range: what AWS advises for parallel reads (8 to
// 16 MB), and long enough that a request's latency does not count.
const partBytes = 8 << 20

// maxStreams is how many connections large objects are read on: more than fill
// the 75 MB/s that a function gets. As many objects at once fill it without
// ranges, which cost more: bytes that came ahead are copied, and the first
// response breaks off where the ranges begin, with its connection.
const maxStreams = 5

// assumedMemoryMB is the memory where nobody says how much there is.
const assumedMemoryMB = 512

// readAhead lends buffers of partBytes, to all large objects together an
// eighth of the memory: 2 of them at 128 MB, and maxStreams less one from 256 MB
// on. An object that gets none is read in one go, just as a small one.
type readAhead struct {
	size    int64 // of a buffer, and so of a range
	mu      sync.Mutex
	left    int
	free    [][]byte
	streams int // objects being read, and buffers lent to them
}

func (a *readAhead) init(memoryMB int) {
	a.size = partBytes
	a.left = min(max(cmp.Or(memoryMB, assumedMemoryMB)/8*(1<<20)/partBytes, 2), maxStreams-1)
}

// begin gives an object up to n buffers, without waiting.
func (a *readAhead) begin(n int) (buffers [][]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams++
	for range min(n, a.left, maxStreams-a.streams) {
		a.left--
		a.streams++
		if last := len(a.free) - 1; last >= 0 {
			buffers = append(buffers, a.free[last])
			a.free = a.free[:last]
		} else {
			buffers = append(buffers, make([]byte, a.size))
		}
	}
	return buffers
}

// end takes back what begin has given.
func (a *readAhead) end(buffers [][]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams -= 1 + len(buffers)
	a.left += len(buffers)
	a.free = append(a.free, buffers...)
}

// getLarge reads the body that begins on c: the first part from there, the
// others as ranges ahead of the sink. r is the object's request.
func (b *bucketClient) getLarge(ctx context.Context, c *conn, r request, sink fetch.Sink, read *fetch.Read) (err error) {
	total, size := c.head.length, b.client.ahead.size
	r.ifMatch = string(c.head.etag)
	parts := int((total + size - 1) / size)

	ctx, cancel := context.WithCancel(ctx)
	buffers := b.client.ahead.begin(parts - 1)
	var retries atomic.Int64
	var workers sync.WaitGroup
	defer func() {
		cancel()
		workers.Wait()
		b.client.ahead.end(buffers)
		read.Retries += int(retries.Load())
	}()

	// Part p is read into buffer (p-1) mod len(buffers), and each buffer's
	// outcome waits in its channel.
	done := make([]chan error, len(buffers))
	start := func(p int) {
		slot := (p - 1) % len(buffers)
		from := int64(p) * size
		to := min(from+size, total)
		workers.Go(func() {
			into := &part{b: buffers[slot][:to-from]}
			done[slot] <- b.getRange(ctx, r, from, to, total, into, &retries)
		})
	}
	for i := range done {
		done[i] = make(chan error, 1)
		start(i + 1)
	}

	first := total // without a buffer there is nothing but this response
	if len(buffers) > 0 {
		first = size
	}
	n, err := c.body(sink, first)
	b.host.put(c)
	if err != nil {
		var bad *sinkError
		if errors.As(err, &bad) || ctx.Err() != nil || !b.client.budget.take(retryCost) {
			return &bodyError{n, total, err}
		}
		retries.Add(1)
		if err := b.getRange(ctx, r, n, first, total, sink, &retries); err != nil {
			return final(err)
		}
	}
	if len(buffers) > 0 {
		for p := 1; p < parts; p++ {
			slot := (p - 1) % len(buffers)
			if err := <-done[slot]; err != nil {
				return final(err)
			}
			if _, err := sink.Write(buffers[slot][:min(size, total-int64(p)*size)]); err != nil {
				return &sinkError{err}
			}
			if p+len(buffers) < parts {
				start(p + len(buffers))
			}
		}
	}
	read.Bytes = total
	return nil
}

// final keeps Get from trying the whole again after a part was given up.
func final(err error) error {
	if errors.Is(err, errChanged) {
		return err
	}
	return &finalError{err}
}

// part is a buffer to read into.
type part struct {
	b []byte
	n int
}

func (p *part) Write(b []byte) (int, error) {
	p.n += copy(p.b[p.n:], b)
	return len(b), nil
}

// getRange writes bytes from to to (not included) of an object of total bytes,
// going on where a response broke off.
func (b *bucketClient) getRange(ctx context.Context, r request, from, to, total int64, into io.Writer, retries *atomic.Int64) error {
	for attempts := (retrier{client: b.client}); ; {
		n, err := b.getOnce(ctx, r, from, to, total, into)
		if from += n; err == nil {
			b.client.budget.give()
			return nil
		}
		if errors.Is(err, errChanged) {
			return err // only the whole can be tried again
		}
		if n > 0 {
			attempts.tries = 0 // it goes forward
		}
		if err := attempts.retry(ctx, b, err); err != nil {
			return err
		}
		retries.Add(1)
	}
}

func (b *bucketClient) getOnce(ctx context.Context, r request, from, to, total int64, into io.Writer) (int64, error) {
	r.from, r.to = from, to-1
	c, _, err := b.do(ctx, &r)
	if err != nil {
		var refused *responseError
		if errors.As(err, &refused) && refused.status == 412 {
			return 0, errChanged
		}
		return 0, err
	}
	if want := fmt.Sprintf("bytes %d-%d/%d", from, to-1, total); c.head.status != 206 || !bytes.EqualFold(c.head.contentRange,
		[]byte(want)) {
		got := strings.Clone(string(c.head.contentRange))
		c.failed = true
		b.host.put(c)
		return 0, &configError{fmt.Errorf("asked for %s, got status %d with %q", want, c.head.status, got)}
	}
	n, err := c.body(into, to-from)
	if err == nil && n != to-from {
		c.failed = true
		err = fmt.Errorf("range ended early")
	}
	b.host.put(c)
	if err != nil {
		return n, &bodyError{n, to - from, err}
	}
	return n, nil
}
