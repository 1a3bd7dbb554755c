package forecast

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/table"
)

// Lines is the forecast in a few lines of text, for whoever is about to start
// the scan: time and rate, dollars by group, the limit that binds, and what
// would help most.
func (f Forecast) Lines() []string {
	if f.Plan.Objects == 0 {
		return []string{"nothing to read"}
	}
	var parts []string
	for _, g := range cost.ScanGroups {
		if usd := f.Bill.Of(g); usd >= 0.01*f.Bill.Total() {
			parts = append(parts, g.Title+" "+table.Dollars(usd))
		}
	}
	lines := []string{
		fmt.Sprintf("about %s for %s, %s objects/s, %.3g GB/s", Duration(f.Time()), objectCount(f.Plan.Objects),
			table.Grouped(f.ObjectsPerS), f.BytesPerS/1e9),
		fmt.Sprintf("about %s, %s per million objects: %s", table.Dollars(f.Bill.Total()), table.Dollars(f.USDPerMillion()),
			strings.Join(parts, ", ")),
		fmt.Sprintf("limit: %s (%s)", f.Binding.Name, f.Binding.Why),
	}
	if f.Fails != "" {
		lines = append(lines, "this will fail: "+f.Fails)
	}
	if len(f.Helps) > 0 {
		lines = append(lines, "what would help: "+f.Helps[0].String())
	}
	return lines
}

