package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// fakeStore is a bucket in memory, listed in pages.
type fakeStore struct {
	bodies   map[string]string
	page     int              // objects a page; 0: all in one
	fail     map[string]error // by key
	listErr  error
	delay    time.Duration // before each body
	chunk    int           // bytes a Write; 0: whole
	inFlight atomic.Int32
	most     atomic.Int32 // most bodies read at once
	firstGet chan struct{}
	gets     atomic.Int32
	quick    string // the key that has no delay
	lateErr  error  // of the listing, behind its last page
}

func (s *fakeStore) Connections() int64 { return 7 }

func (s *fakeStore) List(ctx context.Context, _, prefix string, page func([]Object) error) error {
	if s.listErr != nil {
		return s.listErr
	}
	var all []Object
	for key, body := range s.bodies {
		if strings.HasPrefix(key, prefix) {
			all = append(all, Object{key, int64(len(body))})
		}
	}
	sort.Slice(all, func(i, k int) bool { return all[i].Key < all[k].Key })
	size := s.page
	if size == 0 {
		size = max(len(all), 1)
	}
	for first := true; first || len(all) > 0; first = false {
		n := min(size, len(all))
		if err := page(all[:n]); err != nil {
			return err
		}
		if all = all[n:]; s.firstGet != nil && len(all) > 0 {
			select { // the next page comes only once a body was asked for
			case <-s.firstGet:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return s.lateErr
}

func (s *fakeStore) Get(ctx context.Context, _, key string, sink Sink) (Read, error) {
	for n := s.inFlight.Add(1); ; {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer s.inFlight.Add(-1)
	if s.gets.Add(1) == 1 && s.firstGet != nil {
		close(s.firstGet)
	}
	if s.delay > 0 && key != s.quick {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return Read{}, ctx.Err()
		}
	}
	if err := s.fail[key]; err != nil {
		return Read{Retries: 2}, err
	}
	body, ok := s.bodies[key]
	if !ok {
		return Read{}, &Error{Type: NoSuchKey, Message: "get " + key}
	}
	// A first try that breaks off: what it wrote must not count.
	if _, err := sink.Write([]byte("needle")); err != nil {
		return Read{}, err
	}
	sink.Reset()
	for rest, n := body, 0; len(rest) > 0; rest = rest[n:] {
		if n = len(rest); s.chunk > 0 {
			n = min(s.chunk, n)
		}
		if _, err := sink.Write([]byte(rest[:n])); err != nil {
			return Read{}, err
		}
	}
	return Read{Bytes: int64(len(body)), FirstByte: time.Millisecond, Retries: 1}, nil
}

func handlerOver(s Store, cfg Config) *Handler {
	return New(cfg, func(_ context.Context, client string) (Store, error) {
		if client != "fake" && client != "fake2" {
			return nil, &Error{Type: InvalidEvent, Message: "client " + client}
		}
		return s, nil
	})
}

var fake = Config{Client: "fake"}

func objects(n int, body func(i int) string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("p/%05d", i)] = body(i)
	}
	return m
}

func TestHandle(t *testing.T) {
	odd := map[string]string{"/lead": "1", "a b": "2", "a+b": "3", "a%2Fb": "4", "é/ü": "needle", "z/": ""}
	noise := func(i int) string { return fmt.Sprint("noise ", i) }
	late := func(i int) string {
		if i >= 700 {
			return "xneedlex"
		}
		return noise(i)
	}
	gone := errors.New("gone")
	for _, tc := range []struct {
		name      string
		store     *fakeStore
		event     string
		result    string // of a success
		objects   int
		errors    int
		errorType string // of a failure
		message   string // part of it
	}{
		// Counting and finding, with one worker and many: the same code.
		{name: "count", store: &fakeStore{bodies: objects(2500, noise), page: 1000}, event: `{"s3_bucket_name":"b"}`,
			result: "2500", objects: 2500},
		{name: "count sequential", store: &fakeStore{bodies: objects(12, noise)}, event: `{"s3_bucket_name":"b","concurrency":1}`,
			result: "12", objects: 12},
		{name: "first in list order", store: &fakeStore{bodies: objects(1000, late), page: 300},
			event: `{"s3_bucket_name":"b","find":"needle"}`, result: "p/00700", objects: 1000},
		{name: "over chunk borders", store: &fakeStore{bodies: objects(1000, late), chunk: 3},
			event: `{"s3_bucket_name":"b","find":"needle"}`, result: "p/00700", objects: 1000},
		{name: "no match", store: &fakeStore{bodies: objects(9, noise)}, event: `{"s3_bucket_name":"b","find":"needle"}`,
			result: NotFound, objects: 9},
		{name: "null find counts", store: &fakeStore{bodies: objects(3, noise)},
			event: `{"s3_bucket_name":"b","folder":null,"find":null}`, result: "3", objects: 3},
		{name: "more workers than objects", store: &fakeStore{bodies: objects(3, noise)},
			event: `{"s3_bucket_name":"b","concurrency":1024}`, result: "3", objects: 3},
		// Nothing to read is a response, not an error.
		{name: "empty bucket", store: &fakeStore{}, event: `{"s3_bucket_name":"b"}`, result: "0"},
		{name: "empty bucket, find", store: &fakeStore{}, event: `{"s3_bucket_name":"b","find":"x"}`, result: NotFound},
		{name: "empty prefix reads the whole bucket", store: &fakeStore{bodies: odd}, event: `{"s3_bucket_name":"b","folder":""}`,
			result: "6", objects: 6},
		{name: "prefix without objects", store: &fakeStore{bodies: odd}, event: `{"s3_bucket_name":"b","folder":"nope/"}`, result: "0"},
		// Keys are taken as they are.
		{name: "odd keys", store: &fakeStore{bodies: odd}, event: `{"s3_bucket_name":"b","find":"needle"}`, result: "é/ü", objects: 6},
		{name: "given keys", store: &fakeStore{bodies: odd}, event: `{"s3_bucket_name":"b","keys":["a+b","/lead"]}`, result: "2",
			objects: 2},
		{name: "given keys, order of the event", store: &fakeStore{bodies: objects(1000, late)},
			event: `{"s3_bucket_name":"b","find":"needle","keys":["p/00001","p/00900","p/00800"]}`, result: "p/00900", objects: 3},
		{name: "no keys given", store: &fakeStore{bodies: odd}, event: `{"s3_bucket_name":"b","keys":[]}`, result: "0"},
		// A failed object never disappears.
		{name: "one fails", store: &fakeStore{bodies: objects(100, noise), fail: map[string]error{"p/00042": gone}},
			event: `{"s3_bucket_name":"b"}`, errorType: ObjectReadFailed, message: `1 of 100 objects failed; first "p/00042": gone`},
		{name: "first failure by list order", store: &fakeStore{bodies: objects(100, noise),
			fail: map[string]error{"p/00042": gone, "p/00007": gone}}, event: `{"s3_bucket_name":"b"}`, errorType: ObjectReadFailed,
			message: `2 of 100 objects failed; first "p/00007"`},
		{name: "continue counts it", store: &fakeStore{bodies: objects(100, noise), fail: map[string]error{"p/00042": gone}},
			event: `{"s3_bucket_name":"b","on_error":"continue"}`, result: "99", objects: 99, errors: 1},
		{name: "missing key", store: &fakeStore{bodies: odd}, event: `{"s3_bucket_name":"b","keys":["nope"]}`,
			errorType: ObjectReadFailed, message: `first "nope"`},
		{name: "bucket gone while reading", store: &fakeStore{bodies: odd,
			fail: map[string]error{"a b": &Error{Type: NoSuchBucket, Message: "b is gone"}}},
			event: `{"s3_bucket_name":"b","on_error":"continue"}`, errorType: NoSuchBucket, message: "b is gone"},
		// A failed listing ends the invocation under its own name.
		{name: "no bucket", store: &fakeStore{listErr: &Error{Type: NoSuchBucket, Message: "list b"}},
			event: `{"s3_bucket_name":"b"}`, errorType: NoSuchBucket, message: "list b"},
		{name: "denied", store: &fakeStore{listErr: &Error{Type: AccessDenied, Message: "list b"}}, event: `{"s3_bucket_name":"b"}`,
			errorType: AccessDenied},
		{name: "list fails", store: &fakeStore{listErr: gone}, event: `{"s3_bucket_name":"b","folder":"p"}`, errorType: ListFailed,
			message: "list s3://b/p: gone"},
		{name: "list slowed down", store: &fakeStore{listErr: &Error{Type: SlowDown, Message: "slow"}},
			event: `{"s3_bucket_name":"b"}`, errorType: ListFailed, message: "slow"},
		// Bad events are refused by name.
		{name: "unknown client", store: &fakeStore{}, event: `{"s3_bucket_name":"b","client":"nope"}`, errorType: InvalidEvent,
			message: "nope"},
		{name: "bad event", store: &fakeStore{}, event: `{`, errorType: InvalidEvent},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := handlerOver(tc.store, fake).Handle(t.Context(), []byte(tc.event))
			if tc.errorType != "" {
				var typed *Error
				if !errors.As(err, &typed) || typed.Type != tc.errorType || !strings.Contains(err.Error(), tc.message) {
					t.Fatalf("got %+v, error %v; want %s: …%s…", got, err, tc.errorType, tc.message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Result != tc.result || got.Stats.Objects != tc.objects || got.Stats.Errors != tc.errors {
				t.Errorf("result %q, %d objects, %d errors; want %q, %d, %d", got.Result, got.Stats.Objects, got.Stats.Errors,
					tc.result, tc.objects, tc.errors)
			}
			if want := tc.objects + 2*tc.errors; got.Stats.Retries != want {
				t.Errorf("%d retries, want %d", got.Stats.Retries, want)
			}
		})
	}
}

// The pool is bounded by the event, else by the function's setting.
func TestConcurrencyIsBounded(t *testing.T) {
	for _, tc := range []struct {
		cfg   int
		event string
		want  int
	}{
		{5, ``, 5},                  // the function says
		{5, `,"concurrency":3`, 3},  // the event overrides it
		{64, `,"concurrency":1`, 1}, // sequential
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeStore{bodies: objects(500, func(int) string { return "x" }), delay: time.Second}
			got, err := handlerOver(s, Config{Client: "fake", Concurrency: tc.cfg}).Handle(t.Context(),
				[]byte(`{"s3_bucket_name":"b"`+tc.event+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if int(s.most.Load()) != tc.want || got.Stats.Concurrency != tc.want {
				t.Errorf("%d at once, stats say %d, want %d", s.most.Load(), got.Stats.Concurrency, tc.want)
			}
			if want := float64((500 + tc.want - 1) / tc.want); got.Time != want {
				t.Errorf("time %v s, want %v", got.Time, want)
			}
		})
	}
}

// Reading starts on the first page while the next is listed: the fake sends
// its second page only after a first body was asked for.
func TestReadingStartsOnTheFirstPage(t *testing.T) {
	s := &fakeStore{bodies: objects(10, func(int) string { return "x" }), page: 5, firstGet: make(chan struct{})}
	if _, err := handlerOver(s, fake).Handle(t.Context(), []byte(`{"s3_bucket_name":"b"}`)); err != nil {
		t.Fatal(err)
	}
}

func TestDeadline(t *testing.T) {
	event := []byte(`{"s3_bucket_name":"b","concurrency":1,"on_error":"continue"}`)
	for _, tc := range []struct {
		name      string
		memoryMB  int
		limit     time.Duration
		errorType string
		message   string
		by        time.Duration // the answer's latest time
	}{
		{"stops before it and says how far it came", 1769, 10 * time.Second, DeadlineNear, "9 of at least 100 objects read",
			9 * time.Second},
		{"a tenth before it, where that is under a second", 1769, 5 * time.Second, DeadlineNear, "4 of at least 100 objects read",
			4500 * time.Millisecond},
		{"a short limit still leaves time to answer", 1769, time.Second, DeadlineNear, "0 of at least 100", 800 * time.Millisecond},
		{"a small share needs longer to wind up", 128, 3 * time.Second, DeadlineNear, "1 of at least 100", 1650 * time.Millisecond},
		{"never more than half", 128, time.Second, DeadlineNear, "0 of at least 100", 500 * time.Millisecond},
		{"not in Lambda", 0, time.Second, DeadlineNear, "0 of at least 100", 800 * time.Millisecond},
		{"enough time", 1769, 102 * time.Second, "", "", 100 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeStore{bodies: objects(100, func(int) string { return "x" }), delay: time.Second - time.Nanosecond}
				ctx, cancel := context.WithTimeout(t.Context(), tc.limit)
				defer cancel()
				start := time.Now()
				_, err := handlerOver(s, Config{Client: "fake", MemoryMB: tc.memoryMB}).Handle(ctx, event)
				if took := time.Since(start); took > tc.by || tc.errorType != "" && took < tc.by-50*time.Millisecond {
					t.Errorf("answered after %v, want by %v and not much earlier", took, tc.by)
				}
				var typed *Error
				errors.As(err, &typed)
				if tc.errorType == "" && err == nil {
					return
				}
				if typed == nil || typed.Type != tc.errorType || !strings.Contains(err.Error(), tc.message) {
					t.Errorf("error %v, want %s with %q", err, tc.errorType, tc.message)
				}
			})
		})
	}
}

