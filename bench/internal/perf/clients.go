package perf

import (
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"slices"

	"fanout/bench/internal/network"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/store"
)

// clientsDir is the folder of the experiment clients.
const clientsDir = "clients"

// runClients compares the clients, and the contenders beside them, at several
// memory sizes.
func runClients(ctx context.Context, o *Options, f *failures) (err error) {
	cfg := standard(network.S3Standard, o.memories(128, 512, 1769)...)
	cfg.Contenders = o.Contenders
	s, err := openSession(ctx, o, f, cfg)
	if err != nil {
		return err
	}
	defer func() { err = s.end(err) }()
	s.header.Plan.Clients = []string{store.Stock, store.Tuned, store.Lean}
	runner, err := s.runner(ctx)
	if err != nil {
		return err
	}
	out, err := s.file(clientsDir, s.header)
	if err != nil {
		return err
	}
	for _, t := range runner.Targets {
		for _, setting := range settings(t, o) {
			s.enter(&competitor{setting: setting, runner: runner, out: out}, o.Rounds)
		}
	}
	order := slices.Clone(s.competitors)
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	for round := range o.Rounds {
		rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		for _, c := range order {
			if err := s.measure(ctx, c, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// settings of a function: each client of this repository's, or what another
// contender can be asked.
func settings(t trial.Target, o *Options) []trial.Setting {
	switch {
	case t.Published:
		return []trial.Setting{{Target: t}}
	case t.Contender != o.Own.Name:
		return []trial.Setting{{Target: t, Concurrency: o.Workers}}
	}
	var all []trial.Setting
	for _, client := range []string{store.Stock, store.Tuned, store.Lean} {
		all = append(all, trial.Setting{Target: t, Client: client, Concurrency: o.Workers})
	}
	return all
}

// clientRow is a client, or another contender, beside lean at the same memory
// size.
type clientRow struct {
	memoryMB   int
	name       string
	isLean     bool
	this, lean series
}

// clientOrder is how the table lists them; other contenders come first.
var clientOrder = []string{store.Stock, store.Tuned, "baseline", store.Lean}

func clientRows(f trial.File) []clientRow {
	var rows []clientRow
	lean := map[int]series{}
	for _, k := range keys(f) {
		r := clientRow{memoryMB: k.MemoryMB, name: cmp.Or(k.Client, k.Contender), isLean: k.Client == store.Lean, this: seriesOf(f, k)}
		if r.isLean {
			lean[r.memoryMB] = r.this
		}
		rows = append(rows, r)
	}
	for i := range rows {
		rows[i].lean = lean[rows[i].memoryMB]
	}
	slices.SortStableFunc(rows, func(a, b clientRow) int {
		order := slices.Index(clientOrder, a.name) - slices.Index(clientOrder, b.name)
		return cmp.Or(a.memoryMB-b.memoryMB, order, cmp.Compare(a.name, b.name))
	})
	return rows
}

// leanIs is lean's part of what this one takes; nothing for lean itself.
func (r clientRow) leanIs(of func(series) []float64) table.Cell {
	if r.isLean {
		return table.Text("")
	}
	return ratio(r.lean, r.this, of)
}

var clientColumns = []table.Column[clientRow]{
	{Label: table.Label{Head: "memory", Unit: "MB"}, Cell: func(r clientRow) table.Cell { return table.Int(r.memoryMB) }},
	{Label: table.Label{Head: "client"}, Left: true, Cell: func(r clientRow) table.Cell { return table.Text(r.name) }},
	{Label: table.Label{Head: "n"}, Cell: func(r clientRow) table.Cell { return table.Int(len(r.this.wall)) }},
	{Label: table.Label{Head: "CPU", Unit: "µs/object"}, Cell: func(r clientRow) table.Cell { return medianCell(r.this.cpu, 1) }},
	{Label: table.Label{Head: "±"}, Cell: func(r clientRow) table.Cell { return spread(r.this.cpu) }},
	{Label: table.Label{Head: "lean is"}, Left: true, Cell: func(r clientRow) table.Cell { return r.leanIs(cpuOf) }},
	{Label: table.Label{Head: "wall", Unit: "ms"}, Cell: func(r clientRow) table.Cell { return medianCell(r.this.wall, 0) }},
	{Label: table.Label{Head: "±"}, Cell: func(r clientRow) table.Cell { return spread(r.this.wall) }},
	{Label: table.Label{Head: "lean is"}, Left: true, Cell: func(r clientRow) table.Cell { return r.leanIs(wallOf) }},
	{Label: table.Label{Head: "failed"}, Left: true, Cell: func(r clientRow) table.Cell { return r.this.failures() }},
}

func printClients(w io.Writer, dir string) (trial.Header, error) {
	f, err := read(dir, clientsDir)
	if err != nil || f.Header.Schema == 0 {
		return f.Header, err
	}
	heading(w, "Clients: %d objects, %d workers, warm, network %s", f.Header.Corpus.Count, workersOf(f.Header), f.Header.Network)
	return f.Header, printTable(w, clientColumns, clientRows(f))
}

// workersOf is the concurrency that an experiment asked for.
func workersOf(h trial.Header) int {
	if len(h.Plan.Concurrencies) == 0 {
		return trial.Auto
	}
	return h.Plan.Concurrencies[0]
}

// printTable prints a table, without columns in which no row has anything to
// say, and an empty line.
func printTable[R any](w io.Writer, columns []table.Column[R], rows []R) error {
	said := slices.DeleteFunc(slices.Clone(columns), func(c table.Column[R]) bool {
		return !slices.ContainsFunc(rows, func(r R) bool { text := c.Cell(r).Text; return text != "" && text != table.None })
	})
	if err := (table.Table[R]{Columns: said, Rows: rows, Upper: true}).Text(w, 0); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
