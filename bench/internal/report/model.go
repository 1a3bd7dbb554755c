// Package report works out what a result file says and what to make of it.
// Everything in it is a pure function of that file and a table of prices:
// [New] gives the [Report], a [Row] for each setting with times, costs and a
// [Verdict], and the [Advice] drawn from them. [Report.Table] lists what a
// table of the rows shows, and [Compare] sets two reports side by side.
//
// Nothing here writes a format: package write has them all, and the HTML page
// is drawn by package page.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
)

// Options is what a reader may choose. The zero value is a good choice.
type Options struct {
	Prices cost.Table        // none: cost.Builtin
	Region string            // for the prices; empty: the functions', else us-east-1
	Class  cost.StorageClass // of the objects; empty: as the run says, else standard
	Weight float64           // of time against cost in the balanced pick, above 0 to 1; 0: 0.5
}

// DefaultRegion is whose prices are taken where the results name no region.
const DefaultRegion = "us-east-1"

// Report is what a result file says.
type Report struct {
	Header   trial.Header      `json:"header"`
	Objects  int               `json:"objects"` // that each invocation reads; of a bucket that is somebody's own, what the first said
	Bytes    int64             `json:"bytes"`   // of those objects
	Region   string            `json:"prices_region"`
	Date     string            `json:"prices_date"`
	Class    cost.StorageClass `json:"storage_class"`
	Priced   bool              `json:"priced"` // false: no price was known, costs are 0, and a warning says so
	Rows     []Row             `json:"rows"`
	Advice   Advice            `json:"advice"`
	Warnings []string          `json:"warnings"` // what makes the figures less sure
	End      trial.End         `json:"end"`      // why the run ended; without a reason: the file does not say

	// Runtimes says which interpreter ran each contender of a managed runtime.
	Runtimes []Runtime `json:"runtimes,omitempty"`

	missing []string // of the warnings: what the file holds, and no figure does
}

// Runtime is what a managed runtime was on the machine that ran it.
type Runtime struct {
	Contender string `json:"contender"`
	Asked     string `json:"asked"`  // python3.13
	RanBy     string `json:"ran_by"` // "Python 3.11.7, awslambdaric 4.2.2"
}

// String reads "mine: python3.13, run by Python 3.11.7, awslambdaric 4.2.2".
func (r Runtime) String() string {
	return fmt.Sprintf("%s: %s, run by %s", table.Clip(r.Contender, 40), table.Clip(r.Asked, 40), table.Clip(r.RanBy, 120))
}

// Other says whether another version than the runtime's ran.
func (r Runtime) Other() bool {
	asked, err := lambda.ParseRuntime(r.Asked)
	_, version, _ := strings.Cut(r.RanBy, " ")
	version, _, _ = strings.Cut(version, ",")
	return err == nil && version != asked.Version && !strings.HasPrefix(version, asked.Version+".")
}

// runtimes notes what ran, and warns where it was another version.
func (r *Report) runtimes(f trial.File) {
	for _, res := range f.Results {
		ran := Runtime{res.Contender, res.Runtime, res.RanBy}
		if res.RanBy != "" && !slices.Contains(r.Runtimes, ran) {
			r.Runtimes = append(r.Runtimes, ran)
		}
	}
	slices.SortFunc(r.Runtimes, func(a, b Runtime) int {
		return cmp.Or(cmp.Compare(a.Contender, b.Contender), cmp.Compare(a.RanBy, b.RanBy))
	})
	for _, ran := range r.Runtimes {
		if ran.Other() {
			r.Warnings = append(r.Warnings, "another version than Lambda's: "+ran.String())
		}
	}
}

// Own says whether the functions and events are the caller's own: then nothing
// is known of what they read.
func (r *Report) Own() bool { return r.Header.Plan.Own() }

// Setting is what a row is about.
type Setting struct {
	trial.Key
	Chosen int `json:"chosen"` // the workers that the function says it used; 0 where unknown
}

// Workers is how many read: what was asked for, and after "auto" what the
// function chose: "64", "auto 64" or "own".
func (s Setting) Workers() string {
	if s.Concurrency == trial.Auto && s.Client != "" && s.Chosen > 0 {
		return fmt.Sprintf("%s %d", s.Key.Workers(), s.Chosen)
	}
	return s.Key.Workers()
}

// InFlight is how many read at a time: what was asked for, else what the
// function says it chose; 0 where neither is known.
func (s Setting) InFlight() int { return cmp.Or(s.Concurrency, s.Chosen) }

