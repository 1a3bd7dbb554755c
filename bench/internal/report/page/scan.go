package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
)

//go:embed scan.html
var scanTemplate string

var scanLayout = layout("scan", scanTemplate)

// scanPage is what the template shows.
type scanPage struct {
	Policy, Style template.HTML

	Title, Heading, Subject string
	Banner                  []string
	Facts                   []fact
	Warnings                []string
	Figures                 []figure
	Failures                template.HTML // a table; empty: there are none
	Redrive                 string
	Details                 []fact
	How                     []string
}

// WriteScan writes the report of a scan as one page that needs nothing else,
// not even a script.
func WriteScan(w io.Writer, r *report.Scan) error {
	p := scanPage{
		Policy: policy(pageStyle, ""), Style: template.HTML("<style>" + pageStyle + "</style>"),
		Subject: r.Subject(), Heading: scanHeading(r), Banner: r.Caveats(), Facts: scanFacts(r), Redrive: table.Clip(r.Redrive(), 300),
		Figures: []figure{scanRate(r), scanUse(r), scanTime(r), scanCost(r)}, Details: scanDetails(r), How: scanHow(r),
	}
	p.Title = "Fanout: scan " + table.Clip(r.Header.Job, 100)
	for _, warning := range r.Warnings {
		p.Warnings = append(p.Warnings, table.Clip(warning, 400))
	}
	if failures := r.Failures(); len(failures.Rows) > 0 {
		var b bytes.Buffer
		if err := failures.HTML(&b); err != nil {
			return err
		}
		p.Failures = template.HTML(b.String()) // the table escapes its cells
	}
	var b bytes.Buffer
	if err := scanLayout.Execute(&b, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// scanHeading says the most important in one line.
func scanHeading(r *report.Scan) string {
	read := count64(r.Read, "object", "objects")
	switch {
	case r.Complete() && r.Header.Input.Event.Find != nil && r.Summary != nil:
		return fmt.Sprintf("%s in %s", capital(count64(r.Summary.Matches, "match", "matches")), read)
	case r.Complete():
		return fmt.Sprintf("%s read", capital(read))
	case r.Unread() > 0:
		return fmt.Sprintf("%s of %s read", table.Grouped(float64(r.Read)), count64(r.Total, "object", "objects"))
	}
	return fmt.Sprintf("%s read so far", capital(read))
}

func count64(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return table.Grouped(float64(n)) + " " + many
}

// seconds as a text, or a dash.
func seconds(s float64) string {
	if s <= 0 {
		return table.None
	}
	return forecast.Duration(time.Duration(s * float64(time.Second)))
}

// scanFacts are the few figures on top.
func scanFacts(r *report.Scan) []fact {
	all := []fact{
		{"objects per second", table.Grouped(r.ObjectsPerS)},
		{"time of the batches", seconds(r.Seconds)},
	}
	if r.BytesPerS > 0 {
		all = slices.Insert(all, 1, fact{"bytes per second", scan.Rate(r.BytesPerS)})
	}
	if r.Bill != nil && r.Read > 0 {
		all = append(all, fact{"per million objects", table.Dollars(r.Million)}, fact{"cost", table.Dollars(r.Bill.Total())})
	}
	if r.Unread() > 0 {
		all = append(all, fact{"objects not read", table.Grouped(float64(r.Unread()))})
	}
	if r.Limit.Name != "" {
		all = append(all, fact{"limit", r.Limit.Name})
	}
	return all
}

// scanDetails says what was scanned, by what, and with which prices.
func scanDetails(r *report.Scan) []fact {
	h := r.Header
	var all []fact
	add := func(name, format string, args ...any) {
		if value := table.Clip(fmt.Sprintf(format, args...), 300); strings.TrimSpace(value) != "" {
			all = append(all, fact{name, value})
		}
	}
	add("job", "%s", h.Job)
	add("ended", "%s", r.Ending())
	if s := r.Summary; s != nil {
		add("objects", "%s of %s, %s", table.Grouped(float64(r.Read)), table.Grouped(float64(r.Total)), scan.Size(float64(s.Bytes)))
		if h.Input.Event.Find != nil {
			add("matches", "%s", table.Grouped(float64(s.Matches)))
			if s.First != "" {
				add("first match", "%s", scan.TextKey(s.First))
			}
		}
		add("digest", "%s", r.DigestSays())
		add("retried GETs", "%s", table.Grouped(float64(s.Retries)))
		add("batches", "%s of up to %s objects, %s at once on average", table.Grouped(float64(s.Parts)),
			table.Grouped(float64(h.Input.Batch.Items)), table.Number(r.AtOnce))
	}
	add("children", "%s, at most %s at once", r.Children(), table.Grouped(float64(h.Input.Concurrency)))
	add("limit", "%s", strings.TrimPrefix(r.Limit.Name+": "+r.Limit.Why, ": "))
	if said := r.Said(); said != "" {
		add("forecast", "%s", said)
	}
	add("objects from", "%s", r.Source())
	if h.Function.MemoryMB > 0 {
		add("function", "%s, %d MB, %s", h.Function.Name, h.Function.MemoryMB, h.Function.Arch)
	}
	if !h.At.IsZero() {
		add("begun", "%s", h.At.UTC().Format("2006-01-02 15:04 UTC"))
	}
	add("version", "%s", h.Version)
	add("backend", "%s", h.Backend)
	add("host", "%s", h.Host)
	add("stack", "%s", h.Stack)
	add("network model", "%s", h.Network)
	add("CPU and memory limits", "%s", h.Limits.String())
	if c := h.Corpus; c != nil {
		add("corpus", "%s objects of %d to %d bytes, seed %d", table.Grouped(float64(c.Count)), c.MinBytes, c.MaxBytes, c.Seed)
	}
	add("tolerated failures", "%s%%", strconv.FormatFloat(h.Tolerated, 'g', 4, 64))
	if h.Budget > 0 {
		add("budget", "%s", table.Dollars(h.Budget))
	}
	add("prices", "%s", h.Prices)
	return all
}

// scanHow says how the figures come about.
func scanHow(r *report.Scan) []string {
	said := []string{
		"Each batch leaves a part in the results bucket, which says when it began and ended, what it read, and what CPU time it took. " +
			"The throughput is that of the parts; what a batch read counts evenly over its time.",
		"The time of the batches is from the first one's start to the last one's end, by the functions' clocks. Listing, reading and " +
			"merging are what DescribeMapRun told whoever followed the job: listing lasts until the number of objects no longer grows, " +
			"and objects are read meanwhile.",
		"A scan is complete if the keys of its parts are as many as the Map Run counted, and every one of them was read. The digest is " +
			"the sum over all objects: their order does not change it.",
		"The limit is the first of these that was reached: 2% of the GETs retried; 80% of the functions' CPU; 80% of their bandwidth; " +
			"80% of the batches that may be read at once; listing during 80% of the time.",
	}
	if r.Bill != nil {
		said = append(said, "Cost is counted from what the parts say, at list prices without free tier and volume discounts. Invocations "+
			"that failed and left no part are not in it.")
	}
	return said
}
