package lean

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/functions/fetch"
)

// TestBackoff: before retry n a request waits a random time up to
// backoffBase·2ⁿ, and never more than backoffMost. The bubble's clock makes the
// waits exact.
func TestBackoff(t *testing.T) {
	const requests = 200
	var times [][]time.Time // by request, of its attempts
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		last := len(times) - 1
		times[last] = append(times[last], time.Now())
		refuses(503, "SlowDown")(w, r)
	}, func(t *testing.T, b *bubble) {
		b.budget.left.Store(1 << 40)
		for range requests {
			times = append(times, nil)
			if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err == nil {
				t.Fatal("no error")
			}
		}
	})
	for retry, bound := range []time.Duration{
		50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		1600 * time.Millisecond, 2 * time.Second, 2 * time.Second, 2 * time.Second,
	} {
		least, most := time.Hour, time.Duration(0)
		for _, of := range times {
			if len(of) != defaultTries {
				t.Fatalf("%d attempts at a request", len(of))
			}
			wait := of[retry+1].Sub(of[retry])
			least, most = min(least, wait), max(most, wait)
		}
		// Of 200 waits drawn evenly below the bound, all are above or all below
		// its half once in 10⁶⁰ runs.
		if least > bound/2 || most < bound/2 || most >= bound {
			t.Errorf("retry %d: waits of %v to %v, want some of 0 to %v", retry+1, least, most, bound)
		}
	}
}

// TestRetryEnds guards the bounds that are not the number of tries.
func TestRetryEnds(t *testing.T) {
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		region := "eu-west-1" // and from there back again, for ever
		if strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/") {
			region = "us-east-1"
		}
		refuses(301, "PermanentRedirect", "x-amz-bucket-region", region)(w, r)
	}
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		errType string
		asked   int32
		left    int64 // of the budget
	}{
		{"two regions that name each other", elsewhere, "PermanentRedirect", 1 + maxRedirects, budgetSize},
		{"credentials that stay expired", refuses(400, "ExpiredToken"), fetch.AccessDenied, 2, budgetSize},
		{"what S3 refuses for good costs nothing", refuses(404, "NoSuchKey"), fetch.NoSuchKey, 1, budgetSize},
		{"each retry costs", refuses(503, "SlowDown"), fetch.SlowDown, defaultTries, budgetSize - (defaultTries-1)*retryCost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handler, asked := respond(tt.answer)
			inBubble(t, handler, func(t *testing.T, b *bubble) {
				_, err := b.Get(t.Context(), "bucket", "key", &memory{})
				typed := (*fetch.Error)(nil)
				if !errors.As(err, &typed) || typed.Type != tt.errType || asked.Load() != tt.asked || b.budget.left.Load() != tt.left {
					t.Errorf("error %v after %d requests, %d left; want %s after %d with %d",
						err, asked.Load(), b.budget.left.Load(), tt.errType, tt.asked, tt.left)
				}
			})
		})
	}
}

// TestBudgetRefund: an object read gives back, never beyond the full budget.
func TestBudgetRefund(t *testing.T) {
	inBubble(t, says("x"), func(t *testing.T, b *bubble) {
		for _, tt := range []struct{ left, want int64 }{{100, 101}, {budgetSize - 1, budgetSize}, {budgetSize, budgetSize}} {
			b.budget.left.Store(tt.left)
			if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err != nil || b.budget.left.Load() != tt.want {
				t.Errorf("%d left became %d, want %d; %v", tt.left, b.budget.left.Load(), tt.want, err)
			}
		}
	})
}

// TestMidnight: a request that waited for its connection past the end of its key's
// day is signed for that day's last second, not for a day that the key is not for.
func TestMidnight(t *testing.T) {
	var dates, scopes []string
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		dates = append(dates, r.Header.Get("X-Amz-Date"))
		_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=AKID/")
		scopes = append(scopes, scope[:8])
		w.Header().Set("Connection", "close")
		says("x")(w, r)
	}, func(t *testing.T, b *bubble) {
		inner, wait := b.pool.connect, time.Duration(0)
		b.pool.connect = func(ctx context.Context, h *host, nth int) (net.Conn, error) {
			time.Sleep(wait) // the bubble's clock
			return inner(ctx, h, nth)
		}
		for _, wait = range []time.Duration{0, 2 * time.Second, 0} {
			now := time.Now().UTC()
			if wait > 0 {
				time.Sleep(now.Truncate(24 * time.Hour).Add(24*time.Hour - time.Second).Sub(now))
			}
			if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	want := []string{"20000101T000000Z", "20000101T235959Z", "20000102T000001Z"}
	if fmt.Sprint(dates) != fmt.Sprint(want) || fmt.Sprint(scopes) != "[20000101 20000101 20000102]" {
		t.Errorf("signed at %v for days %v, want %v", dates, scopes, want)
	}
}

// TestWatches: contexts that are over are forgotten, those with requests under way
// are not: they can still be canceled.
func TestWatches(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bucket/slow" {
			<-r.Context().Done()
			return
		}
		says("x")(w, r)
	}, func(t *testing.T, b *bubble) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error)
		go func() {
			_, err := b.Get(ctx, "bucket", "slow", &memory{})
			done <- err
		}()
		synctest.Wait()
		for range 10 {
			other, stop := context.WithCancel(t.Context())
			if _, err := b.Get(other, "bucket", "key", &memory{}); err != nil {
				t.Error(err)
			}
			stop()
		}
		if n := len(b.pool.watches); n != 2 {
			t.Errorf("%d contexts are watched, want the one under way and the last", n)
		}
		start := time.Now()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

