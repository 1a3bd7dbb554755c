package page

import (
	"fmt"
	"html/template"

	"fanout/bench/internal/report"
)

// bar is one row of a figure: parts that add up, and a mark.
type bar struct {
	name   string                // in a part's title
	label  func(most int) string // beside it, in lines of no more than most characters
	parts  []part
	warmMS float64 // where the mark stands; 0: none
	end    string  // said at its end
}

// part is one of a bar's.
type part struct {
	value float64
	title string
}

// partKey explains the i-th part.
func partKey(i int, name string) keyItem {
	return keyItem{Mark: keyMark(style{role: partRole(i), shape: shapes[1], radius: 5}), Name: name}
}

// partRole is the colour of the i-th part, which no series has.
func partRole(i int) role { return part0 + role(i%parts) }

// warmMark is a warm invocation beside a cold start's bar.
var warmMark = style{role: ink, shape: shapes[3], radius: 5}

// bar begins one of a setting.
func (c *charts) bar(row report.Row) bar {
	return bar{name: c.name(row), label: func(most int) string { return c.label(row, most) }}
}

// drawBars draws them below each other, wide and narrow.
func drawBars(f figure, title string, bars []bar) []picture {
	drawn := func(class string, width, perBar float64, letters int) template.HTML {
		rows := names(len(bars), func(i int) string { return bars[i].label(letters) })
		length := width - rightRoom - rows.room()
		most := 0.0
		for _, b := range bars { // with room for what is said at the end
			most = max(most, b.length()*length/max(length-endGap-textWidth(b.end), 1))
		}
		p := newPlot(width, perBar*float64(len(bars))+50, linear(title, 0, most), rows, attributes(f, class, f.Title)...)
		for i, b := range bars {
			b.draw(p, float64(len(bars)-1-i), min(perBar*0.55, 16))
		}
		return p.markup()
	}
	return []picture{{Wide: drawn("wide", wideWidth, 26, 60), Narrow: drawn("narrow", narrowWidth, 34, 22)}}
}

// endGap is between a bar and what is said at its end.
const endGap = 9

// length is how far a bar reaches, with its mark.
func (b bar) length() float64 {
	sum := 0.0
	for _, part := range b.parts {
		sum += part.value
	}
	return max(sum, b.warmMS)
}

func (b bar) draw(p *plot, y, thick float64) {
	sum := 0.0
	for i, part := range b.parts {
		if part.value > 0 {
			from, to := p.at(sum, y), p.at(sum+part.value, y)
			p.titled(fmt.Sprintf("%s: %s", b.name, part.title), func() {
				p.box(partRole(i), from.x, from.y-thick/2, to.x-from.x, thick)
			})
		}
		sum += part.value
	}
	if b.warmMS > 0 {
		p.titled(b.name+": warm "+ms(b.warmMS), func() { p.mark(warmMark, p.at(b.warmMS, y)) })
	}
	end := p.at(b.length(), y)
	p.text(soft, begins, point{end.x + endGap, end.y}, b.end)
}
