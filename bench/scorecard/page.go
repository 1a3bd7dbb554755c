package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
	"fanout/functions/store"
)

// The published comparison's sums of grades, and where it says so. It had no arm64 package for Go.
const (
	publishedGo   = 28
	publishedRust = 28
	publishedURL  = "https://ville-karkkainen.medium.com/how-do-you-like-your-aws-lambda-concurrency-part-3-go-and-rust-ce9f9ba1cc64"
)

// page is the whole of it, up to the notes.
func (c *scorecard) page() string {
	var b strings.Builder
	c.writeHead(&b)
	c.writeEffort(&b)
	c.writeMeasured(&b)
	c.writeRatios(&b)
	return b.String()
}

func (c *scorecard) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, `# Go and Rust, measured

Written by %[1]smake scorecard%[1]s: every figure here was measured, none was typed in.
All three fulfill the same contract, case by case (%[1]smake check%[1]s).

- **Go, SDK**: the handler with aws-sdk-go-v2 (clients %[1]stuned%[1]s and %[1]sstock%[1]s).
- **Go, lean**: the handler with this repository's own HTTP client and signer.
- **Rust**: aws-sdk-s3, tokio, lambda_runtime.

%[2]s, on %[3]s; Go %[4]s, Rust %[5]s; %[6]s at a time for both compilers.
The machine's load was %[7]s: on a busy machine the wall times
of builds say little, and their CPU times more.

`, "`", c.at, c.host, c.goVersion, c.rustVersion, plural(c.jobs, "job"), c.load)
}

// effortRow is one thing that it takes, for each implementation.
type effortRow struct {
	what                string
	goSDK, goLean, rust string
}

// writeEffort says what it takes to have the function.
func (c *scorecard) writeEffort(b *strings.Builder) {
	fmt.Fprintf(b, "## What it takes\n\n")
	column := func(head string, of func(effortRow) string) table.Column[effortRow] {
		return table.Column[effortRow]{
			Label: table.Label{Head: head}, Left: head == "", Cell: func(r effortRow) table.Cell { return table.Text(of(r)) },
		}
	}
	writeTable(b, []table.Column[effortRow]{
		column("", func(r effortRow) string { return r.what }),
		column("Go, SDK", func(r effortRow) string { return r.goSDK }),
		column("Go, lean", func(r effortRow) string { return r.goLean }),
		column("Rust", func(r effortRow) string { return r.rust }),
	}, c.effort())
	fmt.Fprintf(b, `
Build times are wall time, with CPU time in brackets, without downloads. Rust's
are those of the release profile, with link-time optimization, both times.
Dependencies are the Go modules and Rust crates in the function, and what builds
them. Lines exclude comments and blank lines. The first local answer is the clean
build, then INIT and the first answer at 1,769 MB in the sandbox. Lint is
golangci-lint with .golangci.yml, and clippy, pedantic, including tests.
Complexity is scc's count of branching words: it counts Go's if err != nil, but
not Rust's ?, so it compares versions of one language better than two languages.

Steps to arm64, Go: %[1]s%[2]s%[1]s. Rust: %[1]s%[3]s%[1]s; or cargo-lambda, which brings its own linker.

The published comparison graded code, packaging, experience and speed: Go %[4]d,
Rust %[5]d, without an arm64 package for Go ([part 3](%[6]s)).

`, "`", strings.Join(c.goSDK.arm64, "`, `"), strings.Join(c.rust.arm64, "`, `"), publishedGo, publishedRust, publishedURL)
}

