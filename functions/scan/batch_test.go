package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fanout/functions/fetch"
)

// TestBatch: whatever is in a batch, its part accounts for every key.
func TestBatch(t *testing.T) {
	long := strings.Repeat("k", 1024)
	for _, tc := range []struct {
		name     string
		keys     []string
		encoded  bool
		read     []string // of those, by their real names
		matches  []string
		failures []string // KEY ERROR
	}{
		{name: "plain keys", keys: []string{"a", "n1", "b", "n2"}, read: []string{"a", "n1", "b", "n2"}, matches: []string{"n1", "n2"}},
		{name: "in another order", keys: []string{"n2", "b", "n1"}, read: []string{"n2", "b", "n1"}, matches: []string{"n2", "n1"}},
		{name: "a key twice", keys: []string{"n1", "n1"}, read: []string{"n1", "n1"}, matches: []string{"n1", "n1"}},
		{name: "an empty batch"},
		{name: "odd keys as they are", keys: []string{"a b", "a+b", "a%2Bb", "//", "dir/", "é\u0001\n", long},
			read: []string{"a b", "a+b", "a%2Bb", "//", "dir/", "é\u0001\n", long}},
		{name: "keys that JavaScript and HTML care about", keys: []string{"<a>&\u2028"}, read: []string{"<a>&\u2028"}},
		{name: "an inventory's keys", encoded: true, keys: []string{"a+b", "a%2Bb", "a%20b", "%2F%2F", "dir/", "%C3%A9%01%0A", long},
			read: []string{"a b", "a+b", "a b", "//", "dir/", "é\u0001\n", long}},
		{name: "what is no key", encoded: true, keys: []string{"n1", "100%", "%FF", "", "n2"}, read: []string{"n1", "n2"},
			matches: []string{"n1", "n2"}, failures: []string{"100% InvalidKey", "%FF InvalidKey", " InvalidKey"}},
		{name: "no key at all", keys: []string{""}, failures: []string{" InvalidKey"}},
		{name: "missing and refused", keys: []string{"n1", "nope", "denied", "slow", "a"}, read: []string{"n1", "a"}, matches: []string{"n1"},
			failures: []string{"nope NoSuchKey", "denied AccessDenied", "slow SlowDown"}},
		{name: "all missing", keys: []string{"x", "y"}, failures: []string{"x NoSuchKey", "y NoSuchKey"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := newJob(t)
			for _, key := range []string{"a", "b", "a b", "a+b", "a%2Bb", "//", "é\u0001\n", long, "<a>&\u2028", "denied", "slow"} {
				j.objects["b/"+key] = "noise in " + key
			}
			j.objects["b/n1"], j.objects["b/n2"], j.objects["b/dir/"] = "a needle", "needle", ""
			j.fail["b/denied"] = &fetch.Error{Type: fetch.AccessDenied, Message: "get s3://b/denied"}
			j.fail["b/slow"] = &fetch.Error{Type: fetch.SlowDown, Message: "get s3://b/slow"}
			payload := batchOf(`"needle"`, tc.keys...)
			if tc.encoded {
				payload = strings.Replace(payload, `"results"`, `"url_encoded":true,"results"`, 1)
			}
			out, err := j.h.Invoke(t.Context(), []byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			var ack Ack
			if err := json.Unmarshal(out, &ack); err != nil || len(out) > 250 {
				t.Fatalf("%s: %v", out, err)
			}
			p, err := DecodePart([]byte(j.objects["r/"+ack.Part]))
			if err != nil {
				t.Fatal(err)
			}
			if want := (Ack{ack.Part, len(tc.keys), len(tc.read), len(tc.failures)}); ack != want {
				t.Errorf("ack %+v, want %+v", ack, want)
			}
			var matches, failures []string
			for _, m := range p.Matches {
				matches = append(matches, m.Key)
			}
			for _, f := range p.Failures {
				if failures = append(failures, f.Key+" "+f.Error); f.Message == "" {
					t.Errorf("%+v has no message", f)
				}
			}
			if !slices.Equal(matches, tc.matches) || !slices.Equal(failures, tc.failures) || p.Digest != j.digest(tc.read...) {
				t.Errorf("part %+v", p)
			}
			if len(tc.read) > 0 && len(tc.failures) == 0 && (p.First != tc.read[0] || p.Last != tc.read[len(tc.read)-1]) {
				t.Errorf("from %q to %q", p.First, p.Last)
			}
			// Again, it is the same part.
			again, err := invoke[Ack](t, j.h, t.Context(), payload)
			if err != nil || again != ack || len(j.parts()) != 1 {
				t.Errorf("again %+v, %v", again, err)
			}
		})
	}
}

// TestBatchFails: a batch that cannot be read at all, or whose part cannot be written,
// leaves no ack.
func TestBatchFails(t *testing.T) {
	good := batchOf(`"needle"`, "a")
	for _, tc := range []struct {
		name, payload string
		change        func(*memory)
		errorType     string
		message       string
	}{
		{name: "no bucket", payload: good, change: func(s *memory) { s.fail["b/a"] = &fetch.Error{Type: fetch.NoSuchBucket, Message: "no b"} },
			errorType: fetch.NoSuchBucket},
		{name: "no place for the part", payload: good, change: func(s *memory) {
			s.putErr = &fetch.Error{Type: fetch.AccessDenied, Message: "put s3://r/jobs"}
		}, errorType: fetch.AccessDenied, message: "put s3://r"},
		{name: "cut off", payload: good[:40], errorType: fetch.InvalidEvent, message: "batch: unexpected EOF"},
		{name: "an unknown name", payload: strings.Replace(good, `"job"`, `"jobs":1,"job"`, 1), errorType: fetch.InvalidEvent, message: "jobs"},
		{name: "an item with more than its key", payload: strings.Replace(good, `"Key"`, `"Size":1,"Key"`, 1), errorType: fetch.InvalidEvent,
			message: "Size"},
		{name: "an event with an unknown field", payload: strings.Replace(good, `"find"`, `"fimd"`, 1), errorType: fetch.InvalidEvent,
			message: "fimd"},
		{name: "an event with keys", payload: strings.Replace(good, `"find"`, `"keys":["a"],"find"`, 1), errorType: fetch.InvalidEvent,
			message: "keys or folder"},
		{name: "an event with a folder", payload: strings.Replace(good, `"find"`, `"folder":"a","find"`, 1), errorType: fetch.InvalidEvent,
			message: "keys or folder"},
		{name: "an event without a bucket", payload: strings.Replace(good, `"s3_bucket_name":"b",`, ``, 1), errorType: fetch.InvalidEvent,
			message: "s3_bucket_name"},
		{name: "no job", payload: strings.Replace(good, `"j"`, `""`, 1), errorType: fetch.InvalidEvent, message: "job"},
		{name: "another job's place", payload: strings.Replace(good, `"j"`, `"j/parts"`, 1), errorType: fetch.InvalidEvent, message: "job"},
		{name: "above all jobs", payload: strings.Replace(good, `"j"`, `".."`, 1), errorType: fetch.InvalidEvent, message: "job"},
		{name: "no results", payload: strings.Replace(good, `"r"`, `""`, 1), errorType: fetch.InvalidEvent, message: "results.bucket"},
		{name: "not UTF-8", payload: strings.Replace(good, `"a"`, "\"\xff\"", 1), errorType: fetch.InvalidEvent, message: "UTF-8"},
		{name: "two values", payload: good + good, errorType: fetch.InvalidEvent, message: "more than one"},
		{name: "no items", payload: strings.Replace(good, `,"Items":[{"Key":"a"}]`, "", 1), errorType: fetch.InvalidEvent, message: "Items"},
		{name: "only items", payload: `{"Items":[]}`, errorType: fetch.InvalidEvent, message: "job"},
		{name: "names in another case are an event's", payload: `{"items":[]}`, errorType: fetch.InvalidEvent, message: `unknown field "items"`},
		{name: "an event comes first", payload: `{"s3_bucket_name":"b","Items":[]}`, errorType: fetch.InvalidEvent,
			message: `unknown field "Items"`},
		{name: "no object", payload: `"BatchInput"`, errorType: fetch.InvalidEvent, message: "event:"},
		{name: "nothing", payload: ``, errorType: fetch.InvalidEvent, message: "event:"},
	} {
		j := newJob(t)
		j.objects["b/a"] = "needle"
		if tc.change != nil {
			tc.change(j.memory)
		}
		out, err := j.h.Invoke(t.Context(), []byte(tc.payload))
		if errorType(err) != tc.errorType || !strings.Contains(errorMessage(err), tc.message) || len(j.parts()) > 0 {
			t.Errorf("%s: %s, %v, want %s with %q", tc.name, out, err, tc.errorType, tc.message)
		}
	}
	// A client that only reads is refused before it does.
	h := handlerOver(struct{ fetch.Store }{newMemory()})
	if _, err := h.Invoke(t.Context(), []byte(good)); errorType(err) != fetch.InvalidEvent || !strings.Contains(err.Error(), "cannot write") {
		t.Errorf("error %v", err)
	}
}

// TestPlainEvent: fetch's own event has fetch's own answer.
func TestPlainEvent(t *testing.T) {
	j := newJob(t)
	j.fill(20)
	r, err := invoke[fetch.Response](t, j.h, t.Context(), ` { "find" : "needle", "s3_bucket_name":"b","folder":"p/"}`)
	if err != nil || r.Result != "p/00007" || r.Matches != nil || len(j.puts) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestBatchDeadline: one object too large for the time does not lose the batch: what
// could not be read is named, and the part is there before the time is over.
func TestBatchDeadline(t *testing.T) {
	for _, tc := range []struct {
		name    string
		limit   time.Duration // the function's
		by      time.Duration
		slow    time.Duration // the large object
		missing bool
	}{
		{"the function's time limit", time.Minute, 55 * time.Second, time.Hour, true},
		{"the state's, where that is sooner", 15 * time.Minute, 135 * time.Second, time.Hour, true},
		{"a short one", 2 * time.Second, 1800 * time.Millisecond, time.Hour, true},
		{"enough time", 15 * time.Minute, 130 * time.Second, 129 * time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJob(t)
				keys := append(j.fill(30), "large", "large2")
				j.objects["b/large"], j.objects["b/large2"] = "needle", "needle"
				j.slow["b/large"], j.slow["b/large2"] = tc.slow, tc.slow
				ctx, cancel := context.WithTimeout(t.Context(), tc.limit)
				defer cancel()
				start := time.Now()
				ack, err := invoke[Ack](t, j.h, ctx, batchOf(`"needle"`, keys...))
				if err != nil || time.Since(start) > tc.by {
					t.Fatalf("%+v, %v after %v", ack, err, time.Since(start))
				}
				p, err := DecodePart([]byte(j.objects["r/"+ack.Part]))
				if err != nil {
					t.Fatal(err)
				}
				want := []string{}
				if tc.missing {
					want = []string{"large DeadlineNear", "large2 DeadlineNear"}
				}
				got := []string{}
				for _, f := range p.Failures {
					got = append(got, f.Key+" "+f.Error)
				}
				if !slices.Equal(got, want) || p.Objects != 32-len(want) || p.Ended-p.Started > tc.by.Milliseconds() {
					t.Errorf("%+v", p)
				}
			})
		})
	}
	// A caller who went away wants no part.
	synctest.Test(t, func(t *testing.T) {
		j := newJob(t)
		j.objects["b/large"], j.slow["b/large"] = "x", time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := j.h.Invoke(ctx, []byte(batchOf("null", "large"))); errorType(err) != fetch.Canceled || len(j.parts()) > 0 {
			t.Errorf("error %v", err)
		}
	})
}

