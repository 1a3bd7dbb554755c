package report

import (
	"fmt"
	"slices"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
)

// Where a column is shown.
const (
	inTables   = table.InText | table.InMarkdown | table.InHTML // for readers
	inPlain    = table.InText | table.InMarkdown                // a page has it in the row's head
	inPrograms = table.InCSV
)

// column is one of a report's.
type column = table.Column[Row]

// Table is every setting with every figure, in the order of the report. CSV
// has all columns; amounts there are US dollars for one invocation.
func (r *Report) Table() table.Table[Row] {
	return table.Table[Row]{Columns: r.columns(), Rows: r.Rows, Gap: 1, Upper: true, DropEmpty: true}
}

// columns is the one list of what is shown of a row: each line says a column's
// names, and the formats that have it.
func (r *Report) columns() []column {
	text := func(of func(Row) string) func(Row) table.Cell {
		return func(row Row) table.Cell { return table.Text(of(row)) }
	}
	whole := func(of func(Row) int) func(Row) table.Cell {
		return func(row Row) table.Cell { return table.Int(of(row)) }
	}
	warm := func(row Row) stats.Summary { return row.Warm }
	cold := func(row Row) stats.Summary { return row.Cold }
	cpu := func(row Row) stats.Summary { return row.CPUPerObject }
	var all []column
	add := func(columns ...column) { all = append(all, columns...) }

	add(
		column{Name: "backend", In: inPrograms, Left: true, Cell: text(func(Row) string { return r.Header.Backend })},
		column{Name: "contender", In: inPrograms, Left: true, Cell: text(func(row Row) string { return row.Contender })},
		column{Name: "memory_mb", Label: label("memory", "MB"), In: inPlain | inPrograms, Keep: 9,
			Cell: whole(func(row Row) int { return row.MemoryMB })},
		column{Name: "arch", In: inPrograms, Left: true, Cell: text(func(row Row) string { return row.Arch })},
		column{Name: "client", In: inPrograms, Left: true, Cell: text(func(row Row) string { return row.Client })},
		column{Label: label(r.whoHead(), ""), In: inPlain, Left: true, Keep: 9, Cell: text(r.Who)},
	)
	if !r.Own() {
		add(column{Label: label("workers", ""), In: inTables, Keep: 9,
			Cell: func(row Row) table.Cell { return table.Figure(float64(row.InFlight()), row.Workers()) }})
	}
	add(
		column{Name: "concurrency", In: inPrograms, Cell: whole(func(row Row) int { return row.Concurrency })},
		column{Name: "chosen", In: inPrograms, Cell: whole(func(row Row) int { return row.Chosen })},
		column{Name: "invocations", In: inPrograms, Cell: whole(func(row Row) int { return row.Invocations })},
		column{Name: "failed", In: inPrograms, Cell: whole(func(row Row) int { return row.Failed })},
	)
	add(r.limitsMark()...)
	add(
		column{Name: "warm_ms_n", Label: label("runs", "n"), Short: label("n", ""), Keep: 9, Cell: runsCell},
		column{Name: "warm_ms_median", Label: label("warm", "ms"), Keep: 9, Cell: warmCell},
		column{Label: label("±", ""), In: table.InText | table.InHTML, Keep: 8, Cell: func(row Row) table.Cell {
			if !row.Warm.HasInterval {
				return table.Missing()
			}
			return table.Figure(row.Warm.Precision(), table.Share(row.Warm.Precision()))
		}},
		column{Label: label("95% interval", ""), In: table.InMarkdown,
			Cell: text(func(row Row) string { return Interval(row.Warm, table.Number) })},
	)
	add(bounds("warm_ms", warm)...)
	add(summary("init_ms", func(row Row) stats.Summary { return row.Init })...)
	add(summary("first_ms", func(row Row) stats.Summary { return row.First })...)
	add(count("cold_ms", cold), median(column{Name: "cold_ms_median", Label: label("cold", "ms"), Keep: 5}, cold))
	add(bounds("cold_ms", cold)...)
	if r.Own() {
		cpu := func(row Row) stats.Summary { return row.CPU }
		add(count("cpu_ms", cpu), median(column{Name: "cpu_ms_median", Label: label("CPU", "ms"), Keep: 4}, cpu))
		add(bounds("cpu_ms", cpu)...)
	}
	add(count("cpu_us_per_object", cpu),
		median(column{Name: "cpu_us_per_object_median", Label: label("CPU per object", "µs"), Short: label("CPU/obj", "µs"), Keep: 1}, cpu))
	add(bounds("cpu_us_per_object", cpu)...)
	add(summary("warm_cost_usd", func(row Row) stats.Summary { return row.WarmCost })...)
	add(summary("cold_cost_usd", func(row Row) stats.Summary { return row.ColdCost })...)
	add(r.percentile(column{Name: "warm_ms_p90", Label: label("p90", "ms")}, func(row Row) Percentile { return row.P90 }),
		r.percentile(column{Name: "warm_ms_p99", Label: label("p99", "ms")}, func(row Row) Percentile { return row.P99 }),
		column{Name: "max_memory_mb", Label: label("peak memory", "MB"), Short: label("peak", "MB"), Keep: 2,
			Cell: whole(func(row Row) int { return row.MaxMemoryMB })},
		column{Name: "speed_up", Label: label("speed-up", ""), Keep: 4, Cell: func(row Row) table.Cell {
			if row.SpeedUp == 0 {
				return table.Missing()
			}
			return table.Figure(row.SpeedUp, table.Times(row.SpeedUp))
		}},
		r.dollars(column{Label: label("cost", "$/M"), In: inTables, Keep: 6}, cost.Bill.Total),
	)
	for _, g := range cost.Groups {
		c := column{Name: g.Name + "_usd", In: inPrograms}
		if r.Own() && g.S3() {
			continue // nobody knows
		}
		if g == cost.Compute {
			c.Label, c.Short, c.Keep, c.In = label("compute alone", "$/M"), label("compute", "$/M"), 3, table.Everywhere
		}
		add(r.dollars(c, func(b cost.Bill) float64 { return b.Of(g) }))
	}
	add(
		column{Name: "verdict", In: inPrograms, Left: true, Cell: text(func(row Row) string { return string(row.Verdict.Kind) })},
		column{Label: label("why", ""), In: inTables, Left: true, Keep: 7, Cell: func(row Row) table.Cell {
			return table.Cell{Text: row.Verdict.Short(), Note: row.Verdict.Why()}
		}},
		share("cpu_share", func(v Verdict) Share { return v.CPU }),
		share("latency_share", func(v Verdict) Share { return v.Latency }),
		share("network_share", func(v Verdict) Share { return v.Network }),
		share("memory_share", func(v Verdict) Share { return v.Memory }),
		share("retries_share", func(v Verdict) Share { return v.Retries }),
		column{Name: "limits", In: inPrograms, Left: true, Cell: text(func(row Row) string { return row.Limits.String() })},
		column{Name: "calibrated_by", In: inPrograms, Left: true, Cell: text(func(Row) string { return r.CalibratedBy() })},
		column{Name: "run_end", In: inPrograms, Left: true, Cell: text(func(Row) string { return r.End.Reason })},
	)
	return all
}

