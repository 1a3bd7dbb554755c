package page

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"fanout/bench/internal/table"
)

// axis is one of a plot's: a range of values, and what is marked on it.
type axis struct {
	title  string
	lo, hi float64
	log    bool
	ticks  []tick
	named  bool // the ticks are names of rows, and the axis has no line

	measured bool    // the ticks are what was measured
	least    float64 // of its width, if it stands upright: to align it with others
	after    float64 // room to the right of one that lies, for what is said there
}

// tick marks a value.
type tick struct {
	value float64
	label string
}

// logarithmic is an axis that shows from lo to hi, with some room.
func logarithmic(title string, lo, hi float64) axis {
	room := max(math.Pow(hi/lo, 0.07), 1.06)
	a := axis{title: title, lo: lo / room, hi: hi * room, log: true}
	a.ticks = logTicksOf(a.lo, a.hi)
	return a
}

// linear is an axis that shows from lo to hi.
func linear(title string, lo, hi float64) axis {
	return axis{title: title, lo: lo, hi: hi, ticks: evenTicks(lo, hi)}
}

// names is an axis of rows below each other, the first on top at n-1.
func names(n int, name func(int) string) axis {
	a := axis{lo: -0.6, hi: float64(n) - 0.4, named: true}
	for i := range n {
		a.ticks = append(a.ticks, tick{float64(n - 1 - i), name(i)})
	}
	return a
}

// marking marks what was measured instead of round figures.
func (a axis) marking(values []int) axis {
	a.ticks, a.measured = nil, true
	for _, v := range slices.Compact(slices.Sorted(slices.Values(values))) {
		a.ticks = append(a.ticks, tick{float64(v), strconv.Itoa(v)})
	}
	return a
}

// share says how far along the axis a value lies, 0 to 1.
func (a axis) share(v float64) float64 {
	if a.log {
		return math.Log(v/a.lo) / math.Log(a.hi/a.lo)
	}
	return (v - a.lo) / (a.hi - a.lo)
}

// spaced gives ticks for an axis of some length whose labels do not run into
// each other: of a logarithmic one fewer digits of each decade, else it leaves
// some out.
func (a axis) spaced(length float64, size func(label string) float64) []tick {
	kept := a.apart(a.ticks, length, size)
	if !a.log || a.measured || len(kept) == len(a.ticks) {
		return kept
	}
	for _, digits := range slices.Backward(logDigits) {
		if all := logTicks(a.lo, a.hi, digits); len(all) >= 2 && len(all) < len(a.ticks) && len(a.apart(all, length, size)) == len(all) {
			return all
		}
	}
	return kept
}

// apart leaves out the ticks whose labels would run into the one before.
func (a axis) apart(ticks []tick, length float64, size func(label string) float64) []tick {
	const gap = 8
	var kept []tick
	end := math.Inf(-1)
	for _, t := range ticks {
		at, half := a.share(t.value)*length, size(t.label)/2
		if at-half < end+gap {
			continue
		}
		kept, end = append(kept, t), at+half
	}
	return kept
}

// logDigits are the marks of a decade, fewer and more of them.
var logDigits = [][]float64{
	{1}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}, {1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9},
}

// logTicks marks the digits of each decade.
func logTicks(lo, hi float64, digits []float64) []tick {
	var all []tick
	for exponent := math.Floor(math.Log10(lo)); exponent <= math.Log10(hi); exponent++ {
		for _, digit := range digits {
			if v := digit * math.Pow(10, exponent); v >= lo && v <= hi {
				all = append(all, tick{v, table.Grouped(v)})
			}
		}
	}
	return all
}

// logTicksOf marks as few digits of each decade as give four ticks, or more of
// a short range.
func logTicksOf(lo, hi float64) []tick {
	var all []tick
	for _, digits := range logDigits {
		if all = logTicks(lo, hi, digits); len(all) >= 4 {
			break
		}
	}
	if len(all) < 2 {
		return evenTicks(lo, hi)
	}
	return all
}

// evenTicks marks four to eight round figures.
func evenTicks(lo, hi float64) []tick {
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
	var all []tick
	for i := range 12 { // and no more, if the range is too narrow to count in
		if v := (math.Ceil(lo/step) + float64(i)) * step; v >= lo && v <= hi {
			all = append(all, tick{v, strconv.FormatFloat(v, 'f', digits, 64)})
		}
	}
	return all
}

// plot is a picture with two axes. Marks are drawn on it by their values.
type plot struct {
	*svg
	x, y                     axis
	left, right, top, bottom float64 // the area between the axes
}

// The measures of a plot, in its units.
const (
	labelGap   = 6  // between a label and what it belongs to
	tickLength = 4  // of the stroke at a tick
	lineHeight = 13 // of names in two lines
	titleRoom  = 16 // for an axis' title
	rightRoom  = 14 // for half of the last label
)