func (c *scorecard) effort() []effortRow {
	host := lambda.HostArchitecture()
	changed := fmt.Sprintf("build after a change of the handler, n=%d, median", len(c.rust.incremental))
	var rows []effortRow
	for _, r := range []struct {
		what string
		of   func(implementation) string
	}{
		{"handler: lines of code", func(s implementation) string { return fmt.Sprint(s.handler.Lines) }},
		{"handler: complexity (scc)", func(s implementation) string { return fmt.Sprint(s.handler.Complexity) }},
		{"handler: files", func(s implementation) string { return fmt.Sprint(s.handler.Files) }},
		{"its tests: lines of code", func(s implementation) string { return fmt.Sprint(s.tests.Lines) }},
		{"its tests: complexity", func(s implementation) string { return fmt.Sprint(s.tests.Complexity) }},
		{"dependencies, direct", func(s implementation) string { return fmt.Sprint(s.direct) }},
		{"dependencies, all", func(s implementation) string { return fmt.Sprint(s.total) }},
		{"clean build, n=1", func(s implementation) string { return s.clean.String() }},
		{changed, func(s implementation) string { return middle(s.incremental).String() }},
		{"package, " + host, func(s implementation) string { return megabytes(s.zip) }},
		{"bootstrap, " + host, func(s implementation) string { return megabytes(s.bootstrap) }},
		{"steps to an arm64 package", func(s implementation) string { return fmt.Sprint(len(s.arm64)) }},
		{"arm64 package built on this machine", func(s implementation) string { return yes(s.arm64Built) }},
		{"format findings", func(s implementation) string { return fmt.Sprint(s.format) }},
		{"lint findings", func(s implementation) string { return fmt.Sprint(s.lint) }},
	} {
		rows = append(rows, effortRow{r.what, r.of(c.goSDK), r.of(c.goLean), r.of(c.rust)})
	}
	return append(rows, effortRow{
		"time to the first local answer", c.first(c.goSDK, store.Tuned), c.first(c.goLean, store.Lean), c.first(c.rust, c.rustClient()),
	})
}

// measuredColumns are what one interleaved run says of a setting.
var measuredColumns = []table.Column[report.Row]{
	{Label: table.Label{Head: "MB"}, Cell: func(r report.Row) table.Cell { return table.Int(r.MemoryMB) }},
	{Label: table.Label{}, Left: true, Cell: func(r report.Row) table.Cell { return table.Text(name(r)) }},
	{Label: table.Label{Head: "n"}, Cell: func(r report.Row) table.Cell { return table.Int(r.Warm.N) }},
	{Label: table.Label{Head: "warm ms"}, Cell: func(r report.Row) table.Cell { return summary(r.Warm) }},
	{Label: table.Label{Head: "CPU µs per object"}, Cell: func(r report.Row) table.Cell { return summary(r.CPUPerObject) }},
	{Label: table.Label{Head: "INIT ms"}, Cell: func(r report.Row) table.Cell { return summary(r.Init) }},
	{Label: table.Label{Head: "INIT + first ms"}, Cell: func(r report.Row) table.Cell { return summary(r.Cold) }},
	{Label: table.Label{Head: "max MB, cold"}, Cell: func(r report.Row) table.Cell { return table.Int(r.MaxMemoryMB) }},
	{Label: table.Label{Head: "failed"}, Cell: func(r report.Row) table.Cell { return table.Int(r.Failed) }},
}

func (c *scorecard) writeMeasured(b *strings.Builder) {
	fmt.Fprintf(b, `## What it does

This is one interleaved run with %d objects, 64 at a time, on network s3-standard:
sandbox times, not AWS times. Figures are medians; ± is the 95%% interval if n
allows one. Memory is that of a process after one invocation.

`, c.objects)
	writeTable(b, measuredColumns, c.ordered())
}

// ratioRow is Rust's medians over those of one of Go's clients.
type ratioRow struct {
	memoryMB int
	over     string
	ratios   []float64 // one for each of metrics; 0: not measured
}

