package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// role is what a mark of a picture stands for. It is the colour it is drawn
// in until [drawing.markup] makes it a class: page.css then says how it looks,
// light and dark.
type role uint8

// Roles below [ink] are the series', 0 to 7.
const (
	ink  role = 8 + iota // what is to be read
	soft                 // axes and their labels
	grid                 // behind the figures
)

// RGBA makes a role a colour, which nothing else is drawn in.
func (r role) RGBA() (red, green, blue, alpha uint32) {
	return 0xfafa, 0, uint32(r) * 0x101, 0xffff
}

func roleOf(colour string) (role, bool) {
	hex, ok := strings.CutPrefix(colour, "#FA00")
	n, err := strconv.ParseUint(hex, 16, 8)
	return role(n), ok && err == nil && role(n) <= grid
}

// drawing is a canvas whose marks can have titles, which a browser shows where
// the pointer rests. Texts are handed to it made safe by [clip], so none holds
// the characters that mark where a titled part begins and ends.
type drawing struct {
	*vgsvg.Canvas
	titles []string
	face   font.Face
}

const (
	titleBegins = "\ue000"
	titleEnds   = "\ue001"
)

func newDrawing(width, height vg.Length) *drawing {
	return &drawing{
		Canvas: vgsvg.NewWith(vgsvg.UseWH(width, height)),
		face:   font.DefaultCache.Lookup(plot.DefaultFont, 10),
	}
}

// FillString places text by its middle: the reader's font is not the one that
// it was measured with, and so half of the difference shows on either side.
func (d *drawing) FillString(face font.Face, at vg.Point, text string) {
	at.X += face.Width(text) / 2
	d.Canvas.FillString(face, at, text)
}

// titled gives what a plotter draws a title.
func (d *drawing) titled(title string, what plot.Plotter) plot.Plotter {
	return titledPlotter{d, title, what}
}

type titledPlotter struct {
	drawing *drawing
	title   string
	what    plot.Plotter
}

// Plot draws between two marks, which [drawing.markup] takes out again.
func (t titledPlotter) Plot(c draw.Canvas, p *plot.Plot) {
	d := t.drawing
	d.Canvas.FillString(d.face, vg.Point{}, titleBegins+strconv.Itoa(len(d.titles)))
	d.titles = append(d.titles, t.title)
	t.what.Plot(c, p)
	d.Canvas.FillString(d.face, vg.Point{}, titleEnds)
}

// markup gives the picture as an element for a page: no style of its own, so
// that the page's policy need not allow any, and nothing but groups, paths and
// texts in it. Attributes are those of the svg element, in pairs.
func (d *drawing) markup(attributes ...string) (template.HTML, error) {
	var source, b bytes.Buffer
	if _, err := d.WriteTo(&source); err != nil {
		return "", fmt.Errorf("draw a picture: %w", err)
	}
	w, h := d.Size()
	element(&b, "svg", append([]string{"viewBox", fmt.Sprintf("0 0 %g %g", w.Points(), h.Points()), "role", "img"}, attributes...)...)
	decoder := xml.NewDecoder(&source)
	for text := ""; ; {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF):
			return template.HTML(b.String()), nil // every text and attribute in it is escaped
		case err != nil:
			return "", fmt.Errorf("read a picture: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			switch name := token.Name.Local; name {
			case "svg":
			case "g", "path":
				element(&b, name, plain(token.Attr)...)
			case "text":
				next, err := decoder.Token()
				if err != nil {
					return "", fmt.Errorf("read a picture: %w", err)
				}
				data, _ := next.(xml.CharData)
				text = string(data)
				if n, ok := strings.CutPrefix(text, titleBegins); ok {
					i, err := strconv.Atoi(n)
					if err != nil || i >= len(d.titles) {
						return "", fmt.Errorf("read a picture: title %q", n)
					}
					b.WriteString("<g><title>")
					escapeXML(&b, d.titles[i])
					b.WriteString("</title>")
				} else if text == titleEnds {
					b.WriteString("</g>")
				} else {
					element(&b, name, append(plain(token.Attr), "text-anchor", "middle")...)
					escapeXML(&b, text)
				}
			default:
				return "", fmt.Errorf("read a picture: unknown element %q", name)
			}
		case xml.EndElement:
			if token.Name.Local != "text" || !strings.HasPrefix(text, titleBegins) && text != titleEnds {
				fmt.Fprintf(&b, "</%s>\n", token.Name.Local)
			}
		}
	}
}

