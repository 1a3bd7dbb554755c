package report

import (
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAdvice(t *testing.T) {
	base := reporttest.Used{Client: "lean", CPU: 100, P50: 20, P99: 100, List: 20, MaxMB: 30}
	at := func(memory, workers int, ms float64, n int) []trial.Result {
		u := base
		u.MemoryMB, u.Workers, u.MS = memory, workers, ms
		return reporttest.Sample(rand.New(rand.NewPCG(uint64(memory), uint64(workers))), u, n, 0.02)
	}
	broken := base
	broken.MemoryMB, broken.Workers, broken.Failure = 64, 64, "Runtime.ExitError"
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
			512, 512, 1769, []int{512, 1769}, "ahead of 3008 MB lean, 64 workers (n=10, p<0.001)", 128},
		{"only cost counts nearly",
			[][]trial.Result{at(128, 64, 4000, 10), at(512, 64, 900, 10), at(1769, 64, 850, 10)}, 0.01,
			512, 512, 1769, []int{512, 1769}, "ahead of 512 MB", 128},
		{"as fast: the cheaper one, and the tie is said",
			[][]trial.Result{at(1024, 64, 500, 10), at(1769, 64, 500, 10)}, 0.5,
			1024, 1024, 1024, []int{1024}, "1024 to 1769 MB tie (n=10, p=0.22): take 1024 MB, the cheapest", 1024},
		{"three that are alike",
			[][]trial.Result{at(1024, 64, 500, 10), at(1769, 64, 500, 10), at(3008, 64, 500, 10)}, 0.5,
			1024, 1024, 1024, []int{1024, 3008}, "1024 to 3008 MB tie (n=10, p=", 1024}, // the frontier is by medians
		{"one invocation each shows nothing",
			[][]trial.Result{at(512, 64, 1000, 1), at(1769, 64, 500, 1)}, 0.5,
			512, 1769, 1769, []int{512, 1769}, "but too few runs to be sure (n=1)", 512},
		{"what fails is not advised",
			[][]trial.Result{{broken.Result(0)}, at(1769, 64, 500, 6)}, 0.5,
			1769, 1769, 1769, []int{1769}, "the only setting without failures", 1769},
	} {
		f := trial.File{Header: reporttest.Header(), Results: slices.Concat(tc.results...)}
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
	nothing := New(trial.File{Header: reporttest.Header()}, Options{})
	if len(nothing.Advice.Picks) != 0 || nothing.Advice.SmallestMB != 0 {
		t.Errorf("advice from nothing: %+v", nothing.Advice)
	}
}

// made makes n results around ms for a setting, spread by sigma, all from one
// source of chance.
func made(rng *rand.Rand, u reporttest.Used, n int, sigma float64) []trial.Result {
	u.P50, u.P99 = 20, 100
	return reporttest.Sample(rng, u, n, sigma)
}

func pickOf(t *testing.T, r *Report, goal Goal) Pick {
	t.Helper()
	i := slices.IndexFunc(r.Advice.Picks, func(p Pick) bool { return p.Goal == goal })
	if i < 0 {
		t.Fatalf("no %s pick: %+v", goal, r.Advice)
	}
	return r.Advice.Picks[i]
}

// What is advised must not be contradicted by what stands beside it: of
// settings that tie the cheapest is taken, and S3's part of the cost, which no
// setting changes, has no say.
func TestHeadline(t *testing.T) {
	type size struct {
		mb int
		ms float64
	}
	for _, tc := range []struct {
		name     string
		sizes    []size
		sigma    float64
		balanced int
		fastest  int
		says     string
	}{
		{"three sizes that tie", []size{{128, 636}, {512, 605}, {1769, 540}}, 0.4, 128, 128, "128 to 1769 MB tie (n=6, p="},
		{"two of three tie", []size{{128, 5000}, {512, 605}, {1769, 590}}, 0.1, 512, 512, "512 to 1769 MB tie (n=6, p="},
		{"none tie: time is worth its money", []size{{128, 5000}, {512, 1200}, {1769, 340}}, 0.01, 1769, 1769, "ahead of 512 MB"},
		{"none tie: a little faster, for much more", []size{{128, 500}, {1769, 400}}, 0.01, 128, 1769, "ahead of 128 MB"},
		{"memory that makes no difference at all", []size{{512, 400}, {1024, 400}, {3008, 400}, {10240, 400}}, 0.05, 512, 512,
			"512 to 10240 MB tie"},
	} {
		rng := rand.New(rand.NewPCG(14, 14))
		f := trial.File{Header: reporttest.Header()}
		for _, s := range tc.sizes {
			f.Results = append(f.Results,
				made(rng, reporttest.Used{MemoryMB: s.mb, Workers: 64, Client: "lean", MS: s.ms, CPU: 60}, 6, tc.sigma)...)
		}
		r := New(f, Options{})
		balanced, fastest := pickOf(t, r, Balanced), pickOf(t, r, Fastest)
		if got := r.Rows[balanced.Row].MemoryMB; got != tc.balanced {
			t.Errorf("%s: balanced %d MB, want %d: %s", tc.name, got, tc.balanced, r.Certainty(balanced))
		}
		if got, says := r.Rows[fastest.Row].MemoryMB, r.Certainty(fastest); got != tc.fastest || !strings.Contains(says, tc.says) {
			t.Errorf("%s: fastest %d MB, want %d: %s", tc.name, got, tc.fastest, says)
		}
		for _, p := range r.Advice.Picks {
			for _, i := range p.Ties {
				if p.Goal != Cheapest && r.Rows[i].Cost.Settable() < r.Rows[p.Row].Cost.Settable() {
					t.Errorf("%s: %s is %d MB, and %d MB ties and is cheaper", tc.name, p.Goal, r.Rows[p.Row].MemoryMB, r.Rows[i].MemoryMB)
				}
			}
		}
	}
}

