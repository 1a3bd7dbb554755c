package page

import (
	"fmt"
	"html/template"

	"fanout/bench/internal/table"
)

// sizes shows the distribution of the objects' sizes, where they have a shape.
func (c *charts) sizes() figure {
	f := figure{ID: "sizes", Title: "Object sizes", Head: []string{"bytes at most", "objects", "of all bytes"}}
	shape := c.Header.Corpus.Shape
	points := shape.Cumulative()
	f.Summary = fmt.Sprintf("Sizes are drawn like those of %s. The lines show which share of the objects, and of their bytes, are those "+
		"of at most so many bytes.", shape)
	objects, bytes := style{role: 0, shape: shapes[0], radius: 3}, style{role: 1, shape: shapes[1], radius: 3}
	f.Key = []keyItem{{Mark: keyMark(objects), Name: "objects"}, {Mark: keyMark(bytes), Name: "bytes"}}
	for _, p := range points[1:] {
		f.Rows = append(f.Rows, []string{table.Grouped(float64(p.Size)), percent(p.Objects), percent(p.Bytes)})
	}
	drawn := func(class string, width, height float64) template.HTML {
		least, most := max(1, float64(points[0].Size)), max(2, float64(points[len(points)-1].Size)) // an axis of logarithms has no 0
		p := newPlot(width, height, logarithmic("bytes", least, most), linear("% at most as large", 0, 100), attributes(f, class, f.Title)...)
		for _, one := range []struct {
			style
			share func(i int) float64
		}{
			{objects, func(i int) float64 { return points[i].Objects }},
			{bytes, func(i int) float64 { return points[i].Bytes }},
		} {
			var line []point
			for i, at := range points {
				line = append(line, p.at(max(least, float64(at.Size)), 100*one.share(i)))
			}
			p.line(one.role, 2, "", line...)
			for i, at := range line {
				p.titled(fmt.Sprintf("%s of at most %s bytes", percent(one.share(i)), table.Grouped(float64(points[i].Size))),
					func() { p.mark(one.style, at) })
			}
		}
		return p.markup()
	}
	f.Pictures = []picture{{Wide: drawn("wide", wideWidth, 260), Narrow: drawn("narrow", narrowWidth, 240)}}
	return f
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.4g%%", 100*share) }
