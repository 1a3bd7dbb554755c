package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchunit"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// usedBy is what one synthetic invocation used.
type usedBy struct {
	memory, workers           int
	ms, cpu, p50, p99, list   float64
	retries, maxMB            int
	client, contender, limits string
	failure                   string
}

func (u usedBy) result(i int) trial.Result {
	r := trial.Result{
		Contender: u.contender, MemoryMB: u.memory, Arch: "x86_64", Client: u.client, Concurrency: u.workers, Start: trial.Warm, Seq: i,
		OK: true, DurationMS: u.ms, BilledMS: math.Ceil(u.ms), MaxMemoryMB: u.maxMB, ProcessMS: &u.cpu, Limits: lambda.ParseLimits(u.limits),
		Stats: &fetch.Stats{
			Objects: 1000, Bytes: 25_500_000, Retries: u.retries, ListMS: u.list, TTFBP50MS: &u.p50, TTFBP99MS: &u.p99, Concurrency: u.workers,
		},
		At: time.Unix(int64(i), 0).UTC(),
	}
	if r.Contender == "" {
		r.Contender = "go"
	}
	if u.failure != "" {
		r.OK, r.ErrorType, r.Error, r.Stats = false, u.failure, "signal: killed", nil
	}
	return r
}

func header() trial.Header {
	return trial.Header{
		Backend: trial.Sandbox, Host: "Some CPU, 2 cores, linux/amd64", Network: "s3-standard", Limits: lambda.Limits{By: lambda.CgroupV1},
		Corpus: corpus.Default(), Bytes: 25_500_000, At: time.Unix(0, 0).UTC(),
		Plan: trial.Plan{MemoriesMB: []int{128, 1769}, Architectures: []string{"x86_64"}, Clients: []string{"stock"}, Concurrencies: []int{4, 64}, Contenders: []string{"go"}},
	}
}

