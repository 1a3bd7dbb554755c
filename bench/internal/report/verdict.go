package report

import (
	"fmt"
	"math"
	"strings"

	"fanout/bench/internal/table"
	"fanout/functions/lambda"
)

// Kind is what a setting's time is spent on.
type Kind string

// Kinds of verdict.
const (
	CPUBound       Kind = "CPU-bound"
	LatencyBound   Kind = "latency-bound"
	NetworkBound   Kind = "network-bound"
	MemoryBound    Kind = "memory-bound"
	RequestLimited Kind = "request-limited"
	Waiting        Kind = "waiting" // of a function of the caller's own: for something that is not known
	Mixed          Kind = "mixed"   // none of them decides
	Unknown        Kind = "unknown" // no warm invocation, or one that tells nothing of itself
)

// Thresholds from which a share decides, tried in this order: memory,
// requests, CPU, network, latency. A short CPU makes every answer late, so CPU
// comes before what is measured in time.
const (
	memoryDecides  = 0.90
	retriesDecide  = 0.02
	cpuDecides     = 0.80
	networkDecides = 0.80
	latencyDecides = 0.60
)

// leastForCPU is the shortest duration, in ms, that has a CPU share: five of
// the 20 ms periods in which a quota is given out. In one period a process can
// use many times its share, so that less says nothing.
const leastForCPU = 100

// ceilingHolds is how much of the bandwidth may be seen before it is no limit
// of this run: bytes may come ahead of a rate, but not for long.
const ceilingHolds = 1.25

// Share is one resource's part, 0.97 of what there is; it may be unknown.
type Share struct {
	Value float64 `json:"value"`
	Known bool    `json:"known"`
}

// percent reads "97%". A setting cannot use more than there is: what is measured
// beyond is inexact.
func (s Share) percent() string { return fmt.Sprintf("%.0f%%", min(s.Value, 1)*100) }

// Verdict says why a setting takes the time it does.
type Verdict struct {
	Kind   Kind   `json:"kind"`
	Figure string `json:"figure"` // the one that decides: "97% of its CPU share"
	Helps  string `json:"helps"`  // what would help

	CPU     Share `json:"cpu"`     // CPU time over CPU share × duration
	Latency Share `json:"latency"` // listing, and rounds of first bytes, over duration
	Network Share `json:"network"` // bytes a second over the ceiling
	Memory  Share `json:"memory"`  // peak over the limit
	Retries Share `json:"retries"` // second and later GETs over objects
}

// Short is the verdict in a table's cell: "CPU 97%".
func (v Verdict) Short() string {
	name, share := "", Share{}
	switch v.Kind {
	case CPUBound:
		name, share = "CPU", v.CPU
	case LatencyBound:
		name, share = "latency", v.Latency
	case NetworkBound:
		name, share = "network", v.Network
	case MemoryBound:
		name, share = "memory", v.Memory
	case RequestLimited:
		name, share = "retries", v.Retries
	case Waiting:
		name, share = "waits", Share{1 - v.CPU.Value, true}
	case Mixed:
		return string(Mixed)
	default:
		return table.None
	}
	return name + " " + share.percent()
}

// String is the verdict in one sentence.
func (v Verdict) String() string {
	s := string(v.Kind)
	if v.Figure != "" {
		s += ", " + v.Figure
	}
	if v.Helps != "" {
		s += ": " + v.Helps
	}
	return s
}

// verdicts judges every row. The first byte's own time is the least that any
// setting of the file has seen: where CPU is short it looks longer.
func (r *Report) verdicts() {
	ttfb := math.Inf(1)
	for _, row := range r.Rows {
		if mean := row.seen.ttfbMean(); mean > 0 {
			ttfb = min(ttfb, mean)
		}
	}
	for i := range r.Rows {
		r.Rows[i].Verdict = r.judge(r.Rows[i], ttfb)
	}
}

// ttfbMean estimates the mean of the first bytes' times from median and 99th
// percentile, as that of a lognormal distribution; without the percentile it
// is the median.
func (u usage) ttfbMean() float64 {
	if u.ttfbP50 <= 0 || u.ttfbP99 < u.ttfbP50 {
		return u.ttfbP50
	}
	const z99 = 2.3263 // the normal distribution's 99th percentile
	sigma := math.Log(u.ttfbP99/u.ttfbP50) / z99
	return u.ttfbP50 * math.Exp(sigma*sigma/2)
}

