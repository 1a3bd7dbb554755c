package write

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
)

// columns is the width of a terminal.
const columns = 80

// logLines is how many of a failed function's last lines are shown.
const logLines = 5

// Text writes the report for a terminal of 80 columns: the advice on top, then
// a row for each setting.
func Text(w io.Writer, r *report.Report) error {
	var b bytes.Buffer
	wrap(&b, "", r.Subject())
	for _, caveat := range r.Caveats() {
		wrap(&b, "", caveat)
	}
	fmt.Fprintln(&b)
	writeAdvice(&b, r)
	if err := r.Table().Text(&b, columns); err != nil {
		return err
	}
	writeNotes(&b, r)
	_, err := w.Write(b.Bytes())
	return err
}

func writeAdvice(b *bytes.Buffer, r *report.Report) {
	a := r.Advice
	if len(a.Picks) == 0 {
		wrap(b, "", "No setting to advise: "+a.Missing+".")
	}
	for i, p := range a.Picks {
		if slices.ContainsFunc(a.Picks[:i], func(o report.Pick) bool { return o.Row == p.Row }) {
			wrap(b, fmt.Sprintf("%-10s", p.Goal), "the same: "+r.Certainty(p))
			continue
		}
		row := r.Rows[p.Row]
		precision := ""
		if row.Warm.HasInterval {
			precision = " ±" + table.Share(row.Warm.Precision())
		}
		price := ""
		if r.Priced {
			price = "  " + table.Dollars(row.WarmCost.Median*1e6) + " per million"
		}
		fmt.Fprintf(b, "%-9s %s  %s ms%s%s\n", p.Goal, r.Name(row), table.Number(row.Warm.Median), precision, price)
		wrap(b, strings.Repeat(" ", 10), r.Certainty(p))
	}
	for _, note := range a.Notes {
		wrap(b, strings.Repeat(" ", 10), "note: "+note)
	}
	fmt.Fprintln(b)
	said := map[int]bool{}
	for _, p := range a.Picks {
		if v := r.Rows[p.Row].Verdict; !said[p.Row] && v.Kind != report.Unknown {
			said[p.Row] = true
			wrap(b, "  ", r.Name(r.Rows[p.Row])+": "+v.String())
		}
	}
	if smallest := r.SmallestMemory(); smallest != "" {
		wrap(b, "", "Smallest memory at which nothing failed: "+smallest+".")
	}
	if a.S3Share >= 0.5 {
		wrap(b, "", fmt.Sprintf("%s of the balanced pick's cost is S3's, for requests and bytes; no setting changes that part.",
			table.Share(a.S3Share)))
	}
	for _, w := range r.Warnings {
		wrap(b, "", "warning: "+table.Clip(w, 300))
	}
	fmt.Fprintln(b)
}

func writeNotes(b *bytes.Buffer, r *report.Report) {
	fmt.Fprintln(b)
	wrap(b, "", fmt.Sprintf("n: number of warm invocations. warm, cold: medians; cold is init + first. ±: how far the %.0f%% interval "+
		"of the warm median reaches, which needs n of %d. peak: the most memory used.", stats.Confidence*100, stats.MinForInterval))
	if r.Own() {
		wrap(b, "", "CPU: of the whole process. why: what limits the setting, with the share that is used of the memory size's CPU, "+
			"of the time (waits), or of the memory; mixed: nothing alone does; –: under 100 ms the CPU share says nothing. "+
			r.Answers()+".")
	} else {
		wrap(b, "", "speed-up: relative to one worker of the same contender at the same memory. why: what limits the setting, with the "+
			"share that is used: of the memory size's CPU, of the time (latency), of the bandwidth, of the memory, or of GETs that were "+
			"retried; mixed: nothing alone does.")
	}
	if !r.Own() && slices.ContainsFunc(r.Rows, func(row report.Row) bool { return row.Client == "" }) {
		wrap(b, "", "own: the contender's own number of workers.")
	}
	if slices.ContainsFunc(r.Rows, func(row report.Row) bool { return row.LimitsMark() != "" }) {
		wrap(b, "", "limits: none: CPU and memory were not limited; vCPU: all that this machine has.")
	}
	switch {
	case r.Priced && r.Own():
		wrap(b, "", "cost, compute: dollars per million warm invocations, with Lambda's request fee, and for compute alone; what the "+
			"function calls, such as S3, is not known here and not included."+mixed(r)+" prices: "+r.PricesUsed()+".")
	case r.Priced:
		wrap(b, "", fmt.Sprintf("cost, compute: dollars per million warm invocations, with S3 and fees, and for compute alone. %s.",
			"prices: "+r.PricesUsed()))
	}
	for _, ran := range r.Runtimes {
		if !ran.Other() { // else there is a warning
			wrap(b, "runtime: ", ran.String()+".")
		}
	}
	for _, row := range r.Rows {
		for _, fail := range row.Failures {
			fmt.Fprintf(b, "failed: %s: %d× %s: %s\n", r.Name(row), fail.Count, table.Clip(fail.Name, 40), table.Clip(fail.Example, 200))
			for _, line := range fail.LastLines(logLines) {
				fmt.Fprintf(b, "    | %s\n", line)
			}
		}
	}
}

// mixed says what costs are of several events.
func mixed(r *report.Report) string {
	if r.Mixed() {
		return " Times are medians of all events together, costs their means."
	}
	return ""
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
