package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/scan"
	scanforecast "fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// Scan is what the result file of a scan says.
type Scan struct {
	Header  scan.Header   `json:"header"`
	End     scan.End      `json:"end"`     // without a reason: the file has no closing line
	Summary *scan.Summary `json:"summary"` // nil: the parts were not added up

	Total       int64     `json:"total"`         // objects that there are, as far as is known
	Read        int64     `json:"read"`          // of those, read whole
	Seconds     float64   `json:"seconds"`       // from the first batch's start to the last one's end
	ObjectsPerS float64   `json:"objects_per_s"` // over these; 0: not known
	BytesPerS   float64   `json:"bytes_per_s"`
	AtOnce      float64   `json:"batches_at_once"` // mean
	Bill        cost.Bill `json:"bill"`            // null: no price is known
	Million     float64   `json:"usd_per_million_objects"`

	Moments  []Moment    `json:"moments"`         // throughput over time
	Phases   []Phase     `json:"phases"`          // where time went, as far as the samples tell
	CPU      float64     `json:"cpu_share"`       // of what the functions' memory buys; 0: not known
	Network  float64     `json:"bandwidth_share"` // of the functions' bandwidth; 0: not known
	Limit    ScanLimit   `json:"limit"`
	Redriven []time.Time `json:"redriven,omitempty"`
	Warnings []string    `json:"warnings"`
}

// Moment is the throughput in a stretch of time.
type Moment struct {
	FromS       float64 `json:"from_s"` // since the first
	ToS         float64 `json:"to_s"`
	ObjectsPerS float64 `json:"objects_per_s"`
	BytesPerS   float64 `json:"bytes_per_s"`
	AtOnce      float64 `json:"batches_at_once"`
	VCPU        float64 `json:"vcpu"` // in use, of all functions together
}

// Phase is a stretch of a job's time.
type Phase struct {
	Name    string  `json:"name"` // scan.Listing, scan.Reading, scan.Merging
	Seconds float64 `json:"seconds"`
}

// ScanLimit is what held a scan, by the names that a forecast has for limits.
type ScanLimit struct {
	Name string `json:"name"` // empty: nothing alone did, or too little is known
	Why  string `json:"why"`
}

// NewScan works out what a scan's result file says.
func NewScan(f scan.File) *Scan {
	r := &Scan{Header: f.Header, End: f.End, Summary: f.Summary, Warnings: []string{}, Moments: []Moment{}, Phases: phases(f.Samples)}
	for _, m := range f.Marks {
		if m.Mark == scan.Redriven {
			r.Redriven = append(r.Redriven, m.At)
		}
	}
	if n := len(f.Samples); n > 0 {
		last := f.Samples[n-1]
		r.Total, r.Read = max(last.Items.Total, 0), last.Items.Succeeded
	}
	if f.Header.Estimate != nil && r.Total == 0 {
		r.Total = f.Header.Estimate.Objects
	}
	if s := f.Summary; s != nil {
		r.sum(*s)
	} else {
		r.Moments = sampled(f.Samples)
		if n := len(f.Samples); n > 1 {
			r.rates(f.Samples[n-1].At.Sub(f.Samples[0].At).Seconds(), float64(f.Samples[n-1].Bytes))
		}
	}
	r.Limit = r.limit()
	if f.Skipped > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s of the file could not be read and %s left out", lines(f.Skipped), was(f.Skipped)))
	}
	if n := len(r.Redriven); n > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the job was redriven %s: the time between counts as the job's", times(n)))
	}
	return r
}

