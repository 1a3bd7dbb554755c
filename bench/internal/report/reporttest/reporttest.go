// Package reporttest has result files for the tests of report and of the
// packages that write one.
package reporttest

import (
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

func result(memory, workers int, start string, ms float64) trial.Result {
	cpu := ms / 4
	r := trial.Result{
		Contender: "go", MemoryMB: memory, Arch: "x86_64", Client: "tuned", Concurrency: workers, Start: start,
		OK: true, DurationMS: ms, BilledMS: math.Ceil(ms), MaxMemoryMB: 40 + workers/4, ProcessMS: &cpu,
		Stats: &fetch.Stats{Concurrency: max(workers, 32)},
	}
	p50, p99 := 20.0, 100.0
	r.Stats.Objects, r.Stats.Bytes, r.Stats.TTFBP50MS, r.Stats.TTFBP99MS, r.Stats.ListMS = 1000, 25_500_000, &p50, &p99, 25
	if start == trial.Cold {
		r.InitMS, r.BilledMS = 50, r.BilledMS+50
	}
	return r
}

// Example has every kind of row: sequential, concurrent, auto, cold, failed,
// and a contender that tells nothing of itself.
func Example() trial.File {
	oom := result(128, 64, trial.Warm, 900)
	oom.OK, oom.ErrorType, oom.Error = false, "Runtime.OutOfMemory", "RequestId: 1 Error: Runtime exited with error: signal: killed"
	other := trial.Result{Contender: "<script>rust", MemoryMB: 512, Arch: "x86_64", Start: trial.Warm, OK: true, DurationMS: 2600,
		BilledMS: 2600, MaxMemoryMB: 33}
	late := other
	late.MemoryMB, late.OK, late.ErrorType, late.Error = 128, false, "Sandbox.Timedout", "Task timed out\x1b[31m after 3.00 seconds"
	return trial.File{
		Header: trial.Header{
			Backend: trial.Sandbox, Host: "Some CPU, 2 cores, " +
				"linux/amd64", Network: "s3-standard", Limits: lambda.Limits{By: lambda.CgroupV1},
			Corpus: corpus.Default(), Bytes: 25_500_000, At: time.Unix(0, 0).UTC(),
		},
		Results: []trial.Result{
			result(128, 1, trial.Warm, 34210.4), result(128, 64, trial.Cold, 3000),
			result(128, 64, trial.Warm, 2810), result(128, 64, trial.Warm, 2790), result(128, 64, trial.Warm, 2990), oom,
			result(1769, 1, trial.Warm, 21000), result(1769, 64, trial.Warm, 470), result(1769, 64, trial.Warm, 480),
			result(1769, trial.Auto, trial.Warm, 44.25), other, late,
		},
	}
}

// Hostile is what names in a results file may hold: an element, ends of an
// attribute, a script, a style and a title, a link, what turns text round, and
// the characters that pictures mark titles with.
const Hostile = `<script>alert(1)</script>"' onload=alert(1) x='  </style></title></svg>` +
	`<img src=http://x.invalid/>\u0022;alert(1)//{{.}}` + "\u202e\ue0000\ue001\x1b[31m]]>"

// AWS makes results as of Lambda: two contenders, two architectures, and
// Hostile in every text that a file can hold.
func AWS() trial.File {
	rng := rand.New(rand.NewPCG(6, 2))
	f := trial.File{Header: trial.Header{
		Version: "v1", Run: "20261124T120000.000Z", Backend: trial.AWS, Region: "us-east-1", Prices: "2026-11-24",
		Corpus: corpus.Default(), Bytes: 25_500_000, At: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Plan: trial.Plan{
			MemoriesMB: []int{128, 512, 1024, 1769, 3008}, Architectures: []string{"x86_64", "arm64"}, Clients: []string{"lean"},
			Concurrencies: []int{1, 16, 64, trial.Auto}, Contenders: []string{"go",
				"rust"}, Invocations: 12, Cold: 3, Sequential: 1, Seed: 1,
		},
	}}
	at := f.Header.At
	for _, contender := range []string{"go", "rust"} {
		for _, arch := range f.Header.Plan.Architectures {
			for _, memory := range f.Header.Plan.MemoriesMB {
				for _, workers := range f.Header.Plan.Concurrencies {
					starts := slices.Concat(slices.Repeat([]string{trial.Cold}, 3), slices.Repeat([]string{trial.Warm}, 12))
					if workers == 1 {
						starts = []string{trial.Warm}
					}
					for i, start := range starts {
						asked := workers
						chosen := asked
						if asked == trial.Auto {
							chosen = 128
						}
						cpu := 95.0
						if contender == "rust" {
							cpu = 70
						}
						if arch == "arm64" {
							cpu *= 1.15
						}
						wait := 30 + math.Ceil(1000/float64(chosen))*26
						ms := max(wait, 375, cpu/min(float64(memory)/1769, 2)) * math.Exp(rng.NormFloat64()*0.05)
						p50, p99 := 20.0, 100.0
						r := trial.Result{
							Contender: contender, Function: "fanout-" + contender, MemoryMB: memory, Arch: arch,
							Client: "lean", Concurrency: asked, Start: start, Seq: i,
							OK: true, DurationMS: math.Round(ms*100) / 100, MaxMemoryMB: 24 + chosen/8,
							Stats: &fetch.Stats{Objects: 1000, Bytes: 25_500_000, CPUMS: cpu, ListMS: 30, TTFBP50MS: &p50,
								TTFBP99MS: &p99, Concurrency: chosen},
							At: at,
						}
						at = at.Add(time.Second)
						if start == trial.Cold {
							r.InitMS = 45 + 10*rng.Float64()
							r.DurationMS += 60
						}
						r.BilledMS = math.Ceil(r.DurationMS + r.InitMS)
						f.Results = append(f.Results, r)
					}
				}
			}
		}
	}
	return f
}

// poisoned is aws with Hostile text in all that holds text.
func Poisoned() trial.File {
	f := AWS()
	h := &f.Header
	for _, text := range []*string{&h.Version, &h.Run, &h.Host, &h.Network, &h.Limits.By, &h.Limits.Reason, &h.Prices, &h.Corpus.Prefix,
		&h.Corpus.Needle} {
		*text = Hostile
	}
	h.Backend = trial.Sandbox // which shows most of them
	h.Plan.Contenders, h.Plan.Architectures, h.Plan.Clients = []string{Hostile}, []string{Hostile}, []string{Hostile}
	for i := range f.Results {
		r := &f.Results[i]
		switch {
		case r.Contender == "rust":
			r.Contender, r.Client, r.Function = Hostile, Hostile+"2", Hostile
		case r.MemoryMB == 128 && r.Concurrency == 64:
			r.OK, r.ErrorType, r.Error, r.Stats = false, Hostile, Hostile, nil
		}
		r.Host, r.Run, r.Note, r.Limits.By = Hostile, Hostile, Hostile, Hostile
	}
	return f
}

// Used is what one synthetic invocation used.
type Used struct {
	MemoryMB, Workers         int
	MS, CPU, P50, P99, List   float64
	Retries, MaxMB            int
	Client, Contender, Limits string
	Failure                   string
}

// Result is the invocation that is sent i seconds after the first.
func (u Used) Result(i int) trial.Result {
	r := trial.Result{
		Contender: u.Contender, MemoryMB: u.MemoryMB, Arch: "x86_64", Client: u.Client, Concurrency: u.Workers, Start: trial.Warm, Seq: i,
		OK: true, DurationMS: u.MS, BilledMS: math.Ceil(u.MS), MaxMemoryMB: u.MaxMB, ProcessMS: &u.CPU,
		Limits: lambda.ParseLimits(u.Limits),
		Stats: &fetch.Stats{
			Objects: 1000, Bytes: 25_500_000, Retries: u.Retries, ListMS: u.List,
			TTFBP50MS: &u.P50, TTFBP99MS: &u.P99, Concurrency: u.Workers,
		},
		At: time.Unix(int64(i), 0).UTC(),
	}
	if r.Contender == "" {
		r.Contender = "go"
	}
	if u.Failure != "" {
		r.OK, r.ErrorType, r.Error, r.Stats = false, u.Failure, "signal: killed", nil
	}
	return r
}

// Header is a sandbox run's.
func Header() trial.Header {
	return trial.Header{
		Backend: trial.Sandbox, Host: "Some CPU, 2 cores, linux/amd64", Network: "s3-standard", Limits: lambda.Limits{By: lambda.CgroupV1},
		Corpus: corpus.Default(), Bytes: 25_500_000, At: time.Unix(0, 0).UTC(),
		Plan: trial.Plan{MemoriesMB: []int{128, 1769}, Architectures: []string{"x86_64"}, Clients: []string{"stock"},
			Concurrencies: []int{4, 64}, Contenders: []string{"go"}},
	}
}

// Sample makes n results around ms, spread by a lognormal of that sigma.
func Sample(rng *rand.Rand, u Used, n int, sigma float64) []trial.Result {
	var all []trial.Result
	median := u.MS
	for i := range n {
		u.MS = math.Round(median*math.Exp(rng.NormFloat64()*sigma)*100) / 100
		all = append(all, u.Result(i))
	}
	return all
}

// Languages has made-up times of six contenders with twelve clients at four
// memory sizes; at 128 MB, java runs out of memory.
func Languages() trial.File {
	rng := rand.New(rand.NewPCG(16, 12))
	f := trial.File{Header: Header(), End: trial.End{Reason: trial.Complete}}
	f.Header.Plan.MemoriesMB, f.Header.Plan.Concurrencies = []int{128, 512, 1769, 3008}, []int{64}
	f.Header.Plan.Clients = []string{"lean", "tuned", "stock"}
	f.Header.Plan.Contenders = []string{"go", "rust", "python", "node", "cpp", "java"}
	for _, memory := range f.Header.Plan.MemoriesMB {
		for i, who := range []struct {
			contender, client string
			cpu, init         float64 // ms of 1,000 objects, and of a start
			maxMB             int
		}{
			{"go", "lean", 80, 70, 22}, {"go", "tuned", 250, 80, 40}, {"go", "stock", 350, 90, 41}, {"rust", "aws-sdk-s3", 190, 180, 20},
			{"python", "lean", 200, 150, 45}, {"python", "tuned", 3000, 700, 90}, {"node", "lean", 290, 160, 80},
			{"node", "tuned", 3400, 500, 120}, {"cpp", "lean", 70, 30, 12}, {"cpp", "crt", 230, 60, 25}, {"java", "lean", 600, 600, 110},
			{"java", "tuned", 3100, 1500, 127},
		} {
			u := Used{
				Contender: who.contender, Client: who.client, MemoryMB: memory, Workers: 64, CPU: who.cpu, P50: 20, P99: 100, List: 25,
				MaxMB: who.maxMB, MS: max(who.cpu/min(float64(memory)/1769, 1.6), 380+float64(i)),
			}
			if who.contender == "java" && memory == 128 {
				u.Failure = "Runtime.OutOfMemory"
			}
			f.Results = append(f.Results, Sample(rng, u, 6, 0.05)...)
			for k := range 3 {
				cold := u.Result(k)
				cold.Start, cold.InitMS, cold.DurationMS = trial.Cold, who.init, u.MS*1.5
				cold.BilledMS = math.Ceil(cold.InitMS + cold.DurationMS)
				f.Results = append(f.Results, cold)
			}
		}
	}
	return f
}

// Build is one synthetic run of a program, n warm invocations of each of twelve
// settings, in the order of a report: times of each are spread by 5%, as in a
// quiet sandbox, and multiplied by what slower says of its setting.
func Build(rng *rand.Rand, n int, slower func(memoryMB, workers int) float64) []trial.Result {
	const sigma = 0.05
	var all []trial.Result
	for _, memory := range []int{128, 256, 512, 1024, 1769, 3008} {
		for _, workers := range []int{16, 64} {
			u := Used{MemoryMB: memory, Workers: workers, Client: "lean", MS: (200 + 3e5/float64(memory)) * slower(memory, workers)}
			all = append(all, Sample(rng, u, n, sigma)...)
		}
	}
	return all
}

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden compares what a test got with testdata/NAME; go test -update rewrites
// it.
func Golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update rewrites it); got:\n%s", path, got)
	}
}

