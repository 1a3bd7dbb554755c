package report

import (
	"encoding/json"
	"fanout/bench/internal/cost"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRows(t *testing.T) {
	r := New(reporttest.Example(), Options{})
	byName := map[string]Row{}
	for _, row := range r.Rows {
		byName[r.Name(row)] = row
	}
	row := byName["128 MB go tuned, 64 workers"]
	if row.Warm.N != 3 || row.Warm.Median != 2810 || row.Cold.Median != 3050 || row.First.Median != 3000 || row.Init.Median != 50 ||
		row.Failed != 1 || row.Invocations != 5 || row.Failures[0].Name != "OOM" {
		t.Errorf("row %+v", row)
	}
	if got := row.SpeedUp; got < 12.17 || got > 12.18 {
		t.Errorf("speed-up %v, want 34210.4/2810", got)
	}
	if row.P90.Why == "" || row.Warm.HasInterval {
		t.Errorf("three values gave a percentile or an interval: %+v", row)
	}
	if got := byName["1769 MB go tuned, auto 32 workers"]; got.SpeedUp < 474 || got.CPUPerObject.Median != 44.25/4 {
		t.Errorf("row %+v", got)
	}
	if got := byName["512 MB <script>rust, own workers"]; got.SpeedUp != 0 || got.CPUPerObject.N != 0 {
		t.Errorf("row %+v", got)
	}
}

// A row's cost is the cost of its median invocation, all of it.
func TestRowCost(t *testing.T) {
	f := trial.File{Header: reporttest.Header()}
	for i, ms := range []float64{1000, 3000, 2000} {
		f.Results = append(f.Results, reporttest.Used{MemoryMB: 1024, Workers: 64, Client: "lean", MS: ms, CPU: 1, P50: 20,
			P99: 100}.Result(i))
	}
	cold := reporttest.Used{MemoryMB: 1024, Workers: 64, Client: "lean", MS: 2000, CPU: 1, P50: 20, P99: 100}.Result(3)
	cold.Start, cold.InitMS, cold.BilledMS = trial.Cold, 50, 2050
	f.Results = append(f.Results, cold)
	r := New(f, Options{})
	const want = 0.0004385334 // as in cost's test
	for what, got := range map[string]float64{"split": r.Rows[0].Cost.Total(), "median": r.Rows[0].WarmCost.Median} {
		if math.Abs(got-want) > 1e-6*want {
			t.Errorf("%s: $%v, want $%v", what, got, want)
		}
	}
	if got, want := r.Rows[0].ColdCost.Median, want+0.05*0.0000166667; math.Abs(got-want) > 1e-6*want {
		t.Errorf("cold: $%v, want $%v", got, want)
	}
	// Where the log says nothing of billing, the time it took is billed.
	f.Results = f.Results[2:3]
	f.Results[0].BilledMS, f.Results[0].DurationMS = 0, 1999.2
	f.Results[0].Note = "no REPORT line"
	r = New(f, Options{})
	if got := r.Rows[0].Cost.Total(); math.Abs(got-want) > 1e-6*want ||
		!slices.Equal(r.Warnings, []string{"1 of 1 invocations: no REPORT line"}) {
		t.Errorf("without a REPORT line: $%v, want $%v; %q", got, want, r.Warnings)
	}
	f.Results[0].Note = ""
	// No prices, no costs; the times stay, and a warning says so.
	f.Header.Backend, f.Header.Region = trial.AWS, "mars-north-1"
	r = New(f, Options{})
	if r.Priced || r.Rows[0].WarmCost.N != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "no costs") ||
		len(r.Advice.Picks) != 1 {
		t.Errorf("priced %v, %+v, %q, %+v", r.Priced, r.Rows[0].WarmCost, r.Warnings, r.Advice)
	}
	f.Header.Region, f.Header.Network = "", "s3-express"
	if r := New(f, Options{}); r.Class != cost.Express || r.Rows[0].Cost.Of(cost.Retrieval) == 0 {
		t.Errorf("%s: %+v", r.Class, r.Rows[0].Cost)
	}
	f.Header.Network, f.Header.Class = "", "express" // a directory bucket on AWS
	if r := New(f, Options{}); r.Class != cost.Express {
		t.Errorf("%s", r.Class)
	}
	if r := New(f, Options{Class: cost.Standard}); r.Class != cost.Standard || r.Rows[0].Cost.Of(cost.Retrieval) != 0 {
		t.Errorf("%s, though asked for", r.Class)
	}
}

