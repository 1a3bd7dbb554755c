package objects

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"golang.org/x/time/rate"
)

func TestParseNetwork(t *testing.T) {
	for _, row := range []struct {
		in string
		ok bool
	}{
		{"s3-standard", true},
		{"s3-express", true},
		{"none", true},
		{"", false},            // the flag left empty is a mistake, not None
		{"S3-Standard", false}, // names are exact
	} {
		n, err := ParseNetwork(row.in)
		if (err == nil) != row.ok || row.ok && string(n) != row.in {
			t.Errorf("%q: %q, %v", row.in, n, err)
		}
	}
}

func TestFaultsValidate(t *testing.T) {
	for _, row := range []struct {
		f  Faults
		ok bool
	}{
		{Faults{}, true},
		{Faults{0.5, 0.25, 0.25, 1}, true},      // all of it
		{Faults{SlowDown: -0.1}, false},         // below the range
		{Faults{Spike: 1.1}, false},             // above it
		{Faults{Reset: 0.6, Short: 0.6}, false}, // a request has one of these at most
		{Faults{Short: math.NaN()}, false},      // compares with nothing
	} {
		if err := row.f.Validate(); (err == nil) != row.ok {
			t.Errorf("%+v: %v", row.f, err)
		}
	}
	if _, err := Start(Config{Faults: Faults{Spike: 2}, Dir: t.TempDir()}); err == nil {
		t.Error("Start took a share of 2")
	}
	if _, err := Start(Config{Network: "wifi", Dir: t.TempDir()}); err == nil {
		t.Error("Start took a network that is not there")
	}
}

// The draws are the model's: median and 99th percentile of many of them.
func TestLatency(t *testing.T) {
	const draws = 100_000
	for _, n := range []Network{S3Standard, S3Express} {
		m, d := n.Model(), newDice(1, n.Model(), Faults{})
		all := make([]time.Duration, draws)
		for i := range all {
			all[i] = d.latency()
		}
		slices.Sort(all)
		for _, row := range []struct {
			name      string
			got, want time.Duration
		}{{"median", all[draws/2], m.FirstByteMedian}, {"p99", all[draws*99/100], m.FirstByteP99}} {
			if ratio := float64(row.got) / float64(row.want); ratio < 0.97 || ratio > 1.03 {
				t.Errorf("%s: %s %s, want %s", n, row.name, row.got, row.want)
			}
		}
	}
	if d := newDice(1, None.Model(), Faults{}).latency(); d != 0 {
		t.Errorf("none: %s", d)
	}
}

func TestDiceRepeat(t *testing.T) {
	m := S3Standard.Model()
	type draw struct {
		latency time.Duration
		f       fault
		spike   bool
	}
	roll := func(seed uint64, f Faults) (all []draw) {
		d := newDice(seed, m, f)
		for range 10_000 {
			l, f, s := d.get()
			all = append(all, draw{l, f, s})
		}
		return all
	}
	faults := Faults{SlowDown: 0.1, Reset: 0.05, Short: 0.2, Spike: 0.01}
	a := roll(7, faults)
	if !slices.Equal(a, roll(7, faults)) {
		t.Error("the same seed drew differently")
	}
	if slices.Equal(a, roll(8, faults)) {
		t.Error("another seed drew the same")
	}
	counts := make(map[fault]int)
	spikes := 0
	for i, plain := range roll(7, Faults{}) {
		counts[a[i].f]++
		want := plain.latency
		if a[i].spike {
			spikes++
			want *= spikeFactor
		}
		if a[i].latency != want {
			t.Fatalf("draw %d: faults changed the latency from %s to %s", i, want, a[i].latency)
		}
	}
	for f, want := range map[fault]int{slowDownFault: 1000, resetFault: 500, shortFault: 2000} {
		if got := counts[f]; got < want*8/10 || got > want*12/10 {
			t.Errorf("fault %d: %d of 10,000, want about %d", f, got, want)
		}
	}
	if spikes < 60 || spikes > 150 {
		t.Errorf("%d spikes of 10,000, want about 100", spikes)
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

// A caller has its bandwidth over all its answers together. On a fake clock.
func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, size = 1 << 20, 640 << 10
		l := rate.NewLimiter(perSecond, burstBytes)
		began, done := time.Now(), make(chan error)
		for range 2 {
			go func() {
				w := &sink{header: make(http.Header)}
				a := &answer{ResponseWriter: w, ctx: t.Context(), bandwidth: l}
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
		path string
		want bool
	}{
		{"/bucket/a/k1", true},
		{"/bucket/a/k2", false}, // the same prefix
		{"/bucket/b/k1", true},  // another
		{"/bucket2/a/k1", true}, // another bucket
		{"/bucket/k", true},     // no prefix at all
		{"/bucket/k2", false},   // that has a limit too
		{"/bucket/a/a/k", true}, // the prefix reaches to the last slash
	} {
		if got := s.limit(row.path).Allow(); got != row.want {
			t.Errorf("%s: %t, want %t", row.path, got, row.want)
		}
	}
	s.AddKey("AKID", "secret")
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Client("AKID", "secret").GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a/k")}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != "SlowDown" || refusal.ErrorMessage() != "Please reduce your request rate." || s.Counts().SlowDowns != 1 {
		t.Errorf("%v, %+v", err, s.Counts())
	}
}
