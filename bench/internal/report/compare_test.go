package report

import (
	"errors"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
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
	}
	if w := Compare(run(3, 500, 0), run(3, 500, 0), 0.05).Warnings; len(w) != 1 || !strings.Contains(w[0], "n below 4") {
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
		{"another network", func(h *trial.Header) { h.Network = "none" }, "network: "},
		{"without limits", func(h *trial.Header) { h.Limits = lambda.ParseLimits("none: no permission") }, "limits: "},
		{"other objects", func(h *trial.Header) { h.Corpus.Seed++ }, "corpus: "},
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
		row := Row{Setting: Setting{Key: trial.Key{Contender: "go", MemoryMB: 512, Arch: "x86_64", Client: "lean", Concurrency: 64}}, Invocations: n, Failed: failed}
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
