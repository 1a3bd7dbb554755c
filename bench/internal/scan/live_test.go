package scan

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/trial"
)

// What is shown of a job fits its terminal, and says how long it will take.
func TestLive(t *testing.T) {
	began := time.Date(2026, 11, 25, 21, 0, 0, 0, time.UTC)
	at := func(seconds int, phase string, total, succeeded, failed int64) Sample {
		s := Sample{At: began.Add(time.Duration(seconds) * time.Second), Phase: phase, USD: 0.25, Bytes: succeeded * 1500}
		s.Items = Counts{Total: total, Succeeded: succeeded, Failed: failed}
		s.Batches = Counts{Running: 8, Failed: failed / 1000}
		return s
	}
	for _, tc := range []struct {
		name    string
		live    *Live
		samples []Sample
		columns int
		lines   []string
		line    string
	}{
		{"nothing yet", &Live{}, nil, 80, []string{"starting: elapsed 20s"}, "starting"},
		{"listing, of a number that is known", &Live{Expected: 100_000},
			[]Sample{at(10, Listing, 10_000, 4000, 0), at(20, Listing, 30_000, 24_000, 0)}, 80,
			[]string{
				"[=========>                              ] 24,000 of 100,000 objects",
				"listing and reading: elapsed 20s, left about 38s, 2000 objects/s, 3 MB/s",
				"$0.25 so far, 8 batches at once",
			},
			"listing and reading: 24,000 of 100,000 objects, 2000 objects/s, 3 MB/s, $0.25 so far, 8 batches at once, elapsed 20s, left about 38s"},
		{"listing, of a number that nobody knows", &Live{},
			[]Sample{at(10, Listing, 10_000, 4000, 0), at(20, Listing, 30_000, 24_000, 0)}, 80,
			[]string{
				"[================================>       ] 24,000 of 30,000 objects",
				"listing and reading: elapsed 20s, 2000 objects/s, 3 MB/s, $0.25 so far",
				"8 batches at once",
			},
			"listing and reading: 24,000 of 30,000 objects, 2000 objects/s, 3 MB/s, $0.25 so far, 8 batches at once, elapsed 20s"},
		{"narrow", &Live{Local: true}, []Sample{at(10, Reading, 30_000, 4000, 0), at(20, Reading, 30_000, 24_000, 2000)}, 40,
			[]string{
				"[===========> ] 26,000 of 30,000 objects",
				"reading: elapsed 20s, left about 2s",
				"2000 objects/s, 3 MB/s",
				"on AWS $0.25 so far, 8 batches at once",
				"2 batches failed",
			},
			"reading: 26,000 of 30,000 objects, 2000 objects/s, 3 MB/s, on AWS $0.25 so far, 8 batches at once, 2 batches failed, " +
				"elapsed 20s, left about 2s"},
		{"the old samples do not count", &Live{},
			[]Sample{at(0, Reading, 9000, 0, 0), at(4, Reading, 9000, 8000, 0), at(20, Reading, 9000, 8000, 0)}, 80,
			[]string{"[===================================>    ] 8000 of 9000 objects", "reading: elapsed 20s, $0.25 so far, 8 batches at once"},
			"reading: 8000 of 9000 objects, $0.25 so far, 8 batches at once, elapsed 20s"},
		{"merging", &Live{}, []Sample{at(19, Reading, 9000, 8000, 0), at(20, Merging, 9000, 9000, 0)}, 200,
			[]string{"[========================================] 9000 of 9000 objects",
				"merging: elapsed 20s, 1000 objects/s, 1.5 MB/s, $0.25 so far, 8 batches at once"},
			"merging: 9000 of 9000 objects, 1000 objects/s, 1.5 MB/s, $0.25 so far, 8 batches at once, elapsed 20s"},
		{"redriven", &Live{}, []Sample{at(10, Ended, 9000, 9000, 0), at(20, Reading, 9000, 0, 0)}, 80,
			[]string{"[>                                       ] 0 of 9000 objects", "reading: elapsed 20s, $0.25 so far, 8 batches at once"},
			"reading: 0 of 9000 objects, $0.25 so far, 8 batches at once, elapsed 20s"},
		{"ended 5 seconds after it began, some of it stopped", &Live{Ended: began.Add(5 * time.Second)}, []Sample{{
			At: began.Add(20 * time.Second), Phase: Ended, Items: Counts{Total: 9000, Succeeded: 3000, Failed: 1000, Aborted: 5000},
			Batches: Counts{Succeeded: 3, Failed: 1, Aborted: 5},
		}}, 80,
			[]string{"[========================================] 3000 of 9000 objects", "ended: elapsed 5s, 1 batch failed, 5 batches stopped"},
			"ended: 3000 of 9000 objects, 1 batch failed, 5 batches stopped, elapsed 5s"},
	} {
		live := tc.live
		live.Began, live.now = began, func() time.Time { return began.Add(20 * time.Second) }
		for _, s := range tc.samples {
			live.Add(s)
		}
		if got := live.Lines(tc.columns+1, 30); strings.Join(got, "\n") != strings.Join(tc.lines, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.lines, "\n"))
		}
		if got := live.Line(); got != tc.line {
			t.Errorf("%s: got  %s\nwant %s", tc.name, got, tc.line)
		}
	}
}

