package page

import (
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"fanout/bench/internal/table"
)

// axes is a plot without figures, in the page's looks.
func axes(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		for _, style := range []*text.Style{&a.Label.TextStyle, &a.Tick.Label} {
			style.Font.Variant, style.Font.Size, style.Color = "Sans", 12, soft
		}
		a.Label.Padding = 4
		a.Color, a.Tick.Color = soft, soft
		a.Width, a.Tick.Width, a.Tick.Length = 0.75, 0.75, 4
		a.Padding = 0
	}
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	lines.Vertical.Width, lines.Horizontal.Width = 0.75, 0.75
	p.Add(lines)
	return p
}

// logarithmic makes an axis that shows from lo to hi with some room.
func logarithmic(a *plot.Axis, lo, hi float64) {
	room := max(math.Pow(hi/lo, 0.07), 1.06)
	a.Scale, a.Min, a.Max, a.Tick.Marker = plot.LogScale{}, lo/room, hi*room, logTicks{}
}

// linear makes an axis that shows from lo to hi.
func linear(a *plot.Axis, lo, hi float64) {
	a.Min, a.Max, a.Tick.Marker = lo, hi, evenTicks{}
}

// logTicks marks 1, 2 and 5 of each decade, or fewer of many, or more of few.
type logTicks struct{}

func (logTicks) Ticks(lo, hi float64) []plot.Tick {
	var all []plot.Tick
	for _, digits := range [][]float64{{1}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}, {1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9}} {
		all = all[:0]
		for exponent := math.Floor(math.Log10(lo)); exponent <= math.Log10(hi); exponent++ {
			for _, digit := range digits {
				if v := digit * math.Pow(10, exponent); v >= lo && v <= hi {
					all = append(all, plot.Tick{Value: v, Label: table.Grouped(v)})
				}
			}
		}
		if len(all) >= 4 {
			break
		}
	}
	if len(all) < 2 {
		return evenTicks{}.Ticks(lo, hi)
	}
	return all
}

// evenTicks marks four to eight round figures.
type evenTicks struct{}

func (evenTicks) Ticks(lo, hi float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/4)))
	for _, times := range []float64{5, 2.5, 2} {
		if (hi-lo)/(step*times) >= 4 {
			step *= times
			break
		}
	}
	digits := max(0, int(math.Ceil(-math.Log10(step))))
	if math.Mod(step*math.Pow(10, float64(digits)), 1) > 1e-9 { // 2.5
		digits++
	}
	var all []plot.Tick
	for i := range 12 { // and no more, where the range is too narrow to count in
		if v := (math.Ceil(lo/step) + float64(i)) * step; v >= lo && v <= hi {
			all = append(all, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', digits, 64)})
		}
	}
	return all
}

// spaced leaves out marks whose labels would run into each other.
type spaced struct {
	plot.Ticker
	scale plot.Normalizer
	least float64 // of the axis, between two marks
}

// Ticks gives those that are left.
func (s spaced) Ticks(lo, hi float64) []plot.Tick {
	last := math.Inf(-1)
	return slices.DeleteFunc(slices.Clone(s.Ticker.Ticks(lo, hi)), func(t plot.Tick) bool {
		at := s.scale.Normalize(lo, hi, t.Value)
		if at-last < s.least {
			return true
		}
		last = at
		return false
	})
}

// uncrowded spaces the marks of the lower axis of a picture of some width.
func uncrowded(p *plot.Plot, width vg.Length) {
	const label = 42 // points, and about two thirds of the width is the axis
	p.X.Tick.Marker = spaced{p.X.Tick.Marker, p.X.Scale, label / (0.65 * width.Points())}
}

// measured marks what was measured, but not where labels would run into each
// other.
func measured(a *plot.Axis, values []int) {
	var ticks plot.ConstantTicks
	for _, v := range slices.Compact(slices.Sorted(slices.Values(values))) {
		ticks = append(ticks, plot.Tick{Value: float64(v), Label: strconv.Itoa(v)})
	}
	a.Tick.Marker = spaced{ticks, a.Scale, 0.12}
}

// points draws one mark.
func points(style draw.GlyphStyle, at ...plotter.XY) plot.Plotter {
	return &plotter.Scatter{XYs: at, GlyphStyle: style}
}

func line(colour role, width vg.Length, at ...plotter.XY) *plotter.Line {
	return &plotter.Line{XYs: at, LineStyle: draw.LineStyle{Color: colour, Width: width}}
}

// pointLabel is text at a point.
type pointLabel struct {
	at   plotter.XY
	text string
}

// pointLabels writes each beside its point, where it hides the fewest marks,
// and none over another.
type pointLabels struct {
	labels []pointLabel
	marks  []plotter.XY
}

// Plot writes them.
func (l pointLabels) Plot(c draw.Canvas, p *plot.Plot) {
	style := text.Style{Color: ink, Font: p.X.Tick.Label.Font, Handler: p.TextHandler, YAlign: draw.YCenter}
	const high, aside, above = 14, 12, 14
	x, y := p.Transforms(&c)
	var taken []vg.Rectangle
	for _, label := range l.labels {
		width := style.Width(label.text)
		var best vg.Rectangle
		least := math.MaxInt
		for _, from := range []vg.Point{{X: aside, Y: above}, {X: aside, Y: -above}, {X: -aside - width, Y: above}, {X: -aside - width, Y: -above}, {X: aside}, {X: -width / 2, Y: 2 * above}} {
			at := vg.Point{X: x(label.at.X), Y: y(label.at.Y)}.Add(from)
			box := vg.Rectangle{Min: vg.Point{X: at.X, Y: at.Y - high/2}, Max: vg.Point{X: at.X + width, Y: at.Y + high/2}}
			hidden := 0
			if box.Min.X < c.Min.X || box.Max.X > c.Max.X || box.Min.Y < c.Min.Y || box.Max.Y > c.Max.Y {
				hidden += 100
			}
			for _, m := range l.marks {
				if mx, my := x(m.X), y(m.Y); mx > box.Min.X-5 && mx < box.Max.X+5 && my > box.Min.Y-4 && my < box.Max.Y+4 {
					hidden++
				}
			}
			for _, other := range taken {
				if box.Min.X < other.Max.X && other.Min.X < box.Max.X && box.Min.Y < other.Max.Y && other.Min.Y < box.Max.Y {
					hidden += 1000
				}
			}
			if hidden < least {
				best, least = box, hidden
			}
		}
		taken = append(taken, best)
		c.FillText(style, vg.Point{X: best.Min.X, Y: (best.Min.Y + best.Max.Y) / 2}, label.text)
	}
}

// endLabel is text to the right of a point.
type endLabel pointLabel

// Plot writes it.
func (l endLabel) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := text.Style{Color: soft, Font: p.X.Tick.Label.Font, Handler: p.TextHandler, YAlign: draw.YCenter}
	c.FillText(style, vg.Point{X: x(l.at.X) + 11, Y: y(l.at.Y)}, l.text)
}
