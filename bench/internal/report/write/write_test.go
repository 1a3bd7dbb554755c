package write

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fanout/bench/internal/report"
	"fanout/bench/internal/report/page"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	"fmt"
	"html"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, report.New(reporttest.Example(), report.Options{})); err != nil {
		t.Fatal(err)
	}
	reporttest.Golden(t, "table.txt", b.Bytes())
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a control character from the results reached the terminal")
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if utf8.RuneCountInString(line) > columns && !strings.HasPrefix(line, "failed:") {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
}

// Without limits no format advises a memory size, each says what to do, and each
// marks every row.
func TestUnlimitedInEveryFormat(t *testing.T) {
	f := reporttest.Example()
	f.Header.Limits = lambda.ParseLimits("none: no permission")
	r := report.New(f, report.Options{})
	for _, format := range Formats {
		if format.Name == "benchfmt" {
			continue // has single invocations, and advises nothing
		}
		var b bytes.Buffer
		if err := format.Write(&b, r); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(b.String()), " ")
		for _, advice := range []string{"balanced", "fastest ", "Choose ", "**cheapest**", "Smallest memory", "smallest memory"} {
			if strings.Contains(text, advice) && format.Name != "json" && format.Name != "html" {
				t.Errorf("%s: advises: %q in %.2000s", format.Name, advice, text)
			}
		}
		if format.Name != "csv" && !strings.Contains(text, "sudo bin/fanout run") {
			t.Errorf("%s: does not say what to do: %s", format.Name, text)
		}
		marks := map[string]string{"text": " none ", "markdown": "| none |", "csv": ",none: no permission",
			"json": `"limits": "none: no permission"`, "html": `<td data-sort="none">none</td>`}[format.Name]
		if n := strings.Count(text, marks); n < len(r.Rows) {
			t.Errorf("%s: %d marks of %d rows in %s", format.Name, n, len(r.Rows), text)
		}
	}
	for _, picks := range []any{r.Advice.Picks, r.Advice.Frontier, r.Advice.Smallest} {
		if reflect.ValueOf(picks).Len() > 0 {
			t.Errorf("the JSON advises %+v", picks)
		}
	}
}

// A run that was cut is a cut run in every format, and so for compare.
func TestCutRunInEveryFormat(t *testing.T) {
	for _, tc := range []struct {
		end  trial.End
		old  bool   // the file's format has no closing line
		want string // "": nothing is said
	}{
		{trial.End{Reason: trial.Complete}, false, ""},
		{trial.End{Reason: trial.Budget, Text: "stopped before $0.50 would be exceeded"}, false,
			"CUT RUN: its budget was used up (stopped before $0.50 would be exceeded)"},
		{trial.End{Reason: trial.Interrupted}, false, "CUT RUN: it was interrupted"},
		{trial.End{Reason: trial.Failed, Text: "the disk is full"}, false, "CUT RUN: it failed (the disk is full)"},
		{trial.End{Reason: trial.PrecisionMissed, Text: "precision 5% not reached: go 512 MB"}, false,
			"The precision was not reached (precision 5% not reached"},
		{trial.End{Reason: trial.WrongAnswers}, false, "WRONG ANSWERS were given"},
		{trial.End{}, false, "CUT RUN: its file has no closing line"},
		{trial.End{}, true, ""},
		{trial.End{Reason: "a later version's"}, false, "Ended: a later version's"},
	} {
		f := reporttest.Example()
		f.End = tc.end
		if f.Header.Schema = 2; tc.old {
			f.Header.Schema = 1
		}
		r := report.New(f, report.Options{})
		for _, format := range Formats {
			var b bytes.Buffer
			if err := format.Write(&b, r); err != nil {
				t.Fatal(err)
			}
			text, want := strings.Join(strings.Fields(html.UnescapeString(strings.ReplaceAll(b.String(), "\\", ""))), " "), tc.want
			switch format.Name { // for programs, the reason itself
			case "csv":
				want = "," + tc.end.Reason + " "
			case "json":
				want = fmt.Sprintf(`"fanout_end": %q`, tc.end.Reason)
			case "benchfmt":
				if want = "run-end: " + tc.end.Reason; tc.end.Reason == "" {
					want = ""
				}
			}
			if !strings.Contains(text, want) || tc.want == "" && strings.Contains(text, "CUT RUN") {
				t.Errorf("%s, %q: want %q in %.2000s", format.Name, tc.end.Reason, want, text)
			}
		}
		c := report.Compare(report.New(reporttest.Example(), report.Options{}), r, 0.05)
		if got := slices.ContainsFunc(c.Warnings,
			func(w string) bool { return strings.Contains(w, "new: "+tc.want) && tc.want != "" }); got != (tc.want != "") {
			t.Errorf("compare, %q: %q", tc.end.Reason, c.Warnings)
		}
	}
}

