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
	"slices"
	"strconv"
	"strings"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
)

// The page's parts. They stand in the page, whose policy names their hashes
// and allows nothing else.
var (
	//go:embed page.html
	pageTemplate string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string
)

var pageLayout = template.Must(template.New("page").Parse(pageTemplate))

// page is what the template shows.
type page struct {
	Policy, Style, Script template.HTML

	Title, Heading, Place string
	Banner                []string // what the times are not
	Picks                 []pageStep
	Facts                 []fact
	Warnings              []string
	Figures               []figure
	Table                 pageTable
	Details               []fact
	How                   []string
}

// pageStep is a pick, of one or several goals.
type pageStep struct {
	Goals     []string
	Best      bool // the one to take first
	Setting   string
	Workers   string
	Time      string
	Precision string
	Cost      string
	Sure      string // in a word or two
	SureKind  string // sure, tie, few
	Certainty []string
	Why       string
}

// fact is a term and what is said of it.
type fact struct{ Name, Value string }

// pageTable is the table of all settings.
type pageTable struct {
	Head    []pageColumn
	Rows    []pageRow
	Filters []pageFilter
	Failed  []fact
	Notes   []string
}

type pageColumn struct {
	Name, Unit string
	Text       bool // sorts as text, stands to the left
}

type pageRow struct {
	Edge   bool // on the frontier
	Size   string
	Who    string
	Memory string
	Kind   string
	Work   string
	Cells  []pageCell
}

// pageCell is a figure; Sort is what it sorts by, empty where there is none.
type pageCell struct{ Text, Sort, Small string }

// pageFilter offers a column's values.
type pageFilter struct {
	Name, Key string
	Values    []string
}

