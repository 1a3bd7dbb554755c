package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
)

// column is a variant with what was measured of it.
type column struct {
	language measured
	variant
	implementation
}

func (c *scorecard) columns() []column {
	var all []column
	for _, l := range c.languages {
		for i, v := range l.variants {
			all = append(all, column{l, v, l.of[i]})
		}
	}
	return all
}

// effortRow is one thing that it takes, for each variant.
type effortRow struct {
	what  string
	cells []string
}

// writeEffort says what it takes to have the function.
func (c *scorecard) writeEffort(b *strings.Builder) {
	fmt.Fprintf(b, "## What it takes\n\n")
	columns := []table.Column[effortRow]{{Left: true, Cell: func(r effortRow) table.Cell { return table.Text(r.what) }}}
	for i, v := range c.columns() {
		columns = append(columns, table.Column[effortRow]{
			Label: table.Label{Head: v.name}, Cell: func(r effortRow) table.Cell { return table.Text(r.cells[i]) },
		})
	}
	writeTable(b, columns, c.effort())
	fmt.Fprintf(b, `
A dash is what could not be measured here. A column with both an own client and an
SDK has both in its lines, its package and its dependencies. Lines exclude comments
and blank lines; complexity is lizard's cyclomatic complexity of each function, and
scc's count of branching words in all of it, which counts Go's if err != nil but not
Rust's ?: it compares versions of one language better than two languages.
Dependencies are the packages in the function, and what builds them. Build times are
wall time, with CPU time in brackets, without downloads, by the command that make
uses: what Python, Node.js and Java take is mostly installing and packing. Rust's are
those of the release profile, with link-time optimization. The first local answer is
the clean build, then INIT and the first answer at 1,769 MB in the sandbox, or at the
largest memory measured below that. Findings are those of each ecosystem's formatter
and linter, as this repository has them set up.

Steps to a package for arm64, on x86_64:

`)
	for _, v := range c.columns() {
		steps := "none: the package is the same"
		if v.arm64 != nil {
			steps = strings.TrimSpace("`" + strings.Join(v.arm64, "`, `") + "` " + v.arm64Note)
		}
		fmt.Fprintf(b, "- %s: %s\n", v.name, steps)
	}
	fmt.Fprintln(b)
}

func (c *scorecard) effort() []effortRow {
	host := lambda.HostArchitecture()
	columns := c.columns()
	rounds := 0
	for _, v := range columns {
		rounds = max(rounds, len(v.incremental))
	}
	changed := fmt.Sprintf("build after a change of the handler, n=%d, median", rounds)
	number := func(n int) string { return fmt.Sprint(n) }
	var rows []effortRow
	for _, r := range []struct {
		what string
		of   func(column) string
	}{
		{"handler: lines of code", func(v column) string { return number(v.implementation.handler.lines) }},
		{"handler: files", func(v column) string { return number(v.implementation.handler.files) }},
		{"handler: functions (lizard)", func(v column) string { return counted(v.implementation.handler, v.implementation.handler.functions) }},
		{"complexity of a function, median", func(v column) string { return counted(v.implementation.handler, v.implementation.handler.middle) }},
		{"complexity of a function, most", func(v column) string { return counted(v.implementation.handler, v.implementation.handler.worst) }},
		{"complexity of all (scc)", func(v column) string { return number(v.implementation.handler.complexity) }},
		{"its tests: lines of code", func(v column) string { return number(v.implementation.tests.lines) }},
		{"dependencies, direct", func(v column) string { return number(v.direct) }},
		{"dependencies, all", func(v column) string { return number(v.total) }},
		{"clean build, n=1", func(v column) string { return v.clean.String() }},
		{changed, func(v column) string { return middle(v.incremental).String() }},
		{"package, " + host, func(v column) string { return megabytes(v.implementation.zip) }},
		{"unpacked, " + host, func(v column) string { return megabytes(v.unpacked) }},
		{"steps to an arm64 package", func(v column) string { return number(len(v.arm64)) }},
		{"arm64 package built on this machine", func(v column) string { return yes(v.arm64Built || v.arm64 == nil) }},
		{"format findings", func(v column) string { return findings(v.implementation.format) }},
		{"lint findings", func(v column) string { return findings(v.implementation.lint) }},
		{"time to the first local answer", c.first},
	} {
		row := effortRow{what: r.what}
		for _, v := range columns {
			row.cells = append(row.cells, r.of(v))
		}
		rows = append(rows, row)
	}
	return rows
}

// first is the clean build, INIT and the first answer.
func (c *scorecard) first(v column) string {
	const full = 1769 // MB: one vCPU
	var at report.Row
	for _, row := range c.rows {
		if row.Contender == v.language.contender && (v.client == "" || row.Client == v.client) && row.Cold.N > 0 && row.MemoryMB <= full &&
			row.MemoryMB > at.MemoryMB {
			at = row
		}
	}
	if at.Cold.N == 0 {
		return table.None
	}
	return fmt.Sprintf("%.1f s", (v.clean.wall + time.Duration(at.Cold.Median*float64(time.Millisecond))).Seconds())
}

// counted is a figure of lizard's, if it ran.
func counted(c code, n int) string {
	if c.functions == 0 {
		return table.None
	}
	return fmt.Sprint(n)
}

func findings(n int) string {
	if n == notMeasured {
		return table.None
	}
	return fmt.Sprint(n)
}

func (t took) String() string {
	return fmt.Sprintf("%.1f s (%.1f s)", t.wall.Seconds(), t.cpu.Seconds())
}

// middle is the one whose wall time is the median.
func middle(all []took) took {
	if len(all) == 0 {
		return took{}
	}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b took) int { return int(a.wall - b.wall) })
	return sorted[len(sorted)/2]
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