// Row sums up one setting. Figures are over the invocations that went well.
type Row struct {
	Setting
	Warm         stats.Summary `json:"warm_ms"`     // duration_ms of warm invocations
	P90          Percentile    `json:"warm_p90_ms"` // of the same
	P99          Percentile    `json:"warm_p99_ms"`
	Init         stats.Summary `json:"init_ms"`           // of cold starts
	First        stats.Summary `json:"first_ms"`          // duration_ms of cold starts, without INIT
	Cold         stats.Summary `json:"cold_ms"`           // init_ms + duration_ms of cold starts
	CPU          stats.Summary `json:"cpu_ms,omitzero"`   // of the whole process, warm; of functions of the caller's own only
	CPUPerObject stats.Summary `json:"cpu_us_per_object"` // of the whole process, warm, in µs
	MaxMemoryMB  int           `json:"max_memory_mb"`
	ObjectsPerS  float64       `json:"objects_per_s,omitzero"` // objects over the warm median
	SpeedUp      float64       `json:"speed_up"`               // the sequential median over this one; 0 where there is no baseline

	// Of several events of the caller's own, costs are means: see [Report.Mixed].
	Cost     cost.Bill     `json:"cost"`          // of the median warm invocation
	WarmCost stats.Summary `json:"warm_cost_usd"` // total of each warm invocation
	ColdCost stats.Summary `json:"cold_cost_usd"` // total of each cold one, INIT included

	SettableCost stats.Summary `json:"settable_cost_usd"` // of each warm invocation, the part that a setting changes: compute

	Verdict Verdict       `json:"verdict"`
	Limits  lambda.Limits `json:"limits,omitzero"` // what held its invocations, the loosest of them

	Invocations   int       `json:"invocations"` // all, failed ones too
	Failed        int       `json:"failed"`
	FailedCold    int       `json:"failed_cold"`        // of the failed ones, those in a new process
	UnknownStarts int       `json:"unknown_starts"`     // that went well, and may have been cold or warm: in neither sample
	Failures      []Failure `json:"failures,omitempty"` // what failed, most often first

	seen usage
}

// Percentile is one, or why there is none.
type Percentile struct {
	Value float64 `json:"value"`
	Why   string  `json:"why,omitempty"` // not empty: there is no value, n is too small
}

// MarshalJSON gives null where there is no value.
func (p Percentile) MarshalJSON() ([]byte, error) {
	out := struct {
		Value *float64 `json:"value"`
		Why   string   `json:"why,omitempty"`
	}{&p.Value, p.Why}
	if p.Why != "" {
		out.Value = nil
	}
	return json.Marshal(out)
}

// Failure is one kind of failure and how often it happened.
type Failure struct {
	Name    string `json:"name"` // OOM, timeout, or the error type
	Example string `json:"example"`
	Log     string `json:"log,omitempty"` // the end of what the example's function logged
	Count   int    `json:"count"`
}

// platformLine is a line of a log that Lambda writes, not the function.
var platformLine = regexp.MustCompile(`^(START|END|REPORT) RequestId: `)

// LastLines gives the last lines, at most n, that the example's function logged,
// each safe for a terminal.
func (f Failure) LastLines(n int) []string {
	var lines []string
	for line := range strings.SplitSeq(f.Log, "\n") {
		if line = strings.TrimRight(table.Clip(line, 160), " "); line != "" && !platformLine.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines[max(len(lines)-n, 0):]
}

// usage is what the warm invocations of a setting used, by their medians.
type usage struct {
	cpuMS, ttfbP50, ttfbP99, listMS, retries, bytes, objects, vcpu float64
	hasCPU, hasStats                                               bool
}

// New sums up a file. It does not fail: a figure that cannot be had is left
// out, and a warning says why.
func New(f trial.File, o Options) *Report {
	f, impossible := possible(f)
	f = f.InModelCPU()
	r := &Report{Header: f.Header, End: f.End, Objects: f.Header.Corpus.Count, Bytes: f.Header.Bytes, Region: o.Region, Class: o.Class}
	if r.Own() { // whatever there is to read, nobody knows what they read of it
		r.Objects, r.Bytes = 0, 0
	} else if i := slices.IndexFunc(f.Results, func(res trial.Result) bool { return res.OK && res.Stats != nil }); r.Objects == 0 && i >= 0 {
		r.Objects, r.Bytes = f.Results[i].Stats.Objects, f.Results[i].Stats.Bytes
	}
	if impossible > 0 {
		r.missing = append(r.missing, fmt.Sprintf("%d of %d invocations have impossible times and are left out", impossible,
			impossible+len(f.Results)))
	}
	if r.Region == "" {
		r.Region = cmp.Or(f.Header.Region, DefaultRegion)
	}
	if r.Class == "" {
		r.Class = ClassOf(f.Header)
	}
	prices := r.takePrices(f, o.Prices)

	groups := map[trial.Key][]trial.Result{}
	for _, res := range f.Results {
		groups[res.Key()] = append(groups[res.Key()], res)
	}
	for k, results := range groups {
		row := rowOf(k, results, r.Objects, r.Bytes)
		if !r.Own() {
			row.CPU = stats.Summary{}
		}
		if row.Limits.IsZero() {
			row.Limits = f.Header.Limits
		}
		if r.Priced {
			r.price(&row, prices, results)
		}
		r.Rows = append(r.Rows, row)
	}
	slices.SortFunc(r.Rows, func(a, b Row) int {
		return a.Compare(b.Key)
	})
	r.speedUps()
	r.verdicts()
	r.notes(f)
	r.runtimes(f)
	r.drift(f)
	if o.Weight == 0 {
		o.Weight = 0.5
	}
	r.advise(o.Weight)
	return r
}

// takePrices finds the prices of the report's region, and says whether every
// invocation has one.
func (r *Report) takePrices(f trial.File, t cost.Table) cost.Prices {
	if t.Regions == nil {
		t = cost.Builtin
	}
	prices, err := t.Prices(r.Region)
	if err == nil {
		r.Priced, r.Date = true, prices.Date
		for _, res := range f.Results {
			if _, err = prices.Invocation(cost.Invocation{Arch: res.Arch, Class: r.Class}); err != nil {
				r.Priced = false
				break
			}
		}
	}
	if err != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("no costs: %v; fanout prices --aws fetches them", err))
	}
	return prices
}