// tooBusy has every PUT take two seconds, and refuses it.
type tooBusy struct{ *memory }

func (s tooBusy) Put(ctx context.Context, _, _ string, _ []byte) error {
	select {
	case <-time.After(2 * time.Second):
		return &fetch.Error{Type: fetch.SlowDown, Message: "put s3://r"}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestBatchEnds: a batch whose part cannot be put does not outlast its state's time
// limit, however much time the function has.
func TestBatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tooBusy{newMemory()}
		s.objects["b/a"], s.slow["b/a"] = "needle", time.Hour
		start := time.Now()
		_, err := handlerOver(s).Invoke(t.Context(), []byte(batchOf(`"needle"`, "a")))
		if took := time.Since(start); err == nil || took > BatchTimeout {
			t.Errorf("%v, after %v", err, took)
		}
	})
}

// busy answers SlowDown to the first requests for each object.
type busy struct {
	*memory
	refused map[string]int // how many more, by key
}

func (s *busy) Get(ctx context.Context, bucket, key string, sink fetch.Sink) (fetch.Read, error) {
	s.mu.Lock()
	s.refused[key]--
	left := s.refused[key]
	s.mu.Unlock()
	if left >= 0 {
		return fetch.Read{}, &fetch.Error{Type: fetch.SlowDown, Message: "get s3://" + bucket + "/" + key}
	}
	return s.memory.Get(ctx, bucket, key, sink)
}

