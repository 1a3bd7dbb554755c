package lean

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fanout/functions/fetch"
)

// object serves one body with ranges and If-Match.
type object struct {
	body  []byte
	etag  string
	plain atomic.Int32 // requests without a range
	parts atomic.Int32
	// before is asked before each answer; true: it has answered itself.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func (o *object) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Range") == "" {
		o.plain.Add(1)
	} else {
		o.parts.Add(1)
	}
	if o.before != nil && o.before(w, r) {
		return
	}
	w.Header().Set("ETag", o.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.body))
}

const testPart = 1000

// random gives n bytes that do not repeat from part to part.
func random(n int) []byte {
	b := make([]byte, n)
	for i, x := 0, uint32(1); i < n; i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// breakOff answers with all the headers and half of the bytes.
func (o *object) breakOff(w http.ResponseWriter, from, to int) {
	status := "200 OK"
	if from > 0 || to < len(o.body) {
		status = fmt.Sprintf("206 Partial Content\r\nContent-Range: bytes %d-%d/%d", from, to-1, len(o.body))
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s", status, o.etag, to-from, o.body[from:from+(to-from)/2])
	_ = c.Close()
}

func TestLarge(t *testing.T) {
	for _, tt := range []struct {
		name    string // what it guards
		size    int
		buffers int
		parts   int32 // ranges asked for
		plain   int32
		retries int
		before  func(o *object) func(w http.ResponseWriter, r *http.Request) bool
		errType string
	}{
		{name: "one part and no more is read in one go", size: testPart, buffers: 2, plain: 1},
		{name: "a byte more is two parts", size: testPart + 1, buffers: 2, plain: 1, parts: 1},
		{name: "more parts than buffers", size: 10*testPart + 7, buffers: 3, plain: 1, parts: 10},
		{name: "more buffers than parts", size: 3 * testPart, buffers: 3, plain: 1, parts: 2},
		{name: "no ETag: in one go, for nothing says that all ranges are of one version", size: 10 * testPart, buffers: 2, plain: 1,
			before: func(o *object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("Content-Length", fmt.Sprint(len(o.body)))
					_, _ = w.Write(o.body)
					return true
				}
			}},
		{name: "no buffer: in one go", size: 10 * testPart, buffers: 0, plain: 1},
		{name: "a range is refused, then given", size: 5 * testPart, buffers: 2, plain: 1, parts: 5, retries: 1,
			before: func(*object) func(http.ResponseWriter, *http.Request) bool {
				var n atomic.Int32
				return func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") == "" || n.Add(1) != 2 {
						return false
					}
					refuses(503, "SlowDown")(w, r)
					return true
				}
			}},
		{name: "a range breaks off and goes on", size: 5 * testPart, buffers: 2, plain: 1, parts: 5, retries: 1,
			before: func(o *object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") != "bytes=2000-2999" {
						return false
					}
					o.breakOff(w, 2000, 3000)
					return true
				}
			}},
		{name: "a range that breaks off more often than may be, but goes forward", size: 2 * testPart, buffers: 1, plain: 1,
			parts: 20, retries: 19,
			before: func(o *object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					var from int
					if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-1999", &from); n == 0 || from == 1950 {
						return false
					}
					c, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						panic(err)
					}
					_,
						_ = fmt.Fprintf(c,
						"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-1999/2000\r\nContent-Length: %d\r\n\r\n%s",
						from, 2000-from, o.body[from:from+50])
					_ = c.Close()
					return true
				}
			}},
		{name: "the first part breaks off and goes on", size: 10 * testPart, buffers: 2, plain: 1, parts: 10, retries: 1,
			before: func(o *object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") != "" {
						return false
					}
					c, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						panic(err)
					}
					_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s", o.etag, len(o.body), o.body[:400])
					_ = c.Close()
					return true
				}
			}},
		{name: "without a buffer it breaks off and goes on", size: 10 * testPart, buffers: 0, plain: 1, parts: 1, retries: 1,
			before: func(o *object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") != "" {
						return false
					}
					o.breakOff(w, 0, len(o.body))
					return true
				}
			}},
		{name: "a range is refused for good", size: 5 * testPart, buffers: 1, plain: 1, parts: defaultTries, retries: defaultTries - 1,
			errType: fetch.SlowDown,
			before: func(*object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") == "" {
						return false
					}
					refuses(503, "SlowDown")(w, r)
					return true
				}
			}},
		{name: "a range is denied", size: 5 * testPart, buffers: 1, plain: 1, parts: 1, errType: fetch.AccessDenied,
			before: func(*object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Range") == "" {
						return false
					}
					refuses(403, "AccessDenied")(w, r)
					return true
				}
			}},
		{name: "ranges are ignored", size: 5 * testPart, buffers: 1, plain: 1, parts: 1, errType: "untyped",
			before: func(o *object) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					r.Header.Del("Range")
					return false
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &object{body: random(tt.size), etag: `"v1"`}
			if tt.before != nil {
				o.before = tt.before(o)
			}
			inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
				b.ahead.size, b.ahead.left = testPart, tt.buffers
				var sink memory
				r, err := b.Get(t.Context(), "bucket", "key", &sink)
				if got := o.parts.Load(); got != tt.parts || o.plain.Load() != tt.plain || r.Retries != tt.retries || sink.resets != 0 {
					t.Errorf("%d ranges, %d plain, %d retries, %d resets", got, o.plain.Load(), r.Retries, sink.resets)
				}
				typed := (*fetch.Error)(nil)
				switch errors.As(err, &typed); {
				case tt.errType == "":
					if err != nil || !bytes.Equal(sink.Bytes(), o.body) || r.Bytes != int64(tt.size) {
						t.Errorf("%d of %d bytes, right: %t, %v", sink.Len(), tt.size, bytes.Equal(sink.Bytes(), o.body), err)
					}
				case tt.errType == "untyped":
					if err == nil || typed != nil {
						t.Errorf("error %v", err)
					}
				case typed == nil || typed.Type != tt.errType:
					t.Errorf("error %v", err)
				}
				if b.ahead.left != tt.buffers || len(b.ahead.free) > tt.buffers {
					t.Errorf("%d of %d buffers are back, %d kept", b.ahead.left, tt.buffers, len(b.ahead.free))
				}
			})
		})
	}
}

