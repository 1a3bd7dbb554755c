package objects

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"golang.org/x/time/rate"

	"fanout/bench/internal/network"
)

// The draws are the model's: median and 99th percentile of many of them.
func TestLatency(t *testing.T) {
	const draws = 100_000
	for _, n := range []network.Model{network.S3Standard, network.S3Express} {
		m, l := n, newLatencySampler(1, n)
		all := make([]time.Duration, draws)
		for i := range all {
			all[i] = l.draw(noBody)
		}
		slices.Sort(all)
		for _, row := range []struct {
			name      string
			got, want time.Duration
		}{{"median", all[draws/2], m.FirstByteMedian}, {"p99", all[draws*99/100], m.FirstByteP99}} {
			if ratio := float64(row.got) / float64(row.want); ratio < 0.97 || ratio > 1.03 {
				t.Errorf("%s: %s %s, want %s", n.Name, row.name, row.got, row.want)
			}
		}
	}
	if d := newLatencySampler(1, network.None).draw(noBody); d != 0 {
		t.Errorf("none: %s", d)
	}
}

// A listing takes as long as the model has it, which nothing else does.
func TestListingLate(t *testing.T) {
	s, err := Start(Config{Network: network.Model{List: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // its files are gone with it
	s.AddKey("id", "secret")
	client := s.Client("id", "secret")
	bucket := aws.String("bucket")
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"ListObjectsV2": func(ctx context.Context) error {
			_, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
			return err
		},
		"ListObjectVersions": func(ctx context.Context) error {
			_, err := client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: bucket})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if _, err := client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	if d := newLatencySampler(1, network.Model{List: time.Hour}).draw(noBody); d != 0 {
		t.Errorf("an object: %v", d)
	}
}

// The delay counts from the arrival, so that what the server did meanwhile is
// not added; and a caller that goes away is not waited for. On a fake clock.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrived := time.Now()
		time.Sleep(15 * time.Millisecond) // fake: the server at work
		if err := wait(t.Context(), arrived, 20*time.Millisecond); err != nil || time.Since(arrived) != 20*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(arrived), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := wait(ctx, time.Now(), time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// A connection answers nothing until its set-up is over, and then at once. On a fake
// clock.
func TestConnectLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		c := &lateConn{Conn: here, ready: time.Now().Add(18 * time.Millisecond)}
		go func() {
			_, err := there.Write([]byte("twice"))
			if err = errors.Join(err, there.Close()); err != nil {
				t.Error(err)
			}
		}()
		began, buf := time.Now(), make([]byte, 3)
		for i, want := range []int{3, 2} {
			if n, err := c.Read(buf); n != want || err != nil || time.Since(began) != 18*time.Millisecond {
				t.Errorf("read %d: %d bytes, %v, after %v", i, n, err, time.Since(began))
			}
		}
	})
}

// A function's bandwidth grows with its memory size if the network's does.
func TestBandwidthOfFunction(t *testing.T) {
	for _, row := range []struct {
		name     string
		network  network.Model
		memoryMB int
		mbit     float64 // 0: no limiter
	}{
		{"flat", network.S3Standard, 10_240, 625},
		{"quota, small", network.Model{Bandwidth: 625e6 / 8, Quota: true}, 2048, 625},
		{"quota, large", network.Model{Bandwidth: 625e6 / 8, Quota: true}, 10_240, 3000},
		{"quota, fitted to less", network.Model{Bandwidth: 500e6 / 8, Quota: true}, 10_240, 2400},
		{"no limit", network.None, 10_240, 0},
	} {
		s := newServer(Config{Network: row.network}, t.TempDir())
		s.AddFunction("id", "secret", row.memoryMB)
		l, got := s.callers.get("id").bandwidth, 0.0
		if l != nil {
			got = float64(l.Limit()) * 8 / 1e6
		}
		if got-row.mbit > 1e-6 || row.mbit-got > 1e-6 {
			t.Errorf("%s: %g Mbit/s, want %g", row.name, got, row.mbit)
		}
	}
}

// A caller has its bandwidth over all its answers together. On a fake clock.
func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, size = 1 << 20, 640 << 10
		l := rate.NewLimiter(perSecond, burstBytes)
		began, done := time.Now(), make(chan error)
		for range 2 {
			go func() {
				w := &sink{header: make(http.Header)}
				a := &throttledWriter{ResponseWriter: w, ctx: t.Context(), bandwidth: l}
				_, err := a.Write(make([]byte, size))
				if w.n != size {
					err = errors.Join(err, errors.New("bytes are missing"))
				}
				done <- err
			}()
		}
		if err := errors.Join(<-done, <-done); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(began); got.Round(time.Microsecond) != time.Second {
			t.Errorf("1,280 KB, 256 of them at once, at 1,024 KB/s took %s, want 1 s", got)
		}
	})
}

// Past the limit of its prefix a GET gets 503; another prefix has its own.
func TestGetLimit(t *testing.T) {
	s, err := Start(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.model.GetLimit = 1e-6 // one at once, and no other while the test runs
	for _, row := range []struct {
		bucket, key string
		want        bool
	}{
		{"bucket", "a/k1", true},
		{"bucket", "a/k2", false}, // the same prefix
		{"bucket", "b/k1", true},  // another
		{"bucket2", "a/k1", true}, // another bucket
		{"bucket", "k", true},     // no prefix at all
		{"bucket", "k2", false},   // that has a limit too
		{"bucket", "a/a/k", true}, // the prefix reaches to the last slash
	} {
		if got := s.limit(row.bucket, row.key).Allow(); got != row.want {
			t.Errorf("%s/%s: %t, want %t", row.bucket, row.key, got, row.want)
		}
	}
	s.AddKey("AKID", "secret")
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	in := s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a/k")}
	_, err = s.Client("AKID", "secret").GetObject(t.Context(), &in, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != "SlowDown" || refusal.ErrorMessage() != "Please reduce your request rate." ||
		s.Counts().SlowDowns != 1 {
		t.Errorf("%v, %+v", err, s.Counts())
	}
}
