package lean

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/functions/fetch"
)

// The tests of the client run in synctest bubbles, over net.Pipe: time passes
// only when everything waits, so that time-outs and backoffs take none.

// bubble is a client whose every connection is to handler.
type bubble struct {
	*Client
	open  chan net.Conn // to Accept
	addrs []string      // dialed
	mu    sync.Mutex
	dials atomic.Int32
	stuck bool // connections are made, but nobody answers
}

func (b *bubble) Accept() (net.Conn, error) {
	c, ok := <-b.open
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (b *bubble) Close() error   { close(b.open); return nil }
func (b *bubble) Addr() net.Addr { return &net.IPAddr{} }

var key = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
})

// inBubble runs test with a client of handler. Every path begins with /bucket.
func inBubble(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, b *bubble), changes ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Region: "us-east-1", Endpoint: "http://10.0.0.1", Credentials: key, MemoryMB: 128}
		for _, change := range changes {
			change(&cfg)
		}
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		b := &bubble{Client: c, open: make(chan net.Conn)}
		c.pool.connect = func(ctx context.Context, h *host, _ int) (net.Conn, error) {
			b.dials.Add(1)
			b.mu.Lock()
			b.addrs = append(b.addrs, h.address)
			stuck := b.stuck
			b.mu.Unlock()
			near, far := net.Pipe()
			if stuck {
				go func() { _, _ = io.Copy(io.Discard, far) }()
				return near, nil
			}
			select {
			case b.open <- far:
				return near, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		server := &http.Server{Handler: handler}
		done := make(chan struct{})
		go func() { _ = server.Serve(b); close(done) }()
		test(t, b)
		c.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		for _, c := range c.pool.all {
			_ = c.raw.Close()
			t.Errorf("a connection was not given back: %+v", c.head)
		}
		for _, w := range c.pool.watches {
			if w.requests != 0 {
				t.Errorf("%d requests of a context are still counted", w.requests)
			}
		}
	})
}

// memory is a sink that keeps everything.
type memory struct {
	bytes.Buffer
	resets int
}

func (m *memory) Reset() { m.Buffer.Reset(); m.resets++ }

// respond plays one response after the other; the last one repeats.
func respond(list ...http.HandlerFunc) (http.HandlerFunc, *atomic.Int32) {
	n := new(atomic.Int32)
	return func(w http.ResponseWriter, r *http.Request) {
		list[min(int(n.Add(1)), len(list))-1](w, r)
	}, n
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(w, body)
	}
}

func refuses(status int, code string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		if code != "" {
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
		}
	}
}

// raw writes bytes past net/http, and closes.
func raw(response string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, response)
		_ = c.Close()
	}
}

