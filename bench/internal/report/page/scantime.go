package page

import (
	"fmt"
	"strings"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// scanTime shows where the time went: that of the job, and that of the
// functions.
func scanTime(r *report.Scan) figure {
	f := figure{ID: "time", Title: "Where the time went", Head: []string{"of", "part", "time", "share"}}
	var bars []bar
	row := func(of string, p span, all float64) {
		f.Rows = append(f.Rows, []string{of, p.name, seconds(p.seconds), table.Share(p.seconds / all)})
	}
	var said []string
	all := 0.0
	var parts []span
	for _, p := range r.Phases {
		all += p.Seconds
		parts = append(parts, span{p.Name, p.Seconds})
	}
	if drawable(all) {
		job := bar{name: "the job", label: func(int) string { return "the job" }, end: seconds(all)}
		for i, p := range parts {
			job.parts = append(job.parts, part{p.seconds / all * 100, fmt.Sprintf("%s %s", p.name, seconds(p.seconds))})
			f.Key = append(f.Key, partKey(i, p.name))
			said = append(said, p.name+" "+seconds(p.seconds))
			row("the job", p, all)
		}
		bars = append(bars, job)
		f.Summary = "The job: " + strings.Join(said, ", ") + "; while objects are listed, others are read already."
	}
	if s := r.Summary; s != nil && drawable(s.BusyMS) {
		busy, share := s.BusyMS/1000, min(s.CPUMS/s.BusyMS, 1)
		if r.CPU > 0 { // of what there was for them
			share = min(r.CPU, 1)
		}
		const cpu = 3 // a colour that no part of the job has
		b := bar{name: "functions", label: func(int) string { return "functions" }, parts: make([]part, cpu+1)}
		b.parts[cpu] = part{share * 100, "CPU " + table.Share(share)}
		b.end = table.Share(share) + " of " + seconds(busy)
		bars = append(bars, b)
		f.Key = append(f.Key, partKey(cpu, "CPU of the functions"))
		row("functions", span{"CPU", busy * share}, busy)
		row("functions", span{"waiting", busy * (1 - share)}, busy)
		f.Summary += fmt.Sprintf(" The functions, all together: %s, of which %s on the CPU, and waiting for answers else.", seconds(busy),
			table.Share(share))
	}
	if len(bars) == 0 {
		f.Key, f.Rows, f.Missing = nil, nil, "Neither samples nor parts tell."
		return f
	}
	f.Summary = strings.TrimSpace(f.Summary)
	f.Pictures = drawBars(f, "% of the time", bars)
	return f
}

// span is a part of a time.
type span struct {
	name    string
	seconds float64
}
