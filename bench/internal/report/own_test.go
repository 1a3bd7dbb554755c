package report

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
)

// Of a function of the caller's own, nothing is said that nobody knows.
func TestOwn(t *testing.T) {
	f := reporttest.Own(512, reporttest.OneEvent, slices.Repeat([][2]float64{{400, 20}}, 6)...)
	f.Header.Corpus, f.Header.Bytes = corpus.Default(), 1000 // which it may read, or not
	r := New(f, Options{})
	row := r.Rows[0]
	if r.Objects != 0 || row.ObjectsPerS != 0 || row.SpeedUp != 0 || row.CPUPerObject.N != 0 || row.CPU.Median != 20 {
		t.Errorf("row %+v", row)
	}
	const want = 0.4*0.5*0.0000166667 + 0.2e-6 // GB-seconds, and the request
	if got := row.Cost.Total(); got < want*0.999 || got > want*1.001 || row.Cost.S3() != 0 || r.Advice.S3Share != 0 {
		t.Errorf("cost $%v, want $%v", got, want)
	}
	if r.Subject() != "event order.json, "+r.Environment() || strings.Contains(r.Environment(), "network") || r.Name(row) != "512 MB mine" {
		t.Errorf("%q, %q", r.Subject(), r.Name(row))
	}
	for _, word := range []string{"client", "workers", "speed-up", "CPU/obj"} {
		for _, l := range r.Table().Labels() {
			if l.Label.Head == word || l.Short.Head == word {
				t.Errorf("a column %q", word)
			}
		}
	}
	text, err := json.Marshal(r)
	if err != nil || strings.Contains(string(text), "s3_requests_usd") || strings.Contains(string(text), "objects_per_s") {
		t.Errorf("%v, %s", err, text)
	}
	if command := r.Command(); !strings.Contains(command, "--event order.json") || strings.Contains(command, "--concurrency") ||
		!strings.Contains(command, "--objects 1000") || strings.Contains(command, "--needle") ||
		!strings.Contains(command, "--contender mine=PATH,runtime=python3.13,handler=HANDLER") {
		t.Errorf("%s", command)
	}
	if len(r.Warnings) != 1 || r.Warnings[0] != "another version than Lambda's: mine: python3.13, run by Python 3.11.7, awslambdaric 4.2.2" {
		t.Errorf("warnings %q", r.Warnings)
	}
	f = reporttest.Own(512, reporttest.OneEvent, [2]float64{400, 20})
	f.Results[0].RanBy = "Python 3.13.1, awslambdaric 4.2.2"
	if r := New(f, Options{}); len(r.Warnings) != 0 || len(r.Runtimes) != 1 {
		t.Errorf("the same version: %q, %v", r.Warnings, r.Runtimes)
	}
}

// A million invocations of several events cost a million times their mean.
func TestOwnMixed(t *testing.T) {
	events := []trial.EventInfo{{Name: "a", Weight: 3}, {Name: "b", Weight: 1}}
	r := New(reporttest.Own(1024, events, [2]float64{100, 1}, [2]float64{100, 1}, [2]float64{100, 1}, [2]float64{1700, 1}), Options{})
	const want = 0.5*0.0000166667 + 0.2e-6
	for what, got := range map[string]float64{"bill": r.Rows[0].Cost.Total(), "sample": r.Rows[0].WarmCost.Median} {
		if got < want*0.999 || got > want*1.001 {
			t.Errorf("%s: $%v, want $%v", what, got, want)
		}
	}
	if r.Rows[0].Warm.Median != 100 || r.Subject() != "2 events, "+r.Environment() {
		t.Errorf("%+v, %q", r.Rows[0].Warm, r.Subject())
	}
}

// All that is known of the time is CPU and memory; the rest is waiting.
func TestOwnVerdict(t *testing.T) {
	for _, tc := range []struct {
		name            string
		memoryMB        int
		ms, cpuMS       float64
		kind            Kind
		short           string
		helps, notHelps string
	}{
		{"all CPU", 512, 1000, 285, CPUBound, "CPU 98%", "1024 MB: about 2.0× as fast", "thread"},
		{"all CPU, of one vCPU", 1769, 1000, 990, CPUBound, "CPU 99%", "if one thread does the work", ""},
		{"waiting", 1769, 1000, 40, Waiting, "waits 96%", "128 MB would be about as fast and cheaper", "object"},
		{"waiting, with less memory than it needs", 128, 1000, 10, Waiting, "waits 86%", "faster answers", "cheaper"},
		{"both", 1769, 1000, 650, Mixed, "mixed", "", ""},
		{"too short to say", 512, 20, 5, Unknown, "–", "", ""},
	} {
		f := reporttest.Own(tc.memoryMB, reporttest.OneEvent, slices.Repeat([][2]float64{{tc.ms, tc.cpuMS}}, 6)...)
		v := New(f, Options{}).Rows[0].Verdict
		if v.Kind != tc.kind || v.Short() != tc.short || !strings.Contains(v.Helps, tc.helps) ||
			tc.notHelps != "" && strings.Contains(v.Helps, tc.notHelps) || v.Network.Known || v.Latency.Known || v.Retries.Known {
			t.Errorf("%s: %+v, short %q", tc.name, v, v.Short())
		}
	}
}
