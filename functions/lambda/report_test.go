package lambda

import (
	"errors"
	"math"
	"testing"
)

func TestParseReport(t *testing.T) {
	const id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
	const common = Duration | Billed | Memory | MaxMemory // what every REPORT line of today has
	for _, tt := range []struct {
		name string
		tail string
		want Report
		err  error
	}{
		// A cold start, as AWS prints it, in a whole tail.
		{"cold", "START RequestId: " + id + " Version: $LATEST\nhello\nEND RequestId: " + id + "\nREPORT RequestId: " + id +
			"\tDuration: 12.34 ms\tBilled Duration: 62 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 49.01 ms\t\n",
			Report{RequestID: id, DurationMS: 12.34, BilledMS: 62, MemoryMB: 128, MaxMemoryMB: 40, InitMS: 49.01, Known: common | Init}, nil},
		// X-Ray adds a line, after the fields.
		{"x-ray", "REPORT RequestId: " + id + "\tDuration: 0.91 ms\tBilled Duration: 1 ms\tMemory Size: 1769 MB\tMax Memory Used: 26 MB\t\n" +
			"XRAY TraceId: 1-5e34a614\tSegmentId: 07ad\tSampled: true\t\n",
			Report{RequestID: id, DurationMS: 0.91, BilledMS: 1, MemoryMB: 1769, MaxMemoryMB: 26, Known: common}, nil},
		// A time-out.
		{"timeout", "REPORT RequestId: " + id + "\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\t" +
			"Max Memory Used: 40 MB\tStatus: timeout\n",
			Report{RequestID: id, DurationMS: 3000, BilledMS: 3000, MemoryMB: 128, MaxMemoryMB: 40, Status: "timeout", Known: common}, nil},
		// The end of the runtime, without a last newline.
		{"oom", "REPORT RequestId: " + id + "\tDuration: 9.90 ms\tBilled Duration: 10 ms\tMemory Size: 128 MB\tMax Memory Used: 129 MB\t" +
			"Status: error\tError Type: Runtime.OutOfMemory",
			Report{RequestID: id, DurationMS: 9.9, BilledMS: 10, MemoryMB: 128, MaxMemoryMB: 129,
				Status: "error", ErrorType: OutOfMemory, Known: common}, nil},
		// A function may log such a line itself: Lambda's is the last.
		{"forged", "REPORT RequestId: x\tDuration: 1.00 ms\nREPORT RequestId: " + id +
			"\tDuration: 2.00 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB\t\n",
			Report{RequestID: id, DurationMS: 2, BilledMS: 2, MemoryMB: 128, MaxMemoryMB: 3, Known: common}, nil},
		// A REPORT line of the function's before Lambda's record.
		{"forged in a log in JSON", "REPORT RequestId: x\tDuration: 1.00 ms\n" + `{"type":"platform.report","record":{"requestId":"y",` +
			`"metrics":{"durationMs":2}}}`,
			Report{RequestID: "y", DurationMS: 2, Known: Duration}, nil},

		// What is missing is not known; what is new is passed over.
		{"without Max Memory Used", "REPORT RequestId: x\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tStatus: timeout\n",
			Report{RequestID: "x", DurationMS: 1, BilledMS: 1, MemoryMB: 128, Status: "timeout", Known: Duration | Billed | Memory}, nil},
		{"without a duration", "REPORT RequestId: x\tMemory Size: 128 MB\n", Report{RequestID: "x", MemoryMB: 128, Known: Memory}, nil},
		{"new fields", "REPORT RequestId: x\tTenant: a: b\tDuration: 1.00 ms\tThrottled\tExtension Overhead: 3 s\t\n",
			Report{RequestID: "x", DurationMS: 1, Known: Duration}, nil},
		{"another unit", "REPORT RequestId: x\tDuration: 1.00 s\tBilled Duration: 1000 ms\t\n",
			Report{RequestID: "x", BilledMS: 1000, Known: Billed}, nil},
		{"not numbers", "REPORT RequestId: x\tDuration: NaN ms\tBilled Duration: -1 ms\tMemory Size: Inf MB\tMax Memory Used: 1e300 MB\n",
			Report{RequestID: "x"}, nil},
		{"CRLF", "REPORT RequestId: x\tDuration: 1.00 ms\tStatus: timeout\r\n",
			Report{RequestID: "x", DurationMS: 1, Status: "timeout", Known: Duration}, nil},
		{"tabs lost in a copy", "REPORT RequestId: x  Duration: 1.00 ms  Billed Duration: 2 ms\n",
			Report{RequestID: "x", DurationMS: 1, BilledMS: 2, Known: Duration | Billed}, nil},

		// A new process by other evidence than Init Duration.
		{"SnapStart", "RESTORE_START Runtime Version: python:3.13.v1 Runtime Version ARN: arn\n" +
			"RESTORE_REPORT Restore Duration: 808.61 ms\nSTART RequestId: x Version: 1\n" +
			"REPORT RequestId: x\tDuration: 1.00 ms\tRestore Duration: 808.60 ms\tBilled Restore Duration: 32 ms\n",
			Report{RequestID: "x", DurationMS: 1, RestoreMS: 808.6, BilledRestoreMS: 32, NewProcess: true,
				Known: Duration | Restore | BilledRestore}, nil},
		{"SnapStart by its record alone", "RESTORE_REPORT Restore Duration: 808.61 ms\nREPORT RequestId: x\tDuration: 1.00 ms\n",
			Report{RequestID: "x", DurationMS: 1, RestoreMS: 808.61, NewProcess: true, Known: Duration | Restore}, nil},
		{"INIT over 10 s, redone", "INIT_REPORT Init Duration: 10007.33 ms\tPhase: init\tStatus: timeout\nSTART RequestId: x Version: $LATEST\n" +
			"INIT_REPORT Init Duration: 12000.00 ms\tPhase: invoke\tStatus: success\nREPORT RequestId: x\tDuration: 12010.00 ms\n",
			Report{RequestID: "x", DurationMS: 12010, InitMS: 10007.33, RedoneInitMS: 12000, NewProcess: true, Known: Duration | Init}, nil},
		{"INIT that failed", "INIT_REPORT Init Duration: 150.79 ms\tPhase: init\tStatus: error\t" +
			"Error Type: Runtime.ExitError\nREPORT RequestId: x\tDuration: 9.00 ms\n",
			Report{RequestID: "x", DurationMS: 9, InitMS: 150.79, NewProcess: true, Known: Duration | Init}, nil},
		{"the start of INIT alone", "INIT_START Runtime Version: provided:al2023.v1\tRuntime Version ARN: arn\nREPORT RequestId: x\t" +
			"Duration: 9.00 ms\n",
			Report{RequestID: "x", DurationMS: 9, NewProcess: true, Known: Duration}, nil},
		{"a function that prints the word", "INIT_START of mine\nREPORT RequestId: x\tDuration: 9.00 ms\n",
			Report{RequestID: "x", DurationMS: 9, Known: Duration}, nil},

		// A log in JSON, as on AWS with that log format: the cut-off first line
		// and the function's own are passed over.
		{"json", `ut off"}` + "\n" + `{"level":"INFO","type":"app"}` + "\n" + `{"time":"2026-01-01T00:00:00Z","type":"platform.report",` +
			`"record":{"requestId":"` + id +
			`","metrics":{"durationMs":12.34,"billedDurationMs":62,"memorySizeMB":128,"maxMemoryUsedMB":40,"initDurationMs":49.01},` +
			`"status":"success"}}` + "\n",
			Report{RequestID: id, DurationMS: 12.34, BilledMS: 62, MemoryMB: 128, MaxMemoryMB: 40, InitMS: 49.01, Known: common | Init}, nil},
		{"json timeout", `{"type":"platform.report","record":{"requestId":"x","metrics":{"durationMs":3000,"billedDurationMs":3000,` +
			`"memorySizeMB":128},"status":"timeout"}}`,
			Report{RequestID: "x", DurationMS: 3000, BilledMS: 3000, MemoryMB: 128, Status: "timeout", Known: Duration | Billed | Memory}, nil},
		{"json of other kinds", `{"type":"platform.report","record":{"requestId":"x","status":7,"metrics":{"durationMs":"long",` +
			`"billedDurationMs":-1,"memorySizeMB":128.0}}}`,
			Report{RequestID: "x", MemoryMB: 128, Known: Memory}, nil},
		{"json without initDurationMs", `{"type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init"}}` + "\n" +
			`{"type":"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"success",` +
			`"metrics":{"durationMs":412.5}}}` + "\n" +
			`{"type":"platform.report","record":{"requestId":"x","metrics":{"durationMs":1},"status":"success"}}`,
			Report{RequestID: "x", DurationMS: 1, InitMS: 412.5, NewProcess: true, Known: Duration | Init}, nil},
		{"json INIT redone", `{"type":"platform.initReport","record":{"phase":"invoke","metrics":{"durationMs":12000}}}` + "\n" +
			`{"type":"platform.report","record":{"requestId":"x","metrics":{"durationMs":12010}}}`,
			Report{RequestID: "x", DurationMS: 12010, RedoneInitMS: 12000, NewProcess: true, Known: Duration}, nil},
		{"json SnapStart", `{"type":"platform.restoreReport","record":{"status":"success","metrics":{"durationMs":230}}}` + "\n" +
			`{"type":"platform.report","record":{"requestId":"x","metrics":{"durationMs":1}}}`,
			Report{RequestID: "x", DurationMS: 1, RestoreMS: 230, NewProcess: true, Known: Duration | Restore}, nil},
		{"json SnapStart by the report", `{"type":"platform.report","record":{"requestId":"x","metrics":{"restoreDurationMs":230,` +
			`"billedRestoreDurationMs":20}}}`,
			Report{RequestID: "x", RestoreMS: 230, BilledRestoreMS: 20, Known: Restore | BilledRestore}, nil},

		// No report: what the other records tell is there all the same.
		{"system logs at WARN, INIT failed", `{"type":"platform.initReport","record":{"phase":"init","status":"timeout",` +
			`"metrics":{"durationMs":10000}}}` + "\n" +
			`{"type":"platform.runtimeDone","record":{"requestId":"x","status":"failure","errorType":"E"}}`,
			Report{RequestID: "x", Status: "failure", ErrorType: "E", InitMS: 10000, NewProcess: true, Known: Init}, ErrNoReport},
		{"the start alone", `{"type":"platform.start","record":{"requestId":"x","version":"$LATEST"}}`, Report{RequestID: "x"}, ErrNoReport},
		{"json without metrics", `{"type":"platform.report","record":{}}`, Report{}, ErrNoReport},
		// In the middle of a line it is not one.
		{"inside", "my REPORT RequestId: x\n", Report{}, ErrNoReport},
		{"empty", "", Report{}, ErrNoReport},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseReport(tt.tail)
			if !errors.Is(err, tt.err) || got != tt.want {
				t.Errorf("got %+v, %v;\nwant %+v, %v", got, err, tt.want, tt.err)
			}
			cold := tt.want.InitMS > 0 || tt.want.RestoreMS > 0 || tt.want.NewProcess
			if got.Cold() != cold {
				t.Errorf("cold %v", got.Cold())
			}
		})
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add("REPORT RequestId: a\tDuration: 12.34 ms\tBilled Duration: 62 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t" +
		"Init Duration: 49.01 ms\tStatus: error\tError Type: Runtime.ExitError\n")
	f.Add(`{"type":"platform.report","record":{"requestId":"a","metrics":{"durationMs":1.5,"billedDurationMs":2,"memorySizeMB":128,` +
		`"maxMemoryUsedMB":40},"status":"error","errorType":"E"}}`)
	f.Add("INIT_REPORT Init Duration: 10007.33 ms\tPhase: init\tStatus: timeout\nREPORT RequestId: x\tRestore Duration: 1 ms\n")
	f.Add("START\nREPORT RequestId:\tDuration: 1e300 ms\n")
	f.Fuzz(func(t *testing.T, tail string) {
		r, err := ParseReport(tail)
		if err != nil {
			return
		}
		for _, ms := range []float64{
			r.DurationMS, r.BilledMS, r.InitMS, r.RedoneInitMS, r.RestoreMS, r.BilledRestoreMS, r.MaxMemoryMB, float64(r.MemoryMB),
		} {
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