// Figures near those that make bench has shown: see docs/statistics.md.
func TestVerdict(t *testing.T) {
	// The first bytes' own time, as a setting with CPU to spare sees it.
	calm := usedBy{memory: 1769, workers: 4, client: "lean", ms: 6900, cpu: 110, p50: 21, p99: 110, list: 30, maxMB: 24}
	for _, tc := range []struct {
		name    string
		of      usedBy
		network string
		kind    Kind
		short   string
		figure  string
		helps   string
	}{
		{"stock at 128 MB", usedBy{memory: 128, workers: 64, client: "stock", ms: 5150, cpu: 365, p50: 180, p99: 1000, list: 170, maxMB: 46}, "s3-standard",
			CPUBound, "CPU 98%", "98% of its CPU share", "256 MB: about 2.0× as fast, compute at the same price"},
		{"lean at 1,769 MB, few workers", calm, "s3-standard",
			LatencyBound, "latency 98%", "98% of the time 4 in flight wait for first bytes of 27 ms", "more workers; 128 MB would be as fast, and cheaper"},
		{"short of CPU, but waiting as well: more memory is of little use", usedBy{memory: 128, workers: 4, client: "stock", ms: 7000, cpu: 500, p50: 23, p99: 101, list: 150, maxMB: 45}, "s3-standard",
			CPUBound, "CPU 99%", "99% of its CPU share", "more memory alone will not help much"},
		{"as many workers as objects", usedBy{memory: 1769, workers: 1000, client: "lean", ms: 60, cpu: 10, p50: 20, p99: 100, list: 25, maxMB: 60}, "none",
			LatencyBound, "latency 84%", "1000 in flight", "S3 Express One Zone"},
		{"bytes at the ceiling", usedBy{memory: 1769, workers: 64, client: "lean", ms: 380, cpu: 120, p50: 10, p99: 20, list: 10, maxMB: 30}, "s3-standard",
			NetworkBound, "network 89%", "89% of 600 Mbit/s", "fewer bytes"},
		{"network none has no ceiling", usedBy{memory: 1769, workers: 64, client: "lean", ms: 380, cpu: 120, p50: 10, p99: 20, list: 10, maxMB: 30}, "none",
			Mixed, "mixed", "CPU 32%, latency 47%", ""},
		{"peak memory near the limit", usedBy{memory: 128, workers: 512, client: "stock", ms: 5000, cpu: 350, p50: 20, p99: 100, list: 100, maxMB: 122}, "s3-standard",
			MemoryBound, "memory 95%", "peak 122 of 128 MB", "fewer workers"},
		{"GETs tried again", usedBy{memory: 1769, workers: 512, client: "lean", ms: 900, cpu: 300, p50: 20, p99: 100, list: 30, retries: 61, maxMB: 40}, "s3-standard",
			RequestLimited, "retries 6%", "6.1% of the GETs were tried again", "more prefixes"},
		{"killed for memory", usedBy{memory: 128, workers: 1024, client: "stock", ms: 900, maxMB: 128, failure: "Runtime.ExitError"}, "s3-standard",
			MemoryBound, "memory 100%", "killed for memory in 6 of 6 invocations", "more memory"},
		{"six vCPU on two cores: the share is what there was", usedBy{memory: 10240, workers: 64, client: "stock", ms: 200, cpu: 380, p50: 5, p99: 10, list: 5, maxMB: 40, limits: "cgroup-v1; clamped to 2 vCPU"}, "none",
			CPUBound, "CPU 95%", "95% of its CPU share", ""},
	} {
		f := trial.File{Header: header()}
		f.Header.Network = tc.network
		for i := range 6 {
			f.Results = append(f.Results, tc.of.result(i))
			if tc.of.client == "stock" && tc.of.limits == "" {
				f.Results = append(f.Results, calm.result(i))
			}
		}
		r := New(f, Options{})
		i := slices.IndexFunc(r.Rows, func(row Row) bool {
			return row.MemoryMB == tc.of.memory && row.Client == tc.of.client && row.Concurrency == tc.of.workers
		})
		v := r.Rows[i].Verdict
		if v.Kind != tc.kind || v.Short() != tc.short || !strings.Contains(v.Figure, tc.figure) || !strings.Contains(v.Helps, tc.helps) {
			t.Errorf("%s: %s (%s), %+v", tc.name, v, v.Short(), v)
		}
	}
}

// An unlimited process is bound by no CPU share, and no memory.
func TestVerdictUnlimited(t *testing.T) {
	f := trial.File{Header: header(), Results: []trial.Result{
		usedBy{memory: 128, workers: 64, client: "stock", ms: 500, cpu: 365, p50: 20, p99: 100, list: 20, maxMB: 127}.result(0),
	}}
	f.Header.Limits = lambda.ParseLimits("none: no permission")
	if v := New(f, Options{}).Rows[0].Verdict; v.CPU.Known || v.Memory.Known || v.Kind == CPUBound || v.Kind == MemoryBound {
		t.Errorf("%+v", v)
	}
}

// sample makes n results around ms, spread by a lognormal of that sigma.
func sample(rng *rand.Rand, u usedBy, n int, sigma float64) []trial.Result {
	var all []trial.Result
	median := u.ms
	for i := range n {
		u.ms = math.Round(median*math.Exp(rng.NormFloat64()*sigma)*100) / 100
		all = append(all, u.result(i))
	}
	return all
}