// TestInterrupted: an object whose read was interrupted has not failed, even if
// every object had been begun, and none may be left out of a result without a
// word.
func TestInterrupted(t *testing.T) {
	const few = `{"s3_bucket_name":"b","concurrency":3,"keys":["p/00000","p/00001","p/00002"]`
	for _, tc := range []struct {
		name      string
		event     string
		cancel    bool // instead of the time limit
		errorType string
	}{
		{"time limit", few + `}`, false, DeadlineNear},
		{"time limit, failures allowed", few + `,"on_error":"continue"}`, false, DeadlineNear},
		{"canceled", few + `}`, true, Canceled},
		{"canceled, failures allowed", few + `,"on_error":"continue"}`, true, Canceled},
		{"listed", `{"s3_bucket_name":"b","concurrency":3,"on_error":"continue"}`, false, DeadlineNear},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeStore{bodies: objects(3, func(int) string { return "x" }), delay: time.Hour}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if tc.cancel {
					time.AfterFunc(time.Second, cancel)
				}
				got, err := handlerOver(s, fake).Handle(ctx, []byte(tc.event))
				var typed *Error
				if !errors.As(err, &typed) || typed.Type != tc.errorType || !strings.Contains(err.Error(), "0 of at least 3 objects") {
					t.Errorf("%+v, error %v, want %s", got.Stats, err, tc.errorType)
				}
			})
		})
	}
}

