package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

//go:embed compare.html
var compareTemplate string

var compareLayout = template.Must(template.New("compare").Parse(compareTemplate))

// comparison is what the template shows.
type comparison struct {
	Policy, Style, Table template.HTML

	Heading, Summary    string
	Undecided, Warnings []string
}

// WriteComparison writes a comparison as one page that needs nothing else, not
// even a script.
func WriteComparison(w io.Writer, c *report.Comparison) error {
	var rows, b bytes.Buffer
	if err := c.Table().HTML(&rows); err != nil {
		return err
	}
	p := comparison{
		Policy: policy(pageStyle, ""), Style: template.HTML("<style>" + pageStyle + "</style>"),
		Table: template.HTML(rows.String()), // the table escapes its cells
	}
	p.Heading, p.Summary = capital(c.Verdict()), sentence(c.Summary())
	for _, list := range []struct{ from, to *[]string }{{&c.Undecided, &p.Undecided}, {&c.Warnings, &p.Warnings}} {
		for _, text := range *list.from {
			*list.to = append(*list.to, table.Clip(text, table.MaxNote))
		}
	}
	if err := compareLayout.Execute(&b, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
