// Package calibrate fits a [network.Model] to runs: [Fit] takes the result files
// of fanout run, from AWS or any other backend, and gives a model by which the
// sandbox comes near to their times. docs/calibrate.md says how each figure is
// found, and what it is not.
package calibrate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
)

// Input is what a model is fitted to.
type Input struct {
	Measured []trial.File // at least one; of different object sizes, their first bytes are fitted by size
	Sandbox  *trial.File  // of the same settings on this machine, for the CPU factor; nil: it is taken for 1
	Name     string       // of the model; empty: made from the backend and region
	Version  string       // of the command
	Now      time.Time
}

// Result is a fitted model, and how well it tells what it was fitted to.
type Result struct {
	Model    network.Model
	Settings []Setting // in order; those that the residual is of
}

// Setting is one that was measured, and what the model forecasts of it.
type Setting struct {
	trial.Key
	ObjectBytes int64   // mean
	N           int     // warm invocations
	MeasuredMS  float64 // their median duration
	ForecastMS  float64
}

// Error is how far the forecast is off, as a share of what was measured.
func (s Setting) Error() float64 { return s.ForecastMS/s.MeasuredMS - 1 }

// Thresholds of the fit.
const (
	// leastInvocations are needed of warm ones that tell the first byte, with at
	// least leastObjects each: fewer have no 99th percentile.
	leastInvocations = stats.MinForInterval
	leastObjects     = 100

	// Up to these shares of its CPU and of the bandwidth a setting sees first bytes
	// as they are; above, answers wait to be read.
	idleCPU       = 0.5
	idleBandwidth = 0.65

	// A setting tells the bandwidth if without any limit it would be this much
	// faster, and it moves at least this share of what the fastest does.
	bandwidthBinds = 1.15
	nearTop        = 0.85
	// heldMost is the share of the most that the bandwidth made a setting slower,
	// from which on another setting tells it as well.
	heldMost = 0.5

	// retriesShare is from which share of retried GETs a setting is left out: it
	// ran into S3's request rate.
	retriesShare = 0.02

	// sameSize is up to which factor objects are taken for equally large.
	sameSize = 1.25

	// rounds is how often a fit is corrected by what a simulation sees of it.
	rounds = 4

	// quickCPU is up to which multiple of the least CPU time of an object, of all
	// settings, a setting's client is taken for one that reads a listing quickly.
	quickCPU = 1.5

	// leastRatios are enough settings with CPU to spare to tell the CPU factor.
	leastRatios = 3

	// sameNetwork is up to which factor first bytes are taken for those of one
	// network, on which CPU times can be compared.
	sameNetwork = 1.25

	// percentileTimes is how many invocations are simulated for a 99th percentile:
	// one of 1,000 objects sees it with a standard error of 7% if it is 4 times the
	// median, and the median of so many, of some settings, with less than 1%.
	percentileTimes = 51
)

// sample is the warm invocations of one setting.
type sample struct {
	Setting
	load       load
	p50, p99   []float64 // first byte, ms
	listMS     []float64 // waiting for listing pages, ms
	bytesPerMS float64
	cpuShare   float64
}

// Fit fits a model. Its errors say what cannot be fitted, and have a hint.
func Fit(in Input) (*Result, error) {
	if err := checkMeasured(in.Measured); err != nil {
		return nil, err
	}
	var all []sample
	connects := []float64{}
	for _, f := range in.Measured {
		f = f.InModelCPU()
		all = append(all, samplesOf(f)...)
		connects = append(connects, connectsOf(f)...)
	}
	if len(all) == 0 {
		return nil, hint.Failed("measure with fanout run --invocations 6 and a client of this repository, such as lean",
			"calibrate: no setting has warm invocations that went well and say what they read")
	}
	h := in.Measured[0].Header
	m := network.Model{Name: cmp.Or(in.Name, defaultName(h)), GetLimit: 5500, Express: report.ClassOf(h) == cost.Express}
	c := &network.Calibration{
		Backend: h.Backend, Region: h.Region, Measured: h.At, At: in.Now.UTC().Truncate(time.Second), Version: in.Version,
	}
	m.Calibration = c
	for _, f := range in.Measured {
		c.Runs = append(c.Runs, f.Header.Run)
		if f.Header.At.Before(c.Measured) {
			c.Measured = f.Header.At
		}
	}
	assume := func(format string, args ...any) { c.Assumed = append(c.Assumed, fmt.Sprintf(format, args...)) }
	assume("%.0f GETs a second and prefix: S3's documented rate", m.GetLimit)
	mine, err := samplesHere(in)
	if err != nil {
		return nil, err
	}
	if err := fitFirstByte(&m, all, mine, assume); err != nil {
		return nil, err
	}
	fitList(&m, all, assume)
	quota := slices.ContainsFunc(in.Measured, func(f trial.File) bool { return f.Header.Bandwidth == lambda.QuotaBandwidth })
	fitBandwidth(&m, all, quota, assume)
	if err := fitThisMachine(&m, in, all, mine, connects, assume); err != nil {
		return nil, err
	}
	return finish(&m, all), nil
}