func TestAdvice(t *testing.T) {
	base := usedBy{client: "lean", cpu: 100, p50: 20, p99: 100, list: 20, maxMB: 30}
	at := func(memory, workers int, ms float64, n int) []trial.Result {
		u := base
		u.memory, u.workers, u.ms = memory, workers, ms
		return sample(rand.New(rand.NewPCG(uint64(memory), uint64(workers))), u, n, 0.02)
	}
	broken := base
	broken.memory, broken.workers, broken.failure = 64, 64, "Runtime.ExitError"
	for _, tc := range []struct {
		name                        string
		results                     [][]trial.Result
		weight                      float64
		cheapest, balanced, fastest int // MB
		frontier                    []int
		certain                     string // of the fastest
		smallest                    int
	}{
		{"memory buys time",
			[][]trial.Result{at(128, 64, 4000, 10), at(512, 64, 900, 10), at(1769, 64, 500, 10), at(3008, 64, 600, 10)}, 0.5,
			512, 1769, 1769, []int{512, 1769}, "ahead of 3008 MB lean, 64 workers (n=10, p<0.001)", 128},
		{"only cost counts nearly",
			[][]trial.Result{at(128, 64, 4000, 10), at(512, 64, 900, 10), at(1769, 64, 850, 10)}, 0.01,
			512, 512, 1769, []int{512, 1769}, "ahead of 512 MB", 128},
		{"as fast: the cheaper one, and the tie is said",
			[][]trial.Result{at(1024, 64, 500, 10), at(1769, 64, 500, 10)}, 0.5,
			1024, 1024, 1024, []int{1024}, "no difference from 1769 MB lean, 64 workers (n=10, p=", 1024},
		{"three that are alike",
			[][]trial.Result{at(1024, 64, 500, 10), at(1769, 64, 500, 10), at(3008, 64, 500, 10)}, 0.5,
			1024, 1024, 1024, []int{1024, 3008}, "), nor from another", 1024}, // the frontier is by medians
		{"one invocation each shows nothing",
			[][]trial.Result{at(512, 64, 1000, 1), at(1769, 64, 500, 1)}, 0.5,
			512, 1769, 1769, []int{512, 1769}, "but too few runs to be sure (n=1)", 512},
		{"what fails is not advised",
			[][]trial.Result{{broken.result(0)}, at(1769, 64, 500, 6)}, 0.5,
			1769, 1769, 1769, []int{1769}, "the only setting without failures", 1769},
	} {
		f := trial.File{Header: header(), Results: slices.Concat(tc.results...)}
		r := New(f, Options{Weight: tc.weight})
		got := map[Goal]int{}
		for _, p := range r.Advice.Picks {
			got[p.Goal] = r.Rows[p.Row].MemoryMB
		}
		if got[Cheapest] != tc.cheapest || got[Balanced] != tc.balanced || got[Fastest] != tc.fastest {
			t.Errorf("%s: picks %v", tc.name, got)
		}
		var frontier []int
		for _, i := range r.Advice.Frontier {
			frontier = append(frontier, r.Rows[i].MemoryMB)
		}
		if !slices.Equal(frontier, tc.frontier) {
			t.Errorf("%s: frontier %v, want %v", tc.name, frontier, tc.frontier)
		}
		i := slices.IndexFunc(r.Advice.Picks, func(p Pick) bool { return p.Goal == Fastest })
		if text := r.Certainty(r.Advice.Picks[i]); !strings.Contains(text, tc.certain) {
			t.Errorf("%s: %s", tc.name, text)
		}
		if r.Advice.SmallestMB != tc.smallest {
			t.Errorf("%s: smallest %d MB", tc.name, r.Advice.SmallestMB)
		}
	}
	nothing := New(trial.File{Header: header()}, Options{})
	if len(nothing.Advice.Picks) != 0 || nothing.Advice.SmallestMB != 0 {
		t.Errorf("advice from nothing: %+v", nothing.Advice)
	}
	for _, format := range []func() error{
		func() error { return Text(&bytes.Buffer{}, nothing) }, func() error { return Markdown(&bytes.Buffer{}, nothing) },
		func() error { return CSV(&bytes.Buffer{}, nothing) }, func() error { return Benchfmt(&bytes.Buffer{}, nothing) },
		func() error { return JSON(&bytes.Buffer{}, nothing) },
	} {
		if err := format(); err != nil {
			t.Error(err)
		}
	}
}

