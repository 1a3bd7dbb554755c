package report

import (
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Figures near those that make bench has shown: see docs/statistics.md.
func TestVerdict(t *testing.T) {
	// The first bytes' own time, as a setting with CPU to spare sees it.
	calm := reporttest.Used{MemoryMB: 1769, Workers: 4, Client: "lean", MS: 6900, CPU: 110, P50: 21, P99: 110, List: 30, MaxMB: 24}
	for _, tc := range []struct {
		name    string
		of      reporttest.Used
		network string
		kind    Kind
		short   string
		figure  string
		helps   string
	}{
		{"stock at 128 MB", reporttest.Used{MemoryMB: 128, Workers: 64, Client: "stock", MS: 5150, CPU: 365, P50: 180, P99: 1000,
			List: 170, MaxMB: 46}, "s3-standard",
			CPUBound, "CPU 98%", "98% of its CPU share", "256 MB: about 2.0× as fast, compute at the same price"},
		{"lean at 1,769 MB, few workers", calm, "s3-standard",
			LatencyBound, "latency 98%", "98% of the time 4 in flight wait for first bytes of 27 ms", "more workers; 128 MB would be " +
				"as fast and cheaper"},
		{"short of CPU, but waiting as well: more memory is of little use",
			reporttest.Used{MemoryMB: 128, Workers: 4, Client: "stock", MS: 7000, CPU: 500, P50: 23, P99: 101, List: 150,
				MaxMB: 45}, "s3-standard",
			CPUBound, "CPU 99%", "99% of its CPU share", "more memory alone will not help much"},
		{"as many workers as objects", reporttest.Used{MemoryMB: 1769, Workers: 1000, Client: "lean", MS: 60, CPU: 10, P50: 20,
			P99: 100, List: 25, MaxMB: 60}, "none",
			LatencyBound, "latency 84%", "1000 in flight", "S3 Express One Zone"},
		{"bytes at the ceiling", reporttest.Used{MemoryMB: 1769, Workers: 64, Client: "lean", MS: 380, CPU: 120, P50: 10, P99: 20,
			List: 10, MaxMB: 30}, "s3-standard",
			NetworkBound, "network 86%", "86% of 625 Mbit/s", "fewer bytes"},
		{"network none has no ceiling", reporttest.Used{MemoryMB: 1769, Workers: 64, Client: "lean", MS: 380, CPU: 120, P50: 10,
			P99: 20, List: 10, MaxMB: 30}, "none",
			Mixed, "mixed", "CPU 32%, latency 47%", ""},
		{"peak memory near the limit", reporttest.Used{MemoryMB: 128, Workers: 512, Client: "stock", MS: 5000, CPU: 350, P50: 20,
			P99: 100, List: 100, MaxMB: 122}, "s3-standard",
			MemoryBound, "memory 95%", "peak 122 of 128 MB", "fewer workers"},
		{"GETs tried again", reporttest.Used{MemoryMB: 1769, Workers: 512, Client: "lean", MS: 900, CPU: 300, P50: 20, P99: 100,
			List: 30, Retries: 61, MaxMB: 40}, "s3-standard",
			RequestLimited, "retries 6%", "6.1% of the GETs were retried", "more prefixes"},
		{"killed for memory", reporttest.Used{MemoryMB: 128, Workers: 1024, Client: "stock", MS: 900, MaxMB: 128,
			Failure: "Runtime.ExitError"}, "s3-standard",
			MemoryBound, "memory 100%", "killed for memory in 6 of 6 invocations", "more memory"},
		{"six vCPU on two cores: the share is what there was",
			reporttest.Used{MemoryMB: 10240, Workers: 64, Client: "stock", MS: 200, CPU: 380, P50: 5, P99: 10, List: 5, MaxMB: 40,
				Limits: "cgroup-v1; clamped to 2 vCPU"}, "none",
			CPUBound, "CPU 95%", "95% of its CPU share", ""},
	} {
		f := trial.File{Header: reporttest.Header()}
		f.Header.Network = tc.network
		for i := range 6 {
			f.Results = append(f.Results, tc.of.Result(i))
			if tc.of.Client == "stock" && tc.of.Limits == "" {
				f.Results = append(f.Results, calm.Result(i))
			}
		}
		r := New(f, Options{})
		i := slices.IndexFunc(r.Rows, func(row Row) bool {
			return row.MemoryMB == tc.of.MemoryMB && row.Client == tc.of.Client && row.Concurrency == tc.of.Workers
		})
		v := r.Rows[i].Verdict
		if v.Kind != tc.kind || v.Short() != tc.short || !strings.Contains(v.Figure, tc.figure) || !strings.Contains(v.Helps, tc.helps) {
			t.Errorf("%s: %s (%s), %+v", tc.name, v, v.Short(), v)
		}
	}
}

// An unlimited process is bound by no CPU share, and no memory.
func TestVerdictUnlimited(t *testing.T) {
	f := trial.File{Header: reporttest.Header(), Results: []trial.Result{
		reporttest.Used{MemoryMB: 128, Workers: 64, Client: "stock", MS: 500, CPU: 365, P50: 20, P99: 100, List: 20, MaxMB: 127}.Result(0),
	}}
	f.Header.Limits = lambda.ParseLimits("none: no permission")
	if v := New(f, Options{}).Rows[0].Verdict; v.CPU.Known || v.Memory.Known || v.Kind == CPUBound || v.Kind == MemoryBound {
		t.Errorf("%+v", v)
	}
}

// An invocation that ends before its quota does says nothing of CPU shares, and
// bytes that come faster than the bandwidth are not held by it: no share above
// what there is is ever shown.
func TestVerdictShort(t *testing.T) {
	for _, tc := range []struct {
		name     string
		of       reporttest.Used
		cpuKnown bool
		short    string // must not be in it
	}{
		{"under a millisecond at 128 MB", reporttest.Used{MemoryMB: 128, Workers: 1, MS: 0.6, CPU: 0.73}, false, "CPU"},
		{"one period at 128 MB", reporttest.Used{MemoryMB: 128, Workers: 1, MS: 20, CPU: 9}, false, "CPU"},
		{"two periods at 256 MB", reporttest.Used{MemoryMB: 256, Workers: 4, MS: 41, CPU: 17}, false, "CPU"},
		{"a whole vCPU for a moment", reporttest.Used{MemoryMB: 1769, Workers: 64, MS: 3, CPU: 9}, false, "CPU"},
		{"long enough", reporttest.Used{MemoryMB: 128, Workers: 64, MS: 5000, CPU: 360}, true, "mixed"},
		{"more than there is, by an inexact clock", reporttest.Used{MemoryMB: 128, Workers: 64, MS: 5000, CPU: 500}, true, "138%"},
		{"bytes ahead of the bandwidth", reporttest.Used{MemoryMB: 1769, Workers: 64, MS: 44, CPU: 10}, false, "network"},
	} {
		tc.of.Client, tc.of.P50, tc.of.P99 = "lean", 0.1, 0.2
		v := New(trial.File{Header: reporttest.Header(), Results: []trial.Result{tc.of.Result(0)}}, Options{}).Rows[0].Verdict
		if v.CPU.Known != tc.cpuKnown || strings.Contains(v.Short(), tc.short) {
			t.Errorf("%s: %s, %+v", tc.name, v.Short(), v)
		}
		for _, text := range []string{v.Short(), v.String(), v.Why()} {
			for _, m := range regexp.MustCompile(`(\d+)%`).FindAllStringSubmatch(text, -1) {
				if n, _ := strconv.Atoi(m[1]); n > 125 {
					t.Errorf("%s: %s", tc.name, text)
				}
			}
		}
	}
}