// A pick is never said to be ahead by less than nothing.
func TestNeverBehind(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 13))
		f := trial.File{Header: reporttest.Header()}
		for _, mb := range []int{128, 256, 512, 1769} {
			u := reporttest.Used{MemoryMB: mb, Workers: 64, Client: "lean", MS: 500, CPU: 60}
			f.Results = append(f.Results, made(rng, u, 1+int(seed%7), 0.05)...)
		}
		r := New(f, Options{})
		for _, p := range r.Advice.Picks {
			if says := r.Certainty(p); strings.Contains(says, "-") || p.RunnerUp == p.Row {
				t.Errorf("seed %d: %s: %s", seed, p.Goal, says)
			}
		}
	}
}

// A tie that another dominates is not on the frontier: as fast and dearer, as
// cheap and slower, or the same in both.
func TestDominatedTies(t *testing.T) {
	for _, tc := range []struct {
		name string
		all  []candidate
		want []int
	}{
		{"as fast, and dearer", []candidate{{row: 0, time: 500, cost: 1}, {row: 1, time: 500, cost: 2}}, []int{0}},
		{"as cheap, and slower", []candidate{{row: 0, time: 600, cost: 1}, {row: 1, time: 500, cost: 1}}, []int{1}},
		{"the same in both", []candidate{{row: 0, time: 500, cost: 1}, {row: 1, time: 500, cost: 1}}, []int{0}},
		{"a tie in the middle", []candidate{{row: 0, time: 900, cost: 1}, {row: 1, time: 500, cost: 2}, {row: 2, time: 500, cost: 3},
			{row: 3, time: 400, cost: 4}}, []int{0, 1, 3}},
		{"dearer and slower", []candidate{{row: 0, time: 500, cost: 1}, {row: 1, time: 600, cost: 2}}, []int{0}},
		{"each better in one", []candidate{{row: 0, time: 500, cost: 2}, {row: 1, time: 600, cost: 1}}, []int{1, 0}},
	} {
		if got := paretoFrontier(tc.all); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Sizes that had the CPU of this machine, and no more, are not told apart.
func TestClampedAlike(t *testing.T) {
	for _, tc := range []struct {
		name   string
		sizes  map[int]string // memory: limits
		pick   int
		notes  int
		marked []int
	}{
		{"two sizes clamped alike", map[int]string{8288: "cgroup-v1; clamped to 2 vCPU", 9308: "cgroup-v1; clamped to 2 vCPU"}, 8288, 1,
			[]int{8288, 9308}},
		{"a size that has as much without being clamped", map[int]string{3538: "cgroup-v2", 9308: "cgroup-v2; clamped to 2 vCPU"}, 3538,
			1, []int{9308}},
		{"three, one of which has less CPU",
			map[int]string{1769: "cgroup-v2", 8288: "cgroup-v2; clamped to 2 vCPU",
				9308: "cgroup-v2; clamped to 2 vCPU"}, 8288, 1, []int{8288, 9308}},
		{"one that is clamped: it stands, and is marked", map[int]string{1769: "cgroup-v2", 9308: "cgroup-v2; clamped to 2 vCPU"}, 9308,
			0, []int{9308}},
		{"not clamped", map[int]string{1769: "cgroup-v2", 3008: "cgroup-v2"}, 3008, 0, nil},
		{"half a CPU", map[int]string{1024: "cgroup-v2; clamped to 0.5 vCPU", 1769: "cgroup-v2; clamped to 0.5 vCPU"}, 1024, 1,
			[]int{1024, 1769}},
	} {
		rng := rand.New(rand.NewPCG(12, 12))
		f := trial.File{Header: reporttest.Header()}
		for mb, limits := range tc.sizes {
			// The larger, the faster, as chance has it.
			u := reporttest.Used{MemoryMB: mb, Workers: 64, Client: "lean", MS: 1e6 / float64(mb), CPU: 60, Limits: limits}
			f.Results = append(f.Results, made(rng, u, 6, 0.001)...)
		}
		r := New(f, Options{})
		if got := r.Rows[pickOf(t, r, Fastest).Row].MemoryMB; got != tc.pick || len(r.Advice.Notes) != tc.notes {
			t.Errorf("%s: fastest %d MB, want %d; notes %q", tc.name, got, tc.pick, r.Advice.Notes)
		}
		var marked []int
		for _, row := range r.Rows {
			if row.LimitsMark() != "" {
				marked = append(marked, row.MemoryMB)
			}
		}
		if !slices.Equal(marked, tc.marked) {
			t.Errorf("%s: %v are marked, want %v", tc.name, marked, tc.marked)
		}
	}
}

// Without limits no memory size is advised, whether the run says so or its
// lines do.
func TestNoLimitsNoAdvice(t *testing.T) {
	for name, change := range map[string]func(*trial.File){
		"the header says so": func(f *trial.File) { f.Header.Limits = lambda.ParseLimits("none: no permission") },
		"the lines say so": func(f *trial.File) {
			for i := range f.Results {
				f.Results[i].Limits = lambda.ParseLimits("none")
			}
		},
		"one line of each setting says so": func(f *trial.File) {
			f.Results[0].Limits, f.Results[6].Limits = lambda.ParseLimits("none: it was gone"), lambda.ParseLimits("none")
		},
	} {
		rng := rand.New(rand.NewPCG(12, 13))
		f := trial.File{Header: reporttest.Header()}
		for _, mb := range []int{128, 1769} {
			f.Results = append(f.Results,
				made(rng, reporttest.Used{MemoryMB: mb, Workers: 64, Client: "lean", MS: 400, CPU: 60}, 6, 0.01)...)
		}
		change(&f)
		a := New(f, Options{}).Advice
		if len(a.Picks) > 0 || len(a.Frontier) > 0 || a.SmallestMB != 0 || !strings.Contains(a.Missing, "not limited") ||
			!strings.Contains(a.Missing, "sudo") {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Whoever switched the limits off is not told to become root.
func TestLimitsSwitchedOff(t *testing.T) {
	f := trial.File{Header: reporttest.Header(),
		Results: []trial.Result{reporttest.Used{MemoryMB: 128, Workers: 64, Client: "lean", MS: 400}.Result(0)}}
	f.Header.Limits = lambda.ParseLimits("none: switched off")
	if why := New(f, Options{}).Advice.Missing; !strings.Contains(why, "--no-limits") || strings.Contains(why, "sudo") {
		t.Error(why)
	}
}

// One client's failures do not hide that another is fine.
func TestSmallestMemory(t *testing.T) {
	at := func(contender, client string, mb int, failure string) trial.Result {
		return reporttest.Used{Contender: contender, Client: client, MemoryMB: mb, Workers: 64, MS: 400, CPU: 60, P50: 20, P99: 100,
			Failure: failure}.Result(0)
	}
	for _, tc := range []struct {
		name    string
		results []trial.Result
		want    string
		least   int
	}{
		{"all alike", []trial.Result{at("go", "lean", 128, ""), at("go", "stock", 128, "")}, "128 MB", 128},
		{"another contender answers wrong",
			[]trial.Result{at("go", "lean", 128, ""), at("rust", "x", 128, trial.WrongAnswer),
				at("rust", "x", 512, "")}, "go lean 128 MB, rust x 512 MB", 128},
		{"another client has too little memory",
			[]trial.Result{at("go", "lean", 128, ""), at("go", "stock", 128, "Runtime.ExitError"),
				at("go", "stock", 256, "")}, "lean 128 MB, stock 256 MB", 128},
		{"one fails everywhere", []trial.Result{at("go", "lean", 128, ""), at("go", "stock", 128, "X"), at("go", "stock", 256, "X")},
			"lean 128 MB, stock none", 128},
		{"all fail everywhere", []trial.Result{at("go", "lean", 128, "X")}, "none", 0},
		{"nothing", nil, "", 0},
	} {
		r := New(trial.File{Header: reporttest.Header(), Results: tc.results}, Options{})
		if got := r.SmallestMemory(); got != tc.want || r.Advice.SmallestMB != tc.least {
			t.Errorf("%s: %q, %d MB; want %q, %d MB", tc.name, got, r.Advice.SmallestMB, tc.want, tc.least)
		}
	}
}

func TestOnlySetting(t *testing.T) {
	one := reporttest.Used{Client: "lean", MemoryMB: 128, Workers: 64, MS: 400, CPU: 60, P50: 20, P99: 100}
	other := one
	other.MemoryMB, other.Failure = 256, "X"
	for _, tc := range []struct {
		name    string
		results []trial.Result
		want    string
	}{
		{"one is measured", []trial.Result{one.Result(0)}, "the only setting measured"},
		{"the other fails", []trial.Result{one.Result(0), other.Result(1)}, "the only setting without failures"},
	} {
		r := New(trial.File{Header: reporttest.Header(), Results: tc.results}, Options{})
		if got := r.Certainty(r.Advice.Picks[0]); got != tc.want {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
}