// What S3 is too busy for is read again while the batch has time, and as long as
// anything is read meanwhile or for a few rounds more.
func TestBatchThrottled(t *testing.T) {
	for _, tc := range []struct {
		name    string
		refused map[string]int
		left    string // keys that are not read in the end
	}{
		{"not at all", map[string]int{}, ""},
		{"one object, once", map[string]int{"b": 1}, ""},
		{"all, for longer than a round has nothing to read", map[string]int{"a": 5, "b": 5, "c": 5}, ""},
		{"each longer than the one before, and all in all long", map[string]int{"a": 5, "b": 10, "c": 15}, ""},
		{"one for good", map[string]int{"b": 1000}, "b"},
		{"all for good", map[string]int{"a": 1000, "b": 1000, "c": 1000}, "abc"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &busy{newMemory(), tc.refused}
			for _, key := range []string{"a", "b", "c"} {
				s.objects["b/"+key] = "needle " + key
			}
			if _, err := handlerOver(s).Invoke(t.Context(), []byte(batchOf(`"needle"`, "a", "b", "c"))); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			var part Part
			for name, body := range s.objects {
				if strings.HasPrefix(name, "r/"+PartsPrefix("j")) {
					if err := json.Unmarshal([]byte(body), &part); err != nil {
						t.Fatal(err)
					}
				}
			}
			var left string
			for _, f := range part.Failures {
				left += f.Key
			}
			if left != tc.left || part.Objects != 3-len(tc.left) || len(part.Matches) != part.Objects || part.Keys != 3 {
				t.Errorf("%s: left %q, %+v", tc.name, left, part)
			}
		})
	}
}

