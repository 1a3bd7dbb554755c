package page

import (
	"encoding/xml"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// role is what a mark of a picture stands for; page.css says how each looks,
// light and dark.
type role uint8

// Roles below [ink] are the series', 0 to 7.
const (
	ink   role = 8 + iota // what is to be read
	soft                  // axes and their labels
	grid                  // behind the figures
	part0                 // the first part of a sum; the next three follow
)

// parts is how many roles there are from part0 on.
const parts = 4

// point is a place in a picture, in its units: to the right and down.
type point struct{ x, y float64 }

// svg is a picture as it grows: what is drawn later lies above. It has no style
// of its own, so that the page's policy need not allow any, and nothing but
// groups, titles, paths and texts in it.
type svg struct {
	b             strings.Builder
	width, height float64
}

// fontSize of all texts, in the picture's units.
const fontSize = 12

func newSVG(width, height float64, attributes ...string) *svg {
	s := &svg{width: width, height: height}
	s.open("svg", append([]string{"viewBox", "0 0 " + units(width) + " " + units(height), "role", "img", "font-size", units(fontSize)},
		attributes...)...)
	return s
}

// markup ends the picture and gives it. Every text and attribute is escaped.
func (s *svg) markup() template.HTML { return template.HTML(s.b.String() + "</svg>\n") }

// open writes the start of an element; attributes are pairs of name and value.
func (s *svg) open(name string, attributes ...string) {
	s.b.WriteString("<" + name)
	for i := 0; i < len(attributes); i += 2 {
		s.b.WriteString(" " + attributes[i] + `="`)
		s.escape(attributes[i+1])
		s.b.WriteByte('"')
	}
	s.b.WriteByte('>')
}

// escape writes text as XML, and HTML, reads it: as nothing but text.
func (s *svg) escape(text string) {
	_ = xml.EscapeText(&s.b, []byte(text)) // a builder takes all
}

// units prints a length with up to one decimal.
func units(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func fillClass(r role) string   { return "f" + strconv.Itoa(int(r)) }
func strokeClass(r role) string { return "s" + strconv.Itoa(int(r)) }

// titled gives what draw draws a title, which a browser shows where the pointer
// rests.
func (s *svg) titled(title string, draw func()) {
	s.b.WriteString("<g><title>")
	s.escape(title)
	s.b.WriteString("</title>")
	draw()
	s.b.WriteString("</g>\n")
}

// path is a way through points: "M1 2L3 4".
func path(points ...point) string {
	var b strings.Builder
	for i, p := range points {
		b.WriteByte("ML"[min(i, 1)])
		b.WriteString(units(p.x) + " " + units(p.y))
	}
	return b.String()
}

// line draws through points; dash is "5 3", or empty.
func (s *svg) line(r role, width float64, dash string, points ...point) {
	attributes := []string{"class", strokeClass(r), "fill", "none", "stroke-width", strconv.FormatFloat(width, 'g', 3, 64), "d",
		path(points...)}
	if dash != "" {
		attributes = append(attributes, "stroke-dasharray", dash)
	}
	s.open("path", attributes...)
	s.b.WriteString("</path>")
}

// box fills a rectangle.
func (s *svg) box(r role, x, y, width, height float64) {
	s.open("path", "class", fillClass(r), "d",
		path(point{x, y}, point{x + width, y}, point{x + width, y + height}, point{x, y + height})+"Z")
	s.b.WriteString("</path>")
}

// Where a text stands from its point.
const (
	begins  = "start"
	centred = "middle"
	ends    = "end"
)

// text writes one line whose middle is at the height of p.
func (s *svg) text(r role, anchor string, p point, text string) {
	s.textAt(r, anchor, p, text)
}

func (s *svg) textAt(r role, anchor string, p point, text string, attributes ...string) {
	const middle = 0.35 // of the size, from the middle of a digit to its foot
	s.open("text", append([]string{"class", fillClass(r), "x", units(p.x), "y", units(p.y + middle*fontSize), "text-anchor", anchor},
		attributes...)...)
	s.escape(text)
	s.b.WriteString("</text>\n")
}

// upright writes a text that reads from below.
func (s *svg) upright(r role, p point, text string) {
	s.textAt(r, centred, p, text, "transform", "rotate(-90 "+units(p.x)+" "+units(p.y)+")")
}

// textWidth estimates how wide a text is: the reader's font is not known.
func textWidth(text string) float64 {
	em := 0.0
	for _, r := range text {
		switch {
		case strings.ContainsRune("iljtfrI.,:;|'!()[] ", r):
			em += 0.30
		case strings.ContainsRune("mwMW%@", r):
			em += 0.87
		case r >= 'A' && r <= 'Z':
			em += 0.69
		default:
			em += 0.56
		}
	}
	return em * fontSize
}

// shape is the form of a mark, and how it is drawn around a point.
type shape struct {
	name   string
	hollow bool
	path   func(at point, radius float64) string
}

// shapes tell series apart where colours do not.
var shapes = []shape{
	{"circle", false, circlePath},
	{"square", false, polygon(4, math.Pi/4, 1.3)},
	{"triangle", false, polygon(3, math.Pi/2, 1.25)},
	{"diamond", false, polygon(4, 0, 1.25)},
	{"wedge", false, polygon(3, -math.Pi/2, 1.25)}, // a triangle on its tip
	{"cross", true, func(p point, r float64) string {
		return path(point{p.x - r, p.y - r}, point{p.x + r, p.y + r}) + path(point{p.x - r, p.y + r}, point{p.x + r, p.y - r})
	}},
	{"plus", true, func(p point, r float64) string {
		return path(point{p.x - r, p.y}, point{p.x + r, p.y}) + path(point{p.x, p.y - r}, point{p.x, p.y + r})
	}},
	{"pentagon", false, polygon(5, math.Pi/2, 1.1)},
}

// solidShapes are those that can be filled, or not: a contender has one of them,
// and its clients differ in how it is filled.
var solidShapes = []shape{
	shapes[0], shapes[1], shapes[2], shapes[3], shapes[4], shapes[7],
	{"star", false, starPath},
	{"thick plus", false, func(p point, r float64) string {
		o, i := r*1.15, r*0.42
		return path(point{p.x - i, p.y - o}, point{p.x + i, p.y - o}, point{p.x + i, p.y - i}, point{p.x + o, p.y - i},
			point{p.x + o, p.y + i}, point{p.x + i, p.y + i}, point{p.x + i, p.y + o}, point{p.x - i, p.y + o},
			point{p.x - i, p.y + i}, point{p.x - o, p.y + i}, point{p.x - o, p.y - i}, point{p.x - i, p.y - i}) + "Z"
	}},
}

// starPath has five tips.
func starPath(p point, r float64) string {
	points := make([]point, 10)
	for i := range points {
		sin, cos := math.Sincos(math.Pi/2 + math.Pi*float64(i)/5)
		far := r * 1.45
		if i%2 == 1 {
			far = r * 0.65
		}
		points[i] = point{p.x + far*cos, p.y - far*sin}
	}
	return path(points...) + "Z"
}

// Shapes that no series has by itself.
var (
	ring         = shape{"ring", true, circlePath}
	openTriangle = shape{"open triangle", true, polygon(3, math.Pi/2, 1.25)}
)

func circlePath(p point, r float64) string {
	d := units(2 * r)
	arc := "a" + units(r) + " " + units(r) + " 0 1 1 "
	return "M" + units(p.x-r) + " " + units(p.y) + arc + d + " 0" + arc + "-" + d + " 0Z"
}

// polygon has corners at a multiple of the radius, the first at an angle, to the
// left from the right.
func polygon(corners int, first, times float64) func(point, float64) string {
	return func(p point, r float64) string {
		points := make([]point, corners)
		for i := range points {
			sin, cos := math.Sincos(first + 2*math.Pi*float64(i)/float64(corners))
			points[i] = point{p.x + r*times*cos, p.y - r*times*sin}
		}
		return path(points...) + "Z"
	}
}

// style is how a mark looks, and a line through several.
type style struct {
	role    role
	shape   shape
	radius  float64
	filling filling
	dash    string // of the line; empty: it is solid
}

// filling is what is inside a mark.
type filling uint8

const (
	filled filling = iota
	open           // nothing
	dotted         // a dot
)

// mark draws one.
func (s *svg) mark(st style, at point) {
	d := st.shape.path(at, st.radius)
	if st.filling != filled && !st.shape.hollow {
		s.open("path", "class", strokeClass(st.role)+" inside", "stroke-width", "1.5", "d", d)
		s.b.WriteString("</path>")
		if st.filling == dotted {
			s.open("path", "class", fillClass(st.role), "d", circlePath(at, st.radius*0.4))
			s.b.WriteString("</path>")
		}
		return
	}
	if st.shape.hollow {
		s.open("path", "class", strokeClass(st.role), "fill", "none", "stroke-width", "1.25", "d", d)
	} else {
		s.open("path", "class", fillClass(st.role), "d", d)
	}
	s.b.WriteString("</path>")
}

// lineMark is the same with the line through it.
func lineMark(st style) template.HTML {
	s := newSVG(34, 14, "class", "mark line", "aria-hidden", "true")
	s.line(st.role, 1.5, st.dash, point{0, 7}, point{34, 7})
	s.mark(st, point{17, 7})
	return s.markup()
}

// keyMark is a small picture for a key.
func keyMark(st style) template.HTML {
	s := newSVG(14, 14, "class", "mark", "aria-hidden", "true")
	s.mark(st, point{7, 7})
	return s.markup()
}