// plain makes an element's style attributes of their own, and its colours
// classes.
func plain(attributes []xml.Attr) []string {
	var pairs []string
	for _, a := range attributes {
		switch a.Name.Local {
		case "d", "x", "y", "transform":
			pairs = append(pairs, a.Name.Local, a.Value)
		case "style":
			for property := range strings.SplitSeq(a.Value, ";") {
				name, value, _ := strings.Cut(property, ":")
				if r, ok := roleOf(value); ok {
					pairs = append(pairs, "class", fmt.Sprintf("%s%d", name[:1], r)) // f for fill, s for stroke
					continue
				}
				switch name {
				case "fill", "stroke-width", "stroke-dasharray", "font-size":
					pairs = append(pairs, name, strings.TrimSuffix(value, "px"))
				}
			}
		}
	}
	return pairs
}

func element(b *bytes.Buffer, name string, attributes ...string) {
	b.WriteString("<" + name)
	for i := 0; i < len(attributes); i += 2 {
		b.WriteString(" " + attributes[i] + `="`)
		escapeXML(b, attributes[i+1])
		b.WriteByte('"')
	}
	b.WriteByte('>')
}

// escapeXML writes text as XML, and HTML, reads it: as nothing but text.
func escapeXML(b *bytes.Buffer, text string) {
	_ = xml.EscapeText(b, []byte(text)) // a buffer takes all
}

// diamond, wedge and pentagon are shapes that the library has not.
type diamond struct{}

func (diamond) DrawGlyph(c *draw.Canvas, style draw.GlyphStyle, at vg.Point) {
	polygon(c, style, at, style.Radius*1.25, 4, 0)
}

type wedge struct{} // a triangle on its tip

func (wedge) DrawGlyph(c *draw.Canvas, style draw.GlyphStyle, at vg.Point) {
	polygon(c, style, at, style.Radius*1.2, 3, -math.Pi/2)
}

type pentagon struct{}

func (pentagon) DrawGlyph(c *draw.Canvas, style draw.GlyphStyle, at vg.Point) {
	polygon(c, style, at, style.Radius*1.1, 5, math.Pi/2)
}

func polygon(c *draw.Canvas, style draw.GlyphStyle, at vg.Point, radius vg.Length, corners int, first float64) {
	var path vg.Path
	for i := range corners {
		sin, cos := math.Sincos(first + 2*math.Pi*float64(i)/float64(corners))
		p := vg.Point{X: at.X + radius*vg.Length(cos), Y: at.Y + radius*vg.Length(sin)}
		if i == 0 {
			path.Move(p)
			continue
		}
		path.Line(p)
	}
	path.Close()
	c.SetColor(style.Color)
	c.Fill(path)
}

// ring is the library's, but thick enough to be seen.
type ring struct{}

func (ring) DrawGlyph(c *draw.Canvas, style draw.GlyphStyle, at vg.Point) {
	var path vg.Path
	path.Move(vg.Point{X: at.X + style.Radius, Y: at.Y})
	path.Arc(at, style.Radius, 0, 2*math.Pi)
	path.Close()
	c.SetLineStyle(draw.LineStyle{Color: style.Color, Width: 1.25})
	c.Stroke(path)
}

// shapes tell series apart where colours do not.
var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, diamond{}, wedge{}, draw.CrossGlyph{}, draw.PlusGlyph{}, pentagon{}}
