// Package report shows what a result file says. Everything in it is a pure
// function of that file: [Rows] sums it up, one row a setting, and [Text] and
// [SpeedupChart] show the rows.
package report

import (
	"cmp"
	"slices"

	"fanout/bench/internal/trial"
)

// Row sums up one setting. Figures are medians over the invocations that went
// well.
type Row struct {
	Contender   string
	MemoryMB    int
	Arch        string
	Client      string
	Concurrency int // asked for; trial.Auto: see Chosen
	Chosen      int // what the function chose, from its stats; 0 where unknown

	Warm         Sample // duration_ms of warm invocations
	Init         Sample // init_ms of cold ones
	Cold         Sample // init_ms + duration_ms of cold ones
	CPUPerObject Sample // µs of the whole process, warm
	MaxMemoryMB  int
	ObjectsPerS  float64 // objects over the warm median
	SpeedUp      float64 // the sequential median over this one; 0 where there is no baseline

	Failed   int
	Failures []Failure // what failed, most often first
}

// Failure is one kind of failure and how often it happened.
type Failure struct {
	Name    string // OOM, timeout, or the error type
	Example string
	Count   int
}

// Sample is a set of measurements.
type Sample struct {
	N               int
	Median          float64
	Lowest, Highest float64
}

// Spread is half the range over the median: 0.03 reads as ±3%. It is 0 for
// fewer than two measurements.
func (s Sample) Spread() float64 {
	if s.N < 2 || s.Median == 0 {
		return 0
	}
	return (s.Highest - s.Lowest) / 2 / s.Median
}

func sampleOf(values []float64) Sample {
	if len(values) == 0 {
		return Sample{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	median := v[mid]
	if len(v)%2 == 0 {
		median = (v[mid-1] + v[mid]) / 2
	}
	return Sample{N: len(v), Median: median, Lowest: v[0], Highest: v[len(v)-1]}
}

// key identifies a setting.
type key struct {
	contender   string
	memoryMB    int
	arch        string
	client      string
	concurrency int
}

// Rows sums up a file: ordered by contender, architecture, client, memory and
// concurrency.
func Rows(f trial.File) []Row {
	groups := map[key][]trial.Result{}
	for _, r := range f.Results {
		k := key{r.Contender, r.MemoryMB, r.Arch, r.Client, r.Concurrency}
		groups[k] = append(groups[k], r)
	}
	rows := make([]Row, 0, len(groups))
	for k, results := range groups {
		rows = append(rows, rowOf(k, results, f.Header.Corpus.Count))
	}
	for i := range rows {
		r := &rows[i]
		for _, base := range rows {
			if base.Concurrency == 1 && base.Contender == r.Contender && base.MemoryMB == r.MemoryMB &&
				base.Arch == r.Arch && base.Client == r.Client && base.Warm.N > 0 && r.Warm.N > 0 {
				r.SpeedUp = base.Warm.Median / r.Warm.Median
			}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Contender, b.Contender), cmp.Compare(a.Arch, b.Arch),
			cmp.Compare(a.MemoryMB, b.MemoryMB), cmp.Compare(a.Client, b.Client), cmp.Compare(uint(a.Concurrency-1), uint(b.Concurrency-1))) // auto, 0, comes last
	})
	return rows
}

func rowOf(k key, results []trial.Result, objects int) Row {
	row := Row{Contender: k.contender, MemoryMB: k.memoryMB, Arch: k.arch, Client: k.client, Concurrency: k.concurrency}
	var warm, initial, cold, cpu []float64
	for _, r := range results {
		row.MaxMemoryMB = max(row.MaxMemoryMB, r.MaxMemoryMB)
		if !r.OK {
			row.fail(r)
			continue
		}
		if r.Stats != nil {
			row.Chosen = r.Stats.Concurrency
		}
		if r.Start == trial.Cold {
			initial = append(initial, r.InitMS)
			cold = append(cold, r.InitMS+r.DurationMS)
			continue
		}
		warm = append(warm, r.DurationMS)
		switch {
		case objects == 0:
		case r.ProcessMS != nil:
			cpu = append(cpu, *r.ProcessMS*1000/float64(objects))
		case r.Stats != nil:
			cpu = append(cpu, r.Stats.CPUMS*1000/float64(objects))
		}
	}
	row.Warm, row.Init, row.Cold, row.CPUPerObject = sampleOf(warm), sampleOf(initial), sampleOf(cold), sampleOf(cpu)
	if row.Warm.Median > 0 {
		row.ObjectsPerS = float64(objects) / row.Warm.Median * 1000
	}
	return row
}

func (row *Row) fail(r trial.Result) {
	row.Failed++
	name := r.ErrorType
	switch {
	case r.OutOfMemory():
		name = "OOM"
	case r.TimedOut():
		name = "timeout"
	}
	i := slices.IndexFunc(row.Failures, func(f Failure) bool { return f.Name == name })
	if i < 0 {
		i = len(row.Failures)
		row.Failures = append(row.Failures, Failure{Name: name, Example: r.Error})
	}
	row.Failures[i].Count++
	slices.SortStableFunc(row.Failures, func(a, b Failure) int { return cmp.Compare(b.Count, a.Count) })
}
