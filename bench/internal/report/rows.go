package report

import (
	"cmp"
	"fanout/bench/internal/cost"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	"math"
	"slices"
)

// samples are the figures of a setting's invocations that went well, of warm
// ones but for the first line.
type samples struct {
	initial, first, cold                              []float64
	warm, cpuMS, p50, p99, list, retries, sizes, read []float64 // the last six from the answer's stats
}

func (s *samples) addCold(r trial.Result) {
	if r.InitMS > 0 { // an INIT of over 10 s is within the duration
		s.initial = append(s.initial, r.InitMS)
	}
	s.first = append(s.first, r.DurationMS)
	s.cold = append(s.cold, r.InitMS+r.DurationMS)
}

func (s *samples) addWarm(r trial.Result) {
	s.warm = append(s.warm, r.DurationMS)
	switch {
	case r.ProcessMS != nil:
		s.cpuMS = append(s.cpuMS, *r.ProcessMS)
	case r.Stats != nil:
		s.cpuMS = append(s.cpuMS, r.Stats.CPUMS)
	}
	if r.Stats == nil {
		return
	}
	s.list = append(s.list, r.Stats.ListMS)
	s.retries = append(s.retries, float64(r.Stats.Retries))
	s.sizes = append(s.sizes, float64(r.Stats.Bytes))
	s.read = append(s.read, float64(r.Stats.Objects))
	if ms := r.Stats.TTFBP50MS; ms != nil {
		s.p50 = append(s.p50, *ms)
	}
	if ms := r.Stats.TTFBP99MS; ms != nil {
		s.p99 = append(s.p99, *ms)
	}
}

// usage is what the warm ones used, where each reads this many objects of this
// many bytes in all, if it does not say itself.
func (s *samples) usage(objects int, size int64) usage {
	median := func(v []float64) float64 { return stats.Summarise(v).Median }
	u := usage{
		cpuMS: median(s.cpuMS), hasCPU: len(s.cpuMS) > 0, hasStats: len(s.read) > 0,
		ttfbP50: median(s.p50), ttfbP99: median(s.p99), listMS: median(s.list), retries: median(s.retries),
	}
	if u.objects, u.bytes = float64(objects), float64(size); u.hasStats {
		u.objects, u.bytes = median(s.read), median(s.sizes)
	}
	return u
}

// rowOf sums up a setting's invocations, but for costs.
func rowOf(k trial.Key, results []trial.Result, objects int, size int64) Row {
	row := Row{Setting: Setting{Key: k}, Invocations: len(results)}
	var s samples
	for _, r := range results {
		row.MaxMemoryMB = max(row.MaxMemoryMB, r.MaxMemoryMB)
		row.Limits = looser(row.Limits, r.Limits)
		if !r.OK {
			row.fail(r)
			continue
		}
		if r.Stats != nil {
			row.Chosen = r.Stats.Concurrency
		}
		switch r.Start {
		case trial.Unknown:
			row.UnknownStarts++ // neither a cold start's figures nor a warm one's
		case trial.Cold:
			s.addCold(r)
		default:
			s.addWarm(r)
		}
	}
	row.Warm, row.Cold = stats.Summarise(s.warm), stats.Summarise(s.cold)
	row.Init, row.First = stats.Summarise(s.initial), stats.Summarise(s.first)
	row.CPU = stats.Summarise(s.cpuMS)
	if objects > 0 {
		var cpu []float64
		for _, ms := range s.cpuMS {
			cpu = append(cpu, ms*1000/float64(objects))
		}
		row.CPUPerObject = stats.Summarise(cpu)
	}
	row.P90, row.P99 = percentile(s.warm, 90), percentile(s.warm, 99)
	if row.Warm.Median > 0 {
		row.ObjectsPerS = float64(objects) / row.Warm.Median * 1000
	}
	row.seen = s.usage(objects, size)
	if row.seen.vcpu = lambda.VCPU(k.MemoryMB); row.Limits.VCPU > 0 {
		row.seen.vcpu = min(row.seen.vcpu, row.Limits.VCPU)
	}
	return row
}

