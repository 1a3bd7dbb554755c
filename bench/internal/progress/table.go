package progress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fanout/bench/internal/stats"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
)

// table is what is known of each setting so far. The zero table is empty.
type table struct {
	rows    map[trial.Key]*row
	results int
}

type row struct {
	key        trial.Key
	warm, cold []float64 // ms; cold with INIT
	failed     string    // how the last failure ended
	changed    int       // by which result, counted
}

// add takes a result.
func (t *table) add(s trial.Setting, r trial.Result) {
	if t.rows == nil {
		t.rows = map[trial.Key]*row{}
	}
	to := t.rows[s.Key()]
	if to == nil {
		to = &row{key: s.Key()}
		t.rows[s.Key()] = to
	}
	t.results++
	to.changed = t.results
	switch {
	case !r.OK:
		to.failed = outcome(r)
	case r.Start == trial.Unknown: // a sample of neither
	case r.Start == trial.Cold:
		to.cold = append(to.cold, r.InitMS+r.DurationMS)
	default:
		to.warm = append(to.warm, r.DurationMS)
	}
}

// The columns after the name of a setting.
const (
	valuesHead  = "   n  warm ms    ±  cold ms"
	valuesWidth = len("   n  warm ms    +  cold ms")
	indent      = 2
)

// lines gives the head and the rows in order, in so many columns and lines; if
// there is no room for all rows, the ones that changed last.
func (t *table) lines(columns, lines int) []string {
	if len(t.rows) == 0 || lines < 2 {
		return nil
	}
	var rows []*row
	for _, r := range t.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(b.changed, a.changed) })
	rows = rows[:min(len(rows), lines-1)]
	slices.SortFunc(rows, func(a, b *row) int { return a.key.Compare(b.key) })
	name := term.Width("setting")
	for _, r := range rows {
		name = max(name, term.Width(term.Clean(r.key.Short())))
	}
	name = max(min(name, columns-indent-valuesWidth), 1)
	drawn := []string{strings.Repeat(" ", indent) + pad("setting", name) + valuesHead}
	for _, r := range rows {
		drawn = append(drawn, strings.Repeat(" ", indent)+r.line(name, columns-indent))
	}
	return drawn
}

// line is the row in at most so many columns. How the setting failed takes the
// place of its values if there is no room for both, or if there are none.
func (r *row) line(name, columns int) string {
	text := pad(r.key.Short(), name)
	failed := term.Clean(r.failed)
	values := r.values()
	switch {
	case failed == "":
		return text + values
	case len(r.warm)+len(r.cold) > 0 && name+valuesWidth+2+term.Width(failed) <= columns:
		return text + values + "  " + failed
	}
	return term.Cut(fmt.Sprintf("%s%4d  %s", text, len(r.warm), failed), columns)
}

func (r *row) values() string {
	warm, precision, cold := "–", "", "–"
	if s := stats.Summarise(r.warm); s.N > 0 {
		warm = fmt.Sprintf("%.0f", s.Median)
		if s.HasInterval {
			precision = fmt.Sprintf("%.0f%%", s.Precision()*100)
		}
	}
	if s := stats.Summarise(r.cold); s.N > 0 {
		cold = fmt.Sprintf("%.0f", s.Median)
	}
	return fmt.Sprintf("%4d%9s%5s%9s", len(r.warm), warm, precision, cold)
}

// pad gives a text exactly so many columns.
func pad(text string, columns int) string {
	text = term.Cut(term.Clean(text), columns)
	return text + strings.Repeat(" ", max(columns-term.Width(text), 0))
}