// A row's cost is the cost of its median invocation, all of it.
func TestRowCost(t *testing.T) {
	f := trial.File{Header: header()}
	for i, ms := range []float64{1000, 3000, 2000} {
		f.Results = append(f.Results, usedBy{memory: 1024, workers: 64, client: "lean", ms: ms, cpu: 1, p50: 20, p99: 100}.result(i))
	}
	cold := usedBy{memory: 1024, workers: 64, client: "lean", ms: 2000, cpu: 1, p50: 20, p99: 100}.result(3)
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
	if got := r.Rows[0].Cost.Total(); math.Abs(got-want) > 1e-6*want || !slices.Equal(r.Warnings, []string{"1 of 1 invocations: no REPORT line"}) {
		t.Errorf("without a REPORT line: $%v, want $%v; %q", got, want, r.Warnings)
	}
	f.Results[0].Note = ""
	// No prices, no costs; the times stay, and a warning says so.
	f.Header.Backend, f.Header.Region = trial.AWS, "mars-north-1"
	r = New(f, Options{})
	if r.Priced || r.Rows[0].WarmCost.N != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "no costs") || len(r.Advice.Picks) != 1 {
		t.Errorf("priced %v, %+v, %q, %+v", r.Priced, r.Rows[0].WarmCost, r.Warnings, r.Advice)
	}
	f.Header.Region, f.Header.Network = "", "s3-express"
	if r := New(f, Options{}); r.Class != cost.Express || r.Rows[0].Cost.Retrieval == 0 {
		t.Errorf("%s: %+v", r.Class, r.Rows[0].Cost)
	}
	f.Header.Network, f.Header.Class = "", "express" // a directory bucket on AWS
	if r := New(f, Options{}); r.Class != cost.Express {
		t.Errorf("%s", r.Class)
	}
	if r := New(f, Options{Class: cost.Standard}); r.Class != cost.Standard || r.Rows[0].Cost.Retrieval != 0 {
		t.Errorf("%s, though asked for", r.Class)
	}
}

// The objects of a bucket that is somebody's own are known from the answers.
func TestUnknownCorpus(t *testing.T) {
	f := trial.File{Header: header(), Results: []trial.Result{usedBy{memory: 512, workers: 64, client: "lean", ms: 500, cpu: 100, p50: 20, p99: 100}.result(0)}}
	f.Header.Corpus, f.Header.Bytes = corpus.Spec{}, 0
	r := New(f, Options{})
	if r.Objects != 1000 || r.Bytes != 25_500_000 || r.Rows[0].ObjectsPerS != 2000 || r.Rows[0].Cost.S3Requests < 0.0004 {
		t.Errorf("%d objects, %d bytes, %+v", r.Objects, r.Bytes, r.Rows[0])
	}
}

func TestDriftIsSaid(t *testing.T) {
	f := trial.File{Header: header()}
	for i := range 20 {
		u := usedBy{memory: 512, workers: 64, client: "lean", ms: 500 + float64(i%5), cpu: 100, p50: 20, p99: 100}
		if i >= 10 {
			u.ms += 60
		}
		f.Results = append(f.Results, u.result(i))
	}
	if w := New(f, Options{}).Warnings; len(w) != 2 || !strings.Contains(w[0], "drift: warm runs changed by +12%") || !strings.Contains(w[1], "512 MB lean") {
		t.Errorf("%q", w)
	}
}