// whoHead heads what [Report.Who] says.
func (r *Report) whoHead() string {
	if r.Own() {
		return "function"
	}
	return "client"
}

// limitsMark is a column for readers, if any row's memory size was not what held
// it.
func (r *Report) limitsMark() []column {
	if !slices.ContainsFunc(r.Rows, func(row Row) bool { return row.LimitsMark() != "" }) {
		return nil
	}
	return []column{{Label: label("limits", ""), In: inTables, Left: true, Keep: 9, Cell: func(row Row) table.Cell {
		return table.Text(row.LimitsMark())
	}}}
}

// LimitsMark marks a row whose memory size did not decide on its CPU: "none" if
// nothing was limited, "2 vCPU" if this machine has no more, else empty.
func (row Row) LimitsMark() string {
	switch {
	case row.Limits.None():
		return "none"
	case row.Limits.VCPU > 0:
		return fmt.Sprintf("%.3g vCPU", row.Limits.VCPU)
	}
	return ""
}

func label(head, unit string) table.Label { return table.Label{Head: head, Unit: unit} }

// summary is a sample's four columns, for programs.
func summary(name string, of func(Row) stats.Summary) []column {
	return append([]column{count(name, of), median(column{Name: name + "_median", In: inPrograms}, of)}, bounds(name, of)...)
}