// TestLargeRest: the connection whose body was not read to its end carries no
// other request.
func TestLargeRest(t *testing.T) {
	o := &object{body: random(3 * testPart), etag: `"v1"`}
	o.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" || o.plain.Load() > 1 {
			return false
		}
		w.Header().Set("ETag", o.etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(o.body)))
		_, _ = w.Write(o.body[:testPart])
		_ = http.NewResponseController(w).Flush() // the first part, to the byte
		synctest.Wait()
		_, _ = w.Write(o.body[testPart:])
		return true
	}
	inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
		b.ahead.size, b.ahead.left = testPart, 1
		for range 2 {
			var sink memory
			r, err := b.Get(t.Context(), "bucket", "key", &sink)
			if err != nil || r.Retries != 0 || !bytes.Equal(sink.Bytes(), o.body) {
				t.Errorf("%d bytes, right: %t, %d retries, %v", sink.Len(), bytes.Equal(sink.Bytes(), o.body), r.Retries, err)
			}
		}
	})
}

// TestLargeChanges: an object that is overwritten meanwhile is read anew, and
// what was read of the old one does not count, whether the server heeds If-Match
// or not.
func TestLargeChanges(t *testing.T) {
	changed := random(4*testPart + 1)[1:]
	for _, heeds := range []bool{true, false} {
		o := &object{body: random(5 * testPart), etag: `"v1"`}
		var once atomic.Bool
		o.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "bytes=3000-3999" && once.CompareAndSwap(false, true) {
				o.body, o.etag = changed, `"v2"`
			}
			if !heeds {
				r.Header.Del("If-Match")
			}
			return false
		}
		inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
			b.ahead.size, b.ahead.left = testPart, 1
			var sink memory
			r, err := b.Get(t.Context(), "bucket", "key", &sink)
			if err != nil || !bytes.Equal(sink.Bytes(), changed) || r.Retries != 1 || sink.resets != 1 || r.Bytes != int64(len(changed)) {
				t.Errorf("If-Match heeded %t: %d bytes, right: %t, %+v, %d resets, %v",
					heeds, sink.Len(), bytes.Equal(sink.Bytes(), changed), r, sink.resets, err)
			}
		})
	}
}

// failing takes some bytes, then no more.
type failing struct{ left int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}
func (*failing) Reset() {}

