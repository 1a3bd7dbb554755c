package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/term"

	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

// live is the table that fills in while a run goes on, above the bar. It is
// for a terminal: it moves the cursor.
type live struct {
	out    io.Writer
	height int // rows at most
	rows   map[trial.Key]*liveRow
	count  int // of results
	drawn  int // lines on the screen
}

// liveRow is what is known of a setting so far.
type liveRow struct {
	setting    trial.Setting
	warm, cold []float64
	failed     string
	changed    int
}

// aroundLive is what a terminal shows beside the table: the bar and a prompt.
const aroundLive = 4

func newLive(out io.Writer) *live {
	l := &live{out: out, height: 20, rows: map[trial.Key]*liveRow{}}
	if f, ok := out.(*os.File); ok {
		if _, height, err := term.GetSize(int(f.Fd())); err == nil {
			l.height = max(height-aroundLive, 1)
		}
	}
	return l
}

// add takes a result and draws the table anew; the cursor stands at the start
// of the line below it, before and after.
func (l *live) add(s trial.Setting, r trial.Result) {
	row := l.rows[s.Key()]
	if row == nil {
		row = &liveRow{setting: s}
		l.rows[s.Key()] = row
	}
	l.count++
	row.changed = l.count
	switch {
	case !r.OK:
		row.failed = outcome(r)
	case r.Start == trial.Cold:
		row.cold = append(row.cold, r.InitMS+r.DurationMS)
	default:
		row.warm = append(row.warm, r.DurationMS)
	}
	shown := l.visible()
	l.erase()
	for _, row := range shown {
		fmt.Fprintf(l.out, "%s\n", row)
	}
	l.drawn = len(shown)
}

// erase takes the table off the screen.
func (l *live) erase() {
	if l.drawn > 0 {
		fmt.Fprintf(l.out, "\x1b[%dA\x1b[J", l.drawn) // up, and clear to the end
	}
	l.drawn = 0
}

// visible gives the rows in order, the latest ones where there is no room for
// all.
func (l *live) visible() []*liveRow {
	var rows []*liveRow
	for _, row := range l.rows {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *liveRow) int { return cmp.Compare(b.changed, a.changed) })
	rows = rows[:min(len(rows), l.height)]
	slices.SortFunc(rows, func(a, b *liveRow) int {
		return a.setting.Key().Compare(b.setting.Key())
	})
	return rows
}

// String is a row of at most 79 columns.
func (r *liveRow) String() string {
	warm, precision, cold := "–", "", "–"
	if s := stats.Summarise(r.warm); s.N > 0 {
		warm = fmt.Sprintf("%.0f ms", s.Median)
		if s.HasInterval {
			precision = fmt.Sprintf("±%.0f%%", s.Precision()*100)
		}
	}
	if s := stats.Summarise(r.cold); s.N > 0 {
		cold = fmt.Sprintf("%.0f ms", s.Median)
	}
	failed := strings.Map(func(c rune) rune { // an error's type is the contender's own text
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, r.failed)
	text := []rune(fmt.Sprintf("  %-28.28s n %3d  warm %9s %-5s cold %9s %s", r.setting.Key().Short(), len(r.warm), warm, precision, cold, failed))
	if len(r.warm) == 0 && failed != "" {
		text = []rune(fmt.Sprintf("  %-28.28s n   0  %s", r.setting.Key().Short(), failed))
	}
	return string(text[:min(len(text), 79)])
}