// What a failed function logged last is shown, and never raw.
func TestFailedLog(t *testing.T) {
	f := reporttest.Example()
	for i := range f.Results {
		if f.Results[i].ErrorType == lambda.OutOfMemory {
			f.Results[i].Log = "START RequestId: 1 Version: $LATEST\nline 1\nline 2\nline 3\npanic: <b>oh</b>\x1b[2J no\n\ngoroutine " +
				"1 [running]:\n\r\nexit status 2\nEND RequestId: 1\nREPORT RequestId: 1 Duration: 5.00 ms\n"
		}
	}
	r := report.New(f, report.Options{})
	for _, format := range Formats {
		var b bytes.Buffer
		if err := format.Write(&b, r); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if bytes.ContainsAny(b.Bytes(), "\x1b\r") || format.Name != "json" && strings.Contains(text, "<b>oh") && format.Name != "text" {
			t.Errorf("%s: raw: %.2000s", format.Name, text)
		}
		if shown := format.Name != "csv" && format.Name != "benchfmt"; strings.Contains(text, "exit status 2") != shown {
			t.Errorf("%s: the log's end shown: %v, in %.2000s", format.Name, !shown, text)
		}
		if format.Name == "text" && (!strings.Contains(text, "\n    | goroutine 1 [running]:\n    | exit status 2\n") ||
			strings.Contains(text, "| START")) {
			t.Errorf("text: %.2000s", text)
		}
	}
}

func TestUnlimitedIsSaid(t *testing.T) {
	f := reporttest.Example()
	f.Header.Limits = lambda.ParseLimits("none: no permission")
	var b bytes.Buffer
	if err := Text(&b, report.New(f, report.Options{})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "NOT LIMITED (none: no permission)") {
		t.Error(b.String())
	}
}

// What each format makes of the same example, reporttest.Hostile names and all.
func TestFormats(t *testing.T) {
	f := reporttest.Example()
	f.Results = append(f.Results, trial.Result{
		Contender: "=cmd|'/c calc'!A1 `x` | [y](javascript:z)\n| 1", MemoryMB: 512, Arch: "x86_64", Client: "\x1b[31m", Concurrency: 4,
		Start: trial.Warm, OK: true, DurationMS: 700, BilledMS: 700, MaxMemoryMB: 40,
	})
	r := report.New(f, report.Options{})
	for _, tc := range []struct {
		name  string
		write func(*bytes.Buffer) error
	}{
		{"report.md", func(b *bytes.Buffer) error { return Markdown(b, r) }},
		{"report.csv", func(b *bytes.Buffer) error { return CSV(b, r) }},
		{"report.bench", func(b *bytes.Buffer) error { return Benchfmt(b, r) }},
	} {
		var b bytes.Buffer
		if err := tc.write(&b); err != nil {
			t.Fatal(err)
		}
		reporttest.Golden(t, tc.name, b.Bytes())
		if bytes.ContainsAny(b.Bytes(), "\x1b\x07") {
			t.Errorf("%s: a control character from the results", tc.name)
		}
	}
	var b bytes.Buffer
	if err := CSV(&b, r); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != len(r.Rows)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, line := range lines[1:] {
		for _, text := range line {
			if strings.HasPrefix(text, "=") {
				t.Errorf("a formula: %q", text)
			}
		}
	}
	b.Reset()
	if err := Markdown(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if bars := strings.Count(line, "|") - strings.Count(line, `\|`); bars != 0 && bars != 13 {
			t.Errorf("%d cells in %s", bars-1, line)
		}
		if strings.Contains(line, "<script") {
			t.Errorf("an element: %s", line)
		}
	}
	b.Reset()
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var back report.Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || len(back.Rows) != len(r.Rows) ||
		back.Rows[0].Warm.Median != r.Rows[0].Warm.Median {
		t.Errorf("%v", err)
	}
}

