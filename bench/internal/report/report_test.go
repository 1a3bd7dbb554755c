package report

import (
	"bytes"
	"flag"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
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

// example has every kind of row: sequential, concurrent, auto, cold, failed,
// and a contender that tells nothing of itself.
func example() trial.File {
	oom := result(128, 64, trial.Warm, 900)
	oom.OK, oom.ErrorType, oom.Error = false, "Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed"
	other := trial.Result{Contender: "<script>rust", MemoryMB: 512, Arch: "x86_64", Start: trial.Warm, OK: true, DurationMS: 2600, BilledMS: 2600, MaxMemoryMB: 33}
	late := other
	late.MemoryMB, late.OK, late.ErrorType, late.Error = 128, false, "Sandbox.Timedout", "Task timed out\x1b[31m after 3.00 seconds"
	return trial.File{
		Header: trial.Header{
			Backend: trial.Sandbox, Host: "Some CPU, 2 cores, linux/amd64", Network: "s3-standard", Limits: lambda.Limits{By: lambda.CgroupV1},
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

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, New(example(), Options{})); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.Bytes())
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a control character from the results reached the terminal")
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if utf8.RuneCountInString(line) > columns && !strings.HasPrefix(line, "failed:") {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
}

func TestUnlimitedIsSaid(t *testing.T) {
	f := example()
	f.Header.Limits = lambda.ParseLimits("none: no permission")
	var b bytes.Buffer
	if err := Text(&b, New(f, Options{})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "NOT LIMITED (none: no permission)") {
		t.Error(b.String())
	}
}

func TestRows(t *testing.T) {
	r := New(example(), Options{})
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

func TestSpeedupChart(t *testing.T) {
	var b bytes.Buffer
	if err := SpeedupChart(&b, New(example(), Options{})); err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[color.Color]int{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			colours[picture.At(x, y)]++
		}
	}
	// Sequential bars are drawn, concurrent ones too, and those are smaller.
	if grey, green := colours[sequentialColour], colours[concurrentColour]; green == 0 || grey < 4*green {
		t.Errorf("%d pixels of sequential bars, %d of concurrent ones", grey, green)
	}
	bare := example()
	bare.Results = bare.Results[1:3]
	if err := SpeedupChart(io.Discard, New(bare, Options{})); err == nil {
		t.Error("a picture without a baseline")
	}
}