// Write writes the report as one page that needs nothing else: no font, script
// or picture from anywhere, and its content security policy lets none in. It
// can be read, and printed, without its script; that sorts, filters and
// switches between light and dark. All text from the results stays text.
func Write(w io.Writer, r *report.Report) error {
	c := newCharts(r)
	figures, err := c.figures()
	if err != nil {
		return err
	}
	p := page{
		Style: template.HTML("<style>" + pageStyle + "</style>"), Script: template.HTML("<script>" + pageScript + "</script>"), // files of this repository
		Policy: policy(pageStyle, pageScript),
		Place:  r.Subject(), Banner: r.Caveats(), Facts: facts(r), Figures: figures,
		Table: c.table(), Details: details(r), How: how(r),
	}
	for _, warning := range r.Warnings {
		p.Warnings = append(p.Warnings, table.Clip(warning, 400))
	}
	p.Picks = c.picks()
	p.Title = "Fanout: " + p.Place
	p.Heading = "No setting to advise"
	if len(p.Picks) > 0 {
		p.Heading = "Choose " + c.name(r.Rows[r.Advice.Picks[0].Row])
	}
	var b bytes.Buffer
	if err := pageLayout.Execute(&b, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// policy lets in this style and this script, the icon in the page, and nothing
// else from anywhere.
func policy(style, script string) template.HTML {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return template.HTML(fmt.Sprintf(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src %s; script-src %s; img-src data:; base-uri 'none'; form-action 'none'">`, hash(style), hash(script))) // two hashes
}

// picks gives the advice, a step for each setting in it.
func (c *charts) picks() []pageStep {
	var steps []pageStep
	for i, p := range c.Advice.Picks {
		row := c.Rows[p.Row]
		certainty := c.Certainty(p)
		if first := slices.IndexFunc(c.Advice.Picks, func(o report.Pick) bool { return o.Row == p.Row }); first < i {
			// The steps hold each row once, in the order of the picks.
			k := slices.IndexFunc(steps, func(s pageStep) bool { return s.Goals[0] == string(c.Advice.Picks[first].Goal) })
			steps[k].Goals = append(steps[k].Goals, string(p.Goal))
			steps[k].Certainty = append(steps[k].Certainty, fmt.Sprintf("As %s: %s.", p.Goal, certainty))
			if kind, word := sureness(p); kind != "sure" && steps[k].SureKind != "few" {
				steps[k].SureKind, steps[k].Sure = kind, word // the least sure of its goals
			}
			continue
		}
		s := pageStep{
			Goals: []string{string(p.Goal)}, Best: i == 0, Setting: fmt.Sprintf("%d MB", row.MemoryMB),
			Workers: c.who(row) + ", " + workers(row), Time: table.Grouped(row.Warm.Median),
			Certainty: []string{sentence(certainty)},
		}
		if row.Warm.HasInterval {
			s.Precision = "±" + table.Share(row.Warm.Precision())
		}
		if c.Priced {
			s.Cost = table.Dollars(row.WarmCost.Median * 1e6)
		}
		s.SureKind, s.Sure = sureness(p)
		if row.Verdict.Kind != report.Unknown {
			s.Why = sentence(row.Verdict.String())
		}
		steps = append(steps, s)
	}
	return steps
}

// sureness says in a word how sure a pick is, and of which kind that is.
func sureness(p report.Pick) (kind, word string) {
	switch {
	case p.RunnerUp < 0:
		return "sure", "no rival"
	case p.Test.Relation == stats.Differs:
		return "sure", "sure"
	case p.Test.Relation == stats.Tie:
		return "tie", "a tie"
	}
	return "few", "too few runs"
}

// sentence makes one of a phrase.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// facts stand beside the picks.
func facts(r *report.Report) []fact {
	var all []fact
	if len(r.Advice.Picks) > 0 {
		if s := r.Rows[r.Advice.Picks[0].Row].SpeedUp; s > 0 {
			all = append(all, fact{"as fast as one worker", table.Times(s)})
		}
	}
	if r.Advice.SmallestMB > 0 {
		all = append(all, fact{"smallest memory that did not fail", fmt.Sprintf("%d MB", r.Advice.SmallestMB)})
	} else if len(r.Rows) > 0 {
		all = append(all, fact{"smallest memory that did not fail", "none"})
	}
	if r.Advice.S3Share > 0 {
		all = append(all, fact{"of that cost is S3's", table.Share(r.Advice.S3Share)})
	}
	invocations, failed := 0, 0
	for _, row := range r.Rows {
		invocations, failed = invocations+row.Invocations, failed+row.Failed
	}
	of := fmt.Sprintf("invocations of %s", count(len(r.Rows), "setting", "settings"))
	if failed > 0 {
		of += fmt.Sprintf(", %d failed", failed)
	}
	return append(all, fact{of, table.Grouped(float64(invocations))})
}

// table gives every setting.
func (c *charts) table() pageTable {
	rows := c.Table()
	t := pageTable{Head: []pageColumn{{Name: "Setting", Text: true}}}
	for _, col := range rows.Labels() {
		t.Head = append(t.Head, pageColumn{Name: capital(col.Label.Head), Unit: col.Label.Unit, Text: col.Left})
	}
	for i, row := range c.Rows {
		var cells []pageCell
		for k, cell := range rows.Cells(row) {
			cells = append(cells, pageCell{Text: cell.Text, Sort: rows.Labels()[k].Sort(cell), Small: cell.Note})
		}
		t.Rows = append(t.Rows, pageRow{
			Edge: slices.Contains(c.Advice.Frontier, i), Size: fmt.Sprintf("%d MB", row.MemoryMB), Who: c.who(row), Memory: strconv.Itoa(row.MemoryMB),
			Kind: string(row.Verdict.Kind), Work: row.Key.Workers(), Cells: cells,
		})
		for _, f := range row.Failures {
			t.Failed = append(t.Failed, fact{fmt.Sprintf("%s: %d× %s", c.name(row), f.Count, table.Clip(f.Name, 60)), table.Clip(f.Example, 300)})
		}
	}
	t.Filters = filters(t.Rows)
	has := func(name string) bool {
		return slices.ContainsFunc(t.Head, func(c pageColumn) bool { return c.Name == name })
	}
	switch {
	case !has("P90"):
		t.Notes = append(t.Notes, "p90 and p99 are left out: they need n of 10 and of 100 at least.")
	case !has("P99"):
		t.Notes = append(t.Notes, "p99 is left out: it needs n of 100 at least.")
	}
	t.Notes = append(t.Notes, fmt.Sprintf("Warm and cold are medians; under warm is its 95%% interval, and ± how far that reaches: both take n of %d. Cold is INIT and the first invocation. Speed-up is over one worker of the same contender at the same memory. Cost is of a million warm invocations, S3 and fees included.", stats.MinForInterval))
	return t
}

// filters offers what a column has several values of.
func filters(rows []pageRow) []pageFilter {
	var all []pageFilter
	for _, f := range []struct {
		name, key string
		of        func(pageRow) string
	}{
		{"Memory, MB", "memory", func(r pageRow) string { return r.Memory }},
		{"Client", "who", func(r pageRow) string { return r.Who }},
		{"Workers", "workers", func(r pageRow) string { return r.Work }},
		{"Why", "kind", func(r pageRow) string { return r.Kind }},
	} {
		var values []string
		for _, row := range rows {
			if v := f.of(row); !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		if len(values) > 1 {
			all = append(all, pageFilter{f.name, f.key, values})
		}
	}
	return all
}

// capital makes a head of a column's name.
func capital(s string) string {
	if s == "" || s == "±" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// details says what was measured, where, and with which prices.
func details(r *report.Report) []fact {
	h := r.Header
	var all []fact
	add := func(name, value string) {
		if value = table.Clip(value, 300); value != "" {
			all = append(all, fact{name, value})
		}
	}
	list := func(values []int) string {
		words := make([]string, len(values))
		for i, v := range values {
			words[i] = strconv.Itoa(v)
		}
		return strings.Join(words, ", ")
	}
	var concurrencies []string
	for _, n := range h.Plan.Concurrencies {
		concurrencies = append(concurrencies, trial.Key{Client: "any", Concurrency: n}.Workers())
	}
	when := h.At.UTC().Format("2006-01-02 15:04 UTC")
	if h.At.Equal(time.Time{}) {
		when = ""
	}
	add("run", h.Run)
	add("begun", when)
	add("version", h.Version)
	add("backend", h.Backend)
	add("host", h.Host)
	add("region", h.Region)
	add("network modelled", h.Network)
	add("CPU and memory limits", h.Limits.String())
	add("contenders", strings.Join(h.Plan.Contenders, ", "))
	add("memories, MB", list(h.Plan.MemoriesMB))
	add("architectures", strings.Join(h.Plan.Architectures, ", "))
	add("clients", strings.Join(h.Plan.Clients, ", "))
	add("workers", strings.Join(concurrencies, ", "))
	add("invocations a setting", fmt.Sprintf("%d warm, %d cold; %d warm with one worker", h.Plan.Invocations, h.Plan.Cold, h.Plan.Sequential))
	question := "find the first object that holds the needle"
	if h.Plan.Count {
		question = "count the objects"
	}
	add("question", question)
	add("seed of the order", strconv.FormatUint(h.Plan.Seed, 10))
	add("objects", fmt.Sprintf("%d, %.1f MB in all", r.Objects, float64(r.Bytes)/1e6))
	if s := h.Corpus; s.Count > 0 {
		add("corpus", fmt.Sprintf("%d to %d bytes each, seed %d, prefix %s, needle %s", s.MinBytes, s.MaxBytes, s.Seed, s.Prefix, s.Needle))
	}
	if r.Priced {
		add("prices", r.PricesUsed())
	}
	if h.Prices != "" && h.Prices != r.Date {
		add("prices known to the run", h.Prices)
	}
	return all
}

// how says how the figures come about.
func how(r *report.Report) []string {
	said := []string{
		fmt.Sprintf("Times are the duration that the log's REPORT line gives, in rounds that take every setting in turn, in a seeded random order: what changes on the way changes for all. Cold and warm ones are never mixed. Each figure is a median; its interval, at %.0f%%, assumes no distribution and takes n of %d.", stats.Confidence*100, stats.MinForInterval),
		fmt.Sprintf("Two settings differ where a Mann-Whitney U test says so at p of %v; otherwise they tie, or the runs are too few to tell. A setting with any failure is not advised.", stats.Alpha),
		"The frontier holds the settings that no other beats in both time and cost. The fastest pick is, of those within 5% that tie, the cheapest one; the cheapest pick, the fastest of them.",
		fmt.Sprintf("The balanced pick has the least time to the power of %.2g times cost to the power of %.2g.", r.Advice.Weight, 1-r.Advice.Weight),
		"Why: CPU time against the memory's CPU share (1,769 MB are one vCPU), rounds of first bytes against the time, bytes a second against 600 Mbit/s, peak memory against the limit, GETs tried again. The first that decides is named.",
	}
	if r.Priced {
		class := ""
		if r.Class == cost.Express {
			class = ", and a fee for each byte"
		}
		said = append(said, fmt.Sprintf("Cost: billed seconds × GB × price of a GB-second by architecture, the request fee, and S3's GETs and LISTs%s; no free tier, and no volume discount.", class))
	}
	if r.Header.Backend == trial.Sandbox {
		said = append(said, "The sandbox runs the functions' real bootstraps on one machine, each held to its memory's share of CPU, against an embedded S3 with modelled latency and bandwidth. Placement, noisy neighbours and a Graviton's speed are not modelled.")
	}
	return said
}
