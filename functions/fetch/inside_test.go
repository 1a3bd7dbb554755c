package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// searchInside gives what ev finds in a body that comes in chunks of the given sizes,
// again and again.
func searchInside(t testing.TB, ev Event, key, encoding string, body []byte, sizes ...int) (Match, bool, error) {
	t.Helper()
	var p *pattern
	if ev.FindRegexp {
		var err error
		if p, err = compile(*ev.Find); err != nil {
			t.Fatal(err)
		}
	}
	in := newInside(ev, p, func() bool { return false })
	if in == nil {
		t.Fatal("a plain search")
	}
	defer in.close()
	in.key = key
	// A first try that breaks off: what it wrote must not count.
	for _, try := range [][]byte{append([]byte("needle\x1f\x8b"), body[:len(body)/2]...), body} {
		in.reset()
		in.encoding = encoding
		for i := 0; len(try) > 0; i++ {
			n := len(try)
			if len(sizes) > 0 {
				n = min(sizes[i%len(sizes)], n)
			}
			chunk := bytes.Clone(try[:n])
			in.write(chunk)
			clear(chunk) // none of it may be needed any more
			try = try[n:]
		}
	}
	err := in.end()
	if !in.searcher.found() {
		return Match{Key: key}, false, err
	}
	return in.match(key), true, err
}

func packed(members ...string) string {
	var b bytes.Buffer
	for _, m := range members {
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(m)); err != nil {
			panic(err)
		}
		if err := w.Close(); err != nil {
			panic(err)
		}
	}
	return b.String()
}

