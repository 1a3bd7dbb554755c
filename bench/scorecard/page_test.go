package main

import (
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

func TestSplitRust(t *testing.T) {
	for _, tc := range []struct{ text, program, tests string }{
		{"fn a() {}\n\n#[cfg(test)]\nmod tests {}\n", "fn a() {}\n\n", "#[cfg(test)]\nmod tests {}\n"}, // as they are written
		{"fn a() {}\n", "fn a() {}\n", ""},                             // a file without tests
		{"// #[cfg(test)] is said\n", "// #[cfg(test)] is said\n", ""}, // no module
	} {
		if program, tests := splitRust(tc.text); program != tc.program || tests != tc.tests {
			t.Errorf("%q: %q and %q", tc.text, program, tests)
		}
	}
}

// What people wrote stays, and a page without it gets the place for it.
func TestNotes(t *testing.T) {
	for page, want := range map[string]string{
		"":                                  "\n## Notes\n",
		"# x\n\n## Notes\nwhy\n\n## More\n": "\n## Notes\nwhy\n\n## More\n",
	} {
		if got := notes(page); got != want {
			t.Errorf("%q: %q, want %q", page, got, want)
		}
	}
}

// A process that other clients read in, too, says nothing of this one's memory.
func TestColdMemory(t *testing.T) {
	result := func(client, start string, mb int, ok bool) trial.Result {
		return trial.Result{Contender: "go", Client: client, MemoryMB: 128, Concurrency: 64, Start: start, OK: ok, MaxMemoryMB: mb}
	}
	results := []trial.Result{
		result("lean", trial.Cold, 25, true), result("lean", trial.Cold, 27, true),
		result("lean", trial.Warm, 55, true),   // tuned has read there
		result("tuned", trial.Cold, 50, true),  // another client
		result("lean", trial.Cold, 128, false), // killed
	}
	if got := coldMemory(results, trial.Key{Contender: "go", Client: "lean", MemoryMB: 128, Concurrency: 64}); got != 27 {
		t.Errorf("%d MB, want 27", got)
	}
}

func TestPage(t *testing.T) {
	row := func(contender, client string, mb int, warm, cpu float64) report.Row {
		one := func(v float64) stats.Summary { return stats.Summarise([]float64{v}) }
		return report.Row{
			Setting: report.Setting{Key: trial.Key{Contender: contender, Client: client, MemoryMB: mb}},
			Warm:    one(warm), CPUPerObject: one(cpu), Init: one(10), MaxMemoryMB: 30,
		}
	}
	seconds := func(n int) took { return took{time.Duration(n) * time.Second, time.Second} }
	c := scorecard{
		jobs: 1, objects: 1000, cold: map[string]float64{"aws-sdk-s3": 500},
		rust:  implementation{clean: seconds(100), incremental: []took{seconds(9), seconds(7), seconds(8)}, arm64: []string{"a", "b"}},
		goSDK: implementation{clean: seconds(1), incremental: []took{seconds(1)}}, goLean: implementation{incremental: []took{seconds(1)}},
		rows: []report.Row{row("rust", "aws-sdk-s3", 128, 300, 200), row("go", "lean", 128, 200, 100), row("go", "tuned", 128, 400, 200)},
	}
	page := c.page()
	for what, want := range map[string]string{
		"the median build":                 "| 8.0 s (1.0 s) |",
		"steps counted from the commands":  "| steps to an arm64 package | 0 | 0 | 2 |",
		"a ratio above one":                "| 128 | go lean | 1.50 | 2.00 | 1.00 | – | 1.00 |",
		"a ratio below one, and its place": "Rust is ahead:\n\n- over go tuned in warm: at 128 MB\n",
		"build and first answer":           "| 100.5 s |",
		"what was published":               "Go 28,\nRust 28",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %q in\n%s", what, want, page)
		}
	}
}