func count(name string, of func(Row) stats.Summary) column {
	return column{Name: name + "_n", In: inPrograms, Cell: func(row Row) table.Cell { return table.Int(of(row).N) }}
}

func median(c column, of func(Row) stats.Summary) column {
	c.Cell = func(row Row) table.Cell {
		s := of(row)
		if s.N == 0 {
			return table.Missing()
		}
		return table.Figure(s.Median, table.Number(s.Median))
	}
	return c
}

// bounds is the ends of an interval, for programs.
func bounds(name string, of func(Row) stats.Summary) []column {
	end := func(name string, value func(stats.Summary) float64) column {
		return column{Name: name, In: inPrograms, Cell: func(row Row) table.Cell {
			s := of(row)
			if !s.HasInterval {
				return table.Missing()
			}
			return table.Figure(value(s), table.Number(value(s)))
		}}
	}
	return []column{
		end(name+"_lo", func(s stats.Summary) float64 { return s.Lo }),
		end(name+"_hi", func(s stats.Summary) float64 { return s.Hi }),
	}
}

// percentile is for programs, and for a page where any row has one.
func (r *Report) percentile(c column, of func(Row) Percentile) column {
	c.In = inPrograms
	for _, row := range r.Rows {
		if row.Warm.N > 0 && of(row).Why == "" {
			c.In |= table.InHTML
		}
	}
	c.Cell = func(row Row) table.Cell {
		p := of(row)
		if p.Why != "" {
			return table.Missing()
		}
		return table.Figure(p.Value, table.Number(p.Value))
	}
	return c
}

// dollars is a part of a row's cost: of one invocation to programs, of a
// million to readers.
func (r *Report) dollars(c column, part func(cost.Bill) float64) column {
	c.Cell = func(row Row) table.Cell {
		if !r.Priced || row.WarmCost.N == 0 {
			return table.Missing()
		}
		return table.Figure(part(row.Cost), table.Number(part(row.Cost)*1e6))
	}
	return c
}

func share(name string, of func(Verdict) Share) column {
	return column{Name: name, In: inPrograms, Cell: func(row Row) table.Cell {
		s := of(row.Verdict)
		if !s.Known {
			return table.Missing()
		}
		return table.Figure(s.Value, table.Share(s.Value))
	}}
}

func runsCell(row Row) table.Cell {
	c := table.Int(row.Warm.N)
	if row.Failed > 0 {
		c.Note = fmt.Sprintf("%d failed", row.Failed)
	}
	return c
}

// warmCell is the warm median, or in its place what fails.
func warmCell(row Row) table.Cell {
	switch {
	case row.Warm.N > 0:
		c := table.Figure(row.Warm.Median, table.Number(row.Warm.Median))
		if row.Warm.HasInterval {
			c.Note = Interval(row.Warm, table.Grouped)
		}
		return c
	case row.Failed > 0:
		return table.Text(table.Clip(row.Failures[0].Name, 8))
	}
	return table.Missing()
}

// Interval reads "460 to 471", its figures printed by number; a dash where
// there is none.
func Interval(s stats.Summary, number func(float64) string) string {
	if !s.HasInterval {
		return table.None
	}
	return number(s.Lo) + " to " + number(s.Hi)
}