func TestInside(t *testing.T) {
	long := strings.Repeat("x", 80<<10)
	for _, tc := range []struct {
		name, find     string
		regexp, gunzip bool
		key, encoding  string
		body           string
		found          bool
		offset         int64
		line           string // "-any": depends on the chunks
		err            string // the type
	}{
		// A string, with its place.
		{name: "in the first line", find: "needle", body: "a needle b\nsecond", found: true, offset: 2, line: "a needle b"},
		{name: "in the last line", find: "needle", body: "one\ntwo needle", found: true, offset: 8, line: "two needle"},
		{name: "at the start", find: "needle", body: "needle", found: true, offset: 0, line: "needle"},
		{name: "the first of two", find: "needle", body: "\n\na needle\nneedle", found: true, offset: 4, line: "a needle"},
		{name: "a carriage return", find: "needle", body: "x\r\nneedle y\r\nz", found: true, offset: 3, line: "needle y"},
		{name: "not there", find: "needle", body: "needl e"},
		{name: "over two lines", find: "a\nb", body: "xa\nby", found: true, offset: 1, line: "xa"},
		{name: "far into a body", find: "needle", body: long + "\nneedle" + long, found: true, offset: 80<<10 + 1,
			line: "needle" + long[:1018]},
		{name: "in a long line", find: "needle", body: long + "needle" + long, found: true, offset: 80 << 10,
			line: long[:256] + "needle" + long[:762]},
		{name: "at the end of a long line", find: "needle", body: long + "needle\nx", found: true, offset: 80 << 10,
			line: long[:1018] + "needle"},
		{name: "a line of 1 KB", find: "needle", body: "\n" + long[:1018] + "needle\n", found: true, offset: 1019, line: long[:1018] + "needle"},
		{name: "a line of 1 KB and 1", find: "needle", body: "\n" + long[:1019] + "needle\n", found: true, offset: 1020,
			line: long[:1018] + "needle"},
		{name: "not cut in a character", find: "needle", body: strings.Repeat("é", 2000) + "needle" + strings.Repeat("ü", 2000), found: true,
			offset: 4000, line: strings.Repeat("é", 128) + "needle" + strings.Repeat("ü", 381)},
		{name: "bytes that are no text", find: "needle", body: "\xff\x00needle\xfe", found: true, offset: 2, line: "\uFFFD\x00needle\uFFFD"},
		// An expression finds what it finds in the body as one string.
		{name: "expression", find: `n[a-e]{2}d+le`, regexp: true, body: "a needle\n", found: true, offset: 2, line: "a needle"},
		{name: "expression without a match", find: `^needle`, regexp: true, body: "a needle\nneedle"},
		{name: "a line's start", find: `(?m)^needle$`, regexp: true, body: "a needle\nneedle\n", found: true, offset: 9, line: "needle"},
		{name: "the body's end", find: `needle\z`, regexp: true, body: "needle, needle", found: true, offset: 8, line: "needle, needle"},
		{name: "a long body's start", find: `^needle`, regexp: true, body: "needle" + long, found: true, line: "needle" + long[:1018]},
		{name: "a long body that is no match from its start", find: `^needle$`, regexp: true, body: long + "needle"},
		{name: "nor one with a loop", find: `^needle[a-z]*$`, regexp: true, body: "x" + long + "needlexyz"},
		{name: "a long body's end", find: `x+needle$`, regexp: true, body: "\n" + long + "needle", found: true, offset: 1, line: "-any"},
		{name: "a long body's end alone", find: `needle$`, regexp: true, body: "needle\n" + long + "\nneedle", found: true,
			offset: 80<<10 + 8, line: "needle"},
		{name: "a match longer than any chunk", find: `(?s)begin.*end`, regexp: true, body: "begin" + long + "end", found: true, line: "-any"},
		{name: "the first of many in a long body", find: `[0-9]+`, regexp: true, body: long + "\nno 1 no 2" + long, found: true,
			offset: 80<<10 + 4, line: "no 1 no 2" + long[:1021-6]},
		{name: "case ignored", find: `(?i)NEEDLE`, regexp: true, body: "a neeDle", found: true, offset: 2, line: "a neeDle"},
		{name: "an empty body", find: `^$`, regexp: true, body: "", found: true},
		{name: "characters over chunks", find: `é{3}ü`, regexp: true, body: long + "éééü", found: true, offset: 80 << 10,
			line: long[:1016] + "éééü"},
		{name: "bytes that are none", find: `\x{FFFD}+z`, regexp: true, body: long + "\xe2\x82z", found: true, offset: 80 << 10, line: "-any"},
		// Inside gzip.
		{name: "a key in .gz", find: "needle", gunzip: true, key: "a.gz", body: packed("a needle\n"), found: true, offset: 2, line: "a needle"},
		{name: "Content-Encoding", find: "needle", gunzip: true, key: "a", encoding: "gzip", body: packed("a needle\n"), found: true, offset: 2,
			line: "a needle"},
		{name: "two encodings", find: "needle", gunzip: true, key: "a", encoding: "aws-chunked, GZIP", body: packed("a needle"), found: true,
			offset: 2, line: "a needle"},
		{name: "both say it", find: "needle", gunzip: true, key: "a.gz", encoding: "gzip", body: packed("a needle"), found: true, offset: 2,
			line: "a needle"},
		{name: "another encoding", find: "needle", gunzip: true, key: "a", encoding: "br", body: "a needle", found: true, offset: 2,
			line: "a needle"},
		{name: "neither says it", find: "needle", gunzip: true, key: "a.gz/b", body: packed("a needle")},
		{name: "not asked for", find: "needle", key: "a.gz", body: packed(strings.Repeat("a needle", 9))},
		{name: "the second member", find: "needle", gunzip: true, key: "a.gz", body: packed("one\n", "two nee", "dle\n"), found: true, offset: 8,
			line: "two needle"},
		{name: "an expression inside", find: `n.+e$`, regexp: true, gunzip: true, key: "a.gz", body: packed("a ", "needle"), found: true,
			offset: 2, line: "a needle"},
		{name: "an expression inside a long one", find: `n\w+[a-e]$`, regexp: true, gunzip: true, key: "a.gz", body: packed(long, "\nneedle"),
			found: true, offset: 80<<10 + 1, line: "needle"},
		{name: "an empty .gz", find: "needle", gunzip: true, key: "a.gz"},
		{name: "not gzip", find: "needle", gunzip: true, key: "a.gz", body: "a needle in plain text", err: InvalidGzip},
		{name: "one byte", find: "needle", gunzip: true, key: "a.gz", body: "\x1f", err: InvalidGzip},
		{name: "cut off", find: "needle", gunzip: true, key: "a.gz", body: packed(long)[:100], err: InvalidGzip},
		{name: "cut off in the checksum", find: "needle", gunzip: true, key: "a.gz", body: strings.TrimSuffix(packed("abc"), "\x00"),
			err: InvalidGzip},
		{name: "a wrong checksum", find: "needle", gunzip: true, key: "a.gz", body: packed("abc")[:13] + "????\x03\x00\x00\x00",
			err: InvalidGzip},
		{name: "garbage after it", find: "needle", gunzip: true, key: "a.gz", body: packed("abc") + "garbage", err: InvalidGzip},
		{name: "the second member cut off", find: "needle", gunzip: true, key: "a.gz", body: packed("abc", long)[:100], err: InvalidGzip},
	} {
		for _, sizes := range [][]int{nil, {1}, {3, 1, 7}, {16 << 10}, {16385, 5}} {
			if len(tc.body) > 4<<10 && len(sizes) > 0 && sizes[0] == 1 {
				sizes = []int{8191, 3}
			}
			if len(tc.body) > 4<<10 && len(sizes) > 0 && sizes[0] == 3 {
				continue
			}
			ev := Event{Find: &tc.find, FindRegexp: tc.regexp, Decompress: tc.gunzip, Locate: true, Matches: MatchesAll}
			got, found, err := searchInside(t, ev, tc.key, tc.encoding, []byte(tc.body), sizes...)
			var typed *Error
			if errors.As(err, &typed) != (tc.err != "") || typed != nil && typed.Type != tc.err || found != tc.found {
				t.Errorf("%s %v: found %t, %v", tc.name, sizes, found, err)
				continue
			}
			ev.Locate, ev.Decompress, ev.FindRegexp = false, true, tc.regexp
			if tc.gunzip || tc.regexp { // without the place it finds the same
				ev.Decompress = tc.gunzip
				if _, again, _ := searchInside(t, ev, tc.key, tc.encoding, []byte(tc.body), sizes...); again != found {
					t.Errorf("%s %v: without locate found %t", tc.name, sizes, again)
				}
			}
			if !found {
				continue
			}
			if *got.Offset != tc.offset {
				t.Errorf("%s %v: offset %d, want %d", tc.name, sizes, *got.Offset, tc.offset)
			}
			if tc.line != "-any" && (got.Line == nil || *got.Line != tc.line) {
				t.Errorf("%s %v: line %.1100q, want %.1100q", tc.name, sizes, show(got.Line), tc.line)
			}
		}
	}
}