// possible leaves out invocations with times that no clock gives, such as
// negative ones: nothing can be said of them.
func possible(f trial.File) (trial.File, int) {
	const most = 1e9 // ms: more than eleven days
	within := func(ms float64) bool { return ms >= 0 && ms <= most }
	n := len(f.Results)
	f.Results = slices.DeleteFunc(slices.Clone(f.Results), func(r trial.Result) bool {
		fine := r.MemoryMB >= 0 && r.MaxMemoryMB >= 0 && within(r.DurationMS) && within(r.InitMS) && within(r.BilledMS) &&
			(r.ProcessMS == nil || within(*r.ProcessMS))
		if s := r.Stats; s != nil {
			fine = fine && within(s.CPUMS) && within(s.ListMS) && (s.TTFBP50MS == nil || within(*s.TTFBP50MS)) &&
				(s.TTFBP99MS == nil || within(*s.TTFBP99MS))
		}
		return !fine
	})
	return f, n - len(f.Results)
}

// ClassOf gives the storage class that a run read from.
func ClassOf(h trial.Header) cost.StorageClass {
	if h.Class == string(cost.Express) || h.NetworkModel().Express {
		return cost.Express
	}
	return cost.Standard
}

// Baseline gives the index of the row with one worker that r's row i is to be
// compared with: its own client's, else another's of the same contender; -1:
// there is none.
func (r *Report) Baseline(i int) int {
	row, found := r.Rows[i], -1
	for k, base := range r.Rows {
		if base.Concurrency != 1 || base.Warm.N == 0 || base.Contender != row.Contender || base.MemoryMB != row.MemoryMB ||
			base.Arch != row.Arch {
			continue
		}
		if base.Client == row.Client {
			return k
		}
		if found < 0 {
			found = k
		}
	}
	return found
}

func (r *Report) speedUps() {
	for i := range r.Rows {
		if base := r.Baseline(i); base >= 0 && r.Rows[i].Warm.Median > 0 {
			r.Rows[i].SpeedUp = r.Rows[base].Warm.Median / r.Rows[i].Warm.Median
		}
	}
}

// notes warns of what was unusual about single figures.
func (r *Report) notes(f trial.File) {
	counts := map[string]int{}
	for _, res := range f.Results {
		if res.Note != "" {
			counts[res.Note]++
		}
	}
	unknown := 0
	for _, row := range r.Rows {
		unknown += row.UnknownStarts
	}
	if unknown > 0 {
		r.missing = append(r.missing, fmt.Sprintf("for %d of %d invocations nothing says whether they were cold or warm: they are "+
			"in neither figure", unknown, len(f.Results)))
	}
	if n := len(f.Skipped); n > 0 {
		r.missing = append(r.missing, fmt.Sprintf("%s of the result file could not be read; the first is line %d: %s",
			counted(n, "line"), f.Skipped[0].Line, f.Skipped[0].Why))
	}
	r.Warnings = append(r.Warnings, r.missing...)
	r.Warnings = append(r.Warnings, f.End.Warnings...)
	for _, note := range slices.Sorted(maps.Keys(counts)) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d of %d invocations: %s", counts[note], len(f.Results), note))
	}
}

// drift warns where the machine, or the service, was not the same in the
// second half of the run.
func (r *Report) drift(f trial.File) {
	var samples [][]stats.Timed
	var names []string
	var found []stats.Drifted
	var ps []float64
	for _, row := range r.Rows {
		var s []stats.Timed
		for _, res := range f.Results {
			if res.OK && res.Start == trial.Warm && res.Key() == row.Key {
				s = append(s, stats.Timed{At: res.At, Value: res.DurationMS})
			}
		}
		samples = append(samples, s)
		if d := stats.Drift(s); d.Test.Relation != stats.TooFew {
			names, found, ps = append(names, r.Name(row)), append(found, d), append(ps, d.Test.P)
		}
	}
	if all := stats.DriftOfAll(samples); all.Found(all.Test.P) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("drift: warm runs changed by %+.0f%% from the first half to the second (%s)",
			all.Change*100, all.Test))
	}
	for i, p := range stats.Holm(ps) {
		if found[i].Found(p) {
			r.Warnings = append(r.Warnings,
				fmt.Sprintf("drift: %s changed by %+.0f%% from its first half of runs to the second (%s)", names[i],
					found[i].Change*100, found[i].Test))
		}
	}
}