// What each format makes of the same example, hostile names and all.
func TestFormats(t *testing.T) {
	f := example()
	f.Results = append(f.Results, trial.Result{
		Contender: "=cmd|'/c calc'!A1 `x` | [y](javascript:z)\n| 1", MemoryMB: 512, Arch: "x86_64", Client: "\x1b[31m", Concurrency: 4,
		Start: trial.Warm, OK: true, DurationMS: 700, BilledMS: 700, MaxMemoryMB: 40,
	})
	r := New(f, Options{})
	for _, tc := range []struct {
		name  string
		write func(*bytes.Buffer) error
	}{
		{"report.md", func(b *bytes.Buffer) error { return Markdown(b, r) }},
		{"report.csv", func(b *bytes.Buffer) error { return CSV(b, r) }},
		{"report.bench", func(b *bytes.Buffer) error { return Benchfmt(b, r) }},
	} {
		var b bytes.Buffer
		if err := tc.write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, tc.name, b.Bytes())
		if bytes.ContainsAny(b.Bytes(), "\x1b\x07") {
			t.Errorf("%s: a control character from the results", tc.name)
		}
	}
	var b bytes.Buffer
	if err := CSV(&b, r); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != len(r.Rows)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, line := range lines[1:] {
		for _, text := range line {
			if strings.HasPrefix(text, "=") {
				t.Errorf("a formula: %q", text)
			}
		}
	}
	b.Reset()
	if err := Markdown(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if bars := strings.Count(line, "|") - strings.Count(line, `\|`); bars != 0 && bars != 14 {
			t.Errorf("%d cells in %s", bars-1, line)
		}
		if strings.Contains(line, "<script") {
			t.Errorf("an element: %s", line)
		}
	}
	b.Reset()
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || len(back.Rows) != len(r.Rows) || back.Rows[0].Warm.Median != r.Rows[0].Warm.Median {
		t.Errorf("%v", err)
	}
}

// benchstat's medians and intervals are ours: the real benchstat, pinned in
// go.mod as a tool.
func TestBenchstatAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	f := trial.File{Header: header()}
	for _, memory := range []int{128, 512, 1769} {
		for _, workers := range []int{4, 64} {
			u := usedBy{memory: memory, workers: workers, client: "lean", ms: 1e6 / float64(memory*workers) * 50, cpu: 50, p50: 20, p99: 100}
			f.Results = append(f.Results, sample(rng, u, 9, 0.1)...)
		}
	}
	f.Results[0].Contender, f.Results[1].Contender = "a b/c=d-8", "a b/c=d-8" // names that the format gives a meaning
	r := New(f, Options{})
	var b bytes.Buffer
	if err := Benchfmt(&b, r); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bench.txt")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "benchstat", "-format", "csv", "-row", "/contender,/memory,/workers", "-filter", ".unit:sec/op", path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go tool benchstat: %v\n%s", err, stderr.Bytes())
	}
	read := csv.NewReader(bytes.NewReader(out))
	read.FieldsPerRecord = -1
	lines, err := read.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, row := range r.Rows {
		key := fmt.Sprintf("%s %dMB %s", word(row.Contender), row.MemoryMB, row.Workers())
		i := slices.IndexFunc(lines, func(l []string) bool { return strings.Join(l[:min(3, len(l))], " ") == key || l[0] == key })
		if i < 0 {
			t.Errorf("benchstat has no %s:\n%s", key, out)
			continue
		}
		cells := slices.DeleteFunc(slices.Clone(lines[i]), func(s string) bool {
			return s == "" || strings.HasPrefix(s, "go") || strings.HasPrefix(s, "a_b") || strings.HasSuffix(s, "MB")
		})
		want := fmt.Sprintf("%.6g", row.Warm.Median/1000)
		interval := "∞"
		if row.Warm.HasInterval {
			interval = fmt.Sprintf("%.0f%%", row.Warm.Precision()*100)
		}
		if !slices.ContainsFunc(cells, func(s string) bool {
			var v float64
			_, err := fmt.Sscan(s, &v)
			return err == nil && fmt.Sprintf("%.6g", v) == want
		}) || !slices.Contains(cells, interval) {
			t.Errorf("%s: benchstat says %q, we say %s ±%s", key, lines[i], want, interval)
		}
		found++
	}
	if found != 7 {
		t.Errorf("%d settings", found)
	}
}