// TestSinkFails: the sink's error comes back as it is, and nothing is tried
// again.
func TestSinkFails(t *testing.T) {
	for _, tt := range []struct{ name, response string }{
		{"small", "HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n" + strings.Repeat("x", 600)},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n" + strings.Repeat("x", 600) + "\r\n0\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handler, asked := respond(raw(tt.response))
			inBubble(t, handler, func(t *testing.T, b *bubble) {
				if r, err := b.Get(t.Context(), "bucket", "key",
					&failing{100}); err != errFull || r.Retries != 0 || asked.Load() != 1 { //nolint:errorlint // it must be the very same
					t.Errorf("%+v, %v, %d requests", r, err, asked.Load())
				}
			})
		})
	}
	for _, left := range []int{500, 2500} { // in the first part, in a later one
		t.Run(fmt.Sprintf("large after %d", left), func(t *testing.T) {
			o := &object{body: random(5 * testPart), etag: `"v1"`}
			inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
				b.ahead.size, b.ahead.left = testPart, 2
				r, err := b.Get(t.Context(), "bucket", "key", &failing{left})
				if err != errFull || r.Retries != 0 || o.plain.Load() != 1 { //nolint:errorlint // it must be the very same
					t.Errorf("%+v, %v, %d requests", r, err, o.plain.Load())
				}
			})
		})
	}
}

// TestLargeCancel: ranges under way end with their context, and their buffers
// come back.
func TestLargeCancel(t *testing.T) {
	o := &object{body: random(5 * testPart), etag: `"v1"`}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "bytes=2000-2999" {
			cancel()
			<-r.Context().Done()
		}
		return false
	}
	inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
		inner, stop := context.WithCancel(t.Context())
		defer stop()
		context.AfterFunc(ctx, stop)
		b.ahead.size, b.ahead.left = testPart, 2
		if _, err := b.Get(inner, "bucket", "key", &memory{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if b.ahead.left != 2 {
			t.Errorf("%d of 2 buffers are back", b.ahead.left)
		}
	})
}

// places is a sink that takes ranges as they come, and keeps where their bytes belong.
type places struct {
	memory
	mu     sync.Mutex
	ranges map[int64]*place
	fails  int // in that many bytes of a range
}

type place struct {
	bytes.Buffer
	of    *places
	ended bool
}

func (p *places) InAnyOrder() bool { return true }

func (p *places) Range(offset int64) fetch.RangeWriter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ranges == nil {
		p.ranges = map[int64]*place{}
	}
	if p.ranges[offset] != nil {
		panic(fmt.Sprintf("the range from %d on begins twice", offset))
	}
	p.ranges[offset] = &place{of: p}
	return p.ranges[offset]
}

func (p *places) Reset() {
	p.memory.Reset()
	p.ranges = nil
}

func (p *place) Write(b []byte) (int, error) {
	if p.of.fails > 0 && p.Len()+len(b) > p.of.fails {
		return 0, errFull
	}
	return p.Buffer.Write(b)
}

func (p *place) End() { p.ended = true }

// body puts all that came in its place; nil: there is a gap, or bytes came twice.
func (p *places) body() []byte {
	b := p.Bytes()
	for _, at := range slices.Sorted(maps.Keys(p.ranges)) {
		if at != int64(len(b)) || !p.ranges[at].ended {
			return nil
		}
		b = append(b, p.ranges[at].Bytes()...)
	}
	return b
}

// hold answers a request for the whole with its first bytes, and with the others up to
// end only after that many ranges have been asked for.
func (o *object) hold(ranges, end int) func(w http.ResponseWriter, r *http.Request) bool {
	const first = 10
	asked := make(chan struct{}, 1000)
	body, etag := o.body, o.etag
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			asked <- struct{}{}
			return false
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s", etag, len(body), body[:first])
		for range ranges {
			<-asked
		}
		_, _ = c.Write(body[first:end])
		_ = c.Close()
		return true
	}
}

// failRange gives another answer to the nth request for a range; 0: to each of them.
func failRange(held func(w http.ResponseWriter, r *http.Request) bool, nth int32, answer http.HandlerFunc,
) func(w http.ResponseWriter, r *http.Request) bool {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		done := held(w, r)
		if r.Header.Get("Range") == "" || nth != 0 && n.Add(1) != nth {
			return done
		}
		answer(w, r)
		return true
	}
}