// here is what this machine's sandbox measured; without samples, nothing.
type here struct {
	samples []sample
	model   network.Model // of its network
}

// samplesHere takes the run of the sandbox that was given, if one was. The error
// has a hint: it cannot be compared with.
func samplesHere(in Input) (here, error) {
	if in.Sandbox == nil {
		return here{}, nil
	}
	if err := fits(*in.Sandbox); err != nil {
		return here{}, err
	}
	h := in.Sandbox.Header
	if h.Backend != trial.Sandbox {
		return here{}, hint.Usage("give a run of fanout run without --stack and --function",
			"calibrate: --sandbox: run %s is not of a sandbox", h.Run)
	}
	if h.Model != nil && h.NetworkModel().Factor() != 1 {
		return here{}, hint.Usage("run it with the model that fanout calibrate makes without --sandbox",
			"calibrate: --sandbox: run %s had a CPU factor already", h.Run)
	}
	return here{samplesOf(*in.Sandbox), h.NetworkModel()}, nil
}

// late is how much later than its model this machine's sandbox lets the first byte
// of objects of a size be seen, in the median: a prediction has that on top. It is
// 0 if the sandbox did not read such objects. The 99th percentile is not compared:
// what else this machine did would be taken for the other one's speed.
func (h here) late(bytes int64) time.Duration {
	var alike []sample
	for _, s := range h.samples {
		if ratio := float64(s.ObjectBytes) / float64(bytes); ratio <= sameSize && ratio >= 1/sameSize {
			alike = append(alike, s)
		}
	}
	if len(alike) == 0 {
		return 0
	}
	seen, err := firstByteOf(alike)
	if err != nil {
		return 0
	}
	median, _ := h.model.FirstByteOf(seen.Bytes)
	return max(seen.Median-median, 0)
}

// finish forecasts every setting by the model, and notes the residual.
func finish(m *network.Model, all []sample) *Result {
	r := &Result{}
	var off []float64
	for i, s := range all {
		s.ForecastMS = simulated(*m, s.load, uint64(i)).durationMS
		r.Settings = append(r.Settings, s.Setting)
		off = append(off, math.Abs(s.Error()))
		m.Calibration.Invocations += s.N
	}
	slices.SortStableFunc(r.Settings, func(a, b Setting) int {
		return cmp.Or(cmp.Compare(a.ObjectBytes, b.ObjectBytes), a.Compare(b.Key))
	})
	m.Calibration.Settings, m.Calibration.Residual = len(off), stats.Summarise(off).Median
	r.Model = *m
	return r
}

// defaultName is where the runs were: "aws-eu-west-1".
func defaultName(h trial.Header) string {
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}
	name := strings.Trim(h.Backend+"-"+strings.Map(keep, strings.ToLower(h.Region)), "-")
	if h.Backend == trial.Sandbox {
		name = "sandbox-" + strings.Map(keep, strings.ToLower(h.Network))
	}
	return name[:min(len(name), 60)]
}

// checkMeasured says why runs cannot be fitted to.
func checkMeasured(files []trial.File) error {
	for i, f := range files {
		if c := f.Header.Calibration(); c != nil {
			return hint.Usage("give the run that it was calibrated by", "calibrate: run %s is one of a sandbox that was calibrated itself, by %s",
				f.Header.Run, c)
		}
		if err := fits(f); err != nil {
			return err
		}
		if err := alike(files[0].Header, f.Header); i > 0 && err != nil {
			return err
		}
	}
	return nil
}

// fits says why a run cannot be fitted to, or compared with.
func fits(f trial.File) error {
	h := f.Header
	if h.Plan.Own() {
		return hint.Usage("measure with fanout run without --event", "calibrate: run %s has events of the caller's own: nobody knows what "+
			"they read", h.Run)
	}
	if h.Backend == trial.Sandbox && h.Limits.None() {
		return hint.Usage("measure where CPU can be limited", "calibrate: run %s had no limits on CPU: its memory sizes mean nothing", h.Run)
	}
	const again = "measure again; fanout report shows what went wrong"
	switch {
	case f.End.Reason == trial.Failed || f.End.Reason == trial.WrongAnswers:
		return hint.Failed(again, "calibrate: run %s ended as %q", h.Run, f.End.Reason)
	case f.End.Reason == "" && h.Schema > 1:
		return hint.Failed(again, "calibrate: run %s has no closing line: it was killed, or still runs", h.Run)
	}
	return nil
}

