package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

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

// row is at 128 MB.
func row(contender, client string, warm, cpu float64) report.Row {
	one := func(v float64) stats.Summary { return stats.Summarise([]float64{v}) }
	return report.Row{
		Setting: report.Setting{Key: trial.Key{Contender: contender, Client: client, MemoryMB: 128}},
		Warm:    one(warm), CPUPerObject: one(cpu), Init: one(10), Cold: one(500), MaxMemoryMB: 30,
	}
}

func seconds(n int) took { return took{time.Duration(n) * time.Second, time.Second} }

// example has Go's two columns, Rust's and Python's, and a language that is not
// there.
func example() scorecard {
	c := scorecard{jobs: 1, objects: 1000, command: "bin/fanout run", absent: []absent{{"C++", "functions/cpp is not there"}}}
	for _, l := range languages("/repo", 1) {
		of := map[string][]implementation{
			"go": {
				{clean: seconds(1), incremental: []took{seconds(1)}, lint: notMeasured},
				{handler: code{lines: 7, functions: 3, middle: 2, worst: 9}, incremental: []took{seconds(1)}},
			},
			"rust":   {{clean: seconds(100), incremental: []took{seconds(9), seconds(7), seconds(8)}}},
			"python": {{clean: seconds(3), incremental: []took{seconds(2)}}},
		}[l.contender]
		if of != nil {
			c.languages = append(c.languages, measured{l, "1.2", of})
		}
	}
	failed := row("python", "tuned", 0, 0)
	failed.Warm, failed.CPUPerObject, failed.Cold = stats.Summary{}, stats.Summary{}, stats.Summary{}
	failed.MaxMemoryMB, failed.Failed, failed.Failures = 0, 5, []report.Failure{{Name: "Runtime.OutOfMemory", Count: 5}}
	c.rows = []report.Row{
		failed, row("rust", "aws-sdk-s3", 300, 200), row("python", "lean", 100, 150), row("go", "lean", 200, 100),
		row("go", "tuned", 400, 200),
	}
	return c
}

func TestPage(t *testing.T) {
	c := example()
	page := c.page()
	for what, want := range map[string]string{
		"a column for each variant":             "|  | Go, SDK | Go, lean | Rust | Python |",
		"the median build":                      "| 1.0 s (1.0 s) | 1.0 s (1.0 s) | 8.0 s (1.0 s) | 2.0 s (1.0 s) |",
		"steps counted from the commands":       "| steps to an arm64 package | 1 | 1 | 3 | 1 |",
		"what lizard counted, and where it did": "| complexity of a function, most | – | 9 | – | – |",
		"a linter that is not there":            "| lint findings | – | 0 | 0 | 0 |",
		"a ratio above one":                     "| 128 | rust aws-sdk-s3 | 1.50 | 2.00 | 1.00 | 1.00 | 1.00 |",
		"a ratio below one":                     "| 128 | python lean | 0.50 | 1.50 |",
		"the leader of the own clients":         "Own clients:\n\n- warm: python lean at 128 MB\n- CPU per object: go lean at 128 MB\n",
		"the leaders of the SDKs, which tie":    "- CPU per object: go tuned at 128 MB (rust aws-sdk-s3)\n",
		"a setting that fails is a row":         "| 128 | python tuned | 0 | – | – |",
		"with its reason":                       "| 5 | Runtime.OutOfMemory |",
		"build and first answer":                "| 100.5 s |",
		"what was published":                    "Go 28, Rust 28",
		"what is missing, by name":              "- **C++** is not measured: functions/cpp is not there.\n",
		"the versions":                          "Go 1.2, Rust 1.2, Python 1.2",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %q in\n%s", what, want, page)
		}
	}
	// Rows stand by memory, and then as the languages do.
	var order []string
	for _, r := range c.ordered() {
		order = append(order, name(r))
	}
	if want := []string{"go lean", "go tuned", "rust aws-sdk-s3", "python tuned", "python lean"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
}

// A column of reasons is there only if something failed.
func TestNothingFailed(t *testing.T) {
	c := example()
	c.rows = c.rows[1:]
	if page := c.page(); !strings.Contains(page, "| max MB, cold | failed |\n") {
		t.Errorf("reasons, and nothing failed:\n%s", page)
	}
}