// TestPutAgain: a part is put again where S3 is busy or a connection breaks, not where
// it is refused.
func TestPutAgain(t *testing.T) {
	slow := &fetch.Error{Type: fetch.SlowDown, Message: "put s3://r"}
	for _, tc := range []struct {
		name string
		errs []error
		want string // type of the batch's error; empty: none
		left int    // of errs
	}{
		{"busy and broken for a while", []error{slow, errors.New("connection reset"), slow}, "", 0},
		{"an answer that broke off", []error{&fetch.Error{Type: fetch.ShortBody, Message: "put s3://r"}}, "", 0},
		{"busy for good", slices.Repeat([]error{slow}, persistent+2), fetch.SlowDown, 2},
		{"refused", []error{&fetch.Error{Type: fetch.AccessDenied, Message: "put s3://r"}, slow}, fetch.AccessDenied, 1},
	} {
		j := newJob(t)
		j.objects["b/a"], j.putErrs = "needle", tc.errs
		_, err := j.h.Invoke(t.Context(), []byte(batchOf(`"needle"`, "a")))
		if errorType(err) != tc.want || len(j.putErrs) != tc.left || (len(j.parts()) == 1) != (tc.want == "") {
			t.Errorf("%s: %v, %d errors left, parts %v", tc.name, err, len(j.putErrs), j.parts())
		}
	}
}

