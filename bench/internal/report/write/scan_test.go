package write

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/scan"
)

func TestScanFormats(t *testing.T) {
	for name, f := range map[string]scan.File{"scan": reporttest.Scan(), "scan-incomplete": reporttest.Incomplete(),
		"scan-running": reporttest.Running()} {
		for _, format := range ScanFormats {
			var b bytes.Buffer
			if err := format.Write(&b, report.NewScan(f)); err != nil {
				t.Fatalf("%s as %s: %v", name, format.Name, err)
			}
			switch format.Name {
			case "text":
				reporttest.Golden(t, name+".txt", b.Bytes())
				for line := range strings.Lines(b.String()) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns && !strings.Contains(line, "fanout scan redrive") {
						t.Errorf("%s: %d columns: %s", name, n, line)
					}
				}
			case "markdown":
				reporttest.Golden(t, name+".md", b.Bytes())
			case "csv":
				if n := strings.Count(b.String(), "\n"); name == "scan" && n != 70 { // a head, and 69 stretches
					t.Errorf("%d lines of CSV", n)
				}
			case "json":
				var back report.Scan
				if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Header.Job != f.Header.Job {
					t.Errorf("%s: %v", name, err)
				}
			}
			if strings.ContainsAny(b.String(), "\x1b\u202e") && format.Name != "json" {
				t.Errorf("%s as %s: a control character", name, format.Name)
			}
		}
	}
}
