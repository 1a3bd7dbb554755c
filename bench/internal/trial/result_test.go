package trial

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

func TestResultKinds(t *testing.T) {
	const killed = "RequestId: 1 Error: Runtime exited with error: signal: killed"
	for _, tc := range []struct {
		errorType, message string
		maxMB, clampedMB   int // of 512 MB
		oom, timeout       bool
	}{
		{"Runtime.ExitError", killed, 0, 0, true, false},     // nobody knows how much it used
		{"Runtime.ExitError", killed, 513, 0, true, false},   // as Lambda shows it
		{"Runtime.ExitError", killed, 490, 0, true, false},   // the last page was refused
		{"Runtime.ExitError", killed, 40, 0, false, false},   // somebody else's signal
		{"Runtime.ExitError", killed, 256, 256, true, false}, // all that there was
		{"Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: exit status 1", 512, 0, false, false},
		{"Runtime.OutOfMemory", "", 40, 0, true, false}, // what newer Lambda says
		{"Sandbox.Timedout", "", 512, 0, false, true},
		{fetch.DeadlineNear, "", 512, 0, false, true},
		{fetch.ObjectReadFailed, "signal: killed", 512, 0, false, false},
	} {
		r := Result{
			ErrorType: tc.errorType, Error: tc.message, MemoryMB: 512, MaxMemoryMB: tc.maxMB, Limits: lambda.Limits{MemoryMB: tc.clampedMB},
		}
		if r.OutOfMemory() != tc.oom || r.TimedOut() != tc.timeout {
			t.Errorf("%s %q, %d MB: out of memory %v, timed out %v", tc.errorType, tc.message, tc.maxMB, r.OutOfMemory(), r.TimedOut())
		}
	}
}

// What a contender answers is bounded before it is written, so that its line
// can be read again.
func TestLineIsReadable(t *testing.T) {
	huge := strings.Repeat("é\x1b[2J", 1<<20)
	for _, tc := range []struct {
		name string
		line Result
	}{
		{"2 MB of error text", Result{Error: huge}},
		{"2 MB of error type", Result{ErrorType: huge}},
		{"a long log", Result{Log: huge}},
		{"a long note", Result{Note: huge}},
		{"a client's name", Result{Client: huge}},
		{"not UTF-8", Result{Error: strings.Repeat("\xffa", 1<<20), Log: strings.Repeat("\x80b", 1<<20)}},
	} {
		line := tc.line
		line.bound()
		for _, text := range []string{line.Error, line.ErrorType, line.Log, line.Note, line.Client} {
			if len(text) > maxTextBytes || !utf8.ValidString(text) {
				t.Errorf("%s: %d bytes, UTF-8 %v", tc.name, len(text), utf8.ValidString(text))
			}
			if text != "" && !strings.Contains(text, "(cut)") {
				t.Errorf("%s: no mark where it was cut", tc.name)
			}
		}
		text, err := json.Marshal(line)
		if err != nil || len(text) > maxLine {
			t.Errorf("%s: %d bytes, %v", tc.name, len(text), err)
		}
	}
	short := Result{Error: "as it is", Log: "panic: x"}
	if short.bound(); short.Error != "as it is" || short.Log != "panic: x" {
		t.Errorf("%+v", short)
	}
}

func TestResultValidate(t *testing.T) {
	negative := -0.5
	for _, tc := range []struct {
		name    string
		change  func(*Result)
		message string
	}{
		{"as it is", func(*Result) {}, ""},
		{"unknown start", func(r *Result) { r.Start = Unknown }, ""},
		{"no start", func(r *Result) { r.Start = "" }, "start"},
		{"another word", func(r *Result) { r.Start = "lukewarm" }, `start "lukewarm": must be cold, warm or unknown`},
		{"no memory", func(r *Result) { r.MemoryMB = 0 }, "memory_mb 0: must be above 0"},
		{"more memory than Lambda has today", func(r *Result) { r.MemoryMB = 32_768 }, ""},
		{"a negative time", func(r *Result) { r.DurationMS = -1 }, "duration_ms -1: must be 0 or more"},
		{"a negative INIT", func(r *Result) { r.InitMS = -1 }, "init_ms"},
		{"NaN", func(r *Result) { r.BilledMS = math.NaN() }, "billed_ms"},
		{"infinite", func(r *Result) { r.RoundtripMS = math.Inf(1) }, "roundtrip_ms"},
		{"a negative CPU time", func(r *Result) { r.ProcessMS = &negative }, "process_cpu_ms"},
		{"negative concurrency", func(r *Result) { r.Concurrency = -1 }, "concurrency"},
		{"negative stats", func(r *Result) { r.Stats = &fetch.Stats{Objects: -1} }, "stats.objects"},
		{"a negative first byte", func(r *Result) { r.Stats = &fetch.Stats{TTFBP50MS: &negative} }, "stats.ttfb"},
		{"a digest like a book", func(r *Result) { r.Stats = &fetch.Stats{Digest: strings.Repeat("f", 1000)} }, "stats.client and stats.digest"},
	} {
		r := Result{MemoryMB: 128, Start: Warm, OK: true, DurationMS: 1.5, At: time.Unix(1, 0)}
		tc.change(&r)
		err := r.Validate()
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.message)
		}
	}
}