func lines(n int) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// sum takes what the parts say.
func (r *Scan) sum(s scan.Summary) {
	r.Total, r.Read = max(s.Total, s.Keys), s.Objects
	r.rates(s.Seconds(), float64(s.Bytes))
	if seconds := s.Seconds(); seconds > 0 {
		r.AtOnce = s.BusyMS / 1000 / seconds
	}
	if r.Bill = s.Bill; s.Objects > 0 {
		r.Million = s.Bill.Total() / float64(s.Objects) * 1e6
	}
	if vcpu := r.vcpu(); vcpu > 0 && s.BusyMS > 0 {
		r.CPU = s.CPUMS * r.Header.NetworkModel().Factor() / s.BusyMS / vcpu
		if bandwidth := r.Header.BandwidthOf(); bandwidth > 0 {
			r.Network = float64(s.Bytes) / (s.BusyMS / 1000) / bandwidth
		}
	}
	width := float64(s.Timeline.WidthMS) / 1000
	for i, b := range s.Timeline.Bins {
		if width <= 0 {
			break
		}
		if !measurable(b.Objects, b.Bytes, b.CPUMS, b.BusyMS) {
			r.Warnings = append(r.Warnings, fmt.Sprintf("the throughput in stretch %d of the time cannot be, and is left out", i+1))
			b = scan.Bin{}
		}
		from := float64(i) * width
		r.Moments = append(r.Moments, Moment{from, from + width, b.Objects / width, b.Bytes / width, b.BusyMS / 1000 / width,
			b.CPUMS / 1000 / width})
	}
}

// measurable says whether figures are such that something can have them.
func measurable(figures ...float64) bool {
	return !slices.ContainsFunc(figures, func(v float64) bool { return !(v >= 0 && v <= 1e15) })
}

// rates are over so many seconds.
func (r *Scan) rates(seconds, bytes float64) {
	if r.Seconds = max(seconds, 0); r.Seconds > 0 {
		r.ObjectsPerS, r.BytesPerS = float64(r.Read)/r.Seconds, bytes/r.Seconds
	}
}

// vcpu is what one function had; 0: not known, or not limited.
func (r *Scan) vcpu() float64 {
	if r.Header.Function.MemoryMB <= 0 || r.Header.Limits.None() {
		return 0
	}
	vcpu := lambda.VCPU(r.Header.Function.MemoryMB)
	if clamped := r.Header.Limits.VCPU; clamped > 0 {
		vcpu = min(vcpu, clamped)
	}
	return vcpu
}

// phases adds up how long each lasted. A stretch between two samples counts to
// the phase of its first.
func phases(samples []scan.Sample) []Phase {
	all := []Phase{{Name: scan.Listing}, {Name: scan.Reading}, {Name: scan.Merging}}
	for i, s := range samples[:max(len(samples)-1, 0)] {
		k := slices.IndexFunc(all, func(p Phase) bool { return p.Name == s.Phase })
		if took := samples[i+1].At.Sub(s.At).Seconds(); k >= 0 && took > 0 {
			all[k].Seconds += took
		}
	}
	return slices.DeleteFunc(all, func(p Phase) bool { return p.Seconds == 0 })
}

// sampled is the throughput between samples, where the parts were not added up.
func sampled(samples []scan.Sample) []Moment {
	all := []Moment{}
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		took := b.At.Sub(a.At).Seconds()
		if took <= 0 || b.Items.Succeeded < a.Items.Succeeded { // redriven
			continue
		}
		from := a.At.Sub(samples[0].At).Seconds()
		all = append(all, Moment{
			FromS: from, ToS: from + took, ObjectsPerS: float64(b.Items.Succeeded-a.Items.Succeeded) / took,
			BytesPerS: max(float64(b.Bytes-a.Bytes), 0) / took, AtOnce: float64(a.Batches.Running),
		})
	}
	return all
}

// Shares from which on something is what held a scan, as in the verdicts of a
// run (docs/statistics.md).
const (
	heldShare    = 0.8
	retriedShare = 0.02
)

