package perf

import (
	"fmt"
	"slices"

	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
)

// series is what a file says of one competitor; an entry for each invocation
// that went well.
type series struct {
	cpu      []float64 // µs an object, of the whole process
	wall     []float64 // ms
	memoryMB []float64 // the process's peak
	rounds   []int     // in which these were measured
	workers  int       // what the last one read with; 0: it did not say
	failed   int
	how      string // type of the first failure
}

// seriesOf gives the series of one setting.
func seriesOf(f trial.File, k trial.Key) series {
	var s series
	objects := float64(max(f.Header.Corpus.Count, 1))
	for _, r := range f.Results {
		switch {
		case r.Key() != k:
		case !r.OK:
			if s.failed++; s.failed == 1 {
				s.how = r.ErrorType
			}
		default:
			if r.ProcessMS != nil {
				s.cpu = append(s.cpu, *r.ProcessMS*1000/objects)
			}
			s.wall, s.memoryMB = append(s.wall, r.DurationMS), append(s.memoryMB, float64(r.MaxMemoryMB))
			s.rounds = append(s.rounds, r.Seq)
			if r.Stats != nil {
				s.workers = r.Stats.Concurrency
			}
		}
	}
	return s
}

// keys gives the settings of a file, in the order of their keys.
func keys(f trial.File) []trial.Key {
	var all []trial.Key
	for _, r := range f.Results {
		if k := r.Key(); !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, trial.Key.Compare)
	return all
}

// failures is the cell that says how often a competitor failed, and how.
func (s series) failures() table.Cell {
	if s.failed == 0 {
		return table.Text("")
	}
	return table.Figure(float64(s.failed), fmt.Sprintf("%d× %s", s.failed, s.how))
}

// median with its unit's digits; without values, none.
func medianCell(values []float64, digits int) table.Cell {
	if len(values) == 0 {
		return table.Missing()
	}
	m := median(values)
	return table.Figure(m, fmt.Sprintf("%.*f", digits, m))
}

func median(v []float64) float64 { return stats.Summarise(v).Median }

// spread is half the range over the median, as ±N%.
func spread(v []float64) table.Cell {
	s := stats.Summarise(v)
	if s.N == 0 || s.Median == 0 {
		return table.Missing()
	}
	half := (s.Highest - s.Lowest) / 2 / s.Median
	return table.Figure(half, fmt.Sprintf("±%.0f%%", half*100))
}

// widest is how many times the lower end of a ratio's interval its upper end may
// be for the ratio to be worth printing.
const widest = 1.5

// refused stands where a ratio is not worth printing; Print says what to do.
const refused = "unclear"

// ratio is the median of a's over b's in each round that both were measured in,
// and its interval, which assumes no distribution. Without an interval, or with
// too wide a one, the ratio itself is not given.
func ratio(a, b series, of func(series) []float64) table.Cell {
	x, y := of(a), of(b)
	if len(x) == 0 || len(y) == 0 {
		return table.Missing()
	}
	var own []float64
	for i, round := range a.rounds {
		if k := slices.Index(b.rounds, round); k >= 0 && i < len(x) && k < len(y) && y[k] != 0 {
			own = append(own, x[i]/y[k])
		}
	}
	s := stats.Summarise(own)
	switch {
	case !s.HasInterval:
		return table.Text(fmt.Sprintf("%s (n=%d)", refused, s.N))
	case s.Hi > widest*s.Lo:
		return table.Text(fmt.Sprintf("%s (%.2f–%.2f)", refused, s.Lo, s.Hi))
	}
	return table.Figure(s.Median, fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Lo, s.Hi))
}

func cpuOf(s series) []float64  { return s.cpu }
func wallOf(s series) []float64 { return s.wall }
