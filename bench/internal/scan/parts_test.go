package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"fanout/bench/internal/objects"
	"fanout/functions/fetch"
	fn "fanout/functions/scan"
)

// results starts an S3 with parts of a job, by their names.
func results(t *testing.T, parts map[string]any) Parts {
	t.Helper()
	server, err := objects.Start(objects.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.AddKey("id", "secret")
	if err := server.CreateBucket("results"); err != nil {
		t.Fatal(err)
	}
	p := Parts{Client: server.Client("id", "secret"), Bucket: "results", Job: "j"}
	for name, part := range parts {
		text, isText := part.(string)
		if !isText {
			bytes, err := json.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			text = string(bytes)
		}
		in := &s3.PutObjectInput{Bucket: &p.Bucket, Key: aws.String(p.Prefix() + name + ".json"), Body: strings.NewReader(text)}
		if _, err := server.Client("id", "secret").PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// Parts of several listing pages add up, whatever their order, and so do the
// digests of their objects.
func TestCollect(t *testing.T) {
	all := map[string]any{}
	var want fetch.Digest
	for i := range 1100 { // more than a page of a listing
		var d fetch.Digest
		d.Add(fmt.Sprint(i), uint32(i))
		want.Merge(d)
		part := fn.Part{Keys: 2, Objects: 1, Bytes: 10, Digest: d.String(), CPUMS: 1, Retries: 1}
		part.Started, part.Ended = int64(5000+i), int64(5000+i+100)
		if i%10 == 0 {
			part.Matches = []fn.Match{{Key: fmt.Sprintf("k%04d", i)}}
		}
		part.Failures = []fn.Failure{{Key: fmt.Sprint(i), Error: "AccessDenied", Message: strings.Repeat("é", 1000)}}
		if i < 5 {
			part.Failures[0].Error = fetch.NoSuchKey
		}
		all[fmt.Sprintf("%04x", i)] = part
	}
	p := results(t, all)
	var keys []string
	sum, err := p.Collect(t.Context(), func(m []fn.Match) error {
		for _, m := range m {
			keys = append(keys, m.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Parts != 1100 || sum.Keys != 2200 || sum.Objects != 1100 || sum.Bytes != 11000 || sum.Matches != 110 || len(keys) != 110 ||
		sum.Digest != want.String() || sum.Retries != 1100 || sum.Started != 5000 || sum.Ended != 6199 || sum.BusyMS != 110_000 ||
		sum.First != "k0000" {
		t.Errorf("sum %+v, %d matches, want digest %s", sum, len(keys), want)
	}
	if most := sum.Failures[0]; len(sum.Failures) != 2 || most.Error != "AccessDenied" || most.Count != 1095 ||
		len(most.Keys) != maxFailureKeys ||
		len([]rune(most.Message)) != maxFailureText || sum.Gone() != 5 || sum.Failed() != 1100 {
		t.Errorf("failures %+v", sum.Failures)
	}
}

// none is the digest of no objects.
const none = "0000000000000000"

// What the parts add up to is what the job's merge had of them, or it is said that it
// is not.
func TestReconcile(t *testing.T) {
	sum := Summary{Parts: 2, Total: 200, Keys: 200, Objects: 200, Bytes: 3000, Digest: "00000000000000aa", Matches: 1}
	result := fn.Sums{Parts: 2, Keys: 200, Objects: 200, Bytes: 3000, Digest: "00000000000000aa", Matched: 1}
	twice := fn.Sums{Parts: 3, Keys: 300, Objects: 300, Bytes: 4500, Digest: "00000000000000bb", Matched: 2, Repeated: 100}
	for _, tc := range []struct {
		name   string
		sum    func(*Summary)
		result fn.Sums
		want   string // of what changed
	}{
		{"the same", func(*Summary) {}, result, ""},
		{"a batch with the keys of another", func(s *Summary) { s.Total = 300 }, twice, ""},
		{"that, and a part is gone", func(s *Summary) { s.Keys, s.Total = 100, 300 }, twice, "they now have 100 keys, and had 200"},
		{"a part is gone", func(s *Summary) { s.Keys, s.Objects = 100, 100 }, result, "they now have 100 keys, and had 200"},
		{"all parts are gone", func(s *Summary) { *s = Summary{Total: 200} }, result, "they now have 0 keys, and had 200"},
		{"a part too many", func(s *Summary) { s.Keys = 201 }, result, "they now have 201 keys, and had 200"},
		{"a match less", func(s *Summary) { s.Matches = 0 }, result, "200 objects, 3 kB, 0 matches"},
		{"other objects", func(s *Summary) { s.Digest = none }, result, "digest " + none},
		{"other bytes", func(s *Summary) { s.Bytes = 1 }, result, "200 objects, 1 bytes"},
	} {
		got := sum
		tc.sum(&got)
		output, err := json.Marshal(fn.Result{Job: "j", Sums: tc.result})
		if err != nil {
			t.Fatal(err)
		}
		changed := got.Reconcile(string(output))
		if tc.want == "" != (changed == "") || !strings.Contains(changed, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, changed, tc.want)
		}
		if changed == "" && (got.Keys != tc.result.Keys || got.Objects != tc.result.Objects || got.Digest != tc.result.Digest ||
			got.Parts != tc.result.Parts || got.Missing() != 0) {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
	if changed := sum.Reconcile("null, or so"); !strings.Contains(changed, "none of a scan") {
		t.Errorf("another answer: %q", changed)
	}
}

// Nothing is nothing; what is damaged is said, with its name.
func TestCollectRefuses(t *testing.T) {
	sink := func([]fn.Match) error { return nil }
	sum, err := results(t, nil).Collect(t.Context(), sink)
	if err != nil || sum.Parts != 0 || sum.Digest != "0000000000000000" {
		t.Errorf("no parts: %+v, %v", sum, err)
	}
	for name, tc := range map[string]struct {
		part any
		want string
	}{
		"cut off":                 {`{"keys":1,`, "s3://results/jobs/j/parts/a.json is damaged"},
		"no digest":               {fn.Part{Keys: 1, Objects: 1}, `digest ""`},
		"a wrong digest":          {fn.Part{Keys: 1, Objects: 1, Digest: "xyz"}, `digest "xyz"`},
		"keys that went nowhere":  {fn.Part{Keys: 9, Objects: 1, Digest: none}, "9 keys, but 1 objects and 0 failures"},
		"more matches than there": {fn.Part{Matches: []fn.Match{{Key: "k"}}, Digest: none}, "1 matches in 0 objects"},
	} {
		_, err := results(t, map[string]any{"a": tc.part}).Collect(t.Context(), sink)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := errors.New("disk full")
	_, err = results(t, map[string]any{"a": fn.Part{Digest: none}}).Collect(t.Context(), func([]fn.Match) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("a sink that is full: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := results(t, map[string]any{"a": fn.Part{Digest: none}}).Collect(ctx, sink); err == nil {
		t.Error("interrupted, and no error")
	}
}

// A sample of the parts tells what all of them hold.
func TestSampler(t *testing.T) {
	all := map[string]any{}
	for i := range 16 {
		all[fmt.Sprintf("%x00000", i)] = fn.Part{Keys: 10, Objects: 10, Bytes: 1000, Digest: none, Started: 1000, Ended: 3000}
	}
	s := Sampler{Parts: results(t, all)}
	var sample Sample
	s.Estimate(t.Context(), &sample)
	if sample.Parts != 0 || sample.Bytes != 0 {
		t.Errorf("before the first batch: %+v", sample)
	}
	sample.Items.Succeeded, sample.Batches.Succeeded = 160, 16
	for range 3 {
		s.Estimate(t.Context(), &sample)
	}
	if sample.Bytes != 16_000 || sample.BusyMS != 32_000 || sample.Parts < 3 || sample.Parts > 3*sampledAtOnce {
		t.Errorf("sampled %+v", sample)
	}
}

// However the bins widen, nothing of what was read gets lost.
func TestTimeline(t *testing.T) {
	for name, parts := range map[string][]fn.Part{
		"one":               {{Started: 1000, Ended: 1100, Objects: 5}},
		"no time at all":    {{Started: 1000, Ended: 1000, Objects: 5}},
		"on a bin's edge":   {{Started: 1000, Ended: 1250, Objects: 5}},
		"hours apart":       {{Started: 1000, Ended: 2000, Objects: 5}, {Started: 9_000_000, Ended: 9_001_000, Objects: 7}},
		"back in time":      {{Started: 9_000_000, Ended: 9_001_000, Objects: 7}, {Started: 1000, Ended: 2000, Objects: 5}},
		"over many bins":    {{Started: 1, Ended: 10_000_000, Objects: 1000, Bytes: 7}},
		"an odd first bin":  {{Started: 250, Ended: 500, Objects: 1}, {Started: 70_000, Ended: 70_001, Objects: 1}},
		"as of now":         {{Started: time.Now().UnixMilli(), Ended: time.Now().UnixMilli() + 777, Objects: 3, Bytes: 9, CPUMS: 4}},
		"without its times": {{Objects: 5}},
	} {
		var tl timeline
		var objects, bytes, cpu, busy float64
		for _, p := range parts {
			tl.add(p)
			if p.Started > 0 {
				objects, bytes, cpu, busy = objects+float64(p.Objects), bytes+float64(p.Bytes), cpu+p.CPUMS, busy+float64(p.Ended-p.Started)
			}
		}
		got := tl.timeline()
		var sum Bin
		for _, b := range got.Bins {
			sum.Objects, sum.Bytes, sum.CPUMS, sum.BusyMS = sum.Objects+b.Objects, sum.Bytes+b.Bytes, sum.CPUMS+b.CPUMS, sum.BusyMS+b.BusyMS
		}
		near := func(a, b float64) bool { return math.Abs(a-b) < 0.001*float64(maxBins) }
		if !near(sum.Objects, objects) || !near(sum.Bytes, bytes) || !near(sum.CPUMS, cpu) || !near(sum.BusyMS, busy) || len(got.Bins) > maxBins {
			t.Errorf("%s: %d bins of %d ms with %+v, want %g objects, %g bytes, %g ms", name, len(got.Bins), got.WidthMS, sum, objects, bytes, busy)
		}
		first := slices.MinFunc(parts, func(a, b fn.Part) int { return int(a.Started - b.Started) })
		if len(got.Bins) > 0 && (got.FromMS > first.Started || got.Bins[0] == Bin{}) {
			t.Errorf("%s: from %d: %+v", name, got.FromMS, got.Bins[0])
		}
	}
}

func TestMatchWriter(t *testing.T) {
	at, line := int64(7), "a\tline, with \"quotes\" and \x1b[31m"
	matches := []fn.Match{{Key: "plain/é"}, {Key: "a\nb", Offset: &at, Line: &line}, {Key: `"quoted"`}, {Key: "a,b"}}
	for _, tc := range []struct {
		format string
		locate bool
		want   string
	}{
		{Text, false, "plain/é\n\"a\\nb\"\n\"\\\"quoted\\\"\"\na,b\n"},
		{Text, true, "plain/é\t\t\n\"a\\nb\"\t7\ta\\tline, with \"quotes\" and \\x1b[31m\n\"\\\"quoted\\\"\"\t\t\na,b\t\t\n"},
		{CSV, false, "key\nplain/é\n\"a\nb\"\n\"\"\"quoted\"\"\"\n\"a,b\"\n"},
		{CSV, true, "key,offset,line\nplain/é,,\n\"a\nb\",7,\"a\tline, with \"\"quotes\"\" and \x1b[31m\"\n\"\"\"quoted\"\"\",,\n\"a,b\",,\n"},
		{JSONL, true, "{\"key\":\"plain/é\"}\n{\"key\":\"a\\nb\",\"offset\":7,\"line\":\"a\\tline, with \\\"quotes\\\" and \\u001b[31m\"}\n" +
			"{\"key\":\"\\\"quoted\\\"\"}\n{\"key\":\"a,b\"}\n"},
	} {
		var b strings.Builder
		w := NewMatchWriter(&b, tc.format, tc.locate)
		for _, m := range matches {
			if err := w.Write(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil || b.String() != tc.want {
			t.Errorf("%s, locate %v: %v\n%q, want\n%q", tc.format, tc.locate, err, b.String(), tc.want)
		}
	}
	var b strings.Builder
	if err := NewMatchWriter(&b, CSV, false).Close(); err != nil || b.String() != "key\n" {
		t.Errorf("CSV of nothing: %q, %v", b.String(), err)
	}
	if err := NewMatchWriter(&b, Text, false).Close(); err != nil {
		t.Error(err)
	}
	w := NewMatchWriter(failing{}, Text, false)
	if err := errors.Join(w.Write(matches[0]), w.Close()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a pipe that nobody reads: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Keys that a reader could confuse are told apart.
func TestTextKey(t *testing.T) {
	seen := map[string]string{}
	for _, key := range []string{"a", "a b", "a\nb", `a\nb`, `"a\nb"`, "a\x00", "a\u202eb", "\xff", "�", "日本", `"`, "a\u00a0b", ""} {
		text := TextKey(key)
		if other, ok := seen[text]; ok || strings.ContainsAny(text, "\n\x00\u202e") {
			t.Errorf("%q and %q are both %s", key, other, text)
		}
		seen[text] = key
	}
}

// Matches are sorted as far as the memory goes; none is lost beyond it.
func TestSorter(t *testing.T) {
	at := func(n int64) *int64 { return &n }
	for _, tc := range []struct {
		name   string
		most   int
		sorted bool
		want   []string
	}{
		{"room for all", 1 << 20, true, []string{"a0", "b1", "b5", "c0", "d0"}},
		{"none", 0, false, []string{"d0", "b5", "c0", "b1", "a0"}},
		{"room for the first part", 2 * (matchBytes + 1), false, []string{"b5", "d0", "c0", "b1", "a0"}},
	} {
		var got []string
		s := Sorter{MostBytes: tc.most, Write: func(m fn.Match) error { got = append(got, m.Key+fmt.Sprint(offset(m))); return nil }}
		for _, part := range [][]fn.Match{{{Key: "d"}, {Key: "b", Offset: at(5)}}, {{Key: "c"}}, nil, {{Key: "b", Offset: at(1)}, {Key: "a"}}} {
			if err := s.Add(part); err != nil {
				t.Fatal(err)
			}
		}
		if sorted, err := s.Close(); err != nil || sorted != tc.sorted || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, sorted %v, %v", tc.name, got, sorted, err)
		}
	}
}
