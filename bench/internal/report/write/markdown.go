package write

import (
	"bytes"
	"fmt"
	"io"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// Markdown writes the advice and the table for a page or a pull request.
func Markdown(w io.Writer, r *report.Report) error {
	var b bytes.Buffer
	escape := table.EscapeMarkdown
	fmt.Fprintf(&b, "**%s**\n\n", escape(r.Subject()))
	for _, caveat := range r.Caveats() {
		fmt.Fprintf(&b, "%s\n\n", escape(caveat))
	}
	for _, p := range r.Advice.Picks {
		row := r.Rows[p.Row]
		price := ""
		if r.Priced {
			price = ", " + table.Dollars(row.WarmCost.Median*1e6) + " per million"
		}
		fmt.Fprintf(&b, "- **%s**: %s: %s ms%s; %s\n", p.Goal, escape(r.Name(row)), table.Number(row.Warm.Median), price,
			escape(r.Certainty(p)))
	}
	if len(r.Advice.Picks) == 0 {
		fmt.Fprintf(&b, "- No setting to advise: %s.\n", escape(r.Advice.Missing))
	}
	for _, note := range r.Advice.Notes {
		fmt.Fprintf(&b, "- note: %s\n", escape(note))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "- warning: %s\n", escape(warning))
	}
	b.WriteByte('\n')
	if err := r.Table().Markdown(&b); err != nil {
		return err
	}
	for _, row := range r.Rows {
		for _, fail := range row.Failures {
			fmt.Fprintf(&b, "\n- failed: %s: %d× %s: %s", escape(r.Name(row)), fail.Count, escape(fail.Name), escape(fail.Example))
			for _, line := range fail.LastLines(logLines) {
				fmt.Fprintf(&b, "\n  - log: %s", escape(line))
			}
		}
	}
	b.WriteByte('\n')
	for _, ran := range r.Runtimes {
		if !ran.Other() { // else there is a warning
			fmt.Fprintf(&b, "\nruntime: %s.\n", escape(ran.String()))
		}
	}
	if r.Priced {
		fmt.Fprintf(&b, "\nprices: %s.\n", escape(r.PricesUsed()))
	}
	if r.Own() {
		fmt.Fprintf(&b, "\nCosts are Lambda's alone: what the function calls is not known here.%s %s.\n", mixed(r), escape(r.Answers()))
	}
	_, err := w.Write(b.Bytes())
	return err
}