func show(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// FuzzInside compares each search of a stream with the search of one string.
func FuzzInside(f *testing.F) {
	f.Add("needle", []byte("a needle\nb"), uint64(1), true, false)
	f.Add("^a|b$", []byte("cab\n\xffab"), uint64(2), true, true)
	f.Add(`x[^y]*(y|\bz)`, []byte("xxxxxyz z"), uint64(3), false, true)
	f.Add(`ab+c`, bytes.Repeat([]byte("ab"), 50), uint64(4), true, true)
	f.Fuzz(func(t *testing.T, find string, body []byte, seed uint64, gunzip, expression bool) {
		if find == "" || len(find) > MaxFindBytes || len(body) > 1<<10 {
			return
		}
		search := func(body []byte) []int {
			if at := bytes.Index(body, []byte(find)); at >= 0 {
				return []int{at}
			}
			return nil
		}
		if expression {
			p, err := compile(find)
			if err != nil {
				return
			}
			search = p.re.FindIndex
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		if seed%3 == 0 { // longer than what is searched as a whole
			body = append(append(body, bytes.Repeat([]byte("filling\n"), wholeBytes/8+10)...), body...)
		}
		want := search(body)
		sizes := make([]int, 1+rng.IntN(5))
		for i := range sizes {
			sizes[i] = 1 + rng.IntN(1+len(body)/(1+rng.IntN(20)))
		}
		stored := string(body)
		if gunzip {
			half := rng.IntN(len(body) + 1)
			stored = packed(stored[:half], stored[half:])
		}
		ev := Event{Find: &find, FindRegexp: expression, Decompress: gunzip, Locate: true, Matches: MatchesAll}
		got, found, err := searchInside(t, ev, "k.gz", "", []byte(stored), sizes...)
		if err != nil || found != (want != nil) {
			t.Fatalf("%q in %d bytes %v: found %t, %v; want %v", find, len(body), sizes, found, err, want)
		}
		if found && *got.Offset != int64(want[0]) {
			t.Fatalf("%q in %d bytes %v: at %d, want %v", find, len(body), sizes, *got.Offset, want)
		}
		if found && got.Line != nil && len(*got.Line) > 3*maxLineBytes {
			t.Fatalf("a line of %d bytes", len(*got.Line))
		}
	})
}

// FuzzGunzip: whatever is stored, the search ends, and says either the same as
// package gzip or that it failed.
func FuzzGunzip(f *testing.F) {
	f.Add([]byte(packed("abc", "needle")), 3)
	f.Add([]byte("\x1f\x8b\x08"), 1)
	f.Fuzz(func(t *testing.T, stored []byte, size int) {
		find := "needle"
		var text []byte
		wantErr := error(nil)
		if r, err := gzip.NewReader(bytes.NewReader(stored)); err != nil {
			wantErr = err
		} else {
			var b bytes.Buffer
			_, wantErr = b.ReadFrom(r)
			text = b.Bytes()
		}
		_, found, err := searchInside(t, Event{Find: &find, Decompress: true}, "k.gz", "", stored, max(size, 1))
		if found != bytes.Contains(text, []byte(find)) || !found && len(stored) > 0 && (err == nil) != (wantErr == nil) {
			t.Fatalf("found %t, %v; want %v", found, err, wantErr)
		}
	})
}

// TestBomb: gzip that holds very much takes no more memory than other gzip, and ends
// with the time limit.
func TestBomb(t *testing.T) {
	zeros := packed(strings.Repeat("\x00", 8<<20))
	for _, tc := range []struct {
		name   string
		find   string
		regexp bool
	}{{"string", "needle", false}, {"expression", "n.*e", true}} {
		t.Run(tc.name, func(t *testing.T) {
			ev := Event{Find: &tc.find, FindRegexp: tc.regexp, Decompress: true, Matches: MatchesAll, Locate: true}
			allocated := testing.AllocsPerRun(1, func() {
				if _, found, err := searchInside(t, ev, "k.gz", "", []byte(zeros), 16<<10); found || err != nil {
					t.Errorf("found %t, %v", found, err)
				}
			})
			if allocated > 500 {
				t.Errorf("%v allocations", allocated)
			}
		})
	}
}

// TestGzipBreaksOff: the text of a try that broke off does not count, not even what
// gzip had held back until then.
func TestGzipBreaksOff(t *testing.T) {
	find := "needle"
	p, err := compile(find)
	if err != nil {
		t.Fatal(err)
	}
	whole := packed("needle, and what comes after it")
	broken := whole[:len(whole)-12] // without the checksum, the size and the last bytes that say that the text is over
	for _, ev := range []Event{{}, {Locate: true}, {FindRegexp: true}, {FindRegexp: true, Locate: true}} {
		ev.Find, ev.Decompress, ev.Matches = &find, true, MatchesAll
		in := newInside(ev, p, func() bool { return false })
		in.key = "k.gz"
		for text, found := range map[string]bool{"nothing": false, "a needle": true} {
			in.reset()
			in.write([]byte(broken))
			in.reset()
			in.write([]byte(packed(text)))
			if err := in.end(); err != nil || in.searcher.found() != found {
				t.Errorf("regexp %t, locate %t, %q: found %t, %v", ev.FindRegexp, ev.Locate, text, in.searcher.found(), err)
			}
			if offset, _ := in.searcher.locate(); found && ev.Locate && offset != 2 {
				t.Errorf("regexp %t, %q: offset %d", ev.FindRegexp, text, offset)
			}
		}
		in.close()
	}
}

// TestLargePieces: of a body that comes in large pieces, as a large object does, no more
// is kept than of any other.
func TestLargePieces(t *testing.T) {
	find := "needle"
	p, err := compile(find)
	if err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte("no line ends here "), 1<<19)
	for _, expression := range []bool{false, true} {
		in := newInside(Event{Find: &find, FindRegexp: expression, Locate: true, Matches: MatchesAll}, p, func() bool { return false })
		in.reset()
		in.write(piece)
		kept := 0
		switch s := in.searcher.(type) {
		case *lineFinder:
			kept = cap(s.around.recent)
		case *expressionFinder:
			kept = cap(s.around.recent)
		}
		if kept == 0 || kept > 256<<10 {
			t.Errorf("expression %t: %d bytes of %d are kept", expression, kept, len(piece))
		}
		in.close()
	}
}

// TestInsideStops: the time limit interrupts a search, too, and what it could not
// search is unread.
func TestInsideStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateStore{fakeStore{bodies: map[string]string{"a.gz": packed(strings.Repeat("needle", 1000)), "b": "needle"}}}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		find := "needle"
		keys := []string{"a.gz", "b", "a.gz"}
		r, failures, err := handlerOver(s, fake).Collect(ctx, Event{Bucket: "b", Find: &find, Decompress: true, Matches: MatchesAll, Keys: &keys})
		if err != nil || len(r.Matches) != 1 || len(failures) != 2 || failures[0].Error != DeadlineNear || failures[1].Key != "a.gz" {
			t.Errorf("%+v, %+v, %v", r, failures, err)
		}
	})
}

