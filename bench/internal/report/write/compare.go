package write

import (
	"bytes"
	"fmt"
	"io"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// CompareText writes a comparison for a terminal.
func CompareText(w io.Writer, c *report.Comparison) error {
	var b bytes.Buffer
	writeSummary(&b, c, func(s string) string { return table.Clip(s, 300) })
	fmt.Fprintln(&b)
	if err := c.Table().Text(&b, 0); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// CompareMarkdown writes a comparison for a pull request.
func CompareMarkdown(w io.Writer, c *report.Comparison) error {
	var b bytes.Buffer
	writeSummary(&b, c, table.EscapeMarkdown)
	b.WriteByte('\n')
	if err := c.Table().Markdown(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// CompareJSON writes a comparison for programs; the fields are those of
// [report.Comparison].
func CompareJSON(w io.Writer, c *report.Comparison) error { return writeJSON(w, c) }

// writeSummary says in a sentence what came out, and what makes it less sure.
func writeSummary(b *bytes.Buffer, c *report.Comparison, safe func(string) string) {
	fmt.Fprintln(b, c.Summary())
	for _, why := range c.Undecided {
		fmt.Fprintf(b, "\nnot decided: %s\n", safe(why))
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(b, "\nwarning: %s\n", safe(warning))
	}
}

// PredictText writes a prediction for a terminal.
func PredictText(w io.Writer, p *report.Prediction) error {
	var b bytes.Buffer
	for _, line := range p.Summary() {
		fmt.Fprintln(&b, table.Clip(line, 300))
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", table.Clip(warning, 300))
	}
	fmt.Fprintln(&b)
	if err := p.Table().Text(&b, 0); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// PredictMarkdown writes a prediction for a page or a pull request.
func PredictMarkdown(w io.Writer, p *report.Prediction) error {
	var b bytes.Buffer
	for _, line := range p.Summary() {
		fmt.Fprintf(&b, "- %s\n", table.EscapeMarkdown(line))
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(&b, "- warning: %s\n", table.EscapeMarkdown(warning))
	}
	fmt.Fprintln(&b)
	if err := p.Table().Markdown(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// PredictCSV writes a row for each setting of a prediction.
func PredictCSV(w io.Writer, p *report.Prediction) error { return p.Table().CSV(w) }

// PredictJSON writes a prediction for programs; the fields are those of
// [report.Prediction].
func PredictJSON(w io.Writer, p *report.Prediction) error { return writeJSON(w, p) }
