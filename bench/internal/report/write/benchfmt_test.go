package write

import (
	"bytes"
	"encoding/csv"
	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchunit"
)

// benchstat's medians and intervals are ours: the real benchstat, pinned in
// go.mod as a tool.
func TestBenchstatAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	f := trial.File{Header: reporttest.Header()}
	for _, memory := range []int{128, 512, 1769} {
		for _, workers := range []int{4, 64} {
			u := reporttest.Used{MemoryMB: memory, Workers: workers, Client: "lean", MS: 1e6 / float64(memory*workers) * 50, CPU: 50,
				P50: 20, P99: 100}
			f.Results = append(f.Results, reporttest.Sample(rng, u, 9, 0.1)...)
		}
	}
	f.Results[0].Contender, f.Results[1].Contender = "a b/c=d-8", "a b/c=d-8" // names that the format gives a meaning
	r := report.New(f, report.Options{})
	var b bytes.Buffer
	if err := Benchfmt(&b, r); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bench.txt")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "benchstat", "-format", "csv", "-row", "/contender,/memory,/workers",
		"-filter", ".unit:sec/op", path)
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
	if err := Benchfmt(&b, report.New(reporttest.Example(), report.Options{})); err != nil {
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
