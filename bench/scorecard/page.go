package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/functions/store"
)

// page is the whole of it, up to the notes.
func (c *scorecard) page() string {
	var b strings.Builder
	c.writeHead(&b)
	c.writeEffort(&b)
	c.writePublished(&b)
	c.writeMeasured(&b)
	c.writeRatios(&b)
	c.writeAhead(&b)
	return b.String()
}

func (c *scorecard) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, `# The languages, measured

Written by %[1]smake scorecard%[1]s: every figure here was measured, none was typed in.
All functions fulfill the same contract, case by case (%[1]sfanout check%[1]s), and read
with the same number of workers in one interleaved run.

`, "`")
	for _, l := range c.languages {
		for _, v := range l.variants {
			fmt.Fprintf(b, "- **%s**: %s.\n", v.name, v.about)
		}
	}
	for _, a := range c.absent {
		fmt.Fprintf(b, "- **%s** is not measured: %s.\n", a.name, a.why)
	}
	var versions []string
	for _, l := range c.languages {
		versions = append(versions, strings.TrimSpace(l.name+" "+l.ran))
	}
	fmt.Fprintf(b, `
%s, on %s; %s; compilers had %s at a time.
The machine's load was %s: on a busy machine the wall times
of builds say little, and their CPU times more.

`, c.at, c.host, strings.Join(versions, ", "), plural(c.jobs, "job"), c.load)
}

// writePublished says what the comparison gave that started this.
func (c *scorecard) writePublished(b *strings.Builder) {
	fmt.Fprintf(b, `The published comparison graded code, packaging, experience and speed. This
repository cites its grades of part 3 only: Go %d, Rust %d, without an arm64 package
for Go ([part 3](%s)).

`, publishedGo, publishedRust, publishedURL)
}

// The published comparison's sums of grades, and where it says so. It had no arm64 package for Go.
const (
	publishedGo   = 28
	publishedRust = 28
	publishedURL  = "https://ville-karkkainen.medium.com/how-do-you-like-your-aws-lambda-concurrency-part-3-go-and-rust-ce9f9ba1cc64"
)

// measuredColumns are what one interleaved run says of a setting.
var measuredColumns = []table.Column[report.Row]{
	{Label: table.Label{Head: "MB"}, Cell: func(r report.Row) table.Cell { return table.Int(r.MemoryMB) }},
	{Label: table.Label{}, Left: true, Cell: func(r report.Row) table.Cell { return table.Text(name(r)) }},
	{Label: table.Label{Head: "n"}, Cell: func(r report.Row) table.Cell { return table.Int(r.Warm.N) }},
	{Label: table.Label{Head: "warm ms"}, Cell: func(r report.Row) table.Cell { return summary(r.Warm) }},
	{Label: table.Label{Head: "CPU µs per object"}, Cell: func(r report.Row) table.Cell { return summary(r.CPUPerObject) }},
	{Label: table.Label{Head: "INIT ms"}, Cell: func(r report.Row) table.Cell { return summary(r.Init) }},
	{Label: table.Label{Head: "INIT + first ms"}, Cell: func(r report.Row) table.Cell { return summary(r.Cold) }},
	{Label: table.Label{Head: "max MB, cold"}, Cell: func(r report.Row) table.Cell { return positive(r.MaxMemoryMB) }},
	{Label: table.Label{Head: "failed"}, Cell: func(r report.Row) table.Cell { return table.Int(r.Failed) }},
	{Label: table.Label{Head: "why"}, Left: true, Cell: func(r report.Row) table.Cell { return table.Text(why(r)) }},
}

