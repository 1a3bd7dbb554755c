package report

import (
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fmt"
)

// Table is every change, as it is shown in each format.
func (c *Comparison) Table() table.Table[Change] {
	head := func(name string) table.Label { return label(name, "") }
	text := func(of func(Change) string) func(Change) table.Cell {
		return func(c Change) table.Cell { return table.Text(of(c)) }
	}
	return table.Table[Change]{Rows: c.Changes, Columns: []table.Column[Change]{
		{Label: head("setting"), Left: true, Cell: text(func(c Change) string { return c.Name })},
		{Label: head("metric"), Left: true, Cell: text(func(c Change) string { return c.Metric })},
		{Label: head("old"), Cell: func(c Change) table.Cell { return measured(c, c.Old) }},
		{Label: head("new"), Cell: func(c Change) table.Cell { return measured(c, c.New) }},
		{Label: head("change"), Cell: deltaCell},
		{Label: head("p (Holm)"), Left: true, Cell: text(certainty)},
	}}
}

// measured is one side of a change.
func measured(c Change, s stats.Summary) table.Cell {
	switch {
	case s.N == 0:
		return table.Missing()
	case c.Metric == Failures:
		return table.Figure(s.Median, fmt.Sprintf("%.0f of %d", s.Median, s.N))
	case s.HasInterval:
		return table.Figure(s.Median, table.Number(s.Median)+" ±"+table.Share(s.Precision()))
	}
	return table.Figure(s.Median, table.Number(s.Median))
}

func deltaCell(c Change) table.Cell {
	switch {
	case !c.Tested():
		return table.Missing()
	case c.Outcome == Same:
		return table.Figure(c.Delta, "~")
	}
	return table.Figure(c.Delta, fmt.Sprintf("%+.1f%%", c.Delta*100))
}

// certainty says how sure a change is, or why there is no test.
func certainty(c Change) string {
	n := fmt.Sprintf("n=%d", c.Old.N)
	if c.Old.N != c.New.N {
		n += fmt.Sprintf("+%d", c.New.N)
	}
	switch {
	case c.Outcome == Removed || c.Outcome == Added:
		return string(c.Outcome)
	case c.Outcome == Broken || c.Outcome == BrokenCold:
		return n + " " + string(c.Outcome)
	case !c.Tested():
		return "too few, " + n
	case c.Outcome == Same:
		return stats.FormatP(c.Holm) + " " + n
	}
	return stats.FormatP(c.Holm) + " " + n + " " + string(c.Outcome)
}

// Summary says in a sentence what came out.
func (c *Comparison) Summary() string {
	return fmt.Sprintf("%s, %d better, of %d tests (threshold %s; false alarm at most %s)",
		c.Verdict(), c.Better(), c.Tests, table.Share(c.Threshold), table.Share(stats.Alpha))
}

// Verdict says it in a few words.
func (c *Comparison) Verdict() string {
	switch n := len(c.Worse()); {
	case n > 0:
		return fmt.Sprintf("%d got worse", n)
	case len(c.Undecided) > 0:
		return "NOT DECIDED"
	}
	return "nothing got worse"
}