// room is how wide an upright axis is with its labels and title.
func (a axis) room() float64 {
	room := 2.0 * labelGap
	for _, t := range a.ticks {
		for line := range strings.Lines(t.label) {
			room = max(room, 2*labelGap+textWidth(strings.TrimSpace(line)))
		}
	}
	if !a.named {
		room += tickLength
	}
	if a.title != "" {
		room += titleRoom
	}
	return max(room, a.least)
}

// newPlot draws the axes of a picture, and the grid behind what is to come.
func newPlot(width, height float64, x, y axis, attributes ...string) *plot {
	p := &plot{svg: newSVG(width, height, attributes...), x: x, y: y, left: y.room(), right: width - rightRoom - x.after, top: 10,
		bottom: height - 22}
	if x.title != "" {
		p.bottom -= titleRoom
	}
	p.x.ticks = x.spaced(p.right-p.left, textWidth)
	if !y.named {
		p.y.ticks = y.spaced(p.bottom-p.top, func(string) float64 { return 0.7 * fontSize })
	}
	for _, t := range p.x.ticks {
		p.line(grid, 0.75, "", point{p.atX(t.value), p.top}, point{p.atX(t.value), p.bottom})
	}
	for _, t := range p.y.ticks {
		p.line(grid, 0.75, "", point{p.left, p.atY(t.value)}, point{p.right, p.atY(t.value)})
	}
	p.drawX()
	p.drawY()
	return p
}

func (p *plot) drawX() {
	p.line(soft, 0.75, "", point{p.left, p.bottom}, point{p.right, p.bottom})
	for _, t := range p.x.ticks {
		at := p.atX(t.value)
		p.line(soft, 0.75, "", point{at, p.bottom}, point{at, p.bottom + tickLength})
		p.text(soft, centred, point{at, p.bottom + tickLength + 9}, t.label)
	}
	if p.x.title != "" {
		p.text(soft, centred, point{(p.left + p.right) / 2, p.height - 9}, p.x.title)
	}
}

func (p *plot) drawY() {
	if p.y.named {
		for _, t := range p.y.ticks {
			lines := strings.Split(t.label, "\n")
			for i, line := range lines {
				p.text(ink, ends, point{p.left - labelGap, p.atY(t.value) + (float64(i)-float64(len(lines)-1)/2)*lineHeight}, line)
			}
		}
		return
	}
	p.line(soft, 0.75, "", point{p.left, p.top}, point{p.left, p.bottom})
	for _, t := range p.y.ticks {
		p.line(soft, 0.75, "", point{p.left - tickLength, p.atY(t.value)}, point{p.left, p.atY(t.value)})
		p.text(soft, ends, point{p.left - labelGap, p.atY(t.value)}, t.label)
	}
	if p.y.title != "" {
		p.upright(soft, point{8, (p.top + p.bottom) / 2}, p.y.title)
	}
}

func (p *plot) atX(v float64) float64 { return p.left + p.x.share(v)*(p.right-p.left) }
func (p *plot) atY(v float64) float64 { return p.bottom - p.y.share(v)*(p.bottom-p.top) }

// at is where a pair of values lies.
func (p *plot) at(x, y float64) point { return point{p.atX(x), p.atY(y)} }

// label is text for a mark.
type label struct {
	at   point
	text string
}

// labels writes each beside its mark, where it hides the fewest of all marks,
// and none over another.
func (p *plot) labels(labels []label, marks []point) {
	const high, aside, above = 14, 12, 14
	type box struct{ x0, y0, x1, y1 float64 }
	var taken []box
	for _, l := range labels {
		width := textWidth(l.text)
		var best box
		least := math.MaxInt
		for _, from := range []point{{aside, -above}, {aside, above}, {-aside - width, -above}, {-aside - width, above}, {aside, 0},
			{-width / 2, -2 * above}} {
			x, y := l.at.x+from.x, l.at.y+from.y
			b := box{x, y - high/2, x + width, y + high/2}
			hidden := 0
			if b.x0 < p.left || b.x1 > p.right || b.y0 < p.top || b.y1 > p.bottom {
				hidden += 100
			}
			for _, m := range marks {
				if m.x > b.x0-5 && m.x < b.x1+5 && m.y > b.y0-4 && m.y < b.y1+4 {
					hidden++
				}
			}
			for _, o := range taken {
				if b.x0 < o.x1 && o.x0 < b.x1 && b.y0 < o.y1 && o.y0 < b.y1 {
					hidden += 1000
				}
			}
			if hidden < least {
				best, least = b, hidden
			}
		}
		taken = append(taken, best)
		p.text(ink, begins, point{best.x0, (best.y0 + best.y1) / 2}, l.text)
	}
}