func TestGet(t *testing.T) {
	const body = "the whole body"
	chunks := func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range body {
			_, _ = io.WriteString(w, string(c))
			_ = http.NewResponseController(w).Flush()
		}
	}
	for _, tt := range []struct {
		name      string // what it guards
		responses []http.HandlerFunc
		retries   int
		errType   string // "": the body is read; "untyped": an error without a name
		asked     int32
	}{
		{"a body", []http.HandlerFunc{says(body)}, 0, "", 1},
		{"a chunked body", []http.HandlerFunc{chunks}, 0, "", 1},
		{"a body that ends with the connection", []http.HandlerFunc{raw("HTTP/1.1 200 OK\r\n\r\n" + body)}, 0, "", 1},
		{"an interim answer first",
			[]http.HandlerFunc{raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + body)}, 0, "", 1},
		{"500, then the body", []http.HandlerFunc{refuses(500, "InternalError"), says(body)}, 1, "", 2},
		{"SlowDown twice, then the body", []http.HandlerFunc{refuses(503, "SlowDown"), refuses(503, "SlowDown"), says(body)}, 2, "", 3},
		{"503 without a document", []http.HandlerFunc{refuses(503, ""), says(body)}, 1, "", 2},
		{"RequestTimeout has status 400", []http.HandlerFunc{refuses(400, "RequestTimeout"), says(body)}, 1, "", 2},
		{"429 has a status below 500", []http.HandlerFunc{refuses(429, ""), says(body)}, 1, "", 2},
		{"no answer at all", []http.HandlerFunc{raw(""), says(body)}, 1, "", 2},
		{"a refusal without its end", []http.HandlerFunc{raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 400\r\n\r\n<Error><Code>Req"),
			says(body)}, 1, "", 2},
		{"half a head", []http.HandlerFunc{raw("HTTP/1.1 200 OK\r\nConte"), says(body)}, 1, "", 2},
		{"no HTTP", []http.HandlerFunc{raw("nonsense\r\n\r\n"), says(body)}, 1, "", 2},
		{"an endless head", []http.HandlerFunc{raw("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*maxHeadBytes)), says(body)}, 1, "", 2},
		{"a short body", []http.HandlerFunc{raw("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nthe wh"), says(body)}, 1, "", 2},
		{"a short chunked body", []http.HandlerFunc{raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\nthe wh"),
			says(body)}, 1, "", 2},
		{"more than the length", []http.HandlerFunc{raw("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + body + "HTTP/1.1")}, 0, "", 1},
		{"SlowDown for good", []http.HandlerFunc{refuses(503, "SlowDown")}, defaultTries - 1, fetch.SlowDown, defaultTries},
		{"short for good", []http.HandlerFunc{raw("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nthe wh")}, defaultTries - 1,
			fetch.ShortBody, defaultTries},
		{"no answer for good", []http.HandlerFunc{raw("")}, defaultTries - 1, "untyped", defaultTries},
		{"no such key", []http.HandlerFunc{refuses(404, "NoSuchKey")}, 0, fetch.NoSuchKey, 1},
		{"no such bucket", []http.HandlerFunc{refuses(404, "NoSuchBucket")}, 0, fetch.NoSuchBucket, 1},
		{"access denied", []http.HandlerFunc{refuses(403, "AccessDenied")}, 0, fetch.AccessDenied, 1},
		{"a wrong signature", []http.HandlerFunc{refuses(403, "SignatureDoesNotMatch")}, 0, fetch.AccessDenied, 1},
		{"403 without a document", []http.HandlerFunc{refuses(403, "")}, 0, fetch.AccessDenied, 1},
		{"an archived object", []http.HandlerFunc{refuses(403, "InvalidObjectState")}, 0, "InvalidObjectState", 1},
		{"a part that nobody asked for", []http.HandlerFunc{raw("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-13/20\r\n" +
			"Content-Length: 14\r\n\r\n" + body)}, 0, "PartialContent", 1},
		{"not implemented is for good", []http.HandlerFunc{refuses(501, "NotImplemented")}, 0, "NotImplemented", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handler, asked := respond(tt.responses...)
			inBubble(t, handler, func(t *testing.T, b *bubble) {
				var sink memory
				r, err := b.Get(t.Context(), "bucket", "key", &sink)
				if r.Retries != tt.retries || sink.resets != tt.retries || asked.Load() != tt.asked {
					t.Errorf("%d retries, %d resets, %d requests; %v", r.Retries, sink.resets, asked.Load(), err)
				}
				typed := (*fetch.Error)(nil)
				switch errors.As(err, &typed); {
				case tt.errType == "":
					if err != nil || sink.String() != body || r.Bytes != int64(len(body)) {
						t.Errorf("%q, %d bytes, %v", sink.String(), r.Bytes, err)
					}
				case tt.errType == "untyped":
					if err == nil || typed != nil {
						t.Errorf("error %#v", err)
					}
				case typed == nil || typed.Type != tt.errType || !strings.HasPrefix(err.Error(), "get s3://bucket/key"):
					t.Errorf("error %#v, want %s", err, tt.errType)
				}
			})
		})
	}
}

// TestReuse guards what may and what must not carry a second request.
func TestReuse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		first   http.HandlerFunc
		dials   int32
		retries int
	}{
		{"a whole body", says("x"), 1, 0},
		{"an empty body", says(""), 1, 0},
		{"a refusal, read to its end", refuses(404, "NoSuchKey"), 1, 0},
		{"Connection: close", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			says("x")(w, r)
		}, 2, 0},
		{"an answer nobody asked for, behind the first", func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			response := "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
			response += strings.Repeat("y", readBytes-len(response)) // what one read takes
			_, _ = io.WriteString(c, response+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
			_, _ = io.Copy(io.Discard, c)
		}, 2, 0},
		{"closed by the other end, unseen", raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handler, _ := respond(tt.first, says("second"))
			inBubble(t, handler, func(t *testing.T, b *bubble) {
				_, _ = b.Get(t.Context(), "bucket", "key", &memory{}) // the first's error is another test's
				synctest.Wait()
				var sink memory
				r, err := b.Get(t.Context(), "bucket", "key", &sink)
				if err != nil || sink.String() != "second" || r.Retries != tt.retries {
					t.Errorf("%q, %d retries, %v", sink.String(), r.Retries, err)
				}
				if b.dials.Load() != tt.dials || b.Connections() != int64(tt.dials) {
					t.Errorf("%d connections, %d counted, want %d", b.dials.Load(), b.Connections(), tt.dials)
				}
			})
		})
	}
}

