package report

import (
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
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