// The objects of a bucket that is somebody's own are known from the answers.
func TestUnknownCorpus(t *testing.T) {
	f := trial.File{Header: reporttest.Header(),
		Results: []trial.Result{reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500, CPU: 100, P50: 20,
			P99: 100}.Result(0)}}
	f.Header.Corpus, f.Header.Bytes = corpus.Spec{}, 0
	r := New(f, Options{})
	if r.Objects != 1000 || r.Bytes != 25_500_000 || r.Rows[0].ObjectsPerS != 2000 || r.Rows[0].Cost.Of(cost.S3Requests) < 0.0004 {
		t.Errorf("%d objects, %d bytes, %+v", r.Objects, r.Bytes, r.Rows[0])
	}
}

func TestDriftIsSaid(t *testing.T) {
	f := trial.File{Header: reporttest.Header()}
	for i := range 20 {
		u := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500 + float64(i%5), CPU: 100, P50: 20, P99: 100}
		if i >= 10 {
			u.MS += 60
		}
		f.Results = append(f.Results, u.Result(i))
	}
	if w := New(f, Options{}).Warnings; len(w) != 2 || !strings.Contains(w[0], "drift: warm runs changed by +12%") ||
		!strings.Contains(w[1], "512 MB lean") {
		t.Errorf("%q", w)
	}
}

// A machine that gets faster drifts as one that gets slower does, for one
// setting and for all together; noise and small changes do not.
func TestDriftEitherWay(t *testing.T) {
	for _, tc := range []struct {
		name     string
		settings int
		n        int     // of each
		change   float64 // of the second half
		want     string  // in the first warning; "": none
	}{
		{"one setting, slower", 1, 20, 1.12, "+12%"},
		{"one setting, faster", 1, 20, 0.88, "-12%"},
		{"many settings of few runs, slower", 8, 4, 1.12, "+12%"},
		{"many settings of few runs, faster", 8, 4, 0.88, "-12%"},
		{"by too little for a word, slower", 1, 60, 1.012, ""},
		{"by too little for a word, faster", 1, 60, 0.988, ""},
		{"not at all", 4, 20, 1, ""},
	} {
		f := trial.File{Header: reporttest.Header()}
		for i := range tc.n {
			for k := range tc.settings {
				u := reporttest.Used{MemoryMB: 512 + k, Workers: 64, Client: "lean", MS: 500 + float64(i%2), CPU: 100, P50: 20, P99: 100}
				if i >= tc.n/2 {
					u.MS *= tc.change
				}
				f.Results = append(f.Results, u.Result(i*tc.settings+k))
			}
		}
		w := New(f, Options{}).Warnings
		if tc.want == "" && len(w) > 0 || tc.want != "" &&
			(len(w) == 0 || !strings.Contains(w[0], "drift: warm runs changed by "+tc.want)) {
			t.Errorf("%s: %q", tc.name, w)
		}
	}
}

