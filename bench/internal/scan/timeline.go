package scan

import (
	"math"

	fn "fanout/functions/scan"
)

// maxBins bounds a timeline: where there are more, each gets twice as wide.
const maxBins = 240

// timeline adds parts up by time. Its bins begin at whole multiples of their
// width, so that two of them become one of twice the width.
type timeline struct {
	width int64 // of a bin, in milliseconds; 0: no part yet
	first int64 // number of the first bin, counted from the Unix epoch
	bins  []Bin
}

// startWidth of a bin, in milliseconds.
const startWidth = 250

func (t *timeline) add(p fn.Part) {
	if p.Started <= 0 || p.Ended < p.Started {
		return // no time that could be shown
	}
	if t.width == 0 {
		t.width, t.first = startWidth, p.Started/startWidth
	}
	last := max(p.Ended-1, p.Started) // the end itself belongs to the next bin
	for max(last/t.width, t.first+int64(len(t.bins))-1)-min(p.Started/t.width, t.first) >= maxBins {
		t.widen()
	}
	t.reach(p.Started / t.width)
	t.reach(last / t.width)
	whole := math.Max(float64(p.Ended-p.Started), 1)
	for i := p.Started / t.width; i <= last/t.width; i++ {
		from, to := max(p.Started, i*t.width), min(max(p.Ended, p.Started+1), (i+1)*t.width)
		share := float64(to-from) / whole
		b := &t.bins[i-t.first]
		b.Objects += share * float64(p.Objects)
		b.Bytes += share * float64(p.Bytes)
		b.CPUMS += share * p.CPUMS
		b.BusyMS += share * float64(p.Ended-p.Started)
	}
}

// reach makes bins up to a number, before or behind those there are.
func (t *timeline) reach(n int64) {
	if n < t.first {
		t.bins = append(make([]Bin, t.first-n), t.bins...)
		t.first = n
	}
	for int64(len(t.bins)) <= n-t.first {
		t.bins = append(t.bins, Bin{})
	}
}

// widen makes each bin twice as wide.
func (t *timeline) widen() {
	wide := timeline{width: 2 * t.width, first: t.first / 2}
	for i, b := range t.bins {
		n := (t.first + int64(i)) / 2
		wide.reach(n)
		to := &wide.bins[n-wide.first]
		to.Objects += b.Objects
		to.Bytes += b.Bytes
		to.CPUMS += b.CPUMS
		to.BusyMS += b.BusyMS
	}
	*t = wide
}

// timeline gives the bins with three digits of a unit at most: sums of shares
// have many that mean nothing.
func (t *timeline) timeline() Timeline {
	round := func(v float64) float64 { return math.Round(v*1000) / 1000 }
	out := Timeline{FromMS: t.first * t.width, WidthMS: t.width, Bins: []Bin{}}
	for _, b := range t.bins {
		out.Bins = append(out.Bins, Bin{round(b.Objects), round(b.Bytes), round(b.CPUMS), round(b.BusyMS)})
	}
	return out
}
