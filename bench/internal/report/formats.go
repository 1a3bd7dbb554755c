package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

// JSON writes the whole report as one JSON document; the fields are those of
// [Report].
func JSON(w io.Writer, r *Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// CSV writes a row a setting, with every figure; what cannot be had is empty.
// Amounts are US dollars for one invocation.
func CSV(w io.Writer, r *Report) error {
	number := func(v float64) string { // ten digits: more are rounding errors
		short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 10, 64), 64)
		return strconv.FormatFloat(short, 'f', -1, 64)
	}
	type figure struct {
		name string
		cell func(Row) string
	}
	figures := []figure{
		{"backend", func(Row) string { return cell(r.Header.Backend) }},
		{"contender", func(row Row) string { return cell(row.Contender) }},
		{"memory_mb", func(row Row) string { return strconv.Itoa(row.MemoryMB) }},
		{"arch", func(row Row) string { return cell(row.Arch) }},
		{"client", func(row Row) string { return cell(row.Client) }},
		{"concurrency", func(row Row) string { return strconv.Itoa(row.Concurrency) }},
		{"chosen", func(row Row) string { return strconv.Itoa(row.Chosen) }},
		{"invocations", func(row Row) string { return strconv.Itoa(row.Invocations) }},
		{"failed", func(row Row) string { return strconv.Itoa(row.Failed) }},
	}
	for _, s := range []struct {
		name string
		of   func(Row) stats.Summary
	}{
		{"warm_ms", func(row Row) stats.Summary { return row.Warm }},
		{"init_ms", func(row Row) stats.Summary { return row.Init }},
		{"first_ms", func(row Row) stats.Summary { return row.First }},
		{"cold_ms", func(row Row) stats.Summary { return row.Cold }},
		{"cpu_us_per_object", func(row Row) stats.Summary { return row.CPUPerObject }},
		{"warm_cost_usd", func(row Row) stats.Summary { return row.WarmCost }},
		{"cold_cost_usd", func(row Row) stats.Summary { return row.ColdCost }},
	} {
		some := func(has func(stats.Summary) bool, value func(stats.Summary) float64) func(Row) string {
			return func(row Row) string {
				if sum := s.of(row); has(sum) {
					return number(value(sum))
				}
				return ""
			}
		}
		measured := func(s stats.Summary) bool { return s.N > 0 }
		interval := func(s stats.Summary) bool { return s.HasInterval }
		figures = append(figures,
			figure{s.name + "_n", func(row Row) string { return strconv.Itoa(s.of(row).N) }},
			figure{s.name + "_median", some(measured, func(s stats.Summary) float64 { return s.Median })},
			figure{s.name + "_lo", some(interval, func(s stats.Summary) float64 { return s.Lo })},
			figure{s.name + "_hi", some(interval, func(s stats.Summary) float64 { return s.Hi })},
		)
	}
	percentile := func(of func(Row) Percentile) func(Row) string {
		return func(row Row) string {
			if p := of(row); p.Why == "" {
				return number(p.Value)
			}
			return ""
		}
	}
	part := func(of func(Row) float64) func(Row) string {
		return func(row Row) string {
			if row.WarmCost.N == 0 {
				return ""
			}
			return number(of(row))
		}
	}
	shareOf := func(of func(Verdict) Share) func(Row) string {
		return func(row Row) string {
			if s := of(row.Verdict); s.Known {
				return number(s.Value)
			}
			return ""
		}
	}
	figures = append(figures,
		figure{"warm_ms_p90", percentile(func(row Row) Percentile { return row.P90 })},
		figure{"warm_ms_p99", percentile(func(row Row) Percentile { return row.P99 })},
		figure{"max_memory_mb", func(row Row) string { return strconv.Itoa(row.MaxMemoryMB) }},
		figure{"speed_up", func(row Row) string {
			if row.SpeedUp == 0 {
				return ""
			}
			return number(row.SpeedUp)
		}},
		figure{"compute_usd", part(func(row Row) float64 { return row.Cost.Compute })},
		figure{"request_usd", part(func(row Row) float64 { return row.Cost.Request })},
		figure{"s3_requests_usd", part(func(row Row) float64 { return row.Cost.S3Requests })},
		figure{"retrieval_usd", part(func(row Row) float64 { return row.Cost.Retrieval })},
		figure{"verdict", func(row Row) string { return string(row.Verdict.Kind) }},
		figure{"cpu_share", shareOf(func(v Verdict) Share { return v.CPU })},
		figure{"latency_share", shareOf(func(v Verdict) Share { return v.Latency })},
		figure{"network_share", shareOf(func(v Verdict) Share { return v.Network })},
		figure{"memory_share", shareOf(func(v Verdict) Share { return v.Memory })},
		figure{"retries_share", shareOf(func(v Verdict) Share { return v.Retries })},
	)
	out := csv.NewWriter(w)
	line := func(text func(figure) string) error {
		cells := make([]string, len(figures))
		for i, f := range figures {
			cells[i] = text(f)
		}
		return out.Write(cells)
	}
	if err := line(func(f figure) string { return f.name }); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	for _, row := range r.Rows {
		if err := line(func(f figure) string { return f.cell(row) }); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// cell keeps a name from a result file from being a formula to a spreadsheet.
func cell(s string) string {
	if s = clip(s, 200); s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Markdown writes the advice and the table for a page or a pull request.
func Markdown(w io.Writer, r *Report) error {
	var b bytes.Buffer
	h := r.Header
	fmt.Fprintf(&b, "**%d objects, %.1f MB, %s**\n\n", r.Objects, float64(r.Bytes)/1e6, escape(place(h)))
	switch h.Backend {
	case trial.Sandbox:
		fmt.Fprintf(&b, "Sandbox times, not AWS times, and costs at those times: %s.\n\n", escape(h.Host))
	case trial.Endpoint:
		b.WriteString("Times of a custom endpoint, not AWS times, and costs at those times.\n\n")
	}
	for _, p := range r.Advice.Picks {
		row := r.Rows[p.Row]
		price := ""
		if r.Priced {
			price = ", " + dollars(row.WarmCost.Median*1e6) + " a million"
		}
		fmt.Fprintf(&b, "- **%s**: %s: %s ms%s; %s\n", p.Goal, escape(r.Name(row)), number(row.Warm.Median), price, escape(r.Certainty(p)))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "- warning: %s\n", escape(warning))
	}
	b.WriteString("\n| memory MB | client | workers | n | warm ms | 95% interval | cold ms | CPU/object µs | max MB | speed-up | $ a million | compute alone | why |\n")
	b.WriteString("|--:|:--|--:|--:|--:|:-:|--:|--:|--:|--:|--:|--:|:--|\n")
	for _, row := range r.Rows {
		interval, speedUp, total, compute := none, none, none, none
		if row.Warm.HasInterval {
			interval = number(row.Warm.Lo) + " to " + number(row.Warm.Hi)
		}
		if row.SpeedUp > 0 {
			speedUp = fmt.Sprintf("%.1f×", row.SpeedUp)
		}
		if r.Priced && row.WarmCost.N > 0 {
			total, compute = number(row.Cost.Total()*1e6), number(row.Cost.Compute*1e6)
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %d | %s | %s | %s | %s | %d | %s | %s | %s | %s |\n",
			row.MemoryMB, escape(r.Who(row)), row.Workers(), row.Warm.N, escape(warmCell(row)), interval, medianCell(row.Cold),
			medianCell(row.CPUPerObject), row.MaxMemoryMB, speedUp, total, compute, escape(string(row.Verdict.Kind)))
	}
	if r.Priced {
		fmt.Fprintf(&b, "\n%s.\n", r.pricesLine())
	}
	_, err := w.Write(b.Bytes())
	return err
}

// escape makes text from a result file plain text in Markdown, whatever it
// holds.
func escape(s string) string {
	var b strings.Builder
	for _, r := range clip(s, 200) {
		switch {
		case r == '<':
			b.WriteString("&lt;")
			continue
		case r == '&':
			b.WriteString("&amp;")
			continue
		case strings.ContainsRune("\\`*_[]|~#!>@", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Benchfmt writes one line for each invocation that went well, in the format
// of Go's benchmarks: benchstat reads it, and its medians are those shown
// here. Cold starts are benchmarks of their own. What must not be mixed,
// backend and network, is in the file's configuration, by which benchstat
// separates tables.
func Benchfmt(w io.Writer, r *Report) error {
	out := benchfmt.NewWriter(w)
	config := [][2]string{
		{"backend", r.Header.Backend}, {"region", r.Header.Region}, {"host", r.Header.Host}, {"network", r.Header.Network},
		{"objects", strconv.Itoa(r.Objects)}, {"bytes", strconv.FormatInt(r.Bytes, 10)},
	}
	write := func(row Row, start string, i int, ms, usd stats.Summary) error {
		res := benchfmt.Result{
			Iters: 1,
			Name: benchfmt.Name(fmt.Sprintf("Read/contender=%s/arch=%s/client=%s/workers=%s/start=%s/memory=%dMB",
				word(row.Contender), word(row.Arch), word(row.Client), word(strings.ReplaceAll(row.Key.Workers(), " ", "")), start, row.MemoryMB)),
			Values: []benchfmt.Value{{Value: ms.Values[i] / 1000, Unit: "sec/op", OrigValue: math.Round(ms.Values[i] * 1e6), OrigUnit: "ns/op"}},
		}
		if usd.N == ms.N {
			res.Values = append(res.Values, benchfmt.Value{Value: usd.Values[i] * 1e6, Unit: "usd/Mop"})
		}
		for _, kv := range config {
			if value := clip(kv[1], 200); value != "" {
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