// One worker is the baseline of its own contender, memory and architecture
// only; of its own client's first.
func TestBaseline(t *testing.T) {
	at := func(change func(*trial.Result)) trial.Result {
		r := reporttest.Used{MemoryMB: 512, Workers: 1, Client: "lean", MS: 1000, CPU: 100, P50: 20, P99: 100}.Result(0)
		if change != nil {
			change(&r)
		}
		return r
	}
	many := at(func(r *trial.Result) { r.Concurrency, r.DurationMS = 64, 100 })
	for _, tc := range []struct {
		name    string
		others  []trial.Result
		speedUp float64
	}{
		{"its own", []trial.Result{at(nil)}, 10},
		{"another client's of the same contender", []trial.Result{at(func(r *trial.Result) { r.Client, r.DurationMS = "stock", 2000 })},
			20},
		{"its own before another client's", []trial.Result{at(func(r *trial.Result) { r.Client, r.DurationMS = "aaa", 2000 }), at(nil)},
			10},
		{"another architecture's", []trial.Result{at(func(r *trial.Result) { r.Arch = "arm64" })}, 0},
		{"another memory size's", []trial.Result{at(func(r *trial.Result) { r.MemoryMB = 128 })}, 0},
		{"another contender's", []trial.Result{at(func(r *trial.Result) { r.Contender = "rust" })}, 0},
		{"one that failed", []trial.Result{at(func(r *trial.Result) { r.OK, r.ErrorType = false, "X" })}, 0},
		{"a cold one", []trial.Result{at(func(r *trial.Result) { r.Start = trial.Cold })}, 0},
		{"none", nil, 0},
	} {
		r := New(trial.File{Header: reporttest.Header(), Results: append(tc.others, many)}, Options{})
		i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Concurrency == 64 })
		if got := r.Rows[i].SpeedUp; got != tc.speedUp {
			t.Errorf("%s: speed-up %v, want %v", tc.name, got, tc.speedUp)
		}
	}
}

// Times that no clock gives are left out, and said; the rest stands.
func TestImpossibleTimes(t *testing.T) {
	fine := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500, CPU: 100, P50: 20, P99: 100}.Result(0)
	for name, change := range map[string]func(*trial.Result){
		"a negative time":          func(r *trial.Result) { r.DurationMS = -500 },
		"a negative init":          func(r *trial.Result) { r.InitMS = -1 },
		"negative billing":         func(r *trial.Result) { r.BilledMS = -1 },
		"not a number":             func(r *trial.Result) { r.DurationMS = math.NaN() },
		"without end":              func(r *trial.Result) { r.DurationMS = math.Inf(1) },
		"years":                    func(r *trial.Result) { r.DurationMS = 1e12 },
		"negative CPU":             func(r *trial.Result) { v := -1.0; r.ProcessMS = &v },
		"a first byte from before": func(r *trial.Result) { s := *r.Stats; v := -3.0; s.TTFBP50MS = &v; r.Stats = &s },
		"negative memory":          func(r *trial.Result) { r.MaxMemoryMB = -1 },
	} {
		bad := fine
		change(&bad)
		r := New(trial.File{Header: reporttest.Header(), Results: []trial.Result{fine, bad}}, Options{})
		if len(r.Rows) != 1 || r.Rows[0].Warm.N != 1 || r.Rows[0].Warm.Median != 500 || len(r.Warnings) != 1 ||
			!strings.Contains(r.Warnings[0], "1 of 2 invocations have impossible times") {
			t.Errorf("%s: %+v, %q", name, r.Rows, r.Warnings)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	zero := fine
	zero.DurationMS, zero.BilledMS = 0, 0
	r := New(trial.File{Header: reporttest.Header(), Results: []trial.Result{zero, zero, zero, zero}}, Options{})
	c := Compare(r, r, 0.05)
	for _, v := range []any{r, c} {
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("an invocation of no time: %v", err)
		}
	}
}

