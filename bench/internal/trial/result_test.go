package trial

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

func exampleFile(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	lines := []any{
		Header{Schema: schema, Run: "r", Backend: Sandbox, Plan: basePlan(), Corpus: corpus.Default(), At: time.Unix(0, 0).UTC()},
		Result{Run: "r", Backend: Sandbox, MemoryMB: 128, Start: Warm, OK: true, DurationMS: 1.5, Stats: &fetch.Stats{Objects: 3}},
		Result{Run: "r", Backend: Sandbox, MemoryMB: 128, Start: Cold, ErrorType: "Runtime.ExitError", Error: "… signal: killed"},
	}
	for _, l := range lines {
		if err := writeLine(&b, l); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestRead(t *testing.T) {
	whole := string(exampleFile(t))
	for _, tc := range []struct {
		name    string
		text    string
		results int
		message string
	}{
		{"whole", whole, 2, ""},
		{"interrupted within a line", whole[:len(whole)-10], 1, ""},
		{"nothing measured yet", whole[:strings.Index(whole, "\n")+1], 0, ""},
		{"empty", "", 0, "line 1: no header"},
		{"no header", `{"run":"r"}` + "\n", 0, "line 1: format 0"},
		{"from a newer version", `{"fanout_results":99}` + "\n", 0, "format 99"},
		{"not JSON", "hello\n", 0, "line 1: not a header"},
		{"a broken line in the middle", strings.Replace(whole, `{"run":"r","backend"`, `{"run":`, 2), 0, "line 2: not a result"},
	} {
		f, err := Read(strings.NewReader(tc.text))
		if tc.message != "" {
			if err == nil || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("%s: error %v, want %q", tc.name, err, tc.message)
			}
			continue
		}
		if err != nil || len(f.Results) != tc.results {
			t.Errorf("%s: %d results, %v; want %d", tc.name, len(f.Results), err, tc.results)
		}
	}
}

func TestResultKinds(t *testing.T) {
	for _, tc := range []struct {
		errorType, message string
		oom, timeout       bool
	}{
		{"Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed", true, false},
		{"Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: exit status 1", false, false},
		{"Runtime.OutOfMemory", "", true, false}, // what newer Lambda says
		{"Sandbox.Timedout", "", false, true},
		{fetch.DeadlineNear, "", false, true},
		{fetch.ObjectReadFailed, "signal: killed", false, false},
	} {
		r := Result{ErrorType: tc.errorType, Error: tc.message}
		if r.OutOfMemory() != tc.oom || r.TimedOut() != tc.timeout {
			t.Errorf("%s %q: out of memory %v, timed out %v", tc.errorType, tc.message, r.OutOfMemory(), r.TimedOut())
		}
	}
}

// Whatever is in a file: no panic, and what was read can be written and read
// again.
func FuzzRead(f *testing.F) {
	f.Add(exampleFile(f))
	f.Add([]byte("{\"fanout_results\":1}\n{}\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeLine(&b, file.Header); err != nil {
			t.Fatal(err)
		}
		for _, r := range file.Results {
			if err := writeLine(&b, r); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Read(&b)
		if err != nil || len(again.Results) != len(file.Results) {
			t.Fatalf("read again: %d of %d results, %v", len(again.Results), len(file.Results), err)
		}
	})
}