// judge gives a row's shares, and the first that decides.
func (r *Report) judge(row Row, ttfb float64) Verdict {
	v, d := r.shares(row, ttfb)
	for _, f := range row.Failures {
		if f.Name == oom {
			v.Kind, v.Memory = MemoryBound, Share{1, true}
			v.Figure = fmt.Sprintf("killed for memory in %d of %d invocations", f.Count, row.Invocations)
			v.Helps = r.lessMemory()
			return v
		}
	}
	if row.Warm.N == 0 || row.Warm.Median <= 0 {
		return v
	}
	decided := func(s Share, least float64) bool { return s.Known && s.Value >= least }
	switch {
	case decided(v.Memory, memoryDecides):
		v.Kind, v.Figure, v.Helps = MemoryBound, fmt.Sprintf("peak %d of %d MB", row.MaxMemoryMB, row.MemoryMB), r.lessMemory()
	case decided(v.Retries, retriesDecide):
		v.Kind, v.Figure = RequestLimited, fmt.Sprintf("%.1f%% of the GETs were retried", v.Retries.Value*100)
		v.Helps = "fewer workers, or objects spread over more prefixes"
	case r.Own():
		v.judgeOwn(row, d)
	case decided(v.CPU, cpuDecides):
		v.Kind, v.Figure, v.Helps = CPUBound, v.CPU.percent()+" of its CPU share", d.moreCPU(row)
	case decided(v.Network, networkDecides):
		v.Kind, v.Figure = NetworkBound, fmt.Sprintf("%s of %.0f Mbit/s", v.Network.percent(), r.Header.BandwidthOf(row.MemoryMB)*8/1e6)
		v.Helps = "reading fewer bytes, or several functions side by side"
	case decided(v.Latency, latencyDecides):
		v.Kind, v.Helps = LatencyBound, d.lessLatency(row, v.CPU.Known)
		v.Figure = fmt.Sprintf("%s of the time %d in flight wait for first bytes of %.0f ms", v.Latency.percent(), row.InFlight(), ttfb)
	case v.CPU.Known || v.Latency.Known:
		v.Kind, v.Figure = Mixed, mixture(v)
	}
	return v
}

// waitingDecides is the share of its time from which a function of the caller's
// own waits: the CPU share that it has is not what takes it.
const waitingDecides = 0.5

// judgeOwn judges a function that nothing is known of but its CPU time.
func (v *Verdict) judgeOwn(row Row, d demand) {
	switch {
	case !v.CPU.Known:
	case v.CPU.Value >= cpuDecides:
		v.Kind, v.Figure = CPUBound, v.CPU.percent()+" of its CPU share"
		if more, duration := min(row.MemoryMB*2, lambda.MaxMemoryMB), row.Warm.Median; row.Limits.VCPU == 0 && more > row.MemoryMB {
			then := d.cpuMS / lambda.VCPU(more)
			v.Helps = "if one thread does the work, no more than 1,769 MB helps; else " +
				forecast(more, duration/then, then*float64(more)/(duration*float64(row.MemoryMB)))
			if more <= lambda.VCPUMemoryMB {
				v.Helps = forecast(more, duration/then, then*float64(more)/(duration*float64(row.MemoryMB)))
			}
		}
	case 1-v.CPU.Value >= waitingDecides:
		v.Kind, v.Figure = Waiting, fmt.Sprintf("%.0f%% of its time it does not use its CPU share", (1-v.CPU.Value)*100)
		v.Helps = "faster answers of whatever it calls, or calling side by side"
		if least := leastMemory(d.cpuMS, row.Warm.Median, row.MemoryMB); least < row.MemoryMB && least >= row.MaxMemoryMB {
			v.Helps += fmt.Sprintf("; %d MB would be about as fast and cheaper", least)
		}
	default:
		v.Kind, v.Figure = Mixed, "CPU "+v.CPU.percent()
	}
}

// lessMemory says what helps a setting that has too little memory.
func (r *Report) lessMemory() string {
	if r.Own() {
		return "more memory"
	}
	return "more memory, or fewer workers"
}