// OneEvent is an event of the caller's own.
var OneEvent = []trial.EventInfo{{Name: "order.json", Weight: 1, Bytes: 7}}

// Own has one function of the caller's own at one memory size, with these
// durations and CPU times in ms.
func Own(memoryMB int, events []trial.EventInfo, used ...[2]float64) trial.File {
	h := Header()
	h.Plan.Events, h.Plan.Expect = events, trial.ExpectFirst
	h.Plan.Clients, h.Plan.Concurrencies, h.Plan.Contenders = nil, nil, []string{"mine"}
	h.Corpus, h.Bytes = corpus.Spec{}, 0
	f := trial.File{Header: h, End: trial.End{Reason: trial.Complete}}
	for i, u := range used {
		f.Results = append(f.Results, trial.Result{
			Run: h.Run, Backend: h.Backend, Contender: "mine", MemoryMB: memoryMB, Arch: lambda.X86, Start: trial.Warm, Seq: i, OK: true,
			DurationMS: u[0], BilledMS: u[0], MaxMemoryMB: 50, ProcessMS: &used[i][1], Limits: h.Limits,
			Runtime: "python3.13", RanBy: "Python 3.11.7, awslambdaric 4.2.2", At: time.Unix(int64(i), 0),
		})
	}
	return f
}