// Text writes all of the forecast for a terminal of so many columns.
func (f Forecast) Text(w io.Writer, width int) error {
	var b strings.Builder
	p := f.Plan
	fmt.Fprintf(&b, "%s of %s, %s in all\n", objectCount(p.Objects), size(p.Bytes), size(float64(p.Objects)*p.Bytes))
	b.WriteString("calculated, not measured: docs/scale.md says how\n\n")
	for _, fact := range f.facts() {
		for i, line := range fold(fact.value, width-nameColumns) {
			name := fact.name
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&b, "%-*s%s\n", nameColumns, name, line)
		}
	}
	if len(f.Limits) > 0 {
		b.WriteString("\n")
		if err := f.LimitTable().Text(&b, width); err != nil {
			return err
		}
		b.WriteString("\n")
		if err := BillTable(f.Bill, f.Plan.Objects).Text(&b, width); err != nil {
			return err
		}
	}
	if len(f.Helps) > 0 {
		b.WriteString("\nWhat would help, one change at a time:\n")
		for _, h := range f.Helps {
			fmt.Fprintf(&b, "  %s\n", h)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type fact struct{ name, value string }

// nameColumns is how wide the names of facts are, with what is between.
const nameColumns = 11

// fold breaks a text at its spaces into lines of so many columns, where its
// words allow it.
func fold(text string, columns int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		if last := len(lines) - 1; last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= columns {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// facts is what the text says first.
func (f Forecast) facts() []fact {
	p := f.Plan
	var all []fact
	add := func(name, format string, args ...any) { all = append(all, fact{name, fmt.Sprintf(format, args...)}) }
	add("time", "%s (reading %s, merging %s)", Duration(f.Time()), Duration(f.Reading), Duration(f.Merging))
	add("rate", "%s objects/s, %.3g GB/s", table.Grouped(f.ObjectsPerS), f.BytesPerS/1e9)
	add("cost", "%s, %s per million objects", table.Dollars(f.Bill.Total()), table.Dollars(f.USDPerMillion()))
	add("limit", "%s", f.Binding.Name)
	if f.Binding.Name != TimeLimit {
		add("", "%s", f.Binding.Why)
	}
	if f.Fails != "" {
		add("fails", "%s", f.Fails)
	}
	source := "listing"
	if p.Inventory {
		source = "inventory"
	}
	add("objects", "%s, storage class %s, by %s, %s", count(p.Prefixes, "prefix"), p.Class, source, count(p.MapRuns, "Map Run"))
	add("functions", "%s of %d MB, %s", table.Grouped(float64(f.Functions)), p.MemoryMB, p.Arch)
	add("", "each %s objects/s", table.Grouped(f.Plan.speed().rate))
	add("measured", "%s objects/s of %s at %d MB", table.Grouped(p.Speed.ObjectsPerS), size(p.Speed.Bytes), p.Speed.MemoryMB)
	add("", "%s", table.Clip(p.Speed.Source, table.MaxNote))
	add("batches", "%s of up to %s, %s each", table.Grouped(float64(f.Batches)), objectCount(int64(p.Batch)), Duration(f.BatchTime))
	add("children", "%s, at most %s at once per Map Run", p.Children, table.Grouped(float64(p.MaxConcurrency)))
	return all
}

// LimitTable lists the limits, the one that binds first.
func (f Forecast) LimitTable() table.Table[Limit] {
	rows := f.Limits
	if f.Binding.Name == Ramp || f.Binding.Name == TimeLimit {
		rows = append([]Limit{f.Binding}, rows...)
	}
	return table.Table[Limit]{Rows: rows, Columns: []table.Column[Limit]{
		{Name: "limit", Label: table.Label{Head: "limit"}, Left: true, Keep: table.AlwaysKeep,
			Cell: func(l Limit) table.Cell { return table.Text(l.Name) }},
		{Name: "objects_per_s", Label: table.Label{Head: "objects/s"}, Keep: table.AlwaysKeep,
			Cell: func(l Limit) table.Cell { return table.Figure(l.ObjectsPerS, table.Grouped(l.ObjectsPerS)) }},
		{Name: "why", Label: table.Label{Head: "why"}, Left: true, Cell: func(l Limit) table.Cell { return table.Text(l.Why) }},
	}}
}

// BillTable lists the parts of a scan's bill that cost anything.
func BillTable(bill cost.Bill, objects int64) table.Table[cost.Part] {
	var rows []cost.Part
	for _, part := range bill {
		if part.Quantity > 0 && part.Amount > 0 {
			rows = append(rows, part)
		}
	}
	total := cost.Part{Name: "in all", Amount: bill.Total()}
	return table.Table[cost.Part]{Rows: append(rows, total), Columns: []table.Column[cost.Part]{
		{Name: "part", Label: table.Label{Head: "cost"}, Left: true, Keep: table.AlwaysKeep,
			Cell: func(p cost.Part) table.Cell { return table.Text(p.Name) }},
		{Name: "quantity", Label: table.Label{Head: "quantity"}, Keep: 3, Cell: func(p cost.Part) table.Cell {
			if p.Unit == "" {
				return table.Text("")
			}
			return table.Figure(p.Quantity, table.Grouped(p.Quantity))
		}},
		{Name: "unit", Label: table.Label{Head: "unit"}, Left: true, Keep: 2, Cell: func(p cost.Part) table.Cell { return table.Text(p.Unit) }},
		{Name: "usd", Label: table.Label{Head: "dollars"}, Keep: table.AlwaysKeep,
			Cell: func(p cost.Part) table.Cell { return table.Figure(p.Amount, Dollars(p.Amount)) }},
		{Name: "usd_per_million_objects", Label: table.Label{Head: "per million objects"}, Keep: 4, Cell: func(p cost.Part) table.Cell {
			if objects == 0 {
				return table.Missing()
			}
			million := p.Amount / float64(objects) * 1e6
			return table.Figure(million, Dollars(million))
		}},
		{Name: "share", Label: table.Label{Head: "share"}, Keep: 1, Cell: func(p cost.Part) table.Cell {
			share := p.Amount / bill.Total()
			return table.Figure(share, table.Share(share))
		}},
	}}
}

// Dollars prints an amount, or that it is next to nothing.
func Dollars(v float64) string {
	if v > 0 && v < 0.0001 {
		return "<$0.0001"
	}
	return table.Dollars(v)
}

// objectCount reads "1 object", "100,000,000 objects".
func objectCount(n int64) string {
	if n == 1 {
		return "1 object"
	}
	return table.Grouped(float64(n)) + " objects"
}

// size reads "25 kB", "2.5 TB": of 1,000 each.
func size(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e15, "PB"}, {1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= unit.size*0.9995 {
			return fmt.Sprintf("%.3g %s", n/unit.size, unit.name)
		}
	}
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%.0f bytes", n)
}

// Duration reads "1.1 s", "42 s", "3m 2s", "5h 3m", "2d 3h": to two units, or
// two digits of a second.
func Duration(d time.Duration) string {
	switch {
	case d > 0 && d < time.Millisecond:
		return "<1 ms"
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.2g s", math.Max(d.Seconds(), 0))
	case d < time.Minute-500*time.Millisecond:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour-30*time.Second:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	d = d.Round(time.Hour)
	return fmt.Sprintf("%dd %dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
