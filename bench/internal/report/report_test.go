package report

import (
	"fanout/bench/internal/cost"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"math"
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
		f.Results = append(f.Results, reporttest.Used{MemoryMB: 1024, Workers: 64, Client: "lean", MS: ms, CPU: 1, P50: 20, P99: 100}.Result(i))
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
	f := trial.File{Header: reporttest.Header(), Results: []trial.Result{reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500, CPU: 100, P50: 20, P99: 100}.Result(0)}}
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
	if w := New(f, Options{}).Warnings; len(w) != 2 || !strings.Contains(w[0], "drift: warm runs changed by +12%") || !strings.Contains(w[1], "512 MB lean") {
		t.Errorf("%q", w)
	}
}