// why names what a row's invocations failed with.
func why(r report.Row) string {
	var names []string
	for _, f := range r.Failures {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func (c *scorecard) writeMeasured(b *strings.Builder) {
	fmt.Fprintf(b, `## What it does

This is one interleaved run with %d objects, 64 at a time, on network s3-standard:
sandbox times, not AWS times. Figures are medians; ± is the 95%% interval if n
allows one. Memory is that of a process after one invocation. A setting whose
invocations failed is a row, with the reason. The run alone:

    %s

`, c.objects, c.command)
	columns := measuredColumns
	if !slices.ContainsFunc(c.rows, func(r report.Row) bool { return r.Failed > 0 }) {
		columns = columns[:len(columns)-1]
	}
	writeTable(b, columns, c.ordered())
}

// ratioRow is a setting's medians over those of Go's own client at the same
// memory.
type ratioRow struct {
	memoryMB int
	who      string
	ratios   []float64 // one for each of metrics; 0: not measured
}

func (c *scorecard) ratios() []ratioRow {
	base := map[int]report.Row{}
	for _, r := range c.rows {
		if isBase(r) {
			base[r.MemoryMB] = r
		}
	}
	var rows []ratioRow
	for _, r := range c.ordered() {
		own, ok := base[r.MemoryMB]
		if !ok || isBase(r) {
			continue
		}
		row := ratioRow{memoryMB: r.MemoryMB, who: name(r), ratios: make([]float64, len(metrics))}
		for i, m := range metrics {
			if v := m.of(own); v > 0 {
				row.ratios[i] = m.of(r) / v
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// isBase says whether a row is what the others are compared with.
func isBase(r report.Row) bool { return r.Contender == goContender && r.Client == store.Lean }

func (c *scorecard) writeRatios(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Ratios\n\nMedians over those of Go's `lean` at the same memory: above 1, Go's `lean` is ahead.\n\n")
	columns := []table.Column[ratioRow]{
		{Label: table.Label{Head: "MB"}, Cell: func(r ratioRow) table.Cell { return table.Int(r.memoryMB) }},
		{Label: table.Label{}, Left: true, Cell: func(r ratioRow) table.Cell { return table.Text(r.who) }},
	}
	for i, m := range metrics {
		columns = append(columns, table.Column[ratioRow]{Label: table.Label{Head: m.name}, Cell: func(r ratioRow) table.Cell {
			if r.ratios[i] == 0 {
				return table.Missing()
			}
			return table.Figure(r.ratios[i], fmt.Sprintf("%.2f", r.ratios[i]))
		}})
	}
	writeTable(b, columns, c.ratios())
}

// writeAhead says which is ahead in what, of the clients for this purpose and of
// the SDKs: these two are not compared with each other.
func (c *scorecard) writeAhead(b *strings.Builder) {
	fmt.Fprintf(b, `
### Ahead

The least median of each kind of client at each memory, and in brackets those whose
95%% interval reaches the leader's. A client for one purpose costs less than an SDK in
any language, so the two kinds stand apart.
`)
	for _, kind := range []struct {
		heading string
		own     bool
	}{{"Own clients", true}, {"SDKs", false}} {
		var rows []report.Row
		for _, r := range c.ordered() {
			if ownClient(r.Client) == kind.own {
				rows = append(rows, r)
			}
		}
		fmt.Fprintf(b, "\n%s:\n\n", kind.heading)
		for _, m := range metrics {
			if leaders := m.ahead(rows); leaders != nil {
				fmt.Fprintf(b, "- %s: %s\n", m.name, strings.Join(leaders, "; "))
			}
		}
	}
}

// metric is what languages are compared by; less is better.
type metric struct {
	name    string
	summary func(report.Row) stats.Summary
}

// metrics, in the order of the tables.
var metrics = []metric{
	{"warm", func(r report.Row) stats.Summary { return r.Warm }},
	{"CPU per object", func(r report.Row) stats.Summary { return r.CPUPerObject }},
	{"INIT", func(r report.Row) stats.Summary { return r.Init }},
	{"INIT + first", func(r report.Row) stats.Summary { return r.Cold }},
	{"max memory", func(r report.Row) stats.Summary {
		if r.MaxMemoryMB == 0 {
			return stats.Summary{}
		}
		return stats.Summary{N: 1, Median: float64(r.MaxMemoryMB)}
	}},
}

// of is a row's median; 0: not measured.
func (m metric) of(r report.Row) float64 { return m.summary(r).Median }

// ahead names, for each memory size of some rows, the one with the least median
// and those that it cannot be told from. A setting with failures leads nothing.
func (m metric) ahead(rows []report.Row) []string {
	byMemory := map[int][]report.Row{}
	var sizes []int
	for _, r := range rows {
		if m.of(r) == 0 || r.Failed > 0 {
			continue
		}
		if byMemory[r.MemoryMB] == nil {
			sizes = append(sizes, r.MemoryMB)
		}
		byMemory[r.MemoryMB] = append(byMemory[r.MemoryMB], r)
	}
	var said []string
	for _, mb := range sizes {
		best := slices.MinFunc(byMemory[mb], func(a, b report.Row) int { return cmp.Compare(m.of(a), m.of(b)) })
		var tied []string
		for _, r := range byMemory[mb] {
			if r.Key != best.Key && overlap(m.summary(best), m.summary(r)) {
				tied = append(tied, name(r))
			}
		}
		line := fmt.Sprintf("%s at %d MB", name(best), mb)
		if tied != nil {
			line += " (" + strings.Join(tied, ", ") + ")"
		}
		said = append(said, line)
	}
	return said
}

// overlap says whether two medians cannot be told apart by their intervals.
func overlap(a, b stats.Summary) bool {
	if !a.HasInterval || !b.HasInterval {
		return a.Median == b.Median
	}
	return a.Lo <= b.Hi && b.Lo <= a.Hi
}

// ordered gives the rows by memory, then in the order of the languages.
func (c *scorecard) ordered() []report.Row {
	place := map[string]int{}
	for i, l := range c.languages {
		place[l.contender] = i
	}
	return slices.SortedStableFunc(slices.Values(c.rows), func(a, b report.Row) int {
		return cmp.Or(cmp.Compare(a.MemoryMB, b.MemoryMB), cmp.Compare(place[a.Contender], place[b.Contender]))
	})
}

func name(row report.Row) string { return row.Contender + " " + row.Client }

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

// positive is a figure that is 0 where nothing was measured.
func positive(n int) table.Cell {
	if n == 0 {
		return table.Missing()
	}
	return table.Int(n)
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