// looser gives the limits that say less about a memory size: none before a
// share that was clamped, and that before what the size buys.
func looser(a, b lambda.Limits) lambda.Limits {
	switch {
	case a.None() || b.IsZero():
		return a
	case b.None() || a.IsZero() || a.VCPU == 0:
		return b
	case b.VCPU > 0 && b.VCPU < a.VCPU:
		return b
	}
	return a
}

func percentile(values []float64, percent float64) Percentile {
	v, err := stats.Percentile(values, percent)
	if err != nil {
		return Percentile{Why: err.Error()}
	}
	return Percentile{Value: v}
}

// price adds the costs of the invocations that went well.
func (r *Report) price(row *Row, p cost.Prices, results []trial.Result) {
	var warm, cold, billed, settable []float64
	for _, res := range results {
		if !res.OK || res.Start == trial.Unknown {
			continue
		}
		bill, err := r.bill(p, r.used(res))
		if err != nil {
			return // New has said so already
		}
		if res.Start == trial.Cold {
			cold = append(cold, bill.Total())
			continue
		}
		warm, billed, settable = append(warm, bill.Total()), append(billed, billedMS(res)), append(settable, bill.Settable())
	}
	row.WarmCost, row.ColdCost, row.SettableCost = stats.Summarise(warm), stats.Summarise(cold), stats.Summarise(settable)
	typical := stats.Summarise(billed)
	if r.Mixed() {
		for _, s := range []*stats.Summary{&row.WarmCost, &row.ColdCost, &row.SettableCost, &typical} {
			s.Median, s.HasInterval = mean(s.Values), false
		}
	}
	if len(billed) > 0 {
		// Of warm invocations of one setting only the billed time differs.
		i := cost.Invocation{
			Arch: row.Arch, MemoryMB: row.MemoryMB, BilledMS: typical.Median, Class: r.Class,
			GETs: int(row.seen.objects), LISTs: cost.ListRequests(r.Objects), Bytes: int64(row.seen.bytes),
		}
		row.Cost, _ = r.bill(p, i) // the same prices as above
	}
}

// Mixed says whether invocations of one setting differ in what they do, as those
// of several events: a million of them cost a million times the mean, and not
// the median.
func (r *Report) Mixed() bool { return len(r.Header.Plan.Events) > 1 }

// mean of some values; 0 of none.
func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(len(values), 1))
}

// bill is what an invocation costs, as far as that is known.
func (r *Report) bill(p cost.Prices, i cost.Invocation) (cost.Bill, error) {
	b, err := p.Invocation(i)
	if r.Own() {
		b = b.Lambda()
	}
	return b, err
}

// used is what an invocation is billed for. A contender that reports no stats
// has given the right answer, and so read every object.
func (r *Report) used(res trial.Result) cost.Invocation {
	i := cost.Invocation{
		Arch: res.Arch, MemoryMB: res.MemoryMB, BilledMS: billedMS(res), Class: r.Class,
		GETs: r.Objects, LISTs: cost.ListRequests(r.Objects), Bytes: r.Bytes,
	}
	if res.Stats != nil {
		i.GETs, i.Bytes = res.Stats.Objects+res.Stats.Errors, res.Stats.Bytes
	}
	return i
}

// billedMS is what was billed; where the log did not say (see Result.Note),
// what would be for the time it took.
func billedMS(r trial.Result) float64 {
	if r.BilledMS > 0 {
		return r.BilledMS
	}
	return math.Ceil(r.DurationMS)
}

func (row *Row) fail(r trial.Result) {
	row.Failed++
	if r.Start == trial.Cold {
		row.FailedCold++
	}
	name := r.ErrorType
	switch {
	case r.OutOfMemory():
		name = oom
	case r.TimedOut():
		name = "timeout"
	}
	i := slices.IndexFunc(row.Failures, func(f Failure) bool { return f.Name == name })
	if i < 0 {
		i = len(row.Failures)
		row.Failures = append(row.Failures, Failure{Name: name, Example: r.Error})
	}
	row.Failures[i].Count++
	row.Failures[i].Log = cmp.Or(row.Failures[i].Log, r.Log)
	slices.SortStableFunc(row.Failures, func(a, b Failure) int { return cmp.Compare(b.Count, a.Count) })
}

// oom is the failure of a process that was killed for memory.
const oom = "OOM"