func TestInAnyOrder(t *testing.T) {
	type before = func(w http.ResponseWriter, r *http.Request) bool
	broken := func(o *object) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var from, to int
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
				panic(err)
			}
			o.breakOff(w, from, to+1)
		}
	}
	for _, tt := range []struct {
		name    string // what it guards
		size    int
		streams int
		least   int32 // ranges asked for, at least and at most
		most    int32
		retries int
		resets  int
		before  func(o *object) before
		errType string
	}{
		{name: "one part and no more is read in one go", size: testPart, streams: 5},
		{name: "a byte more, too: a request for it would not pay", size: testPart + 1, streams: 5},
		{name: "two parts, too", size: 2 * testPart, streams: 5},
		{name: "a byte in the last of three", size: 2*testPart + 1, streams: 5, least: 1, most: 2,
			before: func(o *object) before { return o.hold(1, len(o.body)) }},
		{name: "others read all but the first part", size: 10*testPart + 7, streams: 5, least: 10, most: 10,
			before: func(o *object) before { return o.hold(10, len(o.body)) }},
		{name: "they meet somewhere", size: 10 * testPart, streams: 3, most: 9},
		{name: "no connection to spare: in one go", size: 10 * testPart, streams: 1},
		{name: "no ETag: in one go, for nothing says that all ranges are of one version", size: 10 * testPart, streams: 5,
			before: func(o *object) before {
				o.etag = ""
				return func(http.ResponseWriter, *http.Request) bool { return false }
			}},
		{name: "no length: in one go", size: 10 * testPart, streams: 5,
			before: func(o *object) before {
				return func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("ETag", o.etag)
					for rest := o.body; len(rest) > 0; rest = rest[testPart:] {
						_, _ = w.Write(rest[:testPart])
						_ = http.NewResponseController(w).Flush()
					}
					return true
				}
			}},
		{name: "a range is refused, then given", size: 5 * testPart, streams: 3, least: 5, most: 5, retries: 1,
			before: func(o *object) before { return failRange(o.hold(4, len(o.body)), 2, refuses(503, "SlowDown")) }},
		{name: "a range breaks off and goes on", size: 5 * testPart, streams: 3, least: 5, most: 5, retries: 1,
			before: func(o *object) before { return failRange(o.hold(4, len(o.body)), 2, broken(o)) }},
		{name: "the first response breaks off, and goes on up to where the others are", size: 10 * testPart, streams: 3, least: 2, most: 10,
			retries: 1, before: func(o *object) before { return o.hold(1, testPart/2) }},
		{name: "it breaks off and goes on, alone", size: 10 * testPart, streams: 1, least: 1, most: 1, retries: 1,
			before: func(o *object) before { return o.hold(0, testPart/2) }},
		{name: "it breaks off where the others are", size: 4 * testPart, streams: 2, least: 3, most: 3, retries: 1,
			before: func(o *object) before { return o.hold(3, testPart) }},
		{name: "a range is refused for good", size: 5 * testPart, streams: 2, least: defaultTries, most: defaultTries,
			retries: defaultTries - 1, errType: fetch.SlowDown,
			before: func(o *object) before {
				return failRange(o.hold(1, len(o.body)), 0, refuses(503, "SlowDown"))
			}},
		{name: "a range is denied", size: 5 * testPart, streams: 2, least: 1, most: 1, errType: fetch.AccessDenied,
			before: func(o *object) before { return failRange(o.hold(1, len(o.body)), 0, refuses(403, "AccessDenied")) }},
		{name: "ranges are ignored", size: 5 * testPart, streams: 2, least: 1, most: 1, errType: "untyped",
			before: func(o *object) before {
				return failRange(o.hold(1, len(o.body)), 0, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("ETag", o.etag)
					_, _ = w.Write(o.body)
				})
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &object{body: random(tt.size), etag: `"v1"`}
			inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
				if tt.before != nil {
					o.before = tt.before(o)
				}
				b.ahead.size, b.streams.most = testPart, tt.streams
				var sink places
				r, err := b.Get(t.Context(), "bucket", "key", &sink)
				if got := o.parts.Load(); got < tt.least || got > tt.most || o.plain.Load() != 1 || r.Retries != tt.retries || sink.resets != 0 {
					t.Errorf("%d ranges, %d plain, %d retries, %d resets", got, o.plain.Load(), r.Retries, sink.resets)
				}
				if got := typeOf(err); got != tt.errType {
					t.Errorf("error %q: %v", got, err)
				}
				if right := bytes.Equal(sink.body(), o.body); tt.errType == "" && (!right || r.Bytes != int64(tt.size)) {
					t.Errorf("%d of %d bytes, right: %t", r.Bytes, tt.size, right)
				}
				if b.streams.now != 0 || b.ahead.free != nil {
					t.Errorf("%d connections are still counted, %d buffers were made", b.streams.now, len(b.ahead.free))
				}
			})
		})
	}
}

// typeOf is an error's type: untyped if it has none, empty for none.
func typeOf(err error) string {
	var typed *fetch.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &typed):
		return typed.Type
	}
	return "untyped"
}

