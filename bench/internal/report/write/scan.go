package write

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/page"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
)

// ScanFormats is how the report of a scan can be written; the first is the usual
// one.
var ScanFormats = []Format[*report.Scan]{
	{"text", "for a terminal of 80 columns", ScanText},
	{"csv", "throughput over time, a row per stretch of time", ScanCSV},
	{"markdown", "for a page or a pull request", ScanMarkdown},
	{"html", "one self-contained page with charts", page.WriteScan},
	{"json", "everything, for programs", ScanJSON},
}

// ScanJSON writes all of it; the fields are those of [report.Scan].
func ScanJSON(w io.Writer, r *report.Scan) error { return writeJSON(w, r) }

// ScanCSV writes the throughput over time.
func ScanCSV(w io.Writer, r *report.Scan) error { return r.Throughput().CSV(w) }

// scanFact is a name and what is said of it.
type scanFact struct{ name, value string }

// scanFacts is what text and Markdown say of a scan in short.
func scanFacts(r *report.Scan) []scanFact {
	var all []scanFact
	add := func(name, format string, args ...any) {
		all = append(all, scanFact{name, table.Clip(fmt.Sprintf(format, args...), table.MaxNote)})
	}
	of := ""
	if r.Unread() > 0 {
		of = " of " + table.Grouped(float64(r.Total))
	}
	size := ""
	if r.Summary != nil {
		size = ", " + scan.Size(float64(r.Summary.Bytes))
	}
	add("read", "%s%s objects%s", table.Grouped(float64(r.Read)), of, size)
	add("time", "%s from the first batch to the last%s", forecast.Duration(time.Duration(r.Seconds*float64(time.Second))), phasesOf(r))
	rate := table.Grouped(r.ObjectsPerS) + " objects/s"
	if r.BytesPerS > 0 {
		rate += ", " + scan.Rate(r.BytesPerS)
	}
	add("rate", "%s", rate)
	if r.AtOnce > 0 {
		add("batches", "%s, %s at once", table.Grouped(float64(r.Summary.Parts)), table.Number(r.AtOnce))
	}
	if s := r.Summary; s != nil && r.Header.Input.Event.Find != nil {
		first := ""
		if s.First != "" {
			first = ", the first in " + scan.TextKey(s.First)
		}
		add("matches", "%s%s", table.Grouped(float64(s.Matches)), first)
	}
	add("digest", "%s", r.DigestSays())
	add("limit", "%s", cmp.Or(r.Limit.Name, table.None)+": "+r.Limit.Why)
	if r.Bill != nil {
		add("cost", "%s, %s per million objects", table.Dollars(r.Bill.Total()), table.Dollars(r.Million))
	}
	if said := r.Said(); said != "" {
		add("forecast", "%s", said)
	}
	return all
}

// phasesOf says where the time went, or nothing.
func phasesOf(r *report.Scan) string {
	text := ""
	for i, p := range r.Phases {
		text += []string{"; the job: ", ", "}[min(i, 1)] + p.Name + " " + forecast.Duration(time.Duration(p.Seconds*float64(time.Second)))
	}
	return text
}

// ScanText writes the report for a terminal of 80 columns.
func ScanText(w io.Writer, r *report.Scan) error {
	var b bytes.Buffer
	wrap(&b, "", "scan "+table.Clip(r.Header.Job, 100)+": "+r.Subject())
	for _, caveat := range r.Caveats() {
		wrap(&b, "", caveat)
	}
	fmt.Fprintln(&b)
	for _, fact := range scanFacts(r) {
		wrap(&b, fmt.Sprintf("%-9s ", fact.name), fact.value)
	}
	for _, warning := range r.Warnings {
		wrap(&b, "", "warning: "+table.Clip(warning, 300))
	}
	if failures := r.Failures(); len(failures.Rows) > 0 {
		fmt.Fprintln(&b)
		if err := failures.Text(&b, columns); err != nil {
			return err
		}
	}
	if r.Bill != nil {
		fmt.Fprintln(&b)
		if err := forecast.BillTable(r.Bill, r.Read).Text(&b, columns); err != nil {
			return err
		}
	}
	if redrive := r.Redrive(); redrive != "" {
		fmt.Fprintln(&b)
		wrap(&b, "", "To read what is missing: "+table.Clip(redrive, 300))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// ScanMarkdown writes the report as GitHub's Markdown.
func ScanMarkdown(w io.Writer, r *report.Scan) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## Scan %s\n\n%s\n\n", table.EscapeMarkdown(r.Header.Job), table.EscapeMarkdown(r.Subject()))
	for _, caveat := range r.Caveats() {
		fmt.Fprintf(&b, "**%s**\n\n", table.EscapeMarkdown(caveat))
	}
	facts := table.Table[scanFact]{Rows: scanFacts(r), Columns: []table.Column[scanFact]{
		{Label: table.Label{Head: "what"}, Left: true, Cell: func(f scanFact) table.Cell { return table.Text(f.name) }},
		{Label: table.Label{Head: "how"}, Left: true, Cell: func(f scanFact) table.Cell { return table.Text(f.value) }},
	}}
	if err := facts.Markdown(&b); err != nil {
		return err
	}
	if failures := r.Failures(); len(failures.Rows) > 0 {
		fmt.Fprintln(&b)
		if err := failures.Markdown(&b); err != nil {
			return err
		}
	}
	if r.Bill != nil {
		fmt.Fprintln(&b)
		if err := forecast.BillTable(r.Bill, r.Read).Markdown(&b); err != nil {
			return err
		}
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", table.EscapeMarkdown(warning))
	}
	_, err := w.Write(b.Bytes())
	return err
}