// limit says what held the scan, from what its parts and samples tell.
func (r *Scan) limit() ScanLimit {
	s := r.Summary
	if s == nil || s.Objects == 0 || s.BusyMS <= 0 {
		return ScanLimit{Why: "too little is known"}
	}
	if share := float64(s.Retries) / float64(s.Objects); share >= retriedShare {
		return ScanLimit{scanforecast.GETRate, fmt.Sprintf("%s of the GETs were retried", table.Share(share))}
	}
	if r.CPU >= heldShare {
		return ScanLimit{scanforecast.CPU, fmt.Sprintf("the functions used %s of the CPU that %d MB buy", table.Share(min(r.CPU, 1)),
			r.Header.Function.MemoryMB)}
	}
	if r.Network >= heldShare {
		return ScanLimit{scanforecast.Bandwidth, fmt.Sprintf("the functions used %s of %.0f Mbit/s each", table.Share(min(r.Network, 1)),
			r.Header.BandwidthOf()*8/1e6)}
	}
	if most := r.Header.Input.Concurrency; most > 0 && r.AtOnce >= heldShare*float64(most) {
		return ScanLimit{scanforecast.Concurrency, fmt.Sprintf("%s of %d batches that may be read at once were, on average, each mostly "+
			"waiting for answers", table.Number(r.AtOnce), most)}
	}
	var listing, all float64
	for _, p := range r.Phases {
		if p.Name == scan.Listing {
			listing = p.Seconds
		}
		if p.Name != scan.Merging {
			all += p.Seconds
		}
	}
	if all > 0 && listing >= heldShare*all {
		return ScanLimit{scanforecast.Listing, fmt.Sprintf("the objects were listed during %s of the time", table.Share(listing/all))}
	}
	return ScanLimit{Why: "nothing alone"}
}

// Ending says how the job ended, without a period.
func (r *Scan) Ending() string {
	unread := r.Unread()
	said := map[string]string{
		scan.Complete:    "Every object was read",
		scan.Incomplete:  fmt.Sprintf("INCOMPLETE: %s not read", isWas(unread)),
		scan.Left:        "The command ended, and the job went on",
		scan.Budget:      "CUT: its budget was used up",
		scan.Stopped:     "CUT: it was stopped",
		scan.Interrupted: "CUT: it was interrupted",
		scan.WrongAnswer: "WRONG ANSWER: everything was read, and it is not what the objects hold",
		scan.Changed:     "CHANGED: every object was read, and the answer is not whole any more",
		scan.Failed:      "FAILED",
		"":               "The file has no closing line: the command was killed, or is still running",
	}[r.End.Reason]
	if said == "" {
		said = table.Clip(r.End.Reason, 100)
	}
	if text := table.Clip(r.End.Text, 300); text != "" {
		said += ": " + strings.TrimSuffix(text, ".")
	}
	return said
}

func isWas(n int64) string {
	if n == 1 {
		return "1 object was"
	}
	return table.Grouped(float64(n)) + " objects were"
}

// Unread is how many objects were not read, as far as is known.
func (r *Scan) Unread() int64 { return max(r.Total-r.Read, 0) }

// Complete says whether the job ended well.
func (r *Scan) Complete() bool { return r.End.Reason == scan.Complete }

// Redrive is the command that reads what was not read; empty: there is nothing
// to redrive, or no job that could be.
func (r *Scan) Redrive() string {
	job := r.Header.Execution
	if r.Header.Stack != "" {
		job = "--stack " + r.Header.Stack + " " + r.Header.Job
	}
	left := []string{scan.Incomplete, scan.Failed, scan.Stopped, scan.Budget}
	if r.Header.Backend == trial.Sandbox || job == "" || !slices.Contains(left, r.End.Reason) {
		return ""
	}
	return "fanout scan redrive " + job
}

// Subject says what was scanned, where.
func (r *Scan) Subject() string {
	h := r.Header
	where := "s3://" + h.Input.Event.Bucket + "/" + h.Input.Prefix
	if i := h.Input.Inventory; i != nil {
		where = "the inventory s3://" + i.Bucket + "/" + i.Key
	}
	what := "counted"
	if find := h.Input.Event.Find; find != nil {
		what = fmt.Sprintf("searched for %q", *find)
	}
	place := map[string]string{trial.AWS: "AWS " + h.Region, trial.Sandbox: "sandbox", trial.Endpoint: "custom endpoint"}[h.Backend]
	return table.Clip(fmt.Sprintf("%s, %s; %s", where, what, strings.TrimSpace(place)), 400)
}