// TestIdle: a connection that lay for too long is not trusted.
func TestIdle(t *testing.T) {
	inBubble(t, says("x"), func(t *testing.T, b *bubble) {
		for i, wait := range []time.Duration{0, maxIdle - time.Second, maxIdle + time.Second} {
			time.Sleep(wait) // the bubble's clock
			if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err != nil {
				t.Fatal(err)
			}
			if want := int32(1 + i/2); b.dials.Load() != want {
				t.Errorf("after %v: %d connections, want %d", wait, b.dials.Load(), want)
			}
			if len(b.pool.all) != 1 {
				t.Errorf("after %v: %d connections are kept", wait, len(b.pool.all))
			}
		}
	})
}

// TestStale: when one idle connection turns out to be closed, those that have
// lain as long go with it, and one more attempt is enough.
func TestStale(t *testing.T) {
	var open []net.Conn
	var mu sync.Mutex
	inBubble(t, says("x"), func(t *testing.T, b *bubble) {
		inner := b.pool.connect
		b.pool.connect = func(ctx context.Context, h *host, nth int) (net.Conn, error) {
			c, err := inner(ctx, h, nth)
			mu.Lock()
			defer mu.Unlock()
			open = append(open, c)
			return c, err
		}
		var taken []*conn
		for range 8 {
			c, err := b.pool.host(endpoint{address: "10.0.0.1:80"}, nil).get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			taken = append(taken, c)
		}
		for _, c := range taken {
			c.host.put(c)
		}
		for _, c := range open {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		r, err := b.Get(t.Context(), "bucket", "key", &memory{})
		if err != nil || r.Retries != 1 || len(b.pool.all) != 1 {
			t.Errorf("%d retries, %d connections are kept, %v", r.Retries, len(b.pool.all), err)
		}
	})
}

// TestStall: a server that falls silent, before the head or in the body, is
// left for another connection.
func TestStall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first string
	}{
		{"before the head", ""},
		{"in the head", "HTTP/1.1 200 OK\r\n"},
		{"in the body", "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nthe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			silent := func(w http.ResponseWriter, r *http.Request) {
				c, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					panic(err)
				}
				_, _ = io.WriteString(c, tt.first)
				_, _ = io.Copy(io.Discard, c) // until the client closes
			}
			handler, _ := respond(silent, says("the whole body"))
			inBubble(t, handler, func(t *testing.T, b *bubble) {
				var sink memory
				r, err := b.Get(t.Context(), "bucket", "key", &sink)
				if err != nil || r.Retries != 1 || sink.String() != "the whole body" {
					t.Errorf("%+v, %q, %v", r, sink.String(), err)
				}
				if left := b.budget.left.Load(); left != budgetSize-timeoutCost+refund {
					t.Errorf("budget %d: a time-out costs %d", left, timeoutCost)
				}
			})
		})
	}
}

