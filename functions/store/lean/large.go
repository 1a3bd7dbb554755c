package lean

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// partBytes is the size of a range: what AWS advises for parallel reads (8 to
// 16 MB), and long enough that a request's latency does not count.
const partBytes = 8 << 20

// leastStreams is how many connections large objects are read on at least: more than
// fill the 75 MB/s that a function gets, of which one connection takes up to all, but
// often less.
const leastStreams = 5

// assumedMemoryMB is the memory where nobody says how much there is.
const assumedMemoryMB = 512

// streams counts the connections that large objects are read on. As many objects at
// once fill the bandwidth without ranges, which cost more requests and, where the
// first response breaks off, a connection.
type streams struct {
	most int
	mu   sync.Mutex
	now  int
}

// init sets how many there may be: twice as many as fill the bandwidth if each takes
// 75 MB/s.
func (s *streams) init(memoryMB int, quota bool) {
	s.most = max(leastStreams, int(math.Ceil(2*lambda.Bandwidth(memoryMB, quota)/lambda.BandwidthBytesPerS)))
}

// enter counts an object's first response.
func (s *streams) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now++
}

// more counts up to n ranges, and gives how many.
func (s *streams) more(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = max(min(n, s.most-s.now), 0)
	s.now += n
	return n
}

func (s *streams) leave(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now -= n
}

// getLarge reads the body that begins on c. r is the object's request.
func (b *bucketClient) getLarge(ctx context.Context, c *conn, r request, sink fetch.Sink, read *fetch.Read) error {
	r.ifMatch = string(c.head.etag)
	b.client.streams.enter()
	defer b.client.streams.leave(1)
	if s, ok := sink.(fetch.RangeSink); ok && s.InAnyOrder() {
		return b.getInAnyOrder(ctx, c, r, s, read)
	}
	return b.getInOrder(ctx, c, r, sink, read)
}

// inAnyOrder is one large object that is read into a sink as its bytes come. The first
// response goes on from the object's start; other connections take ranges from its end
// backwards, one after another. Where they meet the response breaks off, so that this
// happens once and as late as can be.
type inAnyOrder struct {
	*bucketClient
	request request
	sink    fetch.RangeSink
	size    int64 // of a range
	total   int64
	retries atomic.Int64
	cancel  context.CancelFunc
	start   func() // another connection
	workers sync.WaitGroup

	mu      sync.Mutex
	from    int64 // bytes from here up to to are nobody's yet
	to      int64
	failure error // the first one
}

func (b *bucketClient) getInAnyOrder(ctx context.Context, c *conn, r request, sink fetch.RangeSink, read *fetch.Read) error {
	total := c.head.length
	o := &inAnyOrder{bucketClient: b, request: r, sink: sink, size: b.client.ahead.size, total: total, to: total}
	ctx, o.cancel = context.WithCancel(ctx)
	defer o.cancel()
	o.start = func() {
		o.workers.Go(func() {
			defer b.client.streams.leave(1)
			o.readRanges(ctx)
		})
	}
	if err := o.readFirst(ctx, c); err != nil {
		o.fail(err)
	} else {
		o.readRanges(ctx)
	}
	o.workers.Wait()
	read.Retries += int(o.retries.Load())
	if o.failure != nil {
		return o.failure
	}
	read.Bytes = total
	return nil
}

func (o *inAnyOrder) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure == nil {
		o.failure = err
	}
	o.to = o.from // nothing is left to do
	o.cancel()
}

// next gives the first response the end of the part that it may go on with. It starts
// others, if there are connections to spare and at least two parts for them: for less,
// a new request is not worth it.
func (o *inAnyOrder) next() (to int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.from = min(o.from+o.size, o.to)
	if left := int((o.to - o.from + o.size - 1) / o.size); left >= 2 {
		for range o.client.streams.more(left - 1) {
			o.start()
		}
	}
	return o.from
}

