package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/trial"
)

// The command that a report says repeats its run is one that fanout run takes.
func TestRepeatCommand(t *testing.T) {
	for _, backend := range []string{trial.Sandbox, trial.AWS} {
		f := reporttest.AWS()
		f.Header.Backend, f.Header.Network, f.Header.Plan.Count = backend, "s3-express", true
		words := strings.Fields(report.New(f, report.Options{}).Command())
		if c := runCommand(); strings.Join(words[:2], " ") != "fanout run" || c.ParseFlags(words[2:]) != nil || c.Flags().NFlag() < 8 {
			t.Errorf("%s: %q, %v", backend, words, c.ParseFlags(words[2:]))
		}
	}
}

// The result file of a scan is told from that of a run, whatever it is called,
// and nothing is asked of it that is not in it.
func TestReportScan(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, scan.FileName)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	f := reporttest.Scan()
	w, err := scan.NewWriter(file, f.Header)
	for _, s := range f.Samples {
		err = errors.Join(err, w.Sample(s))
	}
	if err = errors.Join(err, w.Summary(*f.Summary), w.End(f.End), file.Close()); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "page.html")
	for _, tc := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"report " + dir, 0, "matches   1, the first in objects/0742000", ""},
		{"report " + path, 0, "limit     max concurrency", ""},
		{"report --format markdown " + path, 0, "| S3 GET | 1,000,000 |", ""},
		{"report --format csv " + path, 0, "from_s,to_s,objects_per_s,", ""},
		{"report --format json " + path, 0, `"objects_per_s": 7246`, ""},
		{"report --format html -o " + page + " " + path, 0, "", ""},
		{"report --format benchfmt " + path, 2, "", "of a scan there is text, csv, markdown, html, json"},
		{"report --region us-east-1 " + path, 2, "", "--region is for a run"},
		{"report -o " + path + " " + dir, 2, "", "would overwrite the results"},
		{"scan estimate --objects 1M --bytes 25kB --from " + dir, 0, "measured   980 objects/s of 1.5 kB at 512 MB", ""}, // in 1,020 s
		{"compare " + path + " " + path, 1, "", "error: "},
	} {
		var stdout, stderr strings.Builder
		status := run(t.Context(), strings.Fields(tc.args), &stdout, &stderr)
		if status != tc.status || !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("%s: status %d, %s%s", tc.args, status, stdout.String(), stderr.String())
		}
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "1 match in 1,000,000 objects") {
		t.Errorf("the page: %v", err)
	}
}
