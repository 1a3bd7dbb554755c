package write

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
)

// Benchfmt writes one line for each invocation that went well, in the format
// of Go's benchmarks: benchstat reads it, and its medians are those shown
// here. Cold starts are benchmarks of their own. What must not be mixed,
// backend and network, is in the file's configuration, by which benchstat
// separates tables.
func Benchfmt(w io.Writer, r *report.Report) error {
	out := benchfmt.NewWriter(w)
	config := [][2]string{
		{"backend", r.Header.Backend}, {"region", r.Header.Region}, {"host", r.Header.Host}, {"run-end", r.End.Reason},
	}
	if by := r.CalibratedBy(); by != "" {
		config = append(config, [2]string{"calibrated-by", by})
	}
	name := func(row report.Row, start string) string {
		return fmt.Sprintf("Read/contender=%s/arch=%s/client=%s/workers=%s/start=%s/memory=%dMB", word(row.Contender), word(row.Arch),
			word(row.Client), word(strings.ReplaceAll(row.Key.Workers(), " ", "")), start, row.MemoryMB)
	}
	if r.Own() {
		config = append(config, [2]string{"events", r.Events()})
		name = func(row report.Row, start string) string {
			return fmt.Sprintf("Invoke/function=%s/arch=%s/start=%s/memory=%dMB", word(row.Contender), word(row.Arch), start, row.MemoryMB)
		}
	} else {
		config = append(config, [][2]string{
			{"network", r.Header.Network}, {"objects", strconv.Itoa(r.Objects)}, {"bytes", strconv.FormatInt(r.Bytes, 10)},
		}...)
	}
	write := func(row report.Row, start string, i int, ms, usd stats.Summary) error {
		res := benchfmt.Result{
			Iters: 1,
			Name:  benchfmt.Name(name(row, start)),
			Values: []benchfmt.Value{{Value: ms.Values[i] / 1000, Unit: "sec/op", OrigValue: math.Round(ms.Values[i] * 1e6),
				OrigUnit: "ns/op"}},
		}
		if usd.N == ms.N {
			res.Values = append(res.Values, benchfmt.Value{Value: usd.Values[i] * 1e6, Unit: "usd/Mop"})
		}
		for _, kv := range config {
			if value := table.Clip(kv[1], 200); value != "" {
				res.SetConfig(kv[0], value)
			}
		}
		for i := range res.Config {
			res.Config[i].File = true
		}
		return out.Write(&res)
	}
	for _, row := range r.Rows {
		for i := range row.Warm.Values {
			if err := write(row, trial.Warm, i, row.Warm, row.WarmCost); err != nil {
				return fmt.Errorf("write benchmark lines: %w", err)
			}
		}
		for i := range row.Cold.Values {
			if err := write(row, trial.Cold, i, row.Cold, row.ColdCost); err != nil {
				return fmt.Errorf("write benchmark lines: %w", err)
			}
		}
	}
	return nil
}

// word makes text from a result file one word of a benchmark's name.
func word(s string) string {
	if s == "" {
		return "own"
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r) {
			return r
		}
		return '_'
	}, s)
}
