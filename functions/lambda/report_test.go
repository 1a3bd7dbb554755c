package lambda

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParseReport(t *testing.T) {
	const id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
	for _, tt := range []struct {
		name string
		tail string
		want Report
		err  string
	}{
		// A cold start, as AWS prints it, in a whole tail.
		{"cold", "START RequestId: " + id + " Version: $LATEST\nhello\nEND RequestId: " + id + "\nREPORT RequestId: " + id +
			"\tDuration: 12.34 ms\tBilled Duration: 62 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 49.01 ms\t\n",
			Report{RequestID: id, DurationMS: 12.34, BilledMS: 62, MemoryMB: 128, MaxMemoryMB: 40, InitMS: 49.01}, ""},
		// X-Ray adds a line, after the fields.
		{"x-ray", "REPORT RequestId: " + id + "\tDuration: 0.91 ms\tBilled Duration: 1 ms\tMemory Size: 1769 MB\tMax Memory Used: 26 MB\t\nXRAY TraceId: 1-5e34a614\tSegmentId: 07ad\tSampled: true\t\n",
			Report{RequestID: id, DurationMS: 0.91, BilledMS: 1, MemoryMB: 1769, MaxMemoryMB: 26}, ""},
		// A time-out.
		{"timeout", "REPORT RequestId: " + id + "\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tStatus: timeout\n",
			Report{RequestID: id, DurationMS: 3000, BilledMS: 3000, MemoryMB: 128, MaxMemoryMB: 40, Status: "timeout"}, ""},
		// The end of the runtime, without a last newline.
		{"oom", "REPORT RequestId: " + id + "\tDuration: 9.90 ms\tBilled Duration: 10 ms\tMemory Size: 128 MB\tMax Memory Used: 129 MB\tStatus: error\tError Type: Runtime.OutOfMemory",
			Report{RequestID: id, DurationMS: 9.9, BilledMS: 10, MemoryMB: 128, MaxMemoryMB: 129, Status: "error", ErrorType: "Runtime.OutOfMemory"}, ""},
		// A function may log such a line itself: Lambda's is the last.
		{"forged", "REPORT RequestId: x\tDuration: 1.00 ms\nREPORT RequestId: " + id + "\tDuration: 2.00 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB\t\n",
			Report{RequestID: id, DurationMS: 2, BilledMS: 2, MemoryMB: 128, MaxMemoryMB: 3}, ""},
		// A log in JSON, as on AWS with that log format: the cut-off first line
		// and the function's own are passed over.
		{"json", `ut off"}` + "\n" + `{"level":"INFO","type":"app"}` + "\n" + `{"time":"2026-01-01T00:00:00Z","type":"platform.report","record":{"requestId":"` + id +
			`","metrics":{"durationMs":12.34,"billedDurationMs":62,"memorySizeMB":128,"maxMemoryUsedMB":40,"initDurationMs":49.01},"status":"success"}}` + "\n",
			Report{RequestID: id, DurationMS: 12.34, BilledMS: 62, MemoryMB: 128, MaxMemoryMB: 40, InitMS: 49.01}, ""},
		{"json timeout", `{"type":"platform.report","record":{"requestId":"x","metrics":{"durationMs":3000,"billedDurationMs":3000,"memorySizeMB":128,"maxMemoryUsedMB":40},"status":"timeout"}}`,
			Report{RequestID: "x", DurationMS: 3000, BilledMS: 3000, MemoryMB: 128, MaxMemoryMB: 40, Status: "timeout"}, ""},
		{"json negative", `{"type":"platform.report","record":{"metrics":{"durationMs":-1}}}`, Report{}, "not a figure"},
		{"json without metrics", `{"type":"platform.report","record":{}}`, Report{}, ErrNoReport.Error()},
		// In the middle of a line it is not one.
		{"inside", "my REPORT RequestId: x\n", Report{}, ErrNoReport.Error()},
		{"empty", "", Report{}, ErrNoReport.Error()},
		// Numbers that are none.
		{"not a number", "REPORT RequestId: x\tDuration: NaN ms\t\n", Report{}, "Duration"},
		{"negative", "REPORT RequestId: x\tDuration: -1 ms\t\n", Report{}, "Duration"},
		{"unit", "REPORT RequestId: x\tDuration: 1.00 s\t\n", Report{}, "Duration"},
		// What every report has.
		{"missing", "REPORT RequestId: x\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\n", Report{}, "Max Memory Used is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseReport(tt.tail)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v: want one with %q", err, tt.err)
				}
				if tt.err == ErrNoReport.Error() && !errors.Is(err, ErrNoReport) {
					t.Errorf("error %v: not ErrNoReport", err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add("REPORT RequestId: a\tDuration: 12.34 ms\tBilled Duration: 62 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 49.01 ms\tStatus: error\tError Type: Runtime.ExitError\n")
	f.Add(`{"type":"platform.report","record":{"requestId":"a","metrics":{"durationMs":1.5,"billedDurationMs":2,"memorySizeMB":128,"maxMemoryUsedMB":40},"status":"error","errorType":"E"}}`)
	f.Add("START\nREPORT RequestId:\tDuration: 1e300 ms\n")
	f.Fuzz(func(t *testing.T, tail string) {
		r, err := ParseReport(tail)
		if err != nil {
			return
		}
		for _, ms := range []float64{r.DurationMS, r.BilledMS, r.InitMS, r.MaxMemoryMB, float64(r.MemoryMB)} {
			if !(ms >= 0 && ms <= 1e12) || math.IsNaN(ms) {
				t.Errorf("%q: %+v", tail, r)
			}
		}
		// What is read can be written, and read again: to the digits written.
		again, err := ParseReport("x\n" + r.String() + "\n")
		if err != nil {
			t.Fatalf("%q: %v", r.String(), err)
		}
		if math.Abs(again.DurationMS-r.DurationMS) > 0.0051+r.DurationMS*1e-12 || again.MemoryMB != r.MemoryMB {
			t.Errorf("%+v became %+v", r, again)
		}
	})
}