// TestListingTime: list_ms is the time spent waiting for pages, not that in
// which pages wait for workers.
func TestListingTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowLister{fakeStore{bodies: objects(40, func(int) string { return "x" }), page: 10, delay: time.Second}}
		got, err := handlerOver(s, fake).Handle(t.Context(), []byte(`{"s3_bucket_name":"b","concurrency":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if got.Stats.ListMS != 1000 || got.Time != 40.25 {
			t.Errorf("%v ms of listing in %v s, want 1000 in 40.25", got.Stats.ListMS, got.Time)
		}
	})
}

// slowLister takes a quarter of a second for each page.
type slowLister struct{ fakeStore }

func (s *slowLister) List(ctx context.Context, bucket, prefix string, page func([]Object) error) error {
	return s.fakeStore.List(ctx, bucket, prefix, func(objects []Object) error {
		time.Sleep(250 * time.Millisecond) // the bubble's clock
		return page(objects)
	})
}

// TestAbort: a bucket that is gone ends the workers that still read, and a
// listing that fails ends them, too.
func TestAbort(t *testing.T) {
	gone := &Error{Type: NoSuchBucket, Message: "b is gone"}
	for _, tc := range []struct {
		name      string
		store     *fakeStore
		errorType string
	}{
		{"the bucket", &fakeStore{bodies: objects(3, func(int) string { return "x" }), delay: time.Hour,
			fail: map[string]error{"p/00001": gone}, quick: "p/00001"}, NoSuchBucket},
		{"the listing", &fakeStore{bodies: objects(3, func(int) string { return "x" }), delay: time.Hour,
			lateErr: errors.New("cut")}, ListFailed},
		{"the listing, for no connection came about in its own time", &fakeStore{bodies: objects(3, func(int) string { return "x" }),
			delay: time.Hour, lateErr: fmt.Errorf("connect: %w", context.DeadlineExceeded)}, ListFailed},
		{"the first page, for the same reason", &fakeStore{listErr: fmt.Errorf("connect: %w", context.DeadlineExceeded)}, ListFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := handlerOver(tc.store, fake).Handle(t.Context(), []byte(`{"s3_bucket_name":"b","on_error":"continue"}`))
				var typed *Error
				if !errors.As(err, &typed) || typed.Type != tc.errorType || time.Since(start) != 0 {
					t.Errorf("error %v after %v, want %s at once", err, time.Since(start), tc.errorType)
				}
			})
		})
	}
}

// TestNothingListed: where S3 never answered, more memory is not what helps.
func TestNothingListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := handlerOver(&deafLister{}, fake).Handle(ctx, []byte(`{"s3_bucket_name":"b","folder":"p/","concurrency":1}`))
		var typed *Error
		if !errors.As(err, &typed) || typed.Type != DeadlineNear || !strings.Contains(err.Error(), "no page of s3://b/p/") ||
			strings.Contains(err.Error(), "memory") {
			t.Errorf("error %v", err)
		}
	})
}

// deafLister waits for its first page for ever.
type deafLister struct{ fakeStore }

func (*deafLister) List(ctx context.Context, _, _ string, _ func([]Object) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{bodies: objects(100, func(int) string { return "x" }), delay: time.Hour}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		_, err := handlerOver(s, fake).Handle(ctx, []byte(`{"s3_bucket_name":"b"}`))
		var typed *Error
		if !errors.As(err, &typed) || typed.Type != Canceled {
			t.Errorf("error %v, want %s", err, Canceled)
		}
	})
}

func TestStats(t *testing.T) {
	h := handlerOver(&fakeStore{bodies: objects(200, func(int) string { return "0123456789" })}, fake)
	event := []byte(`{"s3_bucket_name":"b"}`)
	first, err := h.Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	before := cpuTime()
	second, err := h.Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	if s := second.Stats; s.CPUMS < 0 || s.CPUMS > milliseconds(cpuTime()-before) || s.MaxRSSMB > float64(maxRSS())/(1<<20) {
		t.Errorf("%v ms of CPU time, more than the process used meanwhile, or a peak of %v MB", s.CPUMS, s.MaxRSSMB)
	}
	if !first.Stats.Cold || second.Stats.Cold {
		t.Error("only the first invocation is cold")
	}
	s := first.Stats
	if s.Bytes != 2000 || s.Client != "fake" || s.MaxRSSMB < 1 || s.CPUMS < 0 || len(s.Digest) != 16 || s.Connections != 0 {
		t.Errorf("stats %+v", s)
	}
	if s.TTFBP50MS == nil || *s.TTFBP50MS < 0.97 || *s.TTFBP50MS > 1.03 || s.TTFBP99MS == nil {
		t.Errorf("first byte p50 %v, p99 %v; want 1 ms", s.TTFBP50MS, s.TTFBP99MS)
	}
	if s.Digest != second.Stats.Digest {
		t.Error("the same objects gave two digests")
	}
	few, err := handlerOver(&fakeStore{bodies: objects(99, func(int) string { return "x" })}, fake).Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	if few.Stats.TTFBP99MS != nil {
		t.Error("a p99 from 99 samples")
	}
}

// Lambda shows errorType and errorMessage; a response is the published one and
// stats.
func TestInvoke(t *testing.T) {
	h := handlerOver(&fakeStore{bodies: objects(2, func(int) string { return "x" })}, fake)
	response, err := h.Invoke(t.Context(), []byte(`{"s3_bucket_name":"b"}`))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(response, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lang", "detail", "result", "time", "stats"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no %s in %s", name, response)
		}
	}
	_, err = h.Invoke(t.Context(), []byte(`{}`))
	var wire messages.InvokeResponse_Error
	if !errors.As(err, &wire) || wire.Type != InvalidEvent || !strings.Contains(wire.Message, "s3_bucket_name") {
		t.Errorf("error %#v", err)
	}
	// An error without a type has one for Lambda all the same.
	h = New(fake, func(context.Context, string) (Store, error) { return nil, errors.New("no credentials") })
	_, err = h.Invoke(t.Context(), []byte(`{"s3_bucket_name":"b"}`))
	if !errors.As(err, &wire) || wire.Type != "Error" || wire.Message != "no credentials" {
		t.Errorf("error %#v", err)
	}
}

// A client that cannot be opened is tried again at the next event.
func TestOpenFailureIsNotKept(t *testing.T) {
	tries := 0
	h := New(fake, func(context.Context, string) (Store, error) {
		if tries++; tries == 1 {
			return nil, errors.New("no credentials")
		}
		return &fakeStore{}, nil
	})
	for i, want := range []bool{false, true, true} {
		if _, err := h.Handle(t.Context(), []byte(`{"s3_bucket_name":"b"}`)); (err == nil) != want {
			t.Errorf("try %d: %v", i, err)
		}
	}
	if tries != 2 {
		t.Errorf("opened %d times, want 2", tries)
	}
}

func TestLimitThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, tc := range []struct {
		name     string
		memoryMB int
		env      string
		want     int
	}{
		{"less than a vCPU", 128, "", 1},
		{"more than one", 1770, "", 2},
		{"more than this machine has", 10240, "", 4},
		{"not in Lambda", 0, "", 4},
		{"the user's own number", 128, "3", 4}, // which the runtime has read
	} {
		runtime.GOMAXPROCS(4)
		Config{MemoryMB: tc.memoryMB}.LimitThreads(func(name string) string {
			return map[string]string{"GOMAXPROCS": tc.env}[name]
		})
		if got := runtime.GOMAXPROCS(0); got != tc.want {
			t.Errorf("%s: %d threads, want %d", tc.name, got, tc.want)
		}
	}
}

func TestConfigFromEnv(t *testing.T) {
	for _, tc := range []struct {
		concurrency, client, memory string
		want                        Config
		ok                          bool
	}{
		{"", "", "", Config{Client: "d"}, true}, // nothing set: not in Lambda
		{"auto", "stock", "128", Config{Client: "stock", MemoryMB: 128}, true},
		{"64", "", "", Config{Concurrency: 64, Client: "d"}, true},
		{"1", "", "1", Config{Concurrency: 1, Client: "d", MemoryMB: 1}, true}, // the least
		{"1024", "", "", Config{Concurrency: 1024, Client: "d"}, true},         // the most
		{"0", "", "", Config{}, false},                                         // out of range
		{"1025", "", "", Config{}, false},                                      // out of range
		{"many", "", "", Config{}, false},
		{"", "", "lots", Config{}, false},
		{"", "", "0", Config{}, false},
		{"", "", "-1", Config{}, false},
	} {
		got, err := ConfigFromEnv(func(name string) string {
			return map[string]string{
				"CONCURRENCY": tc.concurrency, "CLIENT": tc.client, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": tc.memory,
			}[name]
		}, "d")
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%q, %q, %q: %+v, %v", tc.concurrency, tc.client, tc.memory, got, err)
		}
	}
	for _, tc := range []struct {
		bandwidth string
		quota, ok bool
	}{{"", false, true}, {"flat", false, true}, {"quota", true, true}, {"625", false, false}} {
		got, err := ConfigFromEnv(func(name string) string { return map[string]string{"BANDWIDTH": tc.bandwidth}[name] }, "d")
		if got.Quota != tc.quota || (err == nil) != tc.ok {
			t.Errorf("bandwidth %q: %+v, %v", tc.bandwidth, got, err)
		}
	}
}
