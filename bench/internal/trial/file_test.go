package trial

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

// runFile is a result file with two results.
func runFile(t testing.TB, run, backend string, end string) string {
	t.Helper()
	var b bytes.Buffer
	lines := []any{
		Header{Schema: schema, Run: run, Backend: backend, Plan: basePlan(), Corpus: corpus.Default(), At: time.Unix(0, 0).UTC()},
		Result{
			Run: run, Backend: backend, MemoryMB: 128, Start: Warm, OK: true, DurationMS: 1.5,
			Stats: &fetch.Stats{Objects: 3}, At: time.Unix(1, 0).UTC(),
		},
		Result{
			Run: run, Backend: backend, MemoryMB: 128, Start: Cold, ErrorType: "Runtime.ExitError", Error: "… signal: killed",
			At: time.Unix(2, 0).UTC(),
		},
	}
	if end != "" {
		lines = append(lines, End{Reason: end, At: time.Unix(3, 0).UTC()})
	}
	for _, l := range lines {
		if err := writeLine(&b, l); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// nth is a line of a file, from 1, without its end.
func nth(file string, n int) string { return strings.Split(file, "\n")[n-1] }

func TestRead(t *testing.T) {
	whole := runFile(t, "r", Sandbox, Complete)
	other := runFile(t, "q", Sandbox, Budget)
	aws := runFile(t, "a", AWS, Complete)
	old := strings.Replace(runFile(t, "old", Sandbox, ""), `"fanout_results":2`, `"fanout_results":1`, 1)
	with := func(n int, line string) string { // whole, with another line n
		lines := strings.Split(whole, "\n")
		lines[n-1] = line
		return strings.Join(lines, "\n")
	}
	changed := func(from, to string) string { return strings.Replace(whole, from, to, 1) }
	for _, tc := range []struct {
		name    string
		text    string
		results int
		skipped string // "line: why" of each, the beginnings
		end     string
		message string
	}{
		{"whole", whole, 2, "", Complete, ""},
		{"an old version's, without a closing line", old, 2, "", "", ""},
		{"killed: no closing line", runFile(t, "r", Sandbox, ""), 2, "", "", ""},
		{"killed within a line", runFile(t, "r", Sandbox, "")[:len(runFile(t, "r", Sandbox, ""))-10], 1, "", "", ""},
		{"nothing measured yet", nth(whole, 1) + "\n", 0, "", "", ""},
		{"the last line end is missing", strings.TrimSuffix(whole, "\n"), 2, "", Complete, ""},
		{"blank lines at the end", whole + "\n\n \n", 2, "", Complete, ""},
		{"blank lines within", strings.ReplaceAll(whole, "\n", "\n\n"), 2, "", Complete, ""},
		{"Windows line ends", strings.ReplaceAll(whole, "\n", "\r\n"), 2, "", Complete, ""},
		{"a byte order mark", "\uFEFF" + whole, 2, "", Complete, ""},
		{"blank lines and a mark before the header", "\uFEFF\n" + whole, 2, "", Complete, ""},

		{"a broken line costs that line", with(2, `{"run":`), 1, "2: not a result: unexpected end", Complete, ""},
		{"text in the middle", with(3, "hello"), 1, "3: not a result: invalid character", Complete, ""},
		{"a line that is too long", with(2, strings.Repeat("x", maxLine+1)), 1, "2: longer than 1048576 bytes", Complete, ""},
		{"2 MB of error text, as older versions wrote it",
			with(2, `{"error":"`+strings.Repeat("x", 2<<20)+`"}`), 1, "2: longer than", Complete, ""},
		{"a negative time", changed(`"duration_ms":1.5`, `"duration_ms":-1.5`), 1, "2: not a result: duration_ms -1.5", Complete, ""},
		{"NaN", changed(`"duration_ms":1.5`, `"duration_ms":NaN`), 1, "2: not a result: invalid character 'N'", Complete, ""},
		{"a number that is none", changed(`"duration_ms":1.5`, `"duration_ms":1e999`), 1, "2: not a result: json", Complete, ""},
		{"no memory size", changed(`"memory_mb":128`, `"memory_mb":0`), 1, "2: not a result: memory_mb", Complete, ""},
		{"an empty object", with(2, "{}"), 1, `2: not a result: start ""`, Complete, ""},
		{"the same line twice", with(3, nth(whole, 2)), 1, "3: the same result as in line 2", Complete, ""},
		{"a line of another run", with(3, nth(other, 3)), 1, "3: a result of run q", Complete, ""},
		{"a closing line of nothing", with(4, `{"fanout_end":null}`), 2, "4: not a result: start", "", ""},
		{"a closing line that is a number", with(4, `{"fanout_end":7}`), 2, "4: not a closing line", "", ""},

		{"two like runs", whole + other, 4, "", Budget, ""},
		{"two like runs, the first cut short", other + whole, 4, "", Budget, ""},
		{"two like runs, one killed", whole + runFile(t, "k", Sandbox, ""), 4, "", "", ""},
		{"a like run of an older version", whole + old, 4, "", "", ""},
		{"two with byte order marks", "\uFEFF" + whole + "\uFEFF" + other, 4, "", Budget, ""},
		{"two, the first without its last line end", strings.TrimSuffix(whole, "\n") + other, 4, "", Budget, ""},
		{"two, the first killed within a line", runFile(t, "k", Sandbox, "")[:len(runFile(t, "k", Sandbox, ""))-10] + whole, 3, "", "", ""},
		{"sandbox and AWS, the first killed within a line", whole[:len(whole)-10] + aws, 0, "", "", "another run's header"},
		{"the same file twice", whole + whole, 0, "", "", "line 5: run r is in this file already"},
		{"sandbox and AWS", whole + aws, 0, "", "", "line 5: another run's header, which differs from the first: backend aws, not sandbox"},
		{"AWS lines without their header",
			whole + nth(aws, 2) + "\n", 0, "", "", `line 5: a result of backend "aws" in a file of backend "sandbox"`},
		{"another corpus",
			whole + strings.Replace(other, `"objects":1000`, `"objects":2000`, 1),
			0, "", "", "line 5: another run's header, which differs from the first: corpus 2000 objects of "},
		{"counting and finding", whole + strings.Replace(other, `"count":false`, `"count":true`, 1), 0, "", "", "count true, not false"},
		{"another network",
			whole + strings.Replace(other, `"backend":"sandbox"`, `"backend":"sandbox","network":"none"`, 1), 0, "", "", "network none, not"},

		{"empty", "", 0, "", "", "line 1: no header"},
		{"blank", "\n\n", 0, "", "", "no header"},
		{"no header", nth(whole, 2) + "\n", 0, "", "", "line 1: not a header: it has no fanout_results"},
		{"from a newer version", `{"fanout_results":99}` + "\n", 0, "", "", "line 1: format 99: this version reads 1 to 2"},
		{"from no version", `{"fanout_results":0}` + "\n", 0, "", "", "format 0"},
		{"not JSON", "hello\n", 0, "", "", "line 1: not a header"},
		{"JSON of another kind", "[1]\n", 0, "", "", "line 1: not a header"},
		{"gzip", "\x1f\x8b\x08\x00", 0, "", "", "line 1: compressed by gzip"},
		{"UTF-16", "\xff\xfe{\x00", 0, "", "", "line 1: UTF-16"},
		{"one line without an end", strings.Repeat("x", 2<<20), 0, "", "", "line 1: longer than 1048576 bytes"},
		{"a header of negative size", `{"fanout_results":2,"corpus_bytes":-1}` + "\n", 0, "", "", "line 1: header: 0 objects of -1 bytes"},
		{"results, none of which can be read", nth(whole, 1) + "\nhello\nworld\n", 0, "", "", "line 2: not a result"},
	} {
		f, err := Read(strings.NewReader(tc.text))
		if tc.message != "" {
			if err == nil || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("%s: error %v, want %q", tc.name, err, tc.message)
			}
			continue
		}
		if err != nil || len(f.Results) != tc.results || f.End.Reason != tc.end {
			t.Errorf("%s: %d results, end %q, %v; want %d, %q", tc.name, len(f.Results), f.End.Reason, err, tc.results, tc.end)
		}
		var skipped []string
		for _, s := range f.Skipped {
			skipped = append(skipped, fmt.Sprintf("%d: %s", s.Line, s.Why))
		}
		if got := strings.Join(skipped, "\n"); !strings.HasPrefix(got, tc.skipped) || tc.skipped == "" && got != "" {
			t.Errorf("%s: skipped %q, want %q", tc.name, got, tc.skipped)
		}
		for _, r := range f.Results {
			if r.MemoryMB == 0 {
				t.Errorf("%s: a result of 0 MB", tc.name)
			}
		}
	}
}

// Of runs put together the plan holds all that was tried.
func TestReadJoinsPlans(t *testing.T) {
	other := strings.NewReplacer(`"memories_mb":[128,512]`, `"memories_mb":[512,1769]`).Replace(runFile(t, "q", Sandbox, Complete))
	f, err := Read(strings.NewReader(runFile(t, "r", Sandbox, Complete) + other))
	if err != nil || fmt.Sprint(f.Header.Plan.MemoriesMB) != "[128 512 1769]" || f.Header.Plan.Invocations != 10 {
		t.Errorf("%+v, %v", f.Header.Plan, err)
	}
}

// A path is a file, a folder, or standard input; the error names it.
func TestReadPath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path, []byte(runFile(t, "r", Sandbox, Complete)), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	stdin := os.Stdin
	os.Stdin = file
	t.Cleanup(func() {
		os.Stdin = stdin
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, p := range []string{dir, path, Stdin} {
		if f, err := ReadPath(p); err != nil || len(f.Results) != 2 {
			t.Errorf("%s: %d results, %v", p, len(f.Results), err)
		}
	}
	if _, err := ReadPath(Stdin); err == nil || !strings.Contains(err.Error(), "standard input: line 1: no header") {
		t.Errorf("the end of standard input: %v", err)
	}
	if _, err := ReadPath(filepath.Join(dir, "gone")); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("no file: %v", err)
	}
}

// Whatever is in a file: no panic, and what was read can be written and read
// again, all of it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(runFile(f, "r", Sandbox, Complete) + runFile(f, "q", Sandbox, "")))
	f.Add([]byte("{\"fanout_results\":1}\n{}\n"))
	f.Add([]byte("\uFEFF\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeLine(&b, file.Header); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{file.Header.Run: true, "": true}
		for _, r := range file.Results {
			if h := file.Header; !seen[r.Run] { // of runs put together
				seen[r.Run], h.Run = true, r.Run
				if err := writeLine(&b, h); err != nil {
					t.Fatal(err)
				}
			}
			if err := writeLine(&b, r); err != nil {
				t.Fatal(err)
			}
		}
		if file.End.Reason != "" {
			if err := writeLine(&b, file.End); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Read(&b)
		if err != nil || len(again.Results) != len(file.Results) {
			t.Fatalf("read again: %d of %d results, %v", len(again.Results), len(file.Results), err)
		}
	})
}