func TestCompile(t *testing.T) {
	for _, tc := range []struct {
		find string
		err  string // part of it
	}{
		{`a.*b`, ""},
		{`(?i)needle`, ""},
		{`\d{1,400}`, ""},
		{`(`, "missing closing"},
		{`a{1001}`, "repeat count"},
		{`(a{50}){50}`, "repeat count"},
		{`a{600}b{600}`, "at most 1000"},
		{`(?P<n>a)\1`, "escape"}, // RE2 has no back-references
		{`(?=a)`, "(?="},         // nor assertions about what follows
	} {
		_, err := compile(tc.find)
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: %v", tc.find, err)
		}
	}
}

// lateStore gives half of each .gz, and the rest after the time limit.
type lateStore struct{ fakeStore }

func (s *lateStore) Get(ctx context.Context, bucket, key string, sink Sink) (Read, error) {
	if !strings.HasSuffix(key, ".gz") {
		return s.fakeStore.Get(ctx, bucket, key, sink)
	}
	body := []byte(s.bodies[key])
	_, err := sink.Write(body[:len(body)/2])
	time.Sleep(2 * time.Minute) // the bubble's clock
	if err == nil {
		_, err = sink.Write(body[len(body)/2:])
	}
	return Read{Bytes: int64(len(body))}, err
}

