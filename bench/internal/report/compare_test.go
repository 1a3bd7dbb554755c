package report

import (
	"encoding/json"
	"errors"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// build is one synthetic run of a program; it has only what Compare looks at.
func build(rng *rand.Rand, n int, slower func(memory, workers int) float64) *Report {
	r := &Report{Header: reporttest.Header()}
	for results := range slices.Chunk(reporttest.Build(rng, n, slower), n) {
		var ms []float64
		for _, res := range results {
			ms = append(ms, res.DurationMS)
		}
		r.Rows = append(r.Rows, Row{Setting: Setting{Key: results[0].Key()}, Warm: stats.Summarise(ms), Invocations: n})
	}
	return r
}

func alike(int, int) float64 { return 1 }

// The gate's false alarms: two runs of one build differ in nothing, in at
// least 19 of 20 comparisons, even with a threshold of 0.
func TestCompareFalseAlarms(t *testing.T) {
	const comparisons = 400
	for _, n := range []int{6, 10} {
		rng := rand.New(rand.NewPCG(uint64(n), 19))
		alarms, gate := 0, 0
		for range comparisons {
			old, new := build(rng, n, alike), build(rng, n, alike)
			c := Compare(old, new, 0)
			if slices.ContainsFunc(c.Changes, func(c Change) bool { return c.Outcome != Same }) {
				alarms++
			}
			if Compare(old, new, 0.05).Err() != nil {
				gate++
			}
		}
		t.Logf("n=%d: something found in %d of %d comparisons, the gate shut in %d", n, alarms, comparisons, gate)
		if alarms*20 > comparisons || gate*20 > comparisons {
			t.Errorf("n=%d: %d false alarms in %d comparisons", n, alarms, comparisons)
		}
	}
}

// The gate's power: one setting of twelve a tenth slower, times spread by 5%.
func TestComparePower(t *testing.T) {
	const comparisons = 200
	for _, tc := range []struct {
		n     int
		least float64
	}{{10, 0.35}, {20, 0.90}} {
		rng := rand.New(rand.NewPCG(uint64(tc.n), 10))
		found := 0
		for range comparisons {
			old := build(rng, tc.n, alike)
			new := build(rng, tc.n, func(memory, workers int) float64 {
				if memory == 512 && workers == 64 {
					return 1.1
				}
				return 1
			})
			c := Compare(old, new, 0.05)
			if slices.ContainsFunc(c.Worse(), func(c Change) bool { return c.Name == "go x86_64 lean ×64 512 MB" }) {
				found++
			}
		}
		share := float64(found) / comparisons
		t.Logf("n=%d: found in %.0f%%", tc.n, share*100)
		if share < tc.least {
			t.Errorf("n=%d: a setting a tenth slower was found in %.0f%% of the comparisons, want %.0f%%", tc.n, share*100, tc.least*100)
		}
	}
}

func TestCompare(t *testing.T) {
	base := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500, CPU: 100, P50: 20, P99: 100, MaxMB: 30}
	run := func(n int, ms float64, failures int) *Report {
		u := base
		u.MS = ms
		f := trial.File{Header: reporttest.Header(), Results: reporttest.Sample(rand.New(rand.NewPCG(uint64(n), uint64(ms))), u, n, 0.01)}
		for i := range failures {
			u.Failure = "Runtime.ExitError"
			f.Results = append(f.Results, u.Result(n+i))
		}
		return New(f, Options{})
	}
	for _, tc := range []struct {
		name     string
		old, new *Report
		outcomes []Outcome
		message  string
	}{
		{"a tenth slower", run(8, 500, 0), run(8, 550, 0), []Outcome{Worse},
			"got worse in 1 of 1 tests; first go x86_64 lean ×64 512 MB, warm ms +"},
		{"sure, but within the threshold", run(20, 500, 0), run(20, 515, 0), []Outcome{Same}, ""},
		{"faster", run(8, 500, 0), run(8, 400, 0), []Outcome{Better}, ""},
		{"twice as slow, in too few runs", run(3, 500, 0), run(3, 1000, 0), []Outcome{Same},
			"the runs cannot be compared: too few invocations for any test to decide: it needs n of 4 per setting"},
		{"it fails now", run(8, 500, 0), run(0, 500, 8), []Outcome{Broken},
			"first go x86_64 lean ×64 512 MB, failures 8 of 8, from 0 of 8, always fails now"},
		{"it fails now and then, as before", run(8, 500, 2), run(8, 500, 2), []Outcome{Same, Same}, ""},
		{"it no longer fails", run(0, 500, 8), run(8, 500, 0), []Outcome{Better}, ""},
		{"nothing measured any more", run(8, 500, 0), run(0, 500, 0), []Outcome{Removed},
			"the runs cannot be compared: new has no results"},
		{"nothing measured before", run(0, 500, 0), run(8, 500, 0), []Outcome{Added}, "the runs cannot be compared: old has no results"},
	} {
		c := Compare(tc.old, tc.new, 0.05)
		var outcomes []Outcome
		for _, change := range c.Changes {
			outcomes = append(outcomes, change.Outcome)
		}
		err := c.Err()
		if !slices.Equal(outcomes, tc.outcomes) || (err == nil) != (tc.message == "") || err != nil &&
			(!strings.Contains(err.Error(), tc.message) || errors.Is(err, ErrWorse) == errors.Is(err, ErrUndecided)) {
			t.Errorf("%s: %q, %v", tc.name, outcomes, err)
		}
	}
	if w := Compare(run(3, 500, 0), run(3, 500, 0), 0.05).Warnings; len(w) != 1 || !strings.Contains(w[0], "1 measurement not tested") {
		t.Errorf("few runs, and %q", w)
	}
}

func TestMismatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*trial.Header)
		what   string // "": may be compared
	}{
		{"the same", func(*trial.Header) {}, ""},
		{"measured more often, in another order, by another version", func(h *trial.Header) {
			h.Plan.Invocations, h.Plan.Seed, h.Version, h.Run, h.At = 99, 7, "v2", "r", time.Unix(5, 0)
			h.Plan.MemoriesMB = []int{1769, 128}
		}, ""},
		{"another backend", func(h *trial.Header) { h.Backend = trial.AWS }, "backend: sandbox, aws"},
		{"another machine", func(h *trial.Header) { h.Host = "Other CPU" }, "machine: "},
		{"another region", func(h *trial.Header) { h.Region = "eu-west-1" }, "region: , eu-west-1"},
		{"another network", func(h *trial.Header) { h.Network = "none" }, "network: "},
		{"without limits", func(h *trial.Header) { h.Limits = lambda.ParseLimits("none: no permission") }, "limits: "},
		{"other objects", func(h *trial.Header) { h.Corpus.Seed++ }, "corpus: 1000 objects of "},
		{"objects of one's own", func(h *trial.Header) { h.Corpus = corpus.Spec{} }, `needle "MyMagicString", a bucket of one's own`},
		{"other sizes", func(h *trial.Header) { h.Plan.MemoriesMB = []int{128} }, "memories: [128 1769], [128]"},
		{"other clients", func(h *trial.Header) { h.Plan.Clients = []string{"lean"} }, "clients: "},
		{"another question", func(h *trial.Header) { h.Plan.Count = true }, "count: false, true"},
	} {
		new := reporttest.Header()
		tc.change(&new)
		err := Mismatch(reporttest.Header(), new)
		var mismatch *MismatchError
		if errors.As(err, &mismatch) != (tc.what != "") || err != nil && !strings.Contains(err.Error(), tc.what) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// Failures are looked at both ways, and each way has half of the chance: what
// a one-sided test would call a change is none.
func TestFailuresTwoSided(t *testing.T) {
	run := func(failed, n int) *Report {
		row := Row{Setting: Setting{Key: trial.Key{Contender: "go", MemoryMB: 512, Arch: "x86_64", Client: "lean", Concurrency: 64}},
			Invocations: n, Failed: failed}
		return &Report{Header: reporttest.Header(), Rows: []Row{row}}
	}
	for _, tc := range []struct {
		name     string
		old, new [2]int // failed of how many
		p        float64
		outcome  Outcome
	}{
		// One-sided: 495/10626 = 0.047.
		{"4 of 12 from none", [2]int{0, 12}, [2]int{4, 12}, 2 * 495. / 10626, Same},
		{"none from 4 of 12", [2]int{4, 12}, [2]int{0, 12}, 2 * 495. / 10626, Same},
		// One-sided: 15504/658008 = 0.024.
		{"5 of 20 from none", [2]int{0, 20}, [2]int{5, 20}, 2 * 15504. / 658008, Worse},
		{"none from 5 of 20", [2]int{5, 20}, [2]int{0, 20}, 2 * 15504. / 658008, Better},
		{"as before", [2]int{3, 12}, [2]int{3, 12}, 1, Same},
	} {
		c := Compare(run(tc.old[0], tc.old[1]), run(tc.new[0], tc.new[1]), 0.05)
		if len(c.Changes) != 1 || math.Abs(c.Changes[0].P-tc.p) > 1e-9 || c.Changes[0].Outcome != tc.outcome {
			t.Errorf("%s: %+v, want p=%v", tc.name, c.Changes, tc.p)
		}
	}
}

// The gate never opens without a word: what worked and never works now is worse
// without a test, and what cannot be decided is an error of its own.
func TestGate(t *testing.T) {
	type setting struct {
		mb                             int
		warm, cold, failed, failedCold int // how many; failed are warm ones
		ms                             float64
		unknown                        int
	}
	run := func(settings ...setting) *Report {
		f := trial.File{Header: reporttest.Header()}
		f.Header.Plan.Cold = 2
		at := 0
		add := func(u reporttest.Used, n int, start string) {
			for range n {
				at++
				u.MS += 0.01 * float64(at%7)
				r := u.Result(at)
				r.Start = start
				f.Results = append(f.Results, r)
			}
		}
		for _, s := range settings {
			u := reporttest.Used{MemoryMB: s.mb, Workers: 64, Client: "lean", MS: s.ms, CPU: 60, P50: 20, P99: 100}
			if s.ms == 0 {
				u.MS = 500
			}
			add(u, s.warm, trial.Warm)
			add(u, s.cold, trial.Cold)
			add(u, s.unknown, trial.Unknown)
			u.Failure = "Runtime.ExitError"
			add(u, s.failed, trial.Warm)
			add(u, s.failedCold, trial.Cold)
		}
		return New(f, Options{})
	}
	many := func(n int, s setting) []setting {
		var all []setting
		for i := range n {
			s.mb = 128 + 64*i
			all = append(all, s)
		}
		return all
	}
	for _, tc := range []struct {
		name     string
		old, new *Report
		err      error
		message  string
	}{
		{"alike", run(setting{mb: 128, warm: 8}), run(setting{mb: 128, warm: 8}), nil, ""},
		{"two settings, each of 4 crashes", run(many(2, setting{warm: 4})...), run(many(2, setting{failed: 4})...), ErrWorse,
			"failures 4 of 4, from 0 of 4, always fails now"},
		{"one invocation, which crashes", run(setting{mb: 128, warm: 1}), run(setting{mb: 128, failed: 1}), ErrWorse, "always fails now"},
		{"one setting of ten always crashes", run(many(10, setting{warm: 8})...),
			run(append(many(9, setting{warm: 8}), setting{mb: 128 + 64*9, failed: 2})...), ErrWorse, "704 MB, failures 2 of 2"},
		{"each cold start crashes", run(setting{mb: 128, warm: 8, cold: 2}), run(setting{mb: 128, warm: 8, failedCold: 2}), ErrWorse,
			"each cold start fails now"},
		{"its one cold start crashes", run(setting{mb: 128, warm: 8, cold: 2}), run(setting{mb: 128, warm: 8, failedCold: 1}), ErrWorse,
			"each cold start fails now"},
		{"it may have been cold or warm, but works", run(setting{mb: 128, warm: 8}), run(setting{mb: 128, unknown: 8, failed: 1}),
			ErrUndecided, "too few invocations"},
		{"one of two settings is slow, and may have been cold or warm", run(many(2, setting{warm: 8})...),
			run(setting{mb: 128, unknown: 8, ms: 5000}, setting{mb: 192, warm: 8}), ErrUndecided, "first go x86_64 lean ×64 128 MB warm ms"},
		{"one may have been cold or warm, and the others crash", run(many(2, setting{warm: 8})...),
			run(setting{mb: 128, unknown: 1, failed: 7}, setting{mb: 192, warm: 8}), ErrWorse, "failures 7 of 8"},
		{"each cold start may have been a warm one", run(many(2, setting{warm: 8, cold: 2})...),
			run(setting{mb: 128, warm: 8, unknown: 2}, setting{mb: 192, warm: 8, cold: 2}), ErrUndecided, "128 MB cold ms"},
		{"two settings crash half of the time", run(many(2, setting{warm: 8})...), run(many(2, setting{warm: 4, failed: 4})...),
			ErrWorse, "all settings, failures 8 of 16"},
		{"each warm one crashes, cold ones do not", run(setting{mb: 128, warm: 8, cold: 2}), run(setting{mb: 128, cold: 2, failed: 8}),
			ErrWorse, "always fails now"},
		{"what could not be told apart worked, and crashes", run(setting{mb: 128, unknown: 4}), run(setting{mb: 128, failed: 4}),
			ErrWorse, "always fails now"},
		{"it worked once of 8 times, and never does", run(setting{mb: 128, warm: 1, failed: 7}), run(setting{mb: 128, failed: 8}),
			ErrUndecided, "7 of 8 failed before"},
		{"it worked mostly, and never does", run(setting{mb: 128, warm: 7, failed: 1}), run(setting{mb: 128, failed: 8}), ErrWorse,
			"always fails now"},
		{"crashes now and then, of ten settings", run(many(10, setting{warm: 4})...), run(many(10, setting{warm: 1, failed: 3})...),
			ErrWorse, "all settings, failures 30 of 40"},
		{"crashed before, and still does", run(setting{mb: 128, failed: 8}), run(setting{mb: 128, failed: 8}), ErrUndecided,
			"too few invocations"},
		{"crashed before, and works", run(setting{mb: 128, failed: 8}), run(setting{mb: 128, warm: 8}), nil, ""},
		{"new has a header only", run(setting{mb: 128, warm: 8}), run(), ErrUndecided, "new has no results"},
		{"old has a header only", run(), run(setting{mb: 128, warm: 8}), ErrUndecided, "old has no results"},
		{"both have", run(), run(), ErrUndecided, "old has no results"},
		{"a setting is gone", run(many(3, setting{warm: 8})...), run(many(2, setting{warm: 8})...), ErrUndecided,
			"1 measurement of old missing from new; first go x86_64 lean ×64 256 MB"},
		{"a setting is gone, and another is worse", run(many(3, setting{warm: 8})...), run(many(2, setting{warm: 8, ms: 900})...),
			ErrWorse, "got worse in 2"},
		{"cold starts are gone, though planned", run(setting{mb: 128, warm: 8, cold: 2}), run(setting{mb: 128, warm: 8}), ErrUndecided,
			"cold ms"},
		{"a new setting", run(many(2, setting{warm: 8})...), run(many(3, setting{warm: 8})...), nil, ""},
		{"too few for any test", run(many(3, setting{warm: 3})...), run(many(3, setting{warm: 3, ms: 5000})...), ErrUndecided,
			"n of 4 per setting"},
		{"one against many", run(setting{mb: 128, warm: 1}), run(setting{mb: 128, warm: 30, ms: 5000}), ErrUndecided,
			"n of 4 per setting"},
		{"enough for a test, too few for so many", run(many(40, setting{warm: 4})...), run(many(40, setting{warm: 4, ms: 900})...),
			ErrUndecided, "it needs n of 7 per setting"},
		{"some have too few: the others decide", run(setting{mb: 128, warm: 8}, setting{mb: 256, warm: 1}),
			run(setting{mb: 128, warm: 8}, setting{mb: 256, warm: 1, ms: 9000}), nil, ""},
	} {
		c := Compare(tc.old, tc.new, 0.05)
		err := c.Err()
		if !errors.Is(err, tc.err) || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v, want %v with %q", tc.name, err, tc.err, tc.message)
		}
		text, jsonErr := json.Marshal(c)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		var back struct {
			Changes []struct {
				P   *float64
				Old struct{ N int }
				New struct{ N int }
			}
		}
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		for i, change := range back.Changes {
			if (change.P != nil) != c.Changes[i].Tested() {
				t.Errorf("%s: p %v of %d and %d", tc.name, change.P, change.Old.N, change.New.N)
			}
		}
	}
	few := Compare(run(setting{mb: 128, warm: 8}, setting{mb: 256, warm: 1}), run(setting{mb: 128, warm: 8}, setting{mb: 256, warm: 1}),
		0.05)
	if !slices.ContainsFunc(few.Warnings, func(w string) bool { return strings.Contains(w, "1 measurement not tested") }) {
		t.Errorf("a setting of one invocation, and not a word: %q", few.Warnings)
	}
}