func TestCompareFormats(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	run := func(slower func(int, int) float64) []trial.Result { return reporttest.Build(rng, 8, slower) }
	old := run(func(int, int) float64 { return 1 })
	new := run(func(memory, _ int) float64 {
		return map[int]float64{512: 1.3, 128: 0.7}[memory] + map[bool]float64{true: 1}[memory != 512 && memory != 128]
	})
	new = new[:len(new)-8]
	for i := range 8 {
		new[i].Contender = "<b>|x\x1b"
	}
	of := func(results []trial.Result) *report.Report {
		return report.New(trial.File{Header: reporttest.Header(), Results: results}, report.Options{})
	}
	c := report.Compare(of(old), of(new), 0.05)
	for _, f := range CompareFormats {
		if f.Name == "html" {
			continue // package page's tests look at it
		}
		var b bytes.Buffer
		if err := f.Write(&b, c); err != nil {
			t.Fatal(err)
		}
		reporttest.Golden(t, "compare."+map[string]string{"text": "txt", "markdown": "md", "json": "json"}[f.Name], b.Bytes())
	}
}

// Nothing in a result file can make a report fail, or reach a terminal raw.
func FuzzReport(f *testing.F) {
	f.Add("go", "lean", "OOM", 128, 64, 12.5, 3.5, 20.0, true)
	f.Add("<script>", "\x1b[2J", "", -5, 0, math.Inf(1), math.NaN(), -1.0, false)
	f.Fuzz(func(t *testing.T, contender, client, failure string, memory, workers int, ms, cpu, ttfb float64, ok bool) {
		file := reporttest.Example()
		u := reporttest.Used{Contender: contender, Client: client, MemoryMB: memory, Workers: workers, MS: ms, CPU: cpu, P50: ttfb,
			P99: ttfb * 5}
		res := u.Result(0)
		res.OK, res.ErrorType, res.Error = ok, failure, failure
		file.Results = append(file.Results, res)
		r := report.New(file, report.Options{})
		var b bytes.Buffer
		for _, write := range []func() error{
			func() error { return Text(&b, r) }, func() error { return Markdown(&b, r) }, func() error {
				return CSV(&b,
					r)
			}, func() error { return Benchfmt(&b, r) },
			func() error { return page.Write(&b, r) }, func() error { return JSON(&b, r) },
			func() error { return CompareText(&b, report.Compare(r, r, 0.05)) }, func() error {
				return CompareMarkdown(&b,
					report.Compare(r, r, 0.05))
			},
		} {
			if err := write(); err != nil {
				t.Error(err)
			}
		}
		if bytes.ContainsRune(b.Bytes(), 0x1b) {
			t.Error("an escape character reached the report")
		}
	})
}

// Each format is written of nothing, too.
func TestNothing(t *testing.T) {
	nothing := report.New(trial.File{Header: reporttest.Header()}, report.Options{})
	for _, f := range Formats {
		if err := f.Write(io.Discard, nothing); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	for _, f := range CompareFormats {
		if err := f.Write(io.Discard, report.Compare(nothing, nothing, 0.05)); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}