// TestErrorText: an error says what S3 said, and by which request to find it.
func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&responseError{status: 503, code: "SlowDown", message: "m", requestID: "R"}, "S3 answered 503 SlowDown: m (request R)"},
		{&responseError{status: 403, code: "Forbidden"}, "S3 answered 403 Forbidden"},
		{&bodyError{3, 10, io.EOF}, "body broke off after 3 of 10 bytes: EOF"},
		{&bodyError{3, -1, io.EOF}, "body broke off after 3 bytes: EOF"},
		{&bodyError{0, 0, io.EOF}, "body broke off after 0 of 0 bytes: EOF"},
	} {
		if tt.err.Error() != tt.want {
			t.Errorf("%q, want %q", tt.err, tt.want)
		}
	}
}

// TestConnects: a request that gets no connection is given up earlier than one
// that S3 refuses, and one that no further attempt can help at once.
func TestConnects(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		dials int32
	}{
		{"refused", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, maxConnects},
		{"a name server that fails", &net.DNSError{Err: "server misbehaving", IsTemporary: true}, maxConnects},
		{"no such name", &net.DNSError{Err: "no such host", IsNotFound: true}, 1},
		{"a certificate of another host", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}, 1},
		{"a certificate that nobody signed", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, 1},
		{"no file left", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}, defaultTries},
		{"no file left to ask a name server", &net.DNSError{Err: "dial udp 10.0.0.2:53: socket: too many open files"}, defaultTries},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, says("x"), func(t *testing.T, b *bubble) {
				var dials atomic.Int32
				b.pool.connect = func(context.Context, *host, int) (net.Conn, error) {
					dials.Add(1)
					return nil, tt.err
				}
				r, err := b.Get(t.Context(), "bucket", "key", &memory{})
				if err == nil || dials.Load() != tt.dials || r.Retries != int(tt.dials)-1 || b.Connections() != 0 {
					t.Errorf("%d dials, want %d; %+v, %d connections, %v", dials.Load(), tt.dials, r, b.Connections(), err)
				}
			})
		})
	}
}

// TestStaleOnce: a reused connection that the other end had closed costs no
// wait and no budget, but only the first of a request: after that it is a failure
// as any other.
func TestStaleOnce(t *testing.T) {
	n := 0
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 || n == 4 {
			says("x")(w, r)
			return
		}
		raw("")(w, r)
	}, func(t *testing.T, b *bubble) {
		if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r, err := b.Get(t.Context(), "bucket", "key", &memory{}) // stale, then a new connection without a response
		if err != nil || r.Retries != 2 || b.budget.left.Load() != budgetSize-retryCost+refund {
			t.Errorf("%+v, %v, %d left", r, err, b.budget.left.Load())
		}
		if time.Since(start) > backoffBase<<2 {
			t.Errorf("took %v", time.Since(start))
		}
	})
}

// TestShortLived: credentials that are nearly over as they come are used for a
// second at a time, not for each request anew.
func TestShortLived(t *testing.T) {
	provider := &counted{lasts: 30 * time.Second}
	inBubble(t, says("x"), func(t *testing.T, b *bubble) {
		for _, step := range []struct {
			wait time.Duration
			want int32
		}{{0, 1}, {0, 1}, {2 * time.Second, 2}, {0, 2}} {
			time.Sleep(step.wait) // the bubble's clock
			if _, err := b.Get(t.Context(), "bucket", "key", &memory{}); err != nil || provider.n.Load() != step.want {
				t.Errorf("asked %d times, want %d; %v", provider.n.Load(), step.want, err)
			}
		}
	}, func(c *Config) { c.Credentials = provider })
}

// TestCredentialsFail: a provider's failure is the caller's to know, not S3's to
// be asked about.
func TestCredentialsFail(t *testing.T) {
	broken := errors.New("no role")
	handler, asked := respond(says("x"))
	inBubble(t, handler, func(t *testing.T, b *bubble) {
		r, err := b.Get(t.Context(), "bucket", "key", &memory{})
		if !errors.Is(err, broken) || r.Retries != 0 || asked.Load() != 0 {
			t.Errorf("%+v, %v, %d requests", r, err, asked.Load())
		}
	}, func(c *Config) {
		c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, broken })
	})
}
