package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
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
	fmt.Fprintf(&b, `# Go and Rust, measured

Written by %[1]smake scorecard%[1]s: every figure here was measured, none typed in.
All three keep the same contract, case by case (%[1]smake check%[1]s).

- **Go, SDK**: the handler with aws-sdk-go-v2 (clients %[1]stuned%[1]s and %[1]sstock%[1]s).
- **Go, lean**: the handler with this repository's own HTTP client and signer.
- **Rust**: aws-sdk-s3, tokio, lambda_runtime.

%[2]s, on %[3]s; Go %[4]s, Rust %[5]s; %[6]s at a time for both compilers.
The machine's load was %[7]s: on a busy one the wall times of
builds say little, their CPU times more.

`, "`", c.at, c.host, c.goVersion, c.rustVersion, plural(c.jobs, "job"), c.load)

	fmt.Fprintf(&b, "## What it takes\n\n")
	three := func(what string, of func(side) string) []string {
		return []string{what, of(c.goSDK), of(c.goLean), of(c.rust)}
	}
	host := lambda.HostArchitecture()
	table(&b, []string{"", "Go, SDK", "Go, lean", "Rust"}, [][]string{
		three("handler: lines of code", func(s side) string { return fmt.Sprint(s.handler.Lines) }),
		three("handler: complexity (scc)", func(s side) string { return fmt.Sprint(s.handler.Complexity) }),
		three("handler: files", func(s side) string { return fmt.Sprint(s.handler.Files) }),
		three("its tests: lines of code", func(s side) string { return fmt.Sprint(s.tests.Lines) }),
		three("its tests: complexity", func(s side) string { return fmt.Sprint(s.tests.Complexity) }),
		three("dependencies, direct", func(s side) string { return fmt.Sprint(s.direct) }),
		three("dependencies, all", func(s side) string { return fmt.Sprint(s.total) }),
		three("clean build, n=1", func(s side) string { return s.clean.String() }),
		three(fmt.Sprintf("build after a change of the handler, n=%d, median", len(c.rust.incremental)), func(s side) string { return middle(s.incremental).String() }),
		three("package, "+host, func(s side) string { return megabytes(s.zip) }),
		three("bootstrap, "+host, func(s side) string { return megabytes(s.bootstrap) }),
		three("steps to an arm64 package", func(s side) string { return fmt.Sprint(len(s.arm64)) }),
		three("arm64 package built on this machine", func(s side) string { return yes(s.arm64Built) }),
		three("format findings", func(s side) string { return fmt.Sprint(s.format) }),
		three("lint findings", func(s side) string { return fmt.Sprint(s.lint) }),
		{"time to the first local answer", c.first(c.goSDK, store.Tuned), c.first(c.goLean, store.Lean), c.first(c.rust, c.rustClient())},
	})
	fmt.Fprintf(&b, `
Build times are wall (CPU), downloads left out. Rust's is the release profile,
with link-time optimisation, both times. Dependencies are Go modules and Rust
crates in the function, and what builds them. Lines are without comments and
blank ones. The first local answer is the clean build, then INIT and the first
answer at 1,769 MB in the sandbox. Lint is golangci-lint as .golangci.yml has it
and clippy, pedantic, tests included. Complexity is scc's count of branching
words: of Go's, if err != nil is one, of Rust's, ? is none, so that it compares
versions of one language better than two languages.

Steps to arm64, Go: %[1]s%[2]s%[1]s. Rust: %[1]s%[3]s%[1]s; or cargo-lambda, which brings its own linker.

The published comparison graded code, packaging, experience and speed: Go %[4]d,
Rust %[5]d, without an arm64 package for Go ([part 3](%[6]s)).

`, "`", strings.Join(c.goSDK.arm64, "`, `"), strings.Join(c.rust.arm64, "`, `"), publishedGo, publishedRust, publishedURL)

	fmt.Fprintf(&b, "## What it does\n\nOne interleaved run, %d objects, 64 at a time, network s3-standard: sandbox\ntimes, not AWS times. Medians; ± is the 95%% interval where n allows one.\nMemory is a process's after one invocation.\n\n", c.objects)
	var rows [][]string
	for _, row := range c.ordered() {
		rows = append(rows, []string{
			fmt.Sprint(row.MemoryMB), name(row), fmt.Sprint(row.Warm.N), figure(row.Warm), figure(row.CPUPerObject), figure(row.Init), figure(row.Cold),
			fmt.Sprint(row.MaxMemoryMB), fmt.Sprint(row.Failed),
		})
	}
	table(&b, []string{"MB", "", "n", "warm ms", "CPU µs an object", "INIT ms", "INIT + first ms", "max MB, cold", "failed"}, rows)

	fmt.Fprintf(&b, "\n### Ratios\n\nRust's median over Go's: above 1, Go is ahead.\n\n")
	rows = nil
	ahead := map[string][]string{} // by whom, and in what
	var whom []string
	for _, row := range c.ordered() {
		if row.Contender != "rust" {
			continue
		}
		for _, other := range c.ordered() {
			if other.MemoryMB != row.MemoryMB || other.Contender != "go" {
				continue
			}
			line := []string{fmt.Sprint(row.MemoryMB), name(other)}
			for _, m := range metrics {
				rust, own := m.of(row), m.of(other)
				if rust == 0 || own == 0 {
					line = append(line, "–")
					continue
				}
				line = append(line, fmt.Sprintf("%.2f", rust/own))
				if rust < own {
					key := fmt.Sprintf("over %s in %s", name(other), m.name)
					if ahead[key] == nil {
						whom = append(whom, key)
					}
					ahead[key] = append(ahead[key], fmt.Sprint(row.MemoryMB))
				}
			}
			rows = append(rows, line)
		}
	}
	heads := []string{"MB", "Rust over"}
	for _, m := range metrics {
		heads = append(heads, m.name)
	}
	table(&b, heads, rows)
	slices.Sort(whom)
	fmt.Fprintf(&b, "\nWhere Rust is ahead:\n\n")
	for _, key := range whom {
		fmt.Fprintf(&b, "- %s: at %s MB\n", key, strings.Join(ahead[key], ", "))
	}
	if whom == nil {
		fmt.Fprintf(&b, "- nowhere\n")
	}
	return b.String()
}

// metrics are what Go and Rust are compared by; less is better.
var metrics = []struct {
	name string
	of   func(report.Row) float64
}{
	{"warm", func(r report.Row) float64 { return r.Warm.Median }},
	{"CPU an object", func(r report.Row) float64 { return r.CPUPerObject.Median }},
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

func (c *scorecard) first(s side, client string) string {
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

func figure(s stats.Summary) string {
	switch {
	case s.N == 0:
		return "–"
	case s.HasInterval && s.Median > 0:
		return fmt.Sprintf("%.0f ±%.0f%%", s.Median, (s.Hi-s.Lo)/2/s.Median*100)
	}
	return fmt.Sprintf("%.0f", s.Median)
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

func table(b *strings.Builder, heads []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}
