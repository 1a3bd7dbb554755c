package perf

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"fanout/bench/internal/network"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/store"
)

// autoDir is the folder of the experiment auto on one network.
func autoDir(on string) string { return "auto-" + on }

// autoNetworks are those that auto is tried on.
var autoNetworks = []network.Model{network.S3Standard, network.S3Express, network.None}

// autoFixed are the concurrencies that auto is compared with.
var autoFixed = []int{8, 16, 32, 64, 128, 256}

// A fixed concurrency that is hopeless times as slow as the best one after
// hopelessRounds is not tried further: it takes longest, and can't win.
const (
	hopeless       = 1.5
	hopelessRounds = 3
)

// runAuto compares concurrency auto with fixed ones.
func runAuto(ctx context.Context, o *Options, f *failures) error {
	for _, network := range autoNetworks {
		if err := runAutoOn(ctx, o, f, network); err != nil {
			return err
		}
	}
	return nil
}

func runAutoOn(ctx context.Context, o *Options, f *failures, network network.Model) (err error) {
	s, err := openSession(ctx, o, f, standard(network, o.memories(128, 512, 1769, 3008)...))
	if err != nil {
		return err
	}
	defer func() { err = s.end(err) }()
	s.header.Plan.Clients, s.header.Plan.Concurrencies = []string{store.Lean}, append([]int{trial.Auto}, autoFixed...)
	runner, err := s.runner(ctx)
	if err != nil {
		return err
	}
	out, err := s.file(autoDir(network.Name), s.header)
	if err != nil {
		return err
	}
	rivals := make([][]*competitor, len(runner.Targets)) // of each memory size
	for i, t := range runner.Targets {
		for _, c := range s.header.Plan.Concurrencies {
			setting := trial.Setting{Target: t, Client: store.Lean, Concurrency: c}
			rivals[i] = append(rivals[i], s.enter(&competitor{setting: setting, runner: runner, out: out}, o.Rounds))
		}
	}
	rng := rand.New(rand.NewPCG(o.Seed, 2))
	for _, order := range rivals {
		for round := range o.Rounds {
			if round == hopelessRounds {
				for _, c := range hopelessOf(order) {
					s.drop(c)
				}
			}
			rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
			for _, c := range order {
				if err := s.measure(ctx, c, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// hopelessOf gives the fixed concurrencies that can't win any more.
func hopelessOf(rivals []*competitor) []*competitor {
	best := math.Inf(1)
	for _, c := range rivals {
		if c.setting.Concurrency != trial.Auto && len(c.wall) > 0 {
			best = min(best, median(c.wall))
		}
	}
	return slices.DeleteFunc(slices.Clone(rivals), func(c *competitor) bool {
		return c.setting.Concurrency == trial.Auto || len(c.wall) == 0 || median(c.wall) <= hopeless*best
	})
}

// autoRow is one memory size: the wall times by concurrency.
type autoRow struct {
	memoryMB int
	fixed    map[int]series
	auto     series
}

// fastest is the fixed concurrency with the lowest median wall time.
func (r autoRow) fastest() (best series) {
	for _, workers := range autoFixed {
		if s := r.fixed[workers]; len(s.wall) > 0 && (len(best.wall) == 0 || median(s.wall) < median(best.wall)) {
			best = s
		}
	}
	return best
}

func autoRows(f trial.File) []autoRow {
	var rows []autoRow
	for _, k := range keys(f) {
		if len(rows) == 0 || rows[len(rows)-1].memoryMB != k.MemoryMB {
			rows = append(rows, autoRow{memoryMB: k.MemoryMB, fixed: map[int]series{}})
		}
		r := &rows[len(rows)-1]
		if s := seriesOf(f, k); k.Concurrency == trial.Auto {
			r.auto = s
		} else {
			r.fixed[k.Concurrency] = s
		}
	}
	return rows
}

func autoColumns(h trial.Header) []table.Column[autoRow] {
	columns := []table.Column[autoRow]{
		{Label: table.Label{Head: "memory", Unit: "MB"}, Cell: func(r autoRow) table.Cell { return table.Int(r.memoryMB) }},
	}
	for _, c := range h.Plan.Concurrencies {
		if c != trial.Auto {
			columns = append(columns, table.Column[autoRow]{
				Label: table.Label{Head: strconv.Itoa(c), Unit: "ms"},
				Cell:  func(r autoRow) table.Cell { return medianCell(r.fixed[c].wall, 0) },
			})
		}
	}
	return append(columns,
		table.Column[autoRow]{Label: table.Label{Head: "auto", Unit: "ms"}, Cell: func(r autoRow) table.Cell {
			return medianCell(r.auto.wall, 0)
		}},
		table.Column[autoRow]{Label: table.Label{Head: "chose"}, Cell: func(r autoRow) table.Cell { return table.Int(r.auto.workers) }},
		table.Column[autoRow]{Label: table.Label{Head: "auto/best"}, Left: true, Cell: func(r autoRow) table.Cell {
			return ratio(r.auto, r.fastest(), wallOf)
		}},
		table.Column[autoRow]{Label: table.Label{Head: "failed"}, Left: true, Cell: func(r autoRow) table.Cell {
			failed := r.auto.failures()
			for _, c := range autoFixed {
				if s := r.fixed[c]; failed.Text == "" && s.failed > 0 {
					failed = table.Text(fmt.Sprintf("%d: %s", c, s.failures().Text))
				}
			}
			return failed
		}},
	)
}

func printAuto(w io.Writer, dir string) (trial.Header, error) {
	var header trial.Header
	for _, network := range autoNetworks {
		f, err := read(dir, autoDir(network.Name))
		if err != nil {
			return header, err
		}
		if f.Header.Schema == 0 {
			continue
		}
		header = f.Header
		heading(w, "Auto: lean, warm, network %s, n=%d, or %d if over %g times the best; wall time by workers",
			header.Network, header.Plan.Invocations, hopelessRounds, hopeless)
		if err := printTable(w, autoColumns(header), autoRows(f)); err != nil {
			return header, err
		}
	}
	return header, nil
}