// TestCancel: a canceled context ends what waits, wherever it waits.
func TestCancel(t *testing.T) {
	for _, moment := range []string{"for the head", "in the body", "in the backoff", "for a connection", "before it starts"} {
		t.Run(moment, func(t *testing.T) {
			handler := func(w http.ResponseWriter, r *http.Request) {
				switch moment {
				case "in the body":
					w.Header().Set("Content-Length", "10")
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				case "in the backoff":
					refuses(503, "SlowDown")(w, r)
				default:
					<-r.Context().Done()
				}
			}
			inBubble(t, handler, func(t *testing.T, b *bubble) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				workers := 1
				switch moment {
				case "for a connection":
					workers = 2 * maxDials
					b.pool.connect = func(ctx context.Context, _ *host, _ int) (net.Conn, error) {
						<-ctx.Done()
						return nil, ctx.Err()
					}
				case "before it starts":
					cancel()
				}
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						if _, err := b.Get(ctx, "bucket", "key", &memory{}); !errors.Is(err, context.Canceled) {
							t.Errorf("error %v", err)
						}
					})
				}
				synctest.Wait()
				start := time.Now() // the bubble's clock, which no one must have waited for
				cancel()
				wg.Wait()
				if waited := time.Since(start); waited != 0 {
					t.Errorf("went on for %v", waited)
				}
				if h := b.pool.hosts["10.0.0.1:80"]; h.dialing != 0 || len(h.waiting) != 0 {
					t.Errorf("%d dials, %d waiting are left", h.dialing, len(h.waiting))
				}
			})
		})
	}
}

// TestDials: no more than maxDials connections are set up at once, whoever
// waits takes one that comes free, and one failing dial fails one request's
// attempt only.
func TestDials(t *testing.T) {
	inBubble(t, says("x"), func(t *testing.T, b *bubble) {
		inner, hold := b.pool.connect, make(chan struct{})
		var now, most, failed atomic.Int32
		b.pool.connect = func(ctx context.Context, h *host, nth int) (net.Conn, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-hold
			if failed.Add(1) == 1 {
				return nil, errors.New("refused")
			}
			return inner(ctx, h, nth)
		}
		var wg sync.WaitGroup
		var retries atomic.Int32
		for range 10 * maxDials {
			wg.Go(func() {
				r, err := b.Get(t.Context(), "bucket", "key", &memory{})
				if err != nil {
					t.Error(err)
				}
				retries.Add(int32(r.Retries))
			})
		}
		synctest.Wait()
		if now.Load() != maxDials {
			t.Errorf("%d dials at once, want %d", now.Load(), maxDials)
		}
		close(hold)
		wg.Wait()
		if most.Load() > maxDials || retries.Load() != 1 {
			t.Errorf("%d dials at once, %d retries", most.Load(), retries.Load())
		}
		if h := b.pool.hosts["10.0.0.1:80"]; h.dialing != 0 || len(h.waiting) != 0 {
			t.Errorf("%d dials, %d waiting are left", h.dialing, len(h.waiting))
		}
	})
}

// TestBudget: an S3 that is down is not asked ten times for every object.
func TestBudget(t *testing.T) {
	handler, asked := respond(refuses(503, "SlowDown"))
	inBubble(t, handler, func(t *testing.T, b *bubble) {
		const objects = 1000
		for range objects {
			if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err == nil {
				t.Fatal("no error")
			}
		}
		if want := int32(objects + budgetSize/retryCost); asked.Load() != want {
			t.Errorf("%d requests, want %d", asked.Load(), want)
		}
	})
}

