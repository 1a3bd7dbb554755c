package page

import (
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pageTable is the table of all settings.
type pageTable struct {
	Head    []pageColumn
	Rows    []pageRow
	Filters []pageFilter
	Failed  []pageFailure
	Notes   []string
}

type pageColumn struct {
	Name, Unit string
	Text       bool // sorts as text, stands to the left
}

type pageRow struct {
	Frontier bool // on the frontier
	Size     string
	Who      string
	Group    string // the contender
	Memory   string
	Kind     string
	Work     string
	Cells    []pageCell
}

// pageCell is a figure; Sort is what it sorts by, empty if there is none. Detail is
// a sentence that is shown on demand.
type pageCell struct{ Text, Sort, Small, Detail string }

// pageFailure is one kind of failure of a setting.
type pageFailure struct{ Name, Error, Log string }

// pageFilter offers a column's values.
type pageFilter struct {
	Name, Key string
	Values    []string
}

// table gives every setting.
func (c *charts) table() pageTable {
	rows := c.Table()
	t := pageTable{Head: []pageColumn{{Name: "Setting", Text: true}}}
	heads := rows.Labels()
	for _, col := range heads {
		t.Head = append(t.Head, pageColumn{Name: capital(col.Label.Head), Unit: col.Label.Unit, Text: col.Left})
	}
	for i, row := range c.Rows {
		var cells []pageCell
		for k, cell := range rows.Cells(row) {
			shown := pageCell{Text: cell.Text, Sort: heads[k].Sort(cell), Small: cell.Note}
			if heads[k].Left {
				shown.Small, shown.Detail = "", cell.Note
			}
			cells = append(cells, shown)
		}
		t.Rows = append(t.Rows, pageRow{
			Frontier: slices.Contains(c.Advice.Frontier, i), Size: fmt.Sprintf("%d MB",
				row.MemoryMB), Who: c.who(row), Group: table.Clip(row.Contender, 24), Memory: strconv.Itoa(row.MemoryMB),
			Kind: string(row.Verdict.Kind), Work: row.Key.Workers(), Cells: cells,
		})
		for _, f := range row.Failures {
			t.Failed = append(t.Failed, pageFailure{
				Name:  fmt.Sprintf("%s: %d× %s", c.name(row), f.Count, table.Clip(f.Name, 60)),
				Error: table.Clip(f.Example, 300), Log: strings.Join(f.LastLines(20), "\n"),
			})
		}
	}
	t.Filters = filters(t.Rows)
	if c.Own() {
		for i := range t.Filters {
			if t.Filters[i].Key == "who" {
				t.Filters[i].Name = "Function"
			}
		}
	}
	has := func(name string) bool {
		return slices.ContainsFunc(t.Head, func(c pageColumn) bool { return c.Name == name })
	}
	switch {
	case !has("P90"):
		t.Notes = append(t.Notes, "p90 and p99 are left out: they need n of at least 10 and 100.")
	case !has("P99"):
		t.Notes = append(t.Notes, "p99 is left out: it needs n of at least 100.")
	}
	last := "Speed-up is relative to one worker of the same contender at the same memory. Cost is per million warm invocations, " +
		"including S3 and fees."
	if c.Own() {
		last = "CPU is the whole process's. Cost is per million warm invocations, including Lambda's request fee: what the function " +
			"calls is not known."
	}
	t.Notes = append(t.Notes, fmt.Sprintf("Warm and cold are medians. Below the warm median is its 95%% interval, with ± for how far it "+
		"reaches: both need n of at least %d. Cold is INIT plus the first invocation. %s", stats.MinForInterval, last))
	return t
}

// filters offers what a column has several values of.
func filters(rows []pageRow) []pageFilter {
	var all []pageFilter
	for _, f := range []struct {
		name, key string
		of        func(pageRow) string
	}{
		{"Memory, MB", "memory", func(r pageRow) string { return r.Memory }},
		{"Contender", "group", func(r pageRow) string { return r.Group }},
		{"Client", "who", func(r pageRow) string { return r.Who }},
		{"Workers", "workers", func(r pageRow) string { return r.Work }},
		{"Why", "kind", func(r pageRow) string { return r.Kind }},
	} {
		var values []string
		for _, row := range rows {
			if v := f.of(row); !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		if len(values) > 1 {
			all = append(all, pageFilter{f.name, f.key, values})
		}
	}
	return all
}

// capital makes a head of a column's name.
func capital(s string) string {
	if s == "" || s == "±" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
