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
