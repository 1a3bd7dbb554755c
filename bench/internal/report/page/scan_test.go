package page

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/scan"
)

func scanPageOf(t *testing.T, f scan.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteScan(&b, report.NewScan(f)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestScan(t *testing.T) {
	reporttest.Golden(t, "scan.html", readable(scanPageOf(t, reporttest.Scan())))
	reporttest.Golden(t, "scan-incomplete.html", readable(scanPageOf(t, reporttest.Incomplete())))
}

// Whatever the file holds, there is a page, its pictures have no figure that is
// none, and text stays text.
func TestScanOddities(t *testing.T) {
	change := func(change func(*scan.File)) scan.File {
		f := reporttest.Scan()
		change(&f)
		return f
	}
	for name, f := range map[string]scan.File{
		"still running":        reporttest.Running(),
		"hostile texts":        reporttest.Incomplete(),
		"nothing but a header": {Header: reporttest.Scan().Header},
		"nothing at all":       {},
		"nothing read":         change(func(f *scan.File) { *f.Summary = scan.Summary{} }),
		"one moment":           change(func(f *scan.File) { f.Summary.Timeline.Bins = f.Summary.Timeline.Bins[:1] }),
		"no width":             change(func(f *scan.File) { f.Summary.Timeline.WidthMS = 0 }),
		"moments that are none": change(func(f *scan.File) {
			f.Summary.Timeline.Bins[3] = scan.Bin{Objects: math.Inf(1), Bytes: math.NaN(), CPUMS: -1, BusyMS: 1e300}
		}),
		"clocks that go back": change(func(f *scan.File) { f.Summary.Started, f.Summary.Ended = f.Summary.Ended, f.Summary.Started }),
		"days":                change(func(f *scan.File) { f.Summary.Timeline.WidthMS *= 3000 }),
	} {
		page := scanPageOf(t, f)
		root := parse(t, page)
		if n := len(all(root, "script")); n != 0 {
			t.Errorf("%s: %d scripts", name, n)
		}
		for _, n := range all(root, "path") {
			if d := attribute(n, "d"); strings.Contains(d, "NaN") || strings.Contains(d, "Inf") {
				t.Errorf("%s: a path %s", name, d)
			}
		}
		if n := len(all(root, "figure")); n != 4 {
			t.Errorf("%s: %d figures", name, n)
		}
		for n := range root.Descendants() {
			if n.Type == html.TextNode && strings.ContainsAny(n.Data, "\x1b\u202e") {
				t.Errorf("%s: a control character in %q", name, n.Data)
			}
		}
	}
}
