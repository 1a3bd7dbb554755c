package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

// columns is the width of a terminal.
const columns = 80

// none stands where a figure cannot be had.
const none = "–"

// Text writes the report for a terminal of 80 columns: the advice on top, then
// a row a setting.
func Text(w io.Writer, r *Report) error {
	var b bytes.Buffer
	h := r.Header
	fmt.Fprintf(&b, "%d objects, %.1f MB, %s\n", r.Objects, float64(r.Bytes)/1e6, clip(place(h), 200))
	if h.Backend == trial.Endpoint {
		fmt.Fprintln(&b, "Times of a custom endpoint, not AWS times, and costs at those times.")
	}
	if h.Backend == trial.Sandbox {
		wrap(&b, "", fmt.Sprintf("Sandbox times, not AWS times, and costs at those times: %s.", clip(h.Host, 100)))
		if h.Limits.None() {
			wrap(&b, "", fmt.Sprintf("CPU AND MEMORY WERE NOT LIMITED (%s): memory sizes mean nothing here.", clip(h.Limits.String(), 100)))
		}
	}
	fmt.Fprintln(&b)
	r.writeAdvice(&b)
	r.writeTable(&b)
	r.writeNotes(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func place(h trial.Header) string {
	switch h.Backend {
	case trial.AWS:
		return "AWS Lambda, " + h.Region
	case trial.Endpoint:
		return "a custom endpoint"
	}
	return fmt.Sprintf("sandbox, network %s, limits %s", h.Network, h.Limits)
}

// pricesLine says whose prices, and of when.
func (r *Report) pricesLine() string {
	class := "S3 Standard"
	if r.Class == cost.Express {
		class = "S3 Express One Zone"
	}
	return fmt.Sprintf("prices: %s, %s, %s, no free tier", r.Region, r.Date, class)
}

func (r *Report) writeAdvice(b *bytes.Buffer) {
	a := r.Advice
	if len(a.Picks) == 0 {
		fmt.Fprintf(b, "No setting to advise: none has warm invocations without a failure.\n\n")
		return
	}
	for i, p := range a.Picks {
		if slices.ContainsFunc(a.Picks[:i], func(o Pick) bool { return o.Row == p.Row }) {
			wrap(b, fmt.Sprintf("%-10s", p.Goal), "the same: "+r.Certainty(p))
			continue
		}
		row := r.Rows[p.Row]
		precision := ""
		if row.Warm.HasInterval {
			precision = " ±" + share(row.Warm.Precision())
		}
		price := ""
		if r.Priced {
			price = "  " + dollars(row.WarmCost.Median*1e6) + " a million"
		}
		fmt.Fprintf(b, "%-9s %s  %s ms%s%s\n", p.Goal, r.Name(row), number(row.Warm.Median), precision, price)
		wrap(b, strings.Repeat(" ", 10), r.Certainty(p))
	}
	fmt.Fprintln(b)
	said := map[int]bool{}
	for _, p := range a.Picks {
		if v := r.Rows[p.Row].Verdict; !said[p.Row] && v.Kind != Unknown {
			said[p.Row] = true
			wrap(b, "  ", r.Name(r.Rows[p.Row])+": "+v.String())
		}
	}
	if a.SmallestMB > 0 {
		fmt.Fprintf(b, "Smallest memory at which nothing failed: %d MB.\n", a.SmallestMB)
	}
	if a.S3Share >= 0.5 {
		wrap(b, "", fmt.Sprintf("%s of the balanced pick's cost is S3's, for requests and bytes: no setting changes that part.", share(a.S3Share)))
	}
	for _, w := range r.Warnings {
		wrap(b, "", "warning: "+clip(w, 300))
	}
	fmt.Fprintln(b)
}

// column is one of the table's.
type column struct {
	head, unit string
	left       bool
	keep       int // the lowest go first where the table is too wide
	cell       func(Row) string
}

func (r *Report) writeTable(b *bytes.Buffer) {
	cols := []column{
		{"MEMORY", "MB", false, 9, func(row Row) string { return strconv.Itoa(row.MemoryMB) }},
		{"CLIENT", "", true, 9, func(row Row) string { return r.Who(row) }},
		{"WORKERS", "", false, 9, func(row Row) string { return row.Workers() }},
		{"N", "", false, 9, func(row Row) string { return strconv.Itoa(row.Warm.N) }},
		{"WARM", "ms", false, 9, warmCell},
		{"±", "", false, 8, func(row Row) string {
			if !row.Warm.HasInterval {
				return none
			}
			return share(row.Warm.Precision())
		}},
		{"COLD", "ms", false, 5, func(row Row) string { return medianCell(row.Cold) }},
		{"CPU/OBJ", "µs", false, 1, func(row Row) string { return medianCell(row.CPUPerObject) }},
		{"MAX", "MB", false, 2, func(row Row) string { return strconv.Itoa(row.MaxMemoryMB) }},
		{"SPEED-UP", "", false, 4, func(row Row) string {
			if row.SpeedUp == 0 {
				return none
			}
			return fmt.Sprintf("%.1f×", row.SpeedUp)
		}},
		{"COST", "$/M", false, 6, func(row Row) string { return r.usd(row, cost.Split.Total) }},
		{"COMPUTE", "$/M", false, 3, func(row Row) string { return r.usd(row, func(s cost.Split) float64 { return s.Compute }) }},
		{"WHY", "", true, 7, func(row Row) string { return row.Verdict.Short() }},
	}
	width := func(c column) int {
		w := max(utf8.RuneCountInString(c.head), utf8.RuneCountInString(c.unit))
		for _, row := range r.Rows {
			w = max(w, utf8.RuneCountInString(c.cell(row)))
		}
		return w
	}
	widths := make([]int, len(cols))
	total := -1
	for i, c := range cols {
		widths[i] = width(c)
		total += widths[i] + 1
	}
	for total > columns {
		least := -1
		for i, c := range cols {
			if widths[i] > 0 && (least < 0 || c.keep < cols[least].keep) {
				least = i
			}
		}
		if cols[least].keep >= 8 {
			break // what is left is the table
		}
		total -= widths[least] + 1
		widths[least] = 0
	}
	line := func(text func(column) string) {
		var parts []string
		for i, c := range cols {
			switch {
			case widths[i] == 0:
			case c.left:
				parts = append(parts, fmt.Sprintf("%-*s", widths[i], text(c)))
			default:
				parts = append(parts, fmt.Sprintf("%*s", widths[i], text(c)))
			}
		}
		fmt.Fprintln(b, strings.TrimRight(strings.Join(parts, " "), " "))
	}
	line(func(c column) string { return c.head })
	line(func(c column) string { return c.unit })
	for _, row := range r.Rows {
		line(func(c column) string { return c.cell(row) })
	}
}

func warmCell(row Row) string {
	switch {
	case row.Warm.N > 0:
		return number(row.Warm.Median)
	case row.Failed > 0:
		return clip(row.Failures[0].Name, 8)
	}
	return none
}

func medianCell(s stats.Summary) string {
	if s.N == 0 {
		return none
	}
	return number(s.Median)
}

// usd gives a part of a row's cost, of a million invocations.
func (r *Report) usd(row Row, part func(cost.Split) float64) string {
	if !r.Priced || row.WarmCost.N == 0 {
		return none
	}
	return number(part(row.Cost.Million()))
}

func (r *Report) writeNotes(b *bytes.Buffer) {
	fmt.Fprintln(b)
	wrap(b, "", fmt.Sprintf("warm, cold: medians; cold is init + first. ±: the %.0f%% interval of the warm median; it needs n of %d.",
		stats.Confidence*100, stats.MinForInterval))
	wrap(b, "", "speed-up: over one worker of the same contender at the same memory. why: the share that decides.")
	if r.Priced {
		wrap(b, "", fmt.Sprintf("cost: of a million warm invocations, S3 and fees included; compute: alone. %s.", r.pricesLine()))
	}
	for _, row := range r.Rows {
		for _, fail := range row.Failures {
			fmt.Fprintf(b, "failed: %s: %d× %s: %s\n", r.Name(row), fail.Count, clip(fail.Name, 40), clip(fail.Example, 200))
		}
	}
}

// wrap writes text in lines of 80 columns: the first begins with what first
// says, the others are indented as far.
func wrap(b *bytes.Buffer, first, text string) {
	line, indent := first, strings.Repeat(" ", utf8.RuneCountInString(first))
	for _, word := range strings.Fields(text) {
		switch {
		case line == first:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns:
			fmt.Fprintln(b, line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	fmt.Fprintln(b, line)
}

// number prints three significant digits, but all of an integer's.
func number(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// dollars prints an amount to the cent, or three digits of less than one.
func dollars(v float64) string {
	if v >= 1 {
		return fmt.Sprintf("$%.2f", v)
	}
	return "$" + strconv.FormatFloat(v, 'g', 3, 64)
}

// share prints 0.034 as 3%, and 0.004 as 0.4%.
func share(v float64) string {
	if v < 0.00995 && v > 0 {
		return fmt.Sprintf("%.1f%%", v*100)
	}
	return fmt.Sprintf("%.0f%%", v*100)
}

// clip makes text from a result file safe for a terminal, and short.
func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
