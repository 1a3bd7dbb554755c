// Package page writes a report as an HTML page. [Write] is all of it; each
// figure of the page has a file of its own.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// The page's parts. They stand in the page, whose policy names their hashes
// and allows nothing else.
var (
	//go:embed page.html
	pageTemplate string
	//go:embed figure.html
	figureTemplate string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string
)

var pageLayout = layout("page", pageTemplate)

// layout is that of a page with figures.
func layout(name, text string) *template.Template {
	return template.Must(template.Must(template.New(name).Parse(text)).Parse(figureTemplate))
}

// page is what the template shows.
type page struct {
	Policy, Style, Script template.HTML

	Title, Heading, Subject string
	Banner                  []string // what the times are not
	Picks                   []pageStep
	Missing                 string // why there are no picks
	Notes                   []string
	Facts                   []fact
	Warnings                []string
	Figures                 []figure
	Table                   pageTable
	Details                 []fact
	How                     []string
}

// fact is a term and what is said of it.
type fact struct{ Name, Value string }

// Write writes the report as one page that needs nothing else: no font, script
// or picture from anywhere, and its content security policy lets none in. It
// can be read, and printed, without its script; that sorts, filters and
// switches between light and dark. All text from the results stays text.
func Write(w io.Writer, r *report.Report) error {
	c := newCharts(r)
	p := page{
		// Files of this repository, and nothing else.
		Style: template.HTML("<style>" + pageStyle + "</style>"), Script: template.HTML("<script>" + pageScript + "</script>"),
		Policy:  policy(pageStyle, pageScript),
		Subject: r.Subject(), Banner: r.Caveats(), Facts: facts(r), Figures: c.figures(),
		Table: c.table(), Details: details(r), How: how(r),
	}
	for _, warning := range r.Warnings {
		p.Warnings = append(p.Warnings, table.Clip(warning, 400))
	}
	p.Picks, p.Notes = c.picks(), r.Advice.Notes
	if r.Advice.Missing != "" {
		p.Missing = sentence(r.Advice.Missing)
	}
	p.Title = "Fanout: " + p.Subject
	p.Heading = "No setting to advise"
	if len(p.Picks) > 0 {
		p.Heading = "Choose " + c.name(r.Rows[r.Advice.Picks[0].Row])
	}
	var b bytes.Buffer
	if err := pageLayout.Execute(&b, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// policy lets in this style and this script, if there is one, the icon in the
// page, and nothing else from anywhere.
func policy(style, script string) template.HTML {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	scripts := "'none'"
	if script != "" {
		scripts = hash(script)
	}
	rules := fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; img-src data:; base-uri 'none'; form-action 'none'",
		hash(style), scripts)
	return template.HTML(`<meta http-equiv="Content-Security-Policy" content="` + rules + `">`) // two hashes
}