// TestRegions: a bucket elsewhere is asked there, with a signature for there,
// and the next request goes there at once.
func TestRegions(t *testing.T) {
	for _, tt := range []struct {
		name     string
		redirect http.HandlerFunc
		host     string // where the second request goes
		region   string // what it is signed for
		errType  string
	}{
		{"301 with a region", refuses(301, "PermanentRedirect", "x-amz-bucket-region", "eu-west-1"),
			"bucket.s3.eu-west-1.amazonaws.com", "eu-west-1", ""},
		{"301 without a document", refuses(301, "", "x-amz-bucket-region", "eu-west-1"), "bucket.s3.eu-west-1.amazonaws.com",
			"eu-west-1", ""},
		{"400 with a region", refuses(400, "AuthorizationHeaderMalformed", "x-amz-bucket-region", "eu-west-1"),
			"bucket.s3.eu-west-1.amazonaws.com", "eu-west-1", ""},
		{"307 to another endpoint", refuses(307, "TemporaryRedirect", "Location", "http://bucket.s3-us-west-2.amazonaws.com/key"),
			"bucket.s3-us-west-2.amazonaws.com", "us-east-1", ""},
		{"307 out of AWS is not followed", refuses(307, "TemporaryRedirect", "Location", "http://bucket.example.com/key"), "", "",
			"TemporaryRedirect"},
		{"nor to another bucket's host", refuses(307, "TemporaryRedirect", "Location",
			"http://other.s3-us-west-2.amazonaws.com/key"), "", "", "TemporaryRedirect"},
		{"301 to nowhere", refuses(301, "PermanentRedirect"), "", "", "PermanentRedirect"},
		{"a region that is no host's part", refuses(301, "PermanentRedirect", "x-amz-bucket-region", "evil.example/"), "", "",
			"PermanentRedirect"},
		{"301 to the same region", refuses(301, "PermanentRedirect", "x-amz-bucket-region", "us-east-1"), "", "", "PermanentRedirect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var hosts, scopes []string
			handler, _ := respond(tt.redirect, says("x"))
			inBubble(t, func(w http.ResponseWriter, r *http.Request) {
				hosts = append(hosts, r.Host)
				_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=AKID/")
				scopes = append(scopes, strings.Split(scope, "/")[1])
				handler(w, r)
			}, func(t *testing.T, b *bubble) {
				b.move("bucket", endpoint{scheme: "http", address: "bucket.s3.us-east-1.amazonaws.com:80",
					authority: "bucket.s3.us-east-1.amazonaws.com", region: "us-east-1", service: "s3"})
				b.cfg.Endpoint = ""
				inner := b.pool.connect
				b.pool.connect = func(ctx context.Context, h *host, nth int) (net.Conn, error) {
					h.tls = nil // AWS's own places are HTTPS; the bubble's server is not
					return inner(ctx, h, nth)
				}
				for i := range 2 {
					r, err := b.Get(t.Context(), "bucket", "key", &memory{})
					if tt.errType != "" {
						if typed := (*fetch.Error)(nil); !errors.As(err, &typed) || typed.Type != tt.errType {
							t.Errorf("error %v", err)
						}
						return
					}
					if err != nil || r.Retries != 1-i {
						t.Errorf("%+v, %v", r, err)
					}
				}
				want := []string{"bucket.s3.us-east-1.amazonaws.com", tt.host, tt.host}
				if fmt.Sprint(hosts) != fmt.Sprint(want) || scopes[1] != tt.region || scopes[2] != tt.region {
					t.Errorf("asked %v for regions %v", hosts, scopes)
				}
			})
		})
	}
}

// counted gives new credentials at each Retrieve.
type counted struct {
	n           atomic.Int32
	lasts       time.Duration
	invalidated atomic.Int32
}

func (c *counted) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: fmt.Sprintf("AKID%d", c.n.Add(1)), SecretAccessKey: "s",
		CanExpire: c.lasts > 0, Expires: time.Now().Add(c.lasts)}, nil
}
func (c *counted) Invalidate() { c.invalidated.Add(1) }

// TestCredentials: they are asked for once, again before they expire, and
// again when S3 says that they have.
func TestCredentials(t *testing.T) {
	for _, tt := range []struct {
		name      string
		lasts     time.Duration
		responses []http.HandlerFunc
		waits     []time.Duration // before each request
		want      string          // keys seen by the server
		retries   int
	}{
		{"for good", 0, []http.HandlerFunc{says("x")}, []time.Duration{0, time.Hour}, "[AKID1 AKID1]", 0},
		{"until a new day", 0, []http.HandlerFunc{says("x")}, []time.Duration{0, 25 * time.Hour}, "[AKID1 AKID2]", 0},
		{"until shortly before they expire", time.Hour, []http.HandlerFunc{says("x")},
			[]time.Duration{0, 58 * time.Minute, 90 * time.Second}, "[AKID1 AKID1 AKID2]", 0},
		{"expired, says S3", 0, []http.HandlerFunc{refuses(400, "ExpiredToken"), says("x")}, []time.Duration{0}, "[AKID1 AKID2]", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			provider := &counted{lasts: tt.lasts}
			handler, _ := respond(tt.responses...)
			var seen []string
			inBubble(t, func(w http.ResponseWriter, r *http.Request) {
				_, id, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
				seen = append(seen, strings.Split(id, "/")[0])
				handler(w, r)
			}, func(t *testing.T, b *bubble) {
				retries := 0
				for _, wait := range tt.waits {
					time.Sleep(wait) // the bubble's clock
					r, err := b.Get(t.Context(), "bucket", "key", &memory{})
					if err != nil {
						t.Fatal(err)
					}
					retries += r.Retries
				}
				if fmt.Sprint(seen) != tt.want || retries != tt.retries || int(provider.invalidated.Load()) != tt.retries {
					t.Errorf("keys %v, %d retries, %d invalidated", seen, retries, provider.invalidated.Load())
				}
			}, func(c *Config) { c.Credentials = provider })
		})
	}
	t.Run("none", func(t *testing.T) {
		inBubble(t, says("x"), func(t *testing.T, b *bubble) {
			_, err := b.Get(t.Context(), "bucket", "key", &memory{})
			if err == nil || b.dials.Load() != 0 || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
				t.Errorf("%v, %d connections", err, b.dials.Load())
			}
		}, func(c *Config) { c.Credentials = EnvCredentials(func(string) string { return "" }) })
	})
}