func (c *scorecard) ratios() []ratioRow {
	var rows []ratioRow
	for _, rust := range c.ordered() {
		if rust.Contender != "rust" {
			continue
		}
		for _, other := range c.ordered() {
			if other.MemoryMB != rust.MemoryMB || other.Contender != "go" {
				continue
			}
			row := ratioRow{memoryMB: rust.MemoryMB, over: name(other), ratios: make([]float64, len(metrics))}
			for i, m := range metrics {
				if own := m.of(other); own > 0 {
					row.ratios[i] = m.of(rust) / own
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func (c *scorecard) writeRatios(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Ratios\n\nRust's median over Go's: above 1, Go is ahead.\n\n")
	columns := []table.Column[ratioRow]{
		{Label: table.Label{Head: "MB"}, Cell: func(r ratioRow) table.Cell { return table.Int(r.memoryMB) }},
		{Label: table.Label{Head: "Rust over"}, Left: true, Cell: func(r ratioRow) table.Cell { return table.Text(r.over) }},
	}
	for i, m := range metrics {
		columns = append(columns, table.Column[ratioRow]{Label: table.Label{Head: m.name}, Cell: func(r ratioRow) table.Cell {
			if r.ratios[i] == 0 {
				return table.Missing()
			}
			return table.Figure(r.ratios[i], fmt.Sprintf("%.2f", r.ratios[i]))
		}})
	}
	rows := c.ratios()
	writeTable(b, columns, rows)

	fmt.Fprintf(b, "\nRust is ahead:\n\n")
	ahead := rustAhead(rows)
	for _, line := range ahead {
		fmt.Fprintf(b, "- %s\n", line)
	}
	if ahead == nil {
		fmt.Fprintf(b, "- nowhere\n")
	}
}

// rustAhead says over which client, in what, and at which memory sizes.
func rustAhead(rows []ratioRow) []string {
	sizes := map[string][]string{}
	for _, r := range rows {
		for i, m := range metrics {
			if r.ratios[i] > 0 && r.ratios[i] < 1 {
				key := fmt.Sprintf("over %s in %s", r.over, m.name)
				sizes[key] = append(sizes[key], fmt.Sprint(r.memoryMB))
			}
		}
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(sizes)) {
		lines = append(lines, fmt.Sprintf("%s: at %s MB", key, strings.Join(sizes[key], ", ")))
	}
	return lines
}

// metrics are what Go and Rust are compared by; less is better.
var metrics = []struct {
	name string
	of   func(report.Row) float64
}{
	{"warm", func(r report.Row) float64 { return r.Warm.Median }},
	{"CPU per object", func(r report.Row) float64 { return r.CPUPerObject.Median }},
	{"INIT", func(r report.Row) float64 { return r.Init.Median }},
	{"INIT + first", func(r report.Row) float64 { return r.Cold.Median }},
	{"max memory", func(r report.Row) float64 { return float64(r.MaxMemoryMB) }},
}

// ordered gives the rows by memory, Go's first.
func (c *scorecard) ordered() []report.Row {
	rows := slices.Clone(c.rows)
	slices.SortStableFunc(rows, func(a, b report.Row) int { return a.MemoryMB - b.MemoryMB })
	return rows
}

// rustClient is what the Rust contender calls its client.
func (c *scorecard) rustClient() string {
	for _, row := range c.rows {
		if row.Contender == "rust" {
			return row.Client
		}
	}
	return ""
}

func (c *scorecard) first(s implementation, client string) string {
	return fmt.Sprintf("%.1f s", (s.clean.wall + time.Duration(c.cold[client]*float64(time.Millisecond))).Seconds())
}

func name(row report.Row) string { return row.Contender + " " + row.Client }

func (t took) String() string {
	return fmt.Sprintf("%.1f s (%.1f s)", t.wall.Seconds(), t.cpu.Seconds())
}

// middle is the one whose wall time is the median.
func middle(all []took) took {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b took) int { return int(a.wall - b.wall) })
	return sorted[len(sorted)/2]
}

// summary is a median, with its interval if there is one.
func summary(s stats.Summary) table.Cell {
	switch {
	case s.N == 0:
		return table.Missing()
	case s.HasInterval && s.Median > 0:
		return table.Figure(s.Median, fmt.Sprintf("%.0f ±%.0f%%", s.Median, (s.Hi-s.Lo)/2/s.Median*100))
	}
	return table.Figure(s.Median, fmt.Sprintf("%.0f", s.Median))
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func plural(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func writeTable[R any](b *strings.Builder, columns []table.Column[R], rows []R) {
	_ = table.Table[R]{Columns: columns, Rows: rows}.Markdown(b) // a Builder gives no error
}
