package scan

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"fanout/functions/corpus"
	fn "fanout/functions/scan"
)

// example is a file with a line of each kind, of a job that was redriven.
func example(t testing.TB) ([]byte, File) {
	t.Helper()
	at := time.Date(2026, 11, 25, 21, 45, 0, 0, time.UTC)
	spec := corpus.Default()
	want := File{
		Header: Header{
			Schema: schema, Job: "scan-1", Execution: "arn:aws:states:us-east-1:123456789012:execution:m:scan-1", Backend: "sandbox",
			Input:  fn.Input{Prefix: "objects/", Results: fn.Results{Bucket: "results"}, Batch: fn.BatchSize{Items: 1000, Bytes: 200_000}},
			Corpus: &spec, Function: Function{"fetch", 512, "x86_64"}, Children: "EXPRESS", At: at,
		},
		Samples: []Sample{
			{At: at.Add(time.Second), Phase: Listing, Items: Counts{Total: 5, Succeeded: 1}, Batches: Counts{Total: 2, Succeeded: 1}},
			{At: at.Add(2 * time.Second), Phase: Ended, Items: Counts{Total: 9, Succeeded: 9}, Bytes: 900, USD: 0.01, Parts: 2},
		},
		Marks:   []Mark{{Redriven, at.Add(time.Second)}},
		Summary: &Summary{Parts: 2, Total: 9, Keys: 9, Objects: 9, Digest: "0000000000000001", Timeline: Timeline{Bins: []Bin{}}},
		End:     End{Reason: Complete, At: at.Add(3 * time.Second)},
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, want.Header)
	if err != nil {
		t.Fatal(err)
	}
	early := *want.Summary
	early.Objects = 5
	for _, err := range []error{
		w.Sample(want.Samples[0]), w.Summary(early), w.End(End{Reason: Incomplete, At: at}),
		w.Mark(Redriven, want.Marks[0].At), w.Sample(want.Samples[1]), w.Summary(*want.Summary), w.End(want.End),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes(), want
}

// What is written is read back; of a job that was redriven the last summary and
// end count.
func TestFile(t *testing.T) {
	text, want := example(t)
	got, err := Read(bytes.NewReader(text))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v\nwant %+v", got, err, want)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, FileName)} {
		if got, err := ReadPath(path); err != nil || got.Header.Job != "scan-1" {
			t.Errorf("%s: %+v, %v", path, got.Header, err)
		}
	}
}

// Every cut of a file, as a killed process leaves it, can be read.
func TestFileCutOff(t *testing.T) {
	text, _ := example(t)
	header := bytes.IndexByte(text, '\n') + 1
	for n := header; n <= len(text); n++ {
		f, err := Read(bytes.NewReader(text[:n]))
		if err != nil || f.Skipped > 1 {
			t.Fatalf("%d bytes: %v, skipped %d", n, err, f.Skipped)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":            {"", "line 1: no header"},
		"a run's file":       {`{"fanout_results":2}`, "not a scan's header"},
		"no JSON":            {"<html>", "not a scan's header"},
		"of a later version": {`{"fanout_scan":99}`, "format 99: this version reads 1 to 1"},
		"an impossible one":  {`{"fanout_scan":0}`, "format 0"},
		"a wrong type":       {`{"fanout_scan":1,"job":5}`, "line 1: not a header"},
	} {
		if _, err := Read(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	// A line that is none costs that line; line ends of Windows cost nothing.
	const odd = "\uFEFF{\"fanout_scan\":1,\"job\":\"j\"}\r\n{}\r\nno\r\n\r\n{\"phase\":\"reading\"}\r\n{\"phase\":7}\n{\"fanout_end\":\"\"}\n"
	f, err := Read(strings.NewReader(odd))
	if err != nil || len(f.Samples) != 1 || f.Skipped != 4 || f.End.Reason != "" {
		t.Errorf("%+v, %v", f, err)
	}
}

func FuzzRead(f *testing.F) {
	text, _ := example(f)
	f.Add(text)
	f.Add([]byte("{\"fanout_scan\":1}\n{\"fanout_parts\":1,\"timeline\":{\"bins\":[{}]}}\n{\"fanout_end\":\"x\"}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		if err := WriteText(&bytes.Buffer{}, file); err != nil {
			t.Error(err)
		}
	})
}
