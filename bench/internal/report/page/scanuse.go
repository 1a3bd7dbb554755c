package page

import (
	"fmt"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// scanUse shows what the functions used over time.
func scanUse(r *report.Scan) figure {
	f := figure{ID: "use", Title: "What the functions used over time"}
	if len(r.Moments) == 0 || r.Summary == nil {
		f.Missing = "The parts were not added up."
		return f
	}
	f.Summary = fmt.Sprintf("%s batches were read at once, on average.", table.Number(r.AtOnce))
	if r.CPU > 0 {
		f.Summary += fmt.Sprintf(" Their functions used %s of the CPU that their memory buys", table.Share(min(r.CPU, 1)))
		if r.Network > 0 {
			f.Summary += fmt.Sprintf(", and %s of their bandwidth", table.Share(min(r.Network, 1)))
		}
		f.Summary += "; the rest of the time they wait for answers."
	}
	for i, panel := range []struct {
		caption, title string
		of             func(report.Moment) float64
	}{
		{"Batches at once", "batches", func(m report.Moment) float64 { return m.AtOnce }},
		{"Bytes", "MB/s", func(m report.Moment) float64 { return m.BytesPerS / 1e6 }},
		{"CPU", "vCPU", func(m report.Moment) float64 { return m.VCPU }},
	} {
		f.Pictures = append(f.Pictures, picture{Caption: panel.caption, Wide: drawMoments(r.Moments, panel.of, role(i+1), panel.title,
			panelWidth, panelHeight, attributes(f, "panel", panel.caption)...)})
	}
	return f
}
