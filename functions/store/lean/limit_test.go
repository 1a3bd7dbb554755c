package lean

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// closing tells of a connection's end.
type closing struct {
	net.Conn
	once  sync.Once
	ended func()
}

func (c *closing) Close() error {
	c.once.Do(c.ended)
	return c.Conn.Close()
}

// limited counts a bubble's open connections, and refuses those beyond files as
// the kernel does.
func limited(b *bubble, files int32) (open, most *atomic.Int32) {
	open, most = new(atomic.Int32), new(atomic.Int32)
	inner := b.pool.connect
	b.pool.connect = func(ctx context.Context, h *host, nth int) (net.Conn, error) {
		n := open.Add(1)
		if n > files {
			open.Add(-1)
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		}
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		c, err := inner(ctx, h, nth)
		if err != nil {
			open.Add(-1)
			return nil, err
		}
		return &closing{Conn: c, ended: func() { open.Add(-1) }}, nil
	}
	return open, most
}

// TestLimit: there are never more connections than the process may have files,
// whoever waits is served, and no object is lost.
func TestLimit(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limit   int   // what the pool knows
		files   int32 // what there are
		workers int
		handler http.HandlerFunc
		most    int32
	}{
		{"more workers than connections", 5, 1000, 200, says("body"), 5},
		{"one connection", 1, 1000, 50, says("body"), 1},
		{"connections that carry one request", 5, 1000, 100, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			says("body")(w, r)
		}, 5},
		{"fewer files than were counted on", 1000, 7, 200, says("body"), 7},
		{"one file", 1000, 1, 50, says("body"), 1},
		{"few files, and connections that carry one request", 1000, 7, 100, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			says("body")(w, r)
		}, 7},
		{"refusals in between", 4, 1000, 100, func(w http.ResponseWriter, r *http.Request) {
			if time.Now().UnixNano()%7 == 0 { // a third would refuse one of the 300 ten times, once in 200 runs
				raw("")(w, r)
				return
			}
			says("body")(w, r)
		}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow := func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(10 * time.Millisecond) // the bubble's clock: so that requests are under way together
				tt.handler(w, r)
			}
			inBubble(t, slow, func(t *testing.T, b *bubble) {
				b.pool.limit = tt.limit
				open, most := limited(b, tt.files)
				var wg sync.WaitGroup
				for range tt.workers {
					wg.Go(func() {
						for range 3 {
							var sink memory
							if _, err := b.Get(t.Context(), "bucket", "key", &sink); err != nil || sink.String() != "body" {
								t.Errorf("%q, %v", sink.String(), err)
							}
						}
					})
				}
				wg.Wait()
				if most.Load() > tt.most || most.Load() < 1 {
					t.Errorf("%d connections at once, want %d", most.Load(), tt.most)
				}
				b.Client.Close()
				h := b.pool.hosts["10.0.0.1:80"]
				if open.Load() != 0 || b.pool.dialing != 0 || h.dialing != 0 || b.pool.waiting != 0 || len(h.waiting) != 0 {
					t.Errorf("%d open, %d and %d being opened, %d and %d waiting are left",
						open.Load(), b.pool.dialing, h.dialing, b.pool.waiting, len(h.waiting))
				}
			})
		})
	}
}

// TestLimitTwoHosts: idle connections to one host give way to requests for
// another, whether they lie there or come back later.
func TestLimitTwoHosts(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * time.Millisecond) // the bubble's clock
		says("body")(w, r)
	}, func(t *testing.T, b *bubble) {
		b.pool.limit = 3
		_, most := limited(b, 1000)
		other := endpoint{scheme: "http", address: "10.0.0.2:80", authority: "10.0.0.2",
			prefix: "/bucket", region: "us-east-1", service: "s3"}
		b.move("other", other)
		for _, together := range []bool{false, true} {
			var wg sync.WaitGroup
			for _, bucket := range []string{"bucket", "other"} {
				for range 20 {
					wg.Go(func() {
						if _, err := b.Get(t.Context(), bucket, "key", &memory{}); err != nil {
							t.Error(err)
						}
					})
				}
				if !together {
					wg.Wait()
				}
			}
			wg.Wait()
		}
		if most.Load() > 3 {
			t.Errorf("%d connections at once", most.Load())
		}
	})
}

// TestLimitCanceled: requests that wait for room leave when they are canceled, and
// those behind them are served all the same.
func TestLimitCanceled(t *testing.T) {
	var release chan struct{}
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("body")(w, r)
	}, func(t *testing.T, b *bubble) {
		release = make(chan struct{}) // the bubble's
		b.pool.limit = 1
		limited(b, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				c, want := t.Context(), error(nil)
				if i%2 == 1 {
					c, want = ctx, context.Canceled
				}
				if i > 0 {
					time.Sleep(time.Duration(i)) // in this order, behind the first
				}
				if _, err := b.Get(c, "bucket", "key", &memory{}); !errors.Is(err, want) || want == nil && err != nil {
					t.Errorf("request %d: %v, want %v", i, err, want)
				}
			})
		}
		time.Sleep(time.Microsecond)
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		wg.Wait()
		if b.pool.waiting != 0 || b.pool.dialing != 0 {
			t.Errorf("%d waiting, %d being opened are left", b.pool.waiting, b.pool.dialing)
		}
	})
}

// TestLimitWarm: getting ready opens no more connections than there may be, and
// does not wait for ever for the others.
func TestLimitWarm(t *testing.T) {
	inBubble(t, says("body"), func(t *testing.T, b *bubble) {
		b.pool.limit = 5
		if err := b.Warm(t.Context(), "bucket", 100); err != nil || b.Connections() != 5 {
			t.Errorf("%d connections, %v", b.Connections(), err)
		}
	})
}

// TestNoFileAtAll: where there is not one file, the error says so.
func TestNoFileAtAll(t *testing.T) {
	inBubble(t, says("body"), func(t *testing.T, b *bubble) {
		limited(b, 0)
		if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("error %v", err)
		}
	})
}