// alike says why runs cannot be fitted to together.
func alike(a, b trial.Header) error {
	for _, f := range []struct{ name, a, b string }{
		{"backend", a.Backend, b.Backend}, {"region", a.Region, b.Region}, {"network", a.Network, b.Network},
		{"storage class", string(report.ClassOf(a)), string(report.ClassOf(b))},
		{"question", question(a.Plan), question(b.Plan)},
	} {
		if f.a != f.b {
			return hint.Usage("calibrate by each separately", "calibrate: the runs differ: %s %q, %q", f.name, f.a, f.b)
		}
	}
	if a.Run == b.Run {
		return hint.Usage("give each once", "calibrate: run %s is given twice", a.Run)
	}
	return nil
}

// question is what the functions were asked.
func question(p trial.Plan) string {
	if p.Count {
		return "count"
	}
	return "find"
}

// samplesOf sums up the settings of a run that nothing speaks against.
func samplesOf(f trial.File) []sample {
	groups, failed := map[trial.Key][]trial.Result{}, map[trial.Key]bool{}
	for _, r := range f.Results {
		switch {
		case !r.OK:
			failed[r.Key()] = true
		case r.Start == trial.Warm && r.Stats != nil && r.Stats.Objects > 0 && r.DurationMS > 0:
			groups[r.Key()] = append(groups[r.Key()], r)
		}
	}
	var all []sample
	for key, results := range groups {
		if s, ok := sampleOf(key, results, f); ok && !failed[key] {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b sample) int { return a.Compare(b.Key) })
	return all
}

// sampleOf sums up one setting; false: it ran into the request rate.
func sampleOf(key trial.Key, results []trial.Result, f trial.File) (sample, bool) {
	s := sample{Setting: Setting{Key: key, N: len(results)}}
	var ms, cpu, objects, bytes, retries, workers []float64
	vcpu := lambda.VCPU(key.MemoryMB)
	for _, r := range results {
		ms, cpu = append(ms, r.DurationMS), append(cpu, r.Stats.CPUMS)
		objects, bytes = append(objects, float64(r.Stats.Objects)), append(bytes, float64(r.Stats.Bytes))
		retries, workers = append(retries, float64(r.Stats.Retries)), append(workers, float64(r.Stats.Concurrency))
		if p50, p99 := r.Stats.TTFBP50MS, r.Stats.TTFBP99MS; p50 != nil && p99 != nil && *p50 > 0 && *p99 >= *p50 {
			s.p50, s.p99 = append(s.p50, *p50), append(s.p99, *p99)
		}
		if r.Stats.ListMS > 0 {
			s.listMS = append(s.listMS, r.Stats.ListMS)
		}
		if r.Limits.VCPU > 0 {
			vcpu = min(vcpu, r.Limits.VCPU)
		}
	}
	s.MeasuredMS = median(ms)
	n := median(objects)
	s.ObjectBytes = int64(median(bytes) / n)
	s.load = load{
		workers: max(int(median(workers)), 1), memoryMB: key.MemoryMB, vcpu: vcpu, cpuMS: median(cpu) / n,
		sizes: sizes(f, int(n), s.ObjectBytes),
	}
	s.bytesPerMS, s.cpuShare = median(bytes)/s.MeasuredMS, median(cpu)/(s.MeasuredMS*vcpu)
	return s, median(retries)/n < retriesShare
}

// sizes are those of the objects: the corpus's, or the mean of somebody's own.
func sizes(f trial.File, n int, mean int64) []int64 {
	all := make([]int64, n)
	spec := f.Header.Corpus
	if spec.Count != n || spec.Validate() != nil {
		for i := range all {
			all[i] = mean
		}
		return all
	}
	size := spec.Sizer()
	for i := range all {
		all[i] = size(i)
	}
	return all
}

// connectsOf gives the shortest set-ups of connections that cold starts tell: INIT
// has at least one vCPU, so that they do not wait for each other's CPU time.
func connectsOf(f trial.File) []float64 {
	var all []float64
	for _, r := range f.Results {
		if r.OK && r.Start == trial.Cold && r.Stats != nil && r.Stats.ConnectMinMS != nil {
			all = append(all, *r.Stats.ConnectMinMS)
		}
	}
	return all
}

func median(v []float64) float64 { return stats.Summarise(v).Median }

// middle is the mean of the middle half of v: of figures that a function rounds to
// 3%, as it does its percentiles, the median is one of the rounded ones.
func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return mean(v[len(v)/4 : len(v)-len(v)/4])
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