// TestHash: the name depends on each key and on their order, and its first digit
// spreads the parts evenly: 16 groups of 10,000/16 = 625 each. Outside of 625±125 lies
// a group of a fair hash once in 10⁶ times.
func TestHash(t *testing.T) {
	of := func(keys ...string) hash {
		var b Batch
		for _, key := range keys {
			b.Items = append(b.Items, Item{key})
		}
		return b.hash()
	}
	seen := map[hash][]string{}
	for _, keys := range [][]string{{}, {"a"}, {"b"}, {"a", "b"}, {"b", "a"}, {"ab"}, {"a\nb"}, {"a", "b", ""}, {"", "a", "b"}} {
		if other, ok := seen[of(keys...)]; ok {
			t.Errorf("%q and %q", keys, other)
		}
		seen[of(keys...)] = keys
	}
	if name := partName("j", of("a", "b")); name != "jobs/j/parts/3c9d591045bc8876f9d0399bbfb05c6a.json" {
		t.Errorf("part %s: another version's redrive would not find it", name)
	}
	var groups [16]int
	for i := range 10_000 {
		groups[of(fmt.Sprintf("p/%06d", i), fmt.Sprintf("p/%06d", i+1)).group()]++
	}
	for digit, n := range groups {
		if n < 500 || n > 750 {
			t.Errorf("group %x has %d of 10,000", digit, n)
		}
	}
}

// TestJobName: a job may be called whatever an execution may, and nothing that is
// another job's place.
func TestJobName(t *testing.T) {
	for name, ok := range map[string]bool{
		strings.Repeat("é", 80): true, strings.Repeat("é", 81): false, strings.Repeat("j", 81): false, "a.b": true, "a/b": false, ".": false,
	} {
		_, err := DecodeBatch([]byte(strings.Replace(batchOf("null", "a"), `"job":"j"`, `"job":"`+name+`"`, 1)))
		if (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzBatch: an envelope that is taken leaves a part that accounts for every item, in
// a place of its job, whatever comes in.
func FuzzBatch(f *testing.F) {
	f.Add([]byte(batchOf(`"needle"`, "a", "é\n", "n1")))
	f.Add([]byte(strings.Replace(batchOf("null", "a%20b", "%", "%FF", ""), `"results"`, `"url_encoded":true,"results"`, 1)))
	f.Add([]byte(`{"Items":[{"Key":"\ud800"}],"BatchInput":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b"}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := DecodeBatch(payload)
		if err != nil {
			if typed := (*fetch.Error)(nil); !errors.As(err, &typed) || typed.Type != fetch.InvalidEvent {
				t.Fatalf("error %v", err)
			}
			return
		}
		b.Input.Event.Client, b.Input.Event.Concurrency = "", nil
		s := newMemory()
		s.objects["b/n1"] = "needle"
		answer, err := handlerOver(s).Batch(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		ack := answer.(Ack)
		p, err := DecodePart([]byte(s.objects[b.Input.Results.Bucket+"/"+ack.Part]))
		if err != nil || p.Keys != len(b.Items) || ack.Keys != p.Keys || len(s.objects) != 2 {
			t.Fatalf("%+v, %+v, %v", ack, p, err)
		}
		if _, ok := partHash(b.Input.Job, ack.Part); !ok {
			t.Fatalf("part %q", ack.Part)
		}
	})
}

// FuzzPart: a part that is taken says the same when it is written and read again.
func FuzzPart(f *testing.F) {
	f.Add([]byte(`{"keys":2,"first":"a","last":"b","objects":1,"bytes":3,"digest":"0000000000000001","matches":[{"key":"a","offset":0}],` +
		`"failures":[{"key":"b","error":"NoSuchKey","message":"m"}],"started":1,"ended":2}`))
	f.Add([]byte(`{"digest":"0000000000000000"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePart(data)
		if err != nil {
			return
		}
		written, err := marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodePart(written)
		if err != nil || again.Keys != len(again.Failures)+again.Objects {
			t.Fatalf("%s: %v", written, err)
		}
		once, err := marshal(again)
		if err != nil || !reflect.DeepEqual(once, written) {
			t.Fatalf("%s\n%s", written, once)
		}
		var a adder
		if err := a.add(p); err != nil {
			t.Fatal(err)
		}
	})
}