// TestNeeded: what is looked for before an expression is in each of its matches.
func TestNeeded(t *testing.T) {
	for _, tc := range []struct{ find, want string }{
		{`ERROR .* timeout`, ""}, // a prefix does
		{`.*ERROR .* timeout`, " timeout"},
		{`[0-9]+ms (slow query)+`, "slow query"},
		{`a|b`, ""},             // one of two
		{`(abc)*d`, "d"},        // perhaps not once
		{`(abc)?`, ""},          // nor here
		{`x?(abc){2,3}`, "abc"}, // at least twice
		{`(abc){0,3}x`, "x"},    // perhaps not once
		{`(?i)abc`, ""},         // in any case
		{`\x{FFFD}abc`, ""},     // or a byte that is no text
		{`.abc\x{FFFD}.de`, "de"},
		{`^$`, ""},
		{`^abc$`, "abc"}, // its prefix alone does not say where it is
	} {
		p, err := compile(tc.find)
		if err != nil || string(p.needed) != tc.want {
			t.Errorf("%s: %q, %v, want %q", tc.find, p.needed, err, tc.want)
		}
	}
}

func TestCollect(t *testing.T) {
	gone := &Error{Type: AccessDenied, Message: "get s3://b/p/00005"}
	s := &fakeStore{
		bodies: objects(10, func(i int) string { return fmt.Sprint("needle ", i) }),
		fail:   map[string]error{"p/00005": gone, "p/00007": errors.New("reset")},
	}
	find := "needle"
	keys := []string{"p/00009", "p/00005", "p/00001", "nope", "p/00009", "p/00007"}
	r, failures, err := handlerOver(s, fake).Collect(t.Context(), Event{Bucket: "b", Find: &find, Keys: &keys, OnError: OnErrorFail})
	if err != nil {
		t.Fatal(err)
	}
	var matched []string
	for _, m := range r.Matches {
		matched = append(matched, m.Key)
	}
	if got := strings.Join(matched, " "); got != "p/00009 p/00001 p/00009" || r.Stats.Objects != 3 || r.Stats.Errors != 3 {
		t.Errorf("matches %s, %+v", got, r.Stats)
	}
	want := []Failure{
		{"p/00005", AccessDenied, "get s3://b/p/00005"},
		{"nope", NoSuchKey, "get nope"},
		{"p/00007", "Error", "reset"},
	}
	if fmt.Sprint(failures) != fmt.Sprint(want) {
		t.Errorf("failures %v, want %v", failures, want)
	}
	// The bucket itself is no key's failure.
	_, _, err = handlerOver(&fakeStore{fail: map[string]error{"nope": &Error{Type: NoSuchBucket}}}, fake).Collect(t.Context(),
		Event{Bucket: "b", Keys: &keys})
	var typed *Error
	if !errors.As(err, &typed) || typed.Type != NoSuchBucket {
		t.Errorf("error %v", err)
	}
	for _, ev := range []Event{{Bucket: "b"}, {Keys: &keys}} {
		if _, _, err := handlerOver(s, fake).Collect(t.Context(), ev); !errors.As(err, &typed) || typed.Type != InvalidEvent {
			t.Errorf("%+v: %v", ev, err)
		}
	}
}