// TestExpress: a directory bucket is read with a session's credentials, which
// are renewed before they end.
func TestExpress(t *testing.T) {
	const bucket = "data--use1-az4--x-s3"
	var sessions atomic.Int32
	handler := func(w http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		if !strings.Contains(auth, "/us-east-1/s3express/aws4_request") {
			t.Errorf("%s signed with %s", r.URL, auth)
		}
		if r.URL.RawQuery == "session=" {
			n := sessions.Add(1)
			if r.URL.Path != "/"+bucket+"/" || r.Header.Get("x-amz-create-session-mode") != "ReadOnly" || !strings.Contains(auth,
				"Credential=AKID/") {
				t.Errorf("session: %s %v", r.URL, r.Header)
			}
			if n == 1 {
				refuses(503, "SlowDown")(w, r)
				return
			}
			_,
				_ = fmt.Fprintf(w,
				"<CreateSessionResult><Credentials><AccessKeyId>SESSION%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"+
					"<SessionToken>token%d</SessionToken><Expiration>%s</Expiration></Credentials></CreateSessionResult>",
				n, n, time.Now().Add(5*time.Minute).UTC().Format(time.RFC3339))
			return
		}
		n := sessions.Load()
		if r.Header.Get("x-amz-s3session-token") != fmt.Sprintf("token%d", n) || !strings.Contains(auth,
			fmt.Sprintf("Credential=SESSION%d/", n)) || r.Header.Get("x-amz-security-token") != "" {
			t.Errorf("%s: %v", r.URL, r.Header)
		}
		says("x")(w, r)
	}
	inBubble(t, handler, func(t *testing.T, b *bubble) {
		for i, want := range []int32{2, 2, 3} { // the first of all is refused
			var wg sync.WaitGroup
			for range 4 { // who come at once share one session
				wg.Go(func() {
					if _, err := b.Get(t.Context(), bucket, "key", &memory{}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if sessions.Load() != want {
				t.Errorf("round %d: %d sessions asked for, want %d", i, sessions.Load(), want)
			}
			time.Sleep(150 * time.Second) // the bubble's clock: half a session
		}
	})
}

// TestList: pages, tokens and prefixes, a refused page, a page cut short, and
// a callee that has had enough.
func TestList(t *testing.T) {
	var queries []string
	fails := int32(0)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if fails++; fails == 2 {
			refuses(503, "SlowDown")(w, r)
			return
		}
		if fails == 3 {
			raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<ListBucketResult>")(w, r)
			return
		}
		queries = append(queries, r.URL.RawQuery)
		next := "<IsTruncated>true</IsTruncated><NextContinuationToken>to ken/+</NextContinuationToken>"
		if r.URL.Query().Get("continuation-token") != "" {
			next = ""
		}
		_,
			_ = fmt.Fprintf(w,
			"<ListBucketResult><EncodingType>url</EncodingType>%s<Contents><Key>k+%d</Key><Size>1</Size></Contents>"+
				"</ListBucketResult>", next, len(queries))
	}
	inBubble(t, handler, func(t *testing.T, b *bubble) {
		var keys []string
		err := b.List(t.Context(), "bucket", "pre fix/+é", func(page []fetch.Object) error {
			for _, o := range page {
				keys = append(keys, o.Key)
			}
			return nil
		})
		const query = "encoding-type=url&list-type=2&prefix=pre%20fix%2F%2B%C3%A9"
		want := []string{query, "continuation-token=to%20ken%2F%2B&" + query}
		if err != nil || fmt.Sprint(keys) != "[k 1 k 2]" || fmt.Sprint(queries) != fmt.Sprint(want) {
			t.Errorf("%v, %q, %v", keys, queries, err)
		}
		enough := errors.New("enough")
		if err := b.List(t.Context(), "bucket", "", func([]fetch.Object) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
	})
}

// TestGetAllocates guards the fast path: over plain HTTP a warm GET takes nothing
// from the heap. Over TLS, crypto/tls allocates once (BenchmarkLeanGet).
func TestGetAllocates(t *testing.T) {
	c, err := New(Config{Region: "r", Endpoint: "http://10.0.0.1", Credentials: key})
	if err != nil {
		t.Fatal(err)
	}
	c.pool.connect = func(context.Context, *host, int) (net.Conn, error) { return &canned{}, nil }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sink := fetch.Sink(ignore{})
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Get(ctx, "bucket", "objects/object-000001", sink); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type ignore struct{}

func (ignore) Write(p []byte) (int, error) { return len(p), nil }
func (ignore) Reset()                      {}

// canned answers every request alike.
type canned struct{ net.Conn }

func (*canned) Write(p []byte) (int, error) { return len(p), nil }
func (*canned) Read(p []byte) (int, error) {
	return copy(p, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"), nil
}
func (*canned) SetDeadline(time.Time) error { return nil }
func (*canned) Close() error                { return nil }

// The shortest set-up of a connection is told once. On a fake clock.
func TestFastestConnect(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") }, func(t *testing.T, b *bubble) {
		if got := b.FastestConnect(); got != 0 {
			t.Errorf("before any connection: %v", got)
		}
		var nth atomic.Int64
		connect := b.pool.connect
		b.pool.connect = func(ctx context.Context, h *host, n int) (net.Conn, error) {
			time.Sleep(time.Duration(30-10*nth.Add(1)) * time.Millisecond) // 20 ms, then 10
			return connect(ctx, h, n)
		}
		for _, want := range []time.Duration{10 * time.Millisecond, 0} {
			if err := b.Warm(t.Context(), "bucket", 2); err != nil {
				t.Fatal(err)
			}
			if got := b.FastestConnect(); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
	})
}

// Warm opens as many connections as it is told, past the dial limit too, and
// what comes after uses them.
func TestWarm(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") }, func(t *testing.T, b *bubble) {
		const many = 3 * maxDials
		if err := b.Warm(t.Context(), "bucket", many); err != nil {
			t.Fatal(err)
		}
		if got := b.Connections(); got != many {
			t.Errorf("%d connections, want %d", got, many)
		}
		var wg sync.WaitGroup
		for range many {
			wg.Go(func() {
				if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := b.Connections(); got != many {
			t.Errorf("%d connections after the requests, want %d", got, many)
		}
	})
}

// A connection that does not come about in time costs none of the others.
func TestWarmKeeps(t *testing.T) {
	inBubble(t, says("body"), func(t *testing.T, b *bubble) {
		const many = 5
		var nth atomic.Int32
		inner := b.pool.connect
		b.pool.connect = func(ctx context.Context, h *host, n int) (net.Conn, error) {
			if nth.Add(1) == 2 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return inner(ctx, h, n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // of the bubble's clock
		defer cancel()
		if err := b.Warm(ctx, "bucket", many); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		synctest.Wait() // until the end of ctx has had its effect
		if n := len(b.pool.hosts["10.0.0.1:80"].idle); n != many-1 {
			t.Errorf("%d connections are there, want %d", n, many-1)
		}
		var sink memory
		if _, err := b.Get(t.Context(), "bucket", "key", &sink); err != nil || sink.String() != "body" || nth.Load() != many {
			t.Errorf("%q, %v, %d connections were asked for, want %d", sink.String(), err, nth.Load(), many)
		}
	})
}