// Two buckets of one's own are alike by their headers only.
func TestGateBuckets(t *testing.T) {
	run := func(objects int, bytes int64) *Report {
		f := trial.File{Header: reporttest.Header()}
		f.Header.Corpus, f.Header.Bytes = corpus.Spec{}, 0
		for i := range 8 {
			r := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500, CPU: 60, P50: 20, P99: 100}.Result(i)
			r.Start, r.Stats.Objects, r.Stats.Bytes = trial.Warm, objects, bytes
			f.Results = append(f.Results, r)
		}
		return New(f, Options{})
	}
	for _, tc := range []struct {
		name     string
		old, new *Report
		want     error
	}{
		{"the same", run(10, 1000), run(10, 1000), nil},
		{"fewer objects", run(10, 1000), run(5, 1000), ErrUndecided},
		{"larger ones", run(10, 1000), run(10, 2000), ErrUndecided},
		{"not known", run(10, 1000), run(0, 0), nil},
	} {
		if err := Compare(tc.old, tc.new, 0.05).Err(); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// What no figure holds is told beside "nothing got worse".
func TestGateTells(t *testing.T) {
	file := func(run string) trial.File {
		f := trial.File{Header: reporttest.Header()}
		f.Header.Run, f.Header.Plan.Cold = run, 4
		for i := range 16 {
			r := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500, CPU: 60, P50: 20, P99: 100}.Result(i)
			if r.Start = trial.Warm; i%4 == 0 {
				r.Start = trial.Cold
			}
			f.Results = append(f.Results, r)
		}
		return f
	}
	for _, tc := range []struct {
		name   string
		change func(*trial.File) // of new
		want   string            // empty: no such warning
	}{
		{"nothing to tell", func(*trial.File) {}, ""},
		{"the same run twice", func(f *trial.File) { f.Header.Run = "old" }, "the same run, old"},
		{"lines that cannot be read", func(f *trial.File) { f.Skipped = []trial.Skipped{{Line: 7, Why: "not a result"}} },
			"new: 1 line of the result file could not be read; the first is line 7"},
		{"a start that nothing tells", func(f *trial.File) { f.Results[1].Start = trial.Unknown }, "new: for 1 of 16 invocations nothing says"},
		{"an impossible time", func(f *trial.File) { f.Results[1].DurationMS = -1 }, "new: 1 of 16 invocations have impossible times"},
		{"no cold starts, as planned", func(f *trial.File) {
			f.Header.Plan.Cold = 0
			f.Results = slices.DeleteFunc(f.Results, func(r trial.Result) bool { return r.Start == trial.Cold })
		}, "the cold starts of 1 setting are not compared"},
	} {
		f := file("new")
		tc.change(&f)
		c := Compare(New(file("old"), Options{}), New(f, Options{}), 0.05)
		if err := c.Err(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		told := slices.DeleteFunc(c.Warnings, func(w string) bool { return strings.Contains(w, "CUT RUN") })
		if tc.want == "" && len(told) > 0 || !strings.Contains(strings.Join(told, "\n"), tc.want) {
			t.Errorf("%s: warnings %q, want %q", tc.name, told, tc.want)
		}
	}
}

// A median that moved by the threshold is within it; by more, it is not.
func TestThreshold(t *testing.T) {
	run := func(ms float64) *Report {
		row := Row{Setting: Setting{Key: trial.Key{Contender: "go", MemoryMB: 512, Client: "lean"}}, Invocations: 8}
		row.Warm = stats.Summarise(slices.Repeat([]float64{ms}, 8))
		return &Report{Header: reporttest.Header(), Rows: []Row{row}}
	}
	for _, tc := range []struct {
		ms   float64
		want Outcome
	}{{500, Same}, {500.1, Worse}, {300, Same}, {299.9, Better}} { // a quarter of 400
		if got := Compare(run(400), run(tc.ms), 0.25).Changes[0].Outcome; got != tc.want {
			t.Errorf("400 to %v: %s, want %s", tc.ms, got, tc.want)
		}
	}
}