// What is said in the end is a function of the file, whatever way the job ended.
func TestWriteText(t *testing.T) {
	find := "x"
	searched := Header{Job: "j"}
	searched.Input.Event.Find = &find
	sum := Summary{
		Parts: 2, Total: 20, Keys: 20, Objects: 20, Bytes: 5000, Digest: "00000000000000aa", Matches: 1,
		Started: 1000, Ended: 3000, BusyMS: 4000, CPUMS: 4,
		Bill: cost.Bill{{Name: "S3 GET", Amount: 9, Group: cost.S3Requests}, {Name: "Lambda compute", Amount: 1, Group: cost.Compute}},
	}
	incomplete := sum
	incomplete.Objects, incomplete.Keys, incomplete.Retries, incomplete.Bill = 7, 10, 1, nil
	incomplete.Failures = []FailureKind{
		{Error: "AccessDenied", Count: 2, Keys: []string{"a\nb", "c"}, Message: "\x1b[31mno"}, {Error: "NoSuchKey", Count: 1},
	}
	expected := func(e Expected) *Summary { s := sum; s.Expected = &e; return &s }
	for _, tc := range []struct {
		name string
		file File
		want string
	}{
		{"killed", File{Header: searched, Samples: []Sample{{Items: Counts{Total: 9, Succeeded: 3}}}},
			"job j: no closing line: the command was killed\n3 of 9 objects read when last seen\n"},
		{"complete", File{Header: searched, Summary: &sum, End: End{Reason: Complete}},
			"job j: complete\n20 objects read, 5 kB, in 2 s\n10 objects/s, 2.5 kB/s, in 2 batches, 2.0 at once; 0.20 ms of CPU per object\n" +
				"1 match\ndigest 00000000000000aa\n$10.00, $500000.00 per million objects: S3 requests 90%, compute 10%\n"},
		{"incomplete", File{
			Header: Header{Job: "j", Backend: trial.Sandbox}, Summary: &incomplete, End: End{Reason: Incomplete, Text: "13 objects were not read"},
		},
			"job j: incomplete: 13 objects were not read\n7 of the 20 objects listed were read, 5 kB, in 2 s\n" +
				"3.5 objects/s, 2.5 kB/s, in 2 batches, 2.0 at once; 0.57 ms of CPU per object, 1 retried GET\n" +
				"not read: 2 objects: AccessDenied, such as \"a\\nb\": no\nnot read: 1 object: NoSuchKey\n" +
				"not read: 10 objects in batches that failed or were stopped\ndigest 00000000000000aa\nThese are sandbox times, not AWS times.\n"},
		{"right", File{
			Header: searched, Summary: expected(Expected{Objects: 20, Digest: sum.Digest, Match: "k", Right: true}), End: End{Reason: Complete},
		},
			"digest 00000000000000aa, as the objects' seed has it, and so is the match\n"},
		{"counted", File{Summary: expected(Expected{Objects: 20, Digest: sum.Digest, Right: true}), End: End{Reason: Complete}},
			"digest 00000000000000aa, as the objects' seed has it\n"},
		{"other objects", File{Summary: expected(Expected{Objects: 20, Digest: "b"}), End: End{Reason: WrongAnswer}},
			"digest 00000000000000aa: wrong, the objects' seed has b, 20 objects\n"},
		{"another match", File{Summary: expected(Expected{Objects: 20, Digest: sum.Digest, Match: "k"}), End: End{Reason: WrongAnswer}},
			"digest 00000000000000aa, as the objects' seed has it; but only k has the needle\n"},
	} {
		var b bytes.Buffer
		if err := WriteText(&b, tc.file); err != nil {
			t.Fatal(err)
		}
		if whole := strings.HasPrefix(tc.want, "job"); whole && b.String() != tc.want || !strings.Contains(b.String(), tc.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, b.String(), tc.want)
		}
	}
}

// What reads the seed objects is held to them: all of them, their bytes, and the
// one that has the needle where it was looked for.
func TestExpect(t *testing.T) {
	_, f := example(t)
	spec := *f.Header.Corpus
	spec.Count = 20
	bytes, digest := spec.Expect()
	right := Summary{Objects: 20, Bytes: bytes, Digest: digest.String(), Matches: 1, First: spec.Key(spec.NeedleObject())}
	other := "other"
	for _, tc := range []struct {
		name   string
		find   *string
		change func(*Summary)
		right  bool
	}{
		{"right", &spec.Needle, func(*Summary) {}, true},
		{"counted", nil, func(s *Summary) { s.Matches, s.First = 0, "" }, true},
		{"another string, which may be anywhere", &other, func(s *Summary) { s.Matches, s.First = 7, "k" }, true},
		{"an object is missing", &spec.Needle, func(s *Summary) { s.Objects-- }, false},
		{"a byte is missing", &spec.Needle, func(s *Summary) { s.Bytes-- }, false},
		{"another digest", &other, func(s *Summary) { s.Digest = "0" }, false},
		{"no match", &spec.Needle, func(s *Summary) { s.Matches, s.First = 0, "" }, false},
		{"two matches", &spec.Needle, func(s *Summary) { s.Matches = 2 }, false},
		{"another match", &spec.Needle, func(s *Summary) { s.First = spec.Key(spec.NeedleObject() + 1) }, false},
		{"a match where nothing was looked for", nil, func(*Summary) {}, false},
	} {
		found := right
		tc.change(&found)
		event := f.Header.Input.Event
		event.Find = tc.find
		e, err := Expect(t.Context(), spec, event, found, nil)
		if err != nil || e.Right != tc.right || e.Objects != 20 || (e.Match != "") != (tc.find == &spec.Needle) {
			t.Errorf("%s: %+v, %v", tc.name, e, err)
		}
	}
}
