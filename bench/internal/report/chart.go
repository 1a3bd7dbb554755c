package report

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"fanout/bench/internal/trial"
)

// The bars' colours, told apart also where red and green are not.
var (
	sequentialColour = color.RGBA{0x9a, 0xa5, 0xb1, 0xff}
	concurrentColour = color.RGBA{0x0b, 0x7a, 0x75, 0xff}
)

// SpeedupChart writes a PNG picture: for each memory size the warm time of
// one worker beside that of many, with the speed-up written above.
func SpeedupChart(w io.Writer, rep *Report) error {
	var names []string
	var sequential, concurrent plotter.Values
	var labels plotter.XYLabels
	for _, r := range rep.Rows {
		if r.SpeedUp == 0 || r.Concurrency == 1 {
			continue
		}
		at := float64(len(names))
		names = append(names, fmt.Sprintf("%d MB\n%s, %s workers", r.MemoryMB, clip(r.Client, 20), r.Workers()))
		sequential = append(sequential, r.Warm.Median*r.SpeedUp/1000)
		concurrent = append(concurrent, r.Warm.Median/1000)
		labels.XYs = append(labels.XYs, plotter.XY{X: at, Y: r.Warm.Median / 1000})
		labels.Labels = append(labels.Labels, fmt.Sprintf("%.1f×", r.SpeedUp))
	}
	if len(names) == 0 {
		return fmt.Errorf("no setting has a sequential baseline to compare with")
	}
	p := plot.New()
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Y.Label.TextStyle, &p.Legend.TextStyle} {
		style.Font.Variant = "Sans"
	}
	p.Title.Text = fmt.Sprintf("Reading %d objects: one worker and many (%s)", rep.Objects, where(rep.Header))
	p.Y.Label.Text = "seconds"
	const width = 36
	for _, bars := range []struct {
		name   string
		values plotter.Values
		offset vg.Length
		fill   color.Color
	}{
		{"1 worker", sequential, -width / 2, sequentialColour},
		{"many workers", concurrent, width / 2, concurrentColour},
	} {
		chart, err := plotter.NewBarChart(bars.values, vg.Points(width))
		if err != nil {
			return fmt.Errorf("draw the bars: %w", err)
		}
		chart.Offset, chart.Color, chart.LineStyle.Width = bars.offset, bars.fill, 0
		p.Add(chart)
		p.Legend.Add(bars.name, chart)
	}
	above, err := plotter.NewLabels(labels)
	if err != nil {
		return fmt.Errorf("draw the labels: %w", err)
	}
	for i := range above.TextStyle {
		above.TextStyle[i].Font.Variant = "Sans"
	}
	above.Offset = vg.Point{X: vg.Points(4), Y: vg.Points(4)}
	p.Add(above)
	p.Legend.Top = true
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.7, float64(len(names))-0.2 // room for the last bar and its label
	p.Title.Padding, p.Legend.Padding = vg.Points(8), vg.Points(3)
	p.Legend.ThumbnailWidth = vg.Points(12)
	p.Y.Max *= 1.15
	canvas := vgimg.NewWith(vgimg.UseWH(vg.Points(640), vg.Points(320)), vgimg.UseDPI(144))
	p.Draw(draw.New(canvas))
	_, err = vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

func where(h trial.Header) string {
	if h.Backend == trial.AWS {
		return "AWS, " + h.Region
	}
	return h.Backend + ", not AWS"
}