// An invocation of which nothing says whether it was cold is in neither sample,
// a line that could not be read is said, and so is what the run warned of.
func TestUntoldAndSkipped(t *testing.T) {
	at := func(start string, ms float64) trial.Result {
		r := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: ms, CPU: 100, P50: 20, P99: 100}.Result(0)
		r.Start = start
		return r
	}
	r := New(trial.File{
		Header:  reporttest.Header(),
		Results: []trial.Result{at(trial.Warm, 500), at(trial.Unknown, 90_000), at(trial.Cold, 700), at(trial.Unknown, 80_000)},
		Skipped: []trial.Skipped{{Line: 12, Why: "not a result"}, {Line: 14, Why: "too long"}},
		End:     trial.End{Reason: trial.Complete, Warnings: []string{"function f: its description could not be put back"}},
	}, Options{})
	row := r.Rows[0]
	if row.Warm.N != 1 || row.Warm.Median != 500 || row.Cold.N != 1 || row.UnknownStarts != 2 || row.Invocations != 4 ||
		row.WarmCost.N != 1 {
		t.Errorf("warm %+v, cold %+v, %d unknown, cost %+v", row.Warm, row.Cold, row.UnknownStarts, row.WarmCost)
	}
	want := []string{"for 2 of 4 invocations nothing says whether they were cold or warm",
		"2 lines of the result file could not be read; the first is line 12: not a result", "its description could not be put back"}
	if len(r.Warnings) != len(want) {
		t.Fatalf("%q", r.Warnings)
	}
	for i, w := range want {
		if !strings.Contains(r.Warnings[i], w) {
			t.Errorf("%q, want %q", r.Warnings[i], w)
		}
	}
}

func shape(t *testing.T, read func(string) (corpus.Shape, error), from string) corpus.Shape {
	t.Helper()
	s, err := read(from)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The command that repeats a run is one, whatever its names are.
func TestCommand(t *testing.T) {
	f := trial.File{Header: reporttest.Header()}
	f.Header.Plan.Concurrencies = []int{1, 64, trial.Auto}
	f.Header.Plan.Invocations, f.Header.Plan.Cold, f.Header.Plan.Sequential, f.Header.Plan.Seed = 6, 1, 1, 7
	got := New(f, Options{}).Command()
	want := "fanout run --memory 128,1769 --arch x86_64 --client stock --concurrency 1,64,auto --invocations 6 --cold 1 --sequential " +
		"1 --seed 7" +
		" --network s3-standard --objects 1000 --min-bytes 1000 --max-bytes 50000 --corpus-seed 1 --needle MyMagicString --prefix objects/"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	file := filepath.Join(t.TempDir(), "my sizes.txt")
	if err := os.WriteFile(file, []byte("0 100 2000 50000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		shape corpus.Shape
		want  string
	}{
		{shape(t, corpus.ParseLognormal, "12000,400000"), " --objects 1000 --lognormal 12000,400000 --corpus-seed 1 "},
		{shape(t, corpus.ReadShapeFile, file), " --objects 1000 --shape 'my sizes.txt' --corpus-seed 1 "},
	} {
		shaped := f
		shaped.Header.Corpus = shaped.Header.Corpus.WithShape(row.shape)
		if got := New(shaped, Options{}).Command(); !strings.Contains(got, row.want) {
			t.Errorf("%s\nwant in it\n%s", got, row.want)
		}
	}
	f.Header.Backend, f.Header.Plan.Count = trial.AWS, true
	if got := New(f, Options{}).Command(); !strings.Contains(got, "--stack STACK ") || !strings.Contains(got, "--count") ||
		strings.Contains(got, "--network") {
		t.Error(got)
	}
	f.Header.Backend = trial.Sandbox
	f.Header.Plan.Contenders = []string{"go", "it's; rm -rf $HOME `x`\n"}
	f.Header.Corpus.Needle, f.Header.Corpus.Prefix = "a b\x1b[31m'c", ""
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "set -- "+New(f, Options{}).Command()+`; printf '%s\n' "$@"`).Output()
	words := strings.Split(string(out), "\n")
	for _, word := range []string{"it's; rm -rf $HOME `x` =PATH", "a b'c", ""} {
		if err != nil || !slices.Contains(words, word) {
			t.Errorf("no word %q in %q, %v", word, words, err)
		}
	}
}

// Of many that need the same memory, only the others are named.
func TestSmallestMemoryOfMany(t *testing.T) {
	if got, want := New(reporttest.Languages(), Options{}).SmallestMemory(), "128 MB, but java lean 512 MB, java tuned 512 MB"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
