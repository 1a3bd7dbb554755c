package report_test

import (
	"math"
	"testing"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/scan"
	"fanout/functions/lambda"
)

// What held a scan, from its parts and samples.
func TestScanLimit(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*scan.File)
		want   string
	}{
		{"7.4 of 8 batches at once, which mostly wait", func(*scan.File) {}, "max concurrency"},
		{"20,000 retries of a million GETs are 2%", func(f *scan.File) { f.Summary.Retries = 20_000 }, "GET rate of a prefix"},
		// 1,020 s of 0.2894 vCPU are 295 s
		{"240 s of CPU are 81% of it", func(f *scan.File) { f.Summary.CPUMS = 240_000 }, "CPU"},
		{"230 s are 78%", func(f *scan.File) { f.Summary.CPUMS = 230_000 }, "max concurrency"},
		{"clamped to 0.14 vCPU, 118 s are 83%", func(f *scan.File) { f.Header.Limits.VCPU = 0.14 }, "CPU"},
		{"nothing limited: no share", func(f *scan.File) {
			f.Header.Limits = lambda.Limits{By: lambda.Unlimited}
			f.Summary.CPUMS = 240_000
		}, "max concurrency"},
		// 78.125 MB/s × 1,020 s = 79.7 GB
		{"65 GB are 82% of the bandwidth", func(f *scan.File) { f.Summary.Bytes = 65e9 }, "bandwidth"},
		{"the same without a modelled network", func(f *scan.File) { f.Summary.Bytes, f.Header.Network = 65e9, "none" }, "max concurrency"},
		{"as many as the service allows, listed for 40 of 140 s", func(f *scan.File) { f.Header.Input.Concurrency = 0 }, ""},
		{"listed for 120 of 140 s", func(f *scan.File) {
			f.Header.Input.Concurrency = 0
			for i, s := range f.Samples {
				if s.At.Sub(f.Samples[0].At) < 120*time.Second {
					f.Samples[i].Phase = scan.Listing
				}
			}
		}, "listing"},
		{"no summary", func(f *scan.File) { f.Summary = nil }, ""},
	} {
		f := reporttest.Scan()
		tc.change(&f)
		if got := report.NewScan(f).Limit; got.Name != tc.want || got.Why == "" {
			t.Errorf("%s: %+v, want %q", tc.name, got, tc.want)
		}
	}
}

func TestScanFigures(t *testing.T) {
	r := report.NewScan(reporttest.Scan())
	// 10^6 objects in 138 s by 1,020 s of functions
	if r.Read != 1e6 || r.Unread() != 0 || math.Abs(r.ObjectsPerS-7246.4) > 0.1 || math.Abs(r.AtOnce-7.39) > 0.01 || r.Seconds != 138 {
		t.Errorf("%+v", r)
	}
	want := map[string]float64{scan.Listing: 40, scan.Reading: 100, scan.Merging: 2}
	for _, p := range r.Phases {
		if p.Seconds != want[p.Name] {
			t.Errorf("%s: %v s, want %v", p.Name, p.Seconds, want[p.Name])
		}
	}
	if r.Redrive() != "" || !r.Complete() || len(r.Warnings) != 0 {
		t.Errorf("%q, %q", r.Redrive(), r.Warnings)
	}
	// Without a summary, what the samples say: they end at 80 s.
	r = report.NewScan(reporttest.Running())
	if r.Seconds != 80 || r.Read == 0 || len(r.Moments) != 8 || r.Complete() || r.Ending() == "" {
		t.Errorf("%+v", r)
	}
	r = report.NewScan(reporttest.Incomplete())
	if r.Unread() != 2042 || len(r.Failures().Rows) != 3 || r.Redrive() == "" {
		t.Errorf("%+v", r)
	}
}
