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
	"io"
	"math"
	"math/rand/v2"
	"reflect"
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
				t.Errorf("%s: advises: %q in %s", format.Name, advice, text)
			}
		}
		if format.Name != "csv" && !strings.Contains(text, "sudo bin/fanout run") {
			t.Errorf("%s: does not say what to do: %s", format.Name, text)
		}
		marks := map[string]string{"text": " none ", "markdown": "| none |", "csv": ",none: no permission", "json": `"limits": "none: no permission"`, "html": `<td data-sort="none">none</td>`}[format.Name]
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
		if bars := strings.Count(line, "|") - strings.Count(line, `\|`); bars != 0 && bars != 14 {
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
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || len(back.Rows) != len(r.Rows) || back.Rows[0].Warm.Median != r.Rows[0].Warm.Median {
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
		var b bytes.Buffer
		if err := f.Write(&b, c); err != nil {
			t.Fatal(err)
		}
		reporttest.Golden(t, "compare."+map[string]string{"text": "txt", "markdown": "md"}[f.Name], b.Bytes())
	}
}

// Nothing in a result file can make a report fail, or reach a terminal raw.
func FuzzReport(f *testing.F) {
	f.Add("go", "lean", "OOM", 128, 64, 12.5, 3.5, 20.0, true)
	f.Add("<script>", "\x1b[2J", "", -5, 0, math.Inf(1), math.NaN(), -1.0, false)
	f.Fuzz(func(t *testing.T, contender, client, failure string, memory, workers int, ms, cpu, ttfb float64, ok bool) {
		file := reporttest.Example()
		u := reporttest.Used{Contender: contender, Client: client, MemoryMB: memory, Workers: workers, MS: ms, CPU: cpu, P50: ttfb, P99: ttfb * 5}
		res := u.Result(0)
		res.OK, res.ErrorType, res.Error = ok, failure, failure
		file.Results = append(file.Results, res)
		r := report.New(file, report.Options{})
		var b bytes.Buffer
		for _, write := range []func() error{
			func() error { return Text(&b, r) }, func() error { return Markdown(&b, r) }, func() error { return CSV(&b, r) }, func() error { return Benchfmt(&b, r) },
			func() error { return page.Write(&b, r) }, func() error { return JSON(&b, r) },
			func() error { return CompareText(&b, report.Compare(r, r, 0.05)) }, func() error { return CompareMarkdown(&b, report.Compare(r, r, 0.05)) },
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