// Caveats say what the times are not, and that the job did not end well.
func (r *Scan) Caveats() []string {
	var said []string
	if !r.Complete() {
		said = append(said, r.Ending()+".")
	}
	switch h := r.Header; h.Backend {
	case trial.Endpoint:
		said = append(said, "These are times of a custom endpoint, not AWS times, and costs at those times.")
	case trial.Sandbox:
		said = append(said, fmt.Sprintf("These are sandbox times, not AWS times, and costs at those times: %s.", table.Clip(h.Host, 100)))
		if c := h.NetworkModel().Calibration; c != nil {
			said = append(said, "The sandbox was calibrated by "+calibratedBy(c)+".")
		}
		if h.Limits.None() {
			said = append(said, fmt.Sprintf("CPU and memory were NOT LIMITED (%s): the memory size means nothing here.",
				table.Clip(h.Limits.String(), 100)))
		}
	}
	return said
}

// DigestSays is the digest, and whether it is right.
func (r *Scan) DigestSays() string {
	switch s := r.Summary; {
	case s == nil:
		return table.None
	case s.Expected == nil:
		return s.Digest
	case s.Expected.Right:
		return s.Digest + ", as the objects' seed has it"
	default:
		return s.Digest + ": WRONG, the objects' seed has " + s.Expected.Digest
	}
}

// Failures is a table of the kinds of failures, the most frequent first.
func (r *Scan) Failures() table.Table[scan.FailureKind] {
	t := table.Table[scan.FailureKind]{Columns: []table.Column[scan.FailureKind]{
		{Name: "error", Label: table.Label{Head: "not read"}, Left: true, Keep: table.AlwaysKeep,
			Cell: func(k scan.FailureKind) table.Cell { return table.Text(k.Error) }},
		{Name: "objects", Label: table.Label{Head: "objects"}, Keep: table.AlwaysKeep,
			Cell: func(k scan.FailureKind) table.Cell {
				return table.Figure(float64(k.Count), table.Grouped(float64(k.Count)))
			}},
		{Name: "key", Label: table.Label{Head: "such as"}, Left: true, Keep: 4, Cell: func(k scan.FailureKind) table.Cell {
			if len(k.Keys) == 0 {
				return table.Missing()
			}
			return table.Text(k.Keys[0])
		}},
		{Name: "message", Label: table.Label{Head: "message"}, Left: true, Keep: 1,
			Cell: func(k scan.FailureKind) table.Cell { return table.Text(k.Message) }},
	}}
	if r.Summary != nil {
		t.Rows = slices.Clone(r.Summary.Failures)
		if n := r.Summary.Missing(); n > 0 {
			t.Rows = append(t.Rows, scan.FailureKind{Error: "batch failed", Count: n, Message: "no part says which keys"})
		}
	}
	return t
}

// Throughput is a table of the moments.
func (r *Scan) Throughput() table.Table[Moment] {
	figure := func(name, head, unit string, of func(Moment) float64) table.Column[Moment] {
		return table.Column[Moment]{Name: name, Label: table.Label{Head: head, Unit: unit}, Keep: table.AlwaysKeep,
			Cell: func(m Moment) table.Cell { return table.Figure(of(m), table.Grouped(of(m))) }}
	}
	return table.Table[Moment]{Rows: r.Moments, Columns: []table.Column[Moment]{
		figure("from_s", "from", "s", func(m Moment) float64 { return m.FromS }),
		figure("to_s", "to", "s", func(m Moment) float64 { return m.ToS }),
		figure("objects_per_s", "objects", "per s", func(m Moment) float64 { return m.ObjectsPerS }),
		figure("mb_per_s", "MB", "per s", func(m Moment) float64 { return m.BytesPerS / 1e6 }),
		figure("batches_at_once", "batches", "at once", func(m Moment) float64 { return m.AtOnce }),
		figure("vcpu", "vCPU", "in use", func(m Moment) float64 { return m.VCPU }),
	}}
}

// Said compares the forecast that was made before the start with what came;
// empty: there was none.
func (r *Scan) Said() string {
	e := r.Header.Estimate
	if e == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s, limit: %s", scanforecast.Duration(time.Duration(e.Seconds*float64(time.Second))),
		table.Dollars(e.Bill.Total()), e.Limit)
}

// Source is how the objects were found.
func (r *Scan) Source() string {
	if r.Header.Input.Inventory != nil {
		return "inventory"
	}
	return "listing"
}

// Children is the type of the child executions.
func (r *Scan) Children() string {
	if r.Header.Children == "" {
		return fn.Express
	}
	return r.Header.Children
}
