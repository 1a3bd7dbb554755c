package page

import (
	"fmt"
	"html/template"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// maxMoments is how many stretches of time are listed below a picture.
const maxMoments = 60

// scanRate shows the objects per second over time.
func scanRate(r *report.Scan) figure {
	f := figure{ID: "rate", Title: "Objects per second over time", Head: []string{"from s", "to s", "objects/s", "MB/s", "batches at once"}}
	rate := func(m report.Moment) float64 { return m.ObjectsPerS }
	best := 0.0
	for _, m := range r.Moments {
		best = max(best, rate(m))
	}
	if len(r.Moments) == 0 || !drawable(best) || !drawable(r.Moments[len(r.Moments)-1].ToS) {
		f.Missing = "Nothing is known of when objects were read."
		return f
	}
	f.Summary = fmt.Sprintf("%s objects per second on average, and at most %s.", table.Grouped(r.ObjectsPerS), table.Grouped(best))
	if r.Limit.Name != "" {
		f.Summary += fmt.Sprintf(" What limited the scan: %s (%s).", r.Limit.Name, r.Limit.Why)
	}
	step := (len(r.Moments) + maxMoments - 1) / maxMoments
	if step > 1 {
		f.Summary += fmt.Sprintf(" The table joins every %d stretches of time; --format csv has each.", step)
	}
	for i := 0; i < len(r.Moments); i += step {
		m := together(r.Moments[i:min(i+step, len(r.Moments))])
		f.Rows = append(f.Rows, []string{table.Number(m.FromS), table.Number(m.ToS), table.Grouped(m.ObjectsPerS),
			table.Number(m.BytesPerS / 1e6), table.Number(m.AtOnce)})
	}
	drawn := func(class string, width, height float64) template.HTML {
		return drawMoments(r.Moments, rate, 0, "objects/s", width, height, attributes(f, class, f.Title)...)
	}
	f.Pictures = []picture{{Wide: drawn("wide", wideWidth, 300), Narrow: drawn("narrow", narrowWidth, 260)}}
	return f
}

// together is the mean of stretches that follow each other.
func together(moments []report.Moment) report.Moment {
	sum := report.Moment{FromS: moments[0].FromS, ToS: moments[len(moments)-1].ToS}
	all := 0.0
	for _, m := range moments {
		took := m.ToS - m.FromS
		all += took
		sum.ObjectsPerS += m.ObjectsPerS * took
		sum.BytesPerS += m.BytesPerS * took
		sum.AtOnce += m.AtOnce * took
		sum.VCPU += m.VCPU * took
	}
	if all > 0 {
		sum.ObjectsPerS, sum.BytesPerS, sum.AtOnce, sum.VCPU = sum.ObjectsPerS/all, sum.BytesPerS/all, sum.AtOnce/all, sum.VCPU/all
	}
	return sum
}

// unitOfTime gives the unit that an axis of so many seconds is marked in.
func unitOfTime(seconds float64) (unit float64, name string) {
	switch {
	case seconds >= 3*3600:
		return 3600, "hours"
	case seconds >= 180:
		return 60, "minutes"
	}
	return 1, "seconds"
}

// drawMoments draws a figure of each moment as steps, over the time from 0.
func drawMoments(moments []report.Moment, of func(report.Moment) float64, color role, title string, width, height float64,
	attributes ...string,
) template.HTML {
	unit, name := unitOfTime(moments[len(moments)-1].ToS)
	most := 0.0
	for _, m := range moments {
		most = max(most, of(m))
	}
	scale := 1.0
	if most >= 20_000 {
		scale, title = 1000, "thousand "+title
	}
	if most <= 0 {
		most = 1
	}
	p := newPlot(width, height, linear(name, 0, moments[len(moments)-1].ToS/unit), linear(title, 0, most/scale*1.05), attributes...)
	var steps []point
	for _, m := range moments {
		v := of(m) / scale
		steps = append(steps, p.at(m.FromS/unit, v), p.at(m.ToS/unit, v))
	}
	first, last := steps[0], steps[len(steps)-1]
	p.line(color, 1.75, "", append(append([]point{{first.x, p.bottom}}, steps...), point{last.x, p.bottom})...)
	return p.markup()
}