// demand is how long a setting's invocation takes of each resource, in ms, were
// there enough of the others.
type demand struct{ cpuMS, latencyMS, networkMS, objects float64 }

// shares measures what a row used of each resource.
func (r *Report) shares(row Row, ttfb float64) (Verdict, demand) {
	u, duration := row.seen, row.Warm.Median
	limited := !row.Limits.None()
	v := Verdict{Kind: Unknown, Memory: Share{float64(row.MaxMemoryMB) / float64(max(row.MemoryMB, 1)), row.MaxMemoryMB > 0 && limited}}
	d := demand{cpuMS: u.cpuMS, objects: u.objects}
	if row.Warm.N == 0 || duration <= 0 {
		return v, d
	}
	if duration >= leastForCPU {
		v.CPU = Share{u.cpuMS / (duration * u.vcpu), u.hasCPU && limited}
	}
	if workers := row.InFlight(); workers > 0 && u.objects > 0 && ttfb > 0 && !math.IsInf(ttfb, 0) && u.hasStats {
		d.latencyMS = u.listMS + math.Ceil(u.objects/float64(workers))*ttfb
		v.Latency = Share{min(d.latencyMS/duration, 1), true}
	}
	if bandwidth := r.Header.BandwidthOf(row.MemoryMB); bandwidth > 0 && !r.Own() {
		d.networkMS = u.bytes / bandwidth * 1000
		v.Network = Share{d.networkMS / duration, d.networkMS <= duration*ceilingHolds}
	}
	if u.hasStats && u.objects > 0 {
		v.Retries = Share{u.retries / u.objects, true}
	}
	return v, d
}

// moreCPU says what helps a setting that is short of CPU.
func (d demand) moreCPU(row Row) string {
	const lessCPU = "a client with less CPU per object"
	more, duration := min(row.MemoryMB*2, lambda.MaxMemoryMB), row.Warm.Median
	then := max(d.cpuMS/lambda.VCPU(more), d.latencyMS, d.networkMS)
	if row.Limits.VCPU > 0 || then > duration*0.95 { // no more CPU here, or as fast as it gets
		return lessCPU + "; more memory alone will not help much"
	}
	return lessCPU + "; " + forecast(more, duration/then, then*float64(more)/(duration*float64(row.MemoryMB)))
}

// lessLatency says what helps a setting that waits.
func (d demand) lessLatency(row Row, knowsCPU bool) string {
	helps := "more workers"
	if float64(row.InFlight()) >= d.objects {
		helps = "storage with a faster first byte, such as S3 Express One Zone"
	}
	if least := leastMemory(d.cpuMS, row.Warm.Median, row.MemoryMB); knowsCPU && least < row.MemoryMB {
		helps += fmt.Sprintf("; %d MB would be as fast and cheaper", least)
	}
	return helps
}

// forecast reads "256 MB: about 1.9× as fast, compute +5%".
func forecast(memoryMB int, faster, compute float64) string {
	price := fmt.Sprintf("compute %+.0f%%", (compute-1)*100)
	if math.Abs(compute-1) < 0.05 {
		price = "compute at the same price"
	}
	return fmt.Sprintf("%d MB: about %.1f× as fast, %s", memoryMB, faster, price)
}

// leastMemory is the memory size at which a setting that waits would need
// three quarters of its CPU share for the same time, in steps of 64 MB.
func leastMemory(cpuMS, durationMS float64, memoryMB int) int {
	const leave = 0.75
	mb := cpuMS / durationMS / leave * lambda.VCPUMemoryMB
	return min(max(int(math.Ceil(mb/64))*64, lambda.MinMemoryMB), memoryMB)
}

func mixture(v Verdict) string {
	var parts []string
	for _, p := range []struct {
		name  string
		share Share
	}{{"CPU", v.CPU}, {"latency", v.Latency}, {"network", v.Network}} {
		if p.share.Known {
			parts = append(parts, p.name+" "+p.share.percent())
		}
	}
	return strings.Join(parts, ", ")
}

// Why is the verdict without its kind, for a cell that has that already.
func (v Verdict) Why() string {
	if v.Kind == Mixed {
		return v.Figure
	}
	return strings.TrimPrefix(strings.TrimPrefix(v.String(), string(v.Kind)), ", ")
}
