package write

import (
	"bytes"
	"fmt"
	"io"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
)

// changes is what is shown of a comparison's changes.
func changes(c *report.Comparison) table.Table[report.Change] {
	label := func(head string) table.Label { return table.Label{Head: head} }
	text := func(of func(report.Change) string) func(report.Change) table.Cell {
		return func(c report.Change) table.Cell { return table.Text(of(c)) }
	}
	return table.Table[report.Change]{Rows: c.Changes, Columns: []table.Column[report.Change]{
		{Label: label("setting"), Left: true, Cell: text(func(c report.Change) string { return c.Name })},
		{Label: label("metric"), Left: true, Cell: text(func(c report.Change) string { return c.Metric })},
		{Label: label("old"), Cell: func(c report.Change) table.Cell { return measured(c, c.Old) }},
		{Label: label("new"), Cell: func(c report.Change) table.Cell { return measured(c, c.New) }},
		{Label: label("change"), Cell: deltaCell},
		{Label: label("p (Holm)"), Left: true, Cell: text(certainty)},
	}}
}

// measured is one side of a change.
func measured(c report.Change, s stats.Summary) table.Cell {
	switch {
	case s.N == 0:
		return table.Missing()
	case c.Metric == report.Failures:
		return table.Figure(s.Median, fmt.Sprintf("%.0f of %d", s.Median, s.N))
	case s.HasInterval:
		return table.Figure(s.Median, table.Number(s.Median)+" ±"+table.Share(s.Precision()))
	}
	return table.Figure(s.Median, table.Number(s.Median))
}

func deltaCell(c report.Change) table.Cell {
	switch {
	case !c.Tested():
		return table.Missing()
	case c.Outcome == report.Same:
		return table.Figure(c.Delta, "~")
	}
	return table.Figure(c.Delta, fmt.Sprintf("%+.1f%%", c.Delta*100))
}

// certainty says how sure a change is, or why there is no test.
func certainty(c report.Change) string {
	n := fmt.Sprintf("n=%d", c.Old.N)
	if c.Old.N != c.New.N {
		n += fmt.Sprintf("+%d", c.New.N)
	}
	switch {
	case c.Outcome == report.Removed || c.Outcome == report.Added:
		return string(c.Outcome)
	case c.Outcome == report.Broken || c.Outcome == report.BrokenCold:
		return n + " " + string(c.Outcome)
	case !c.Tested():
		return "too few, " + n
	case c.Outcome == report.Same:
		return stats.FormatP(c.Holm) + " " + n
	}
	return stats.FormatP(c.Holm) + " " + n + " " + string(c.Outcome)
}

// CompareText writes a comparison for a terminal.
func CompareText(w io.Writer, c *report.Comparison) error {
	var b bytes.Buffer
	writeSummary(&b, c, func(s string) string { return table.Clip(s, 300) })
	fmt.Fprintln(&b)
	if err := changes(c).Text(&b, 0); err != nil {
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
	if err := changes(c).Markdown(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// verdict says what came out, in a few words.
func verdict(c *report.Comparison) string {
	switch n := len(c.Worse()); {
	case n > 0:
		return fmt.Sprintf("%d got worse", n)
	case len(c.Undecided) > 0:
		return "NOT DECIDED"
	}
	return "nothing got worse"
}

// CompareJSON writes a comparison for programs; the fields are those of
// [report.Comparison].
func CompareJSON(w io.Writer, c *report.Comparison) error { return writeJSON(w, c) }

// writeSummary says in a sentence what came out, and what makes it less sure.
func writeSummary(b *bytes.Buffer, c *report.Comparison, safe func(string) string) {
	fmt.Fprintf(b, "%s, %d better, of %d tests (threshold %s; false alarm at most %s)\n",
		verdict(c), c.Better(), c.Tests, table.Share(c.Threshold), table.Share(stats.Alpha))
	for _, why := range c.Undecided {
		fmt.Fprintf(b, "\nnot decided: %s\n", safe(why))
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(b, "\nwarning: %s\n", safe(warning))
	}
}