// last takes the last part that is nobody's; from = to: there is none.
func (o *inAnyOrder) last() (from, to int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if to = o.to; o.from < to {
		o.to = (to - 1) / o.size * o.size
	}
	return o.to, to
}

// readRanges reads ranges until there are none left.
func (o *inAnyOrder) readRanges(ctx context.Context) {
	for {
		from, to := o.last()
		if from == to {
			return
		}
		into := o.sink.Range(from)
		if err := o.getRange(ctx, o.request, from, to, o.total, into, &o.retries); err != nil {
			o.fail(final(err))
			return
		}
		into.End()
	}
}

// errMet says that what follows is read by others.
var errMet = errors.New("the rest comes as ranges")

// firstWriter takes the first response's bytes up to where others have begun.
type firstWriter struct {
	*inAnyOrder
	at, to int64
}

func (f *firstWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if f.at == f.to {
			if f.to = f.next(); f.at == f.to {
				return n, errMet
			}
		}
		k, err := f.sink.Write(p[n:min(len(p), n+int(f.to-f.at))])
		n += k
		f.at += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readFirst reads the first response until it meets the others.
func (o *inAnyOrder) readFirst(ctx context.Context, c *conn) error {
	into := &firstWriter{inAnyOrder: o, to: o.next()}
	_, err := c.body(into, o.total)
	o.host.put(c)
	var bad *sinkError
	switch {
	case err == nil || errors.Is(err, errMet):
		return nil
	case errors.As(err, &bad) || ctx.Err() != nil || !o.client.budget.take(retryCost):
		return &bodyError{into.at, o.total, err}
	}
	o.retries.Add(1)
	o.mu.Lock()
	to := o.to // not less than into.to
	o.mu.Unlock()
	if into.at == to {
		return nil
	}
	if err = o.getRange(ctx, o.request, into.at, to, o.total, into, &o.retries); err == nil || errors.Is(err, errMet) {
		return nil
	}
	return final(err)
}

// readAhead lends buffers for ranges that are read ahead of a sink that wants all bytes
// in order, to all large objects together an eighth of the memory: 2 of them at 128 MB.
// An object that gets none is read in one go, just as a small one.
type readAhead struct {
	size int64 // of a buffer, and so of a range
	mu   sync.Mutex
	left int
	free [][]byte
}

func (a *readAhead) init(memoryMB int) {
	a.size = partBytes
	a.left = max(cmp.Or(memoryMB, assumedMemoryMB)/8*(1<<20)/int(a.size), 2)
}

// borrow gives up to n buffers, without waiting.
func (a *readAhead) borrow(n int) (buffers [][]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range min(n, a.left) {
		a.left--
		if last := len(a.free) - 1; last >= 0 {
			buffers = append(buffers, a.free[last])
			a.free = a.free[:last]
		} else {
			buffers = append(buffers, make([]byte, a.size))
		}
	}
	return buffers
}

// giveBack takes back what borrow has given.
func (a *readAhead) giveBack(buffers [][]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left += len(buffers)
	a.free = append(a.free, buffers...)
}

// getInOrder reads the body that begins on c: the first part from there, the others as
// ranges ahead of the sink.
func (b *bucketClient) getInOrder(ctx context.Context, c *conn, r request, sink fetch.Sink, read *fetch.Read) (err error) {
	total, size := c.head.length, b.client.ahead.size
	parts := int((total + size - 1) / size)

	ctx, cancel := context.WithCancel(ctx)
	streams := b.client.streams.more(parts - 1)
	buffers := b.client.ahead.borrow(streams)
	b.client.streams.leave(streams - len(buffers))
	var retries atomic.Int64
	var workers sync.WaitGroup
	defer func() {
		cancel()
		workers.Wait()
		b.client.ahead.giveBack(buffers)
		b.client.streams.leave(len(buffers))
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
	if len(c.head.etag) > 0 && string(c.head.etag) != r.ifMatch { // not every server heeds If-Match
		c.failed = true
		b.host.put(c)
		return 0, errChanged
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