// An object that is overwritten while ranges of it are read is read anew, and what came
// of the old one does not count.
func TestInAnyOrderChanges(t *testing.T) {
	o := &object{body: random(5 * testPart), etag: `"v1"`}
	changed := random(4*testPart + 1)[1:]
	var held func(w http.ResponseWriter, r *http.Request) bool
	var mu sync.Mutex
	o.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "" && o.plain.Load() > 1 {
			return false
		}
		mu.Lock()
		if o.parts.Load() == 2 {
			o.body, o.etag = changed, `"v2"`
		}
		mu.Unlock()
		return held(w, r)
	}
	inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
		b.ahead.size, b.streams.most = testPart, 2
		held = o.hold(2, 5*testPart)
		var sink places
		r, err := b.Get(t.Context(), "bucket", "key", &sink)
		if err != nil || !bytes.Equal(sink.body(), changed) || r.Retries != 1 || sink.resets != 1 || r.Bytes != int64(len(changed)) {
			t.Errorf("right: %t, %+v, %d resets, %v", bytes.Equal(sink.body(), changed), r, sink.resets, err)
		}
	})
}

// A sink's error, in a range or before them, comes back as it is, and nothing is tried
// again.
func TestInAnyOrderSinkFails(t *testing.T) {
	o := &object{body: random(5 * testPart), etag: `"v1"`}
	inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
		o.before = o.hold(1, 5*testPart)
		b.ahead.size, b.streams.most = testPart, 2
		r, err := b.Get(t.Context(), "bucket", "key", &places{fails: 500})
		if err != errFull || r.Retries != 0 || o.plain.Load() != 1 || b.streams.now != 0 { //nolint:errorlint // it must be the very same
			t.Errorf("%+v, %v, %d requests, %d connections counted", r, err, o.plain.Load(), b.streams.now)
		}
	})
}

// Ranges under way end with their context.
func TestInAnyOrderCancel(t *testing.T) {
	o := &object{body: random(5 * testPart), etag: `"v1"`}
	var held func(w http.ResponseWriter, r *http.Request) bool
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.before = func(w http.ResponseWriter, r *http.Request) bool {
		if o.parts.Load() == 2 {
			cancel()
			<-r.Context().Done()
		}
		return held(w, r)
	}
	inBubble(t, o.ServeHTTP, func(t *testing.T, b *bubble) {
		inner, stop := context.WithCancel(t.Context())
		defer stop()
		context.AfterFunc(ctx, stop)
		b.ahead.size, b.streams.most = testPart, 3
		held = o.hold(2, 5*testPart)
		if _, err := b.Get(inner, "bucket", "key", &places{}); !errors.Is(err, context.Canceled) || b.streams.now != 0 {
			t.Errorf("%d connections counted, error %v", b.streams.now, err)
		}
	})
}

// TestReadAhead guards the share of the memory that large objects may take.
func TestReadAhead(t *testing.T) {
	for _, tt := range []struct{ memoryMB, buffers int }{
		{0, 8}, {128, 2}, {256, 4}, {10240, 160},
	} {
		var a readAhead
		a.init(tt.memoryMB)
		if a.left != tt.buffers || a.size != partBytes {
			t.Errorf("%d MB: %d buffers of %d bytes, want %d", tt.memoryMB, a.left, a.size, tt.buffers)
		}
	}
}

var _ io.Writer = (*part)(nil)

// Ranges are for what other objects leave, however many objects are being read.
func TestStreams(t *testing.T) {
	for _, tt := range []struct {
		memoryMB int
		quota    bool
		most     int
	}{
		{0, false, 5}, {128, true, 5}, {10240, false, 5}, {2048, true, 5}, {3008, true, 5}, {6144, true, 6}, {10240, true, 10},
	} {
		var s streams
		if s.init(tt.memoryMB, tt.quota); s.most != tt.most {
			t.Errorf("%d MB, quota %t: %d connections, want %d", tt.memoryMB, tt.quota, s.most, tt.most)
		}
	}
	s := streams{most: 5}
	s.enter()
	if n := s.more(100); n != 4 {
		t.Errorf("the first object gets %d ranges, want 4", n)
	}
	for range 10 {
		s.enter()
		if n := s.more(100); n != 0 {
			t.Errorf("an object beside it gets %d ranges, want none", n)
		}
	}
	s.leave(4 + 9)
	if n := s.more(100); n != 3 { // of 2 objects
		t.Errorf("beside another one an object gets %d ranges, want 3", n)
	}
}