// The lines are in the format, and hold what they should.
func TestBenchfmtReads(t *testing.T) {
	var b bytes.Buffer
	if err := Benchfmt(&b, New(example(), Options{})); err != nil {
		t.Fatal(err)
	}
	n := 0
	for read := benchfmt.NewReader(&b, "x"); read.Scan(); n++ {
		res, ok := read.Result().(*benchfmt.Result)
		if !ok {
			t.Fatalf("%v", read.Result())
		}
		seconds, ok := res.Value("sec/op")
		if !ok || seconds <= 0 || benchunit.ClassOf("sec/op") != benchunit.Decimal || res.GetConfig("backend") != trial.Sandbox {
			t.Errorf("%s: %v, %v", res.Name, seconds, res.Config)
		}
	}
	if n != 10 { // 9 warm ones and a cold one went well
		t.Errorf("%d lines", n)
	}
}

// build is one synthetic run of a program: settings at several memories, times
// of each spread by 5%, as in a quiet sandbox. It has only what Compare looks at.
func build(rng *rand.Rand, n int, slower func(memory, workers int) float64) *Report {
	const sigma = 0.05
	r := &Report{Header: header()}
	for _, memory := range []int{128, 256, 512, 1024, 1769, 3008} {
		for _, workers := range []int{16, 64} {
			var ms []float64
			for _, res := range sample(rng, usedBy{ms: (200 + 3e5/float64(memory)) * slower(memory, workers)}, n, sigma) {
				ms = append(ms, res.DurationMS)
			}
			s := Setting{Key: trial.Key{Contender: "go", MemoryMB: memory, Arch: "x86_64", Client: "lean", Concurrency: workers}}
			r.Rows = append(r.Rows, Row{Setting: s, Warm: stats.Summarise(ms), Invocations: n})
		}
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
	base := usedBy{memory: 512, workers: 64, client: "lean", ms: 500, cpu: 100, p50: 20, p99: 100, maxMB: 30}
	run := func(n int, ms float64, failures int) *Report {
		u := base
		u.ms = ms
		f := trial.File{Header: header(), Results: sample(rand.New(rand.NewPCG(uint64(n), uint64(ms))), u, n, 0.01)}
		for i := range failures {
			u.failure = "Runtime.ExitError"
			f.Results = append(f.Results, u.result(n+i))
		}
		return New(f, Options{})
	}
	for _, tc := range []struct {
		name     string
		old, new *Report
		outcomes []Outcome
		message  string
	}{
		{"a tenth slower", run(8, 500, 0), run(8, 550, 0), []Outcome{Worse}, "got worse in 1 of 1 tests; first go x86_64 lean ×64 512 MB, warm ms +"},
		{"sure, but within the threshold", run(20, 500, 0), run(20, 515, 0), []Outcome{Same}, ""},
		{"faster", run(8, 500, 0), run(8, 400, 0), []Outcome{Better}, ""},
		{"twice as slow, in too few runs", run(3, 500, 0), run(3, 1000, 0), []Outcome{Same}, ""},
		{"it fails now", run(8, 500, 0), run(0, 500, 8), []Outcome{Worse}, "first go x86_64 lean ×64 512 MB, failures 8 of 8, from 0 of 8"},
		{"it fails now and then, as before", run(8, 500, 2), run(8, 500, 2), []Outcome{Same, Same}, ""},
		{"it no longer fails", run(0, 500, 8), run(8, 500, 0), []Outcome{Better}, ""},
		{"nothing measured any more", run(8, 500, 0), run(0, 500, 0), []Outcome{Removed}, ""},
		{"nothing measured before", run(0, 500, 0), run(8, 500, 0), []Outcome{Added}, ""},
	} {
		c := Compare(tc.old, tc.new, 0.05)
		var outcomes []Outcome
		for _, change := range c.Changes {
			outcomes = append(outcomes, change.Outcome)
		}
		err := c.Err()
		if !slices.Equal(outcomes, tc.outcomes) || (err == nil) != (tc.message == "") || err != nil && (!strings.Contains(err.Error(), tc.message) || !errors.Is(err, ErrWorse)) {
			t.Errorf("%s: %q, %v", tc.name, outcomes, err)
		}
		var text, markdown bytes.Buffer
		if errors.Join(c.Text(&text), c.Markdown(&markdown)) != nil || strings.Contains(text.String()+markdown.String(), "NaN") {
			t.Errorf("%s: %s%s", tc.name, &text, &markdown)
		}
	}
	if w := Compare(run(3, 500, 0), run(3, 500, 0), 0.05).Warnings; len(w) != 1 || !strings.Contains(w[0], "n below 4") {
		t.Errorf("few runs, and %q", w)
	}
}

func TestCompareFormats(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	old := build(rng, 8, alike)
	new := build(rng, 8, func(memory, _ int) float64 {
		return map[int]float64{512: 1.3, 128: 0.7}[memory] + map[bool]float64{true: 1}[memory != 512 && memory != 128]
	})
	new.Rows = new.Rows[:len(new.Rows)-1]
	new.Rows[0].Contender = "<b>|x\x1b"
	c := Compare(old, new, 0.05)
	var text, markdown bytes.Buffer
	if err := errors.Join(c.Text(&text), c.Markdown(&markdown)); err != nil {
		t.Fatal(err)
	}
	golden(t, "compare.txt", text.Bytes())
	golden(t, "compare.md", markdown.Bytes())
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
		{"another network", func(h *trial.Header) { h.Network = "none" }, "network: "},
		{"without limits", func(h *trial.Header) { h.Limits = lambda.ParseLimits("none: no permission") }, "limits: "},
		{"other objects", func(h *trial.Header) { h.Corpus.Seed++ }, "corpus: "},
		{"other sizes", func(h *trial.Header) { h.Plan.MemoriesMB = []int{128} }, "memories: [128 1769], [128]"},
		{"other clients", func(h *trial.Header) { h.Plan.Clients = []string{"lean"} }, "clients: "},
		{"another question", func(h *trial.Header) { h.Plan.Count = true }, "count: false, true"},
	} {
		new := header()
		tc.change(&new)
		err := Mismatch(header(), new)
		var mismatch *MismatchError
		if errors.As(err, &mismatch) != (tc.what != "") || err != nil && !strings.Contains(err.Error(), tc.what) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// Nothing in a result file can make a report fail, or reach a terminal raw.
func FuzzReport(f *testing.F) {
	f.Add("go", "lean", "OOM", 128, 64, 12.5, 3.5, 20.0, true)
	f.Add("<script>", "\x1b[2J", "", -5, 0, math.Inf(1), math.NaN(), -1.0, false)
	f.Fuzz(func(t *testing.T, contender, client, failure string, memory, workers int, ms, cpu, ttfb float64, ok bool) {
		file := example()
		u := usedBy{contender: contender, client: client, memory: memory, workers: workers, ms: ms, cpu: cpu, p50: ttfb, p99: ttfb * 5}
		res := u.result(0)
		res.OK, res.ErrorType, res.Error = ok, failure, failure
		file.Results = append(file.Results, res)
		r := New(file, Options{})
		var b bytes.Buffer
		for _, write := range []func() error{
			func() error { return Text(&b, r) }, func() error { return Markdown(&b, r) }, func() error { return CSV(&b, r) }, func() error { return Benchfmt(&b, r) },
			func() error { return HTML(&b, r) }, func() error { return Compare(r, r, 0.05).Text(&b) }, func() error { return Compare(r, r, 0.05).Markdown(&b) },
		} {
			if err := write(); err != nil {
				t.Error(err)
			}
		}
		if bytes.ContainsRune(b.Bytes(), 0x1b) {
			t.Error("an escape character reached the report")
		}
	})
}