// TestMatchesAll: every matching key in list order, whoever read it; none is an empty
// list; too many for an answer are an error, and not a short list.
func TestMatchesAll(t *testing.T) {
	const event = `{"s3_bucket_name":"b","find":"needle","matches":"all"}`
	some := func(i int) string { return strings.Repeat("needle", i%2) }
	key := strings.Repeat("k", 1000)
	for _, tc := range []struct {
		name      string
		bodies    map[string]string
		event     string
		matches   int
		errorType string
	}{
		{"half of them", objects(3000, some), event, 1500, ""},
		{"none", objects(10, func(int) string { return "" }), event, 0, ""},
		{"as many as fit", named(6200, key), event, 6200, ""},
		{"too many", named(7000, key), event, 0, ResponseTooLarge},
		{"too many with their lines", objects(7000, func(int) string { return "needle" + key }),
			`{"s3_bucket_name":"b","find":"needle","matches":"all","locate":true}`, 0, ResponseTooLarge},
		{"too many as JSON", named(1200, strings.Repeat("\x01", 1000)), event, 0, ResponseTooLarge},
	} {
		answer, err := handlerOver(&fakeStore{bodies: tc.bodies, page: 1000}, fake).Invoke(t.Context(), []byte(tc.event))
		if tc.errorType != "" {
			if err == nil || !strings.Contains(fmt.Sprintf("%#v", err), tc.errorType) {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		var r Response
		if err != nil || json.Unmarshal(answer, &r) != nil || len(r.Matches) != tc.matches || !bytes.Contains(answer, []byte(`"matches":[`)) {
			t.Errorf("%s: %d matches, %v", tc.name, len(r.Matches), err)
			continue
		}
		for i := 1; i < len(r.Matches); i++ {
			if r.Matches[i-1].Key >= r.Matches[i].Key {
				t.Fatalf("%s: %q before %q", tc.name, r.Matches[i-1].Key, r.Matches[i].Key)
			}
		}
		if tc.matches > 0 && r.Result != r.Matches[0].Key {
			t.Errorf("%s: result %q", tc.name, r.Result)
		}
	}
}

// named gives n objects that match, with keys of that length and more.
func named(n int, key string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("%s%05d", key[:len(key)-5], i)] = "needle"
	}
	return m
}
