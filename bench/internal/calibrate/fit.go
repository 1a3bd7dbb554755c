package calibrate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/functions/lambda"
)

// fitFirstByte fits the lognormal of the first byte, for each size of objects: what
// idle settings saw, corrected by what a simulation of them sees, and by what
// this machine adds. A size that does not tell it is left out if another does.
func fitFirstByte(m *network.Model, all []sample, mine here, assume func(string, ...any)) error {
	var untold error
	slices.SortStableFunc(all, func(a, b sample) int { return cmp.Compare(a.ObjectBytes, b.ObjectBytes) })
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(s sample) bool { return float64(s.ObjectBytes) > float64(all[0].ObjectBytes)*sameSize })
		if n < 0 {
			n = len(all)
		}
		if first, err := firstByteOf(all[:n]); err == nil {
			late := mine.late(first.Bytes)
			first.Median, first.P99 = max(first.Median-late, first.Median/2), max(first.P99-late, first.Median/2)
			m.Sizes = append(m.Sizes, first)
		} else {
			untold = cmp.Or(untold, err)
			assume("objects of %d bytes have the first byte of the nearest size: their settings do not tell it", all[0].ObjectBytes)
		}
		all = all[n:]
	}
	if len(m.Sizes) == 0 {
		return untold
	}
	middle := m.Sizes[len(m.Sizes)/2]
	m.FirstByteMedian, m.FirstByteP99 = middle.Median, middle.P99
	if len(m.Sizes) == 1 {
		m.Sizes = nil
	}
	return nil
}

// firstByteOf fits it to settings with objects of one size.
func firstByteOf(all []sample) (network.FirstByte, error) {
	idle := idleOf(all)
	var p50, p99 []float64
	for _, s := range idle {
		p50, p99 = append(p50, s.p50...), append(p99, s.p99...)
	}
	told := func(s sample) bool { return len(s.p50) > 0 }
	switch {
	case len(idle) == 0 && slices.ContainsFunc(all, told):
		return network.FirstByte{}, hint.Failed("measure a setting with fewer workers or more memory, such as --memory 1769 --concurrency 16",
			"calibrate: every setting with objects of %d bytes used most of its CPU share or bandwidth, "+
				"so that no first byte was seen as it is", all[0].ObjectBytes)
	case len(idle) == 0:
		return network.FirstByte{}, noPercentiles(all)
	case len(p50) < leastInvocations:
		return network.FirstByte{}, hint.Failed(fmt.Sprintf("measure with --invocations %d or more", leastInvocations),
			"calibrate: too few invocations: %d warm ones tell the first byte's percentiles of objects of %d bytes, and it takes %d",
			len(p50), all[0].ObjectBytes, leastInvocations)
	}
	want50, want99 := middle(p50), middle(p99)
	fit := network.FirstByte{Bytes: max(idle[0].ObjectBytes, 1), Median: inMS(want50), P99: inMS(want99)}
	for range rounds {
		var seen50, seen99 []float64
		for i, s := range idle {
			o := simulatedTimes(percentileTimes, network.Model{FirstByteMedian: fit.Median, FirstByteP99: fit.P99}, s.load, uint64(i))
			for range s.p50 {
				seen50, seen99 = append(seen50, o.p50MS), append(seen99, o.p99MS)
			}
		}
		fit.Median = scaled(fit.Median, want50/middle(seen50))
		fit.P99 = max(scaled(fit.P99, want99/middle(seen99)), fit.Median)
	}
	return fit, nil
}

// noPercentiles says why no invocation of settings with objects of one size tells the
// first byte's percentiles.
func noPercentiles(all []sample) error {
	most := 0
	for _, s := range all {
		most = max(most, len(s.load.sizes))
	}
	if most < leastObjects {
		return hint.Failed(fmt.Sprintf("measure with --objects %d or more", leastObjects),
			"calibrate: too few objects: %d of %d bytes, and a first byte's 99th percentile takes %d", most, all[0].ObjectBytes, leastObjects)
	}
	return hint.Failed("measure with a client of this repository, such as lean",
		"calibrate: no function says the first byte's percentiles of objects of %d bytes", all[0].ObjectBytes)
}

// fitList fits the first byte of a page of a listing to what settings with CPU to
// spare waited for listings. It includes what reading the answer takes: a few ms.
func fitList(m *network.Model, all []sample, assume func(string, ...any)) {
	median, p99 := m.FirstByteOf(0)
	listed := listedOf(all, network.Sigma(median, p99))
	if len(listed) < leastInvocations {
		assume("a listing's page has an object's first byte: %d invocations of settings that do little else tell of it, and it takes %d",
			len(listed), leastInvocations)
		return
	}
	m.List = inMS(math.Exp(mean(listed)))
}

// listedOf gives, for each invocation of quick settings, the logarithm of the
// median that a page's time has, in ms, if its listing took as long as such
// listings take in the mean.
func listedOf(all []sample, sigma float64) []float64 {
	var listed []float64
	for _, s := range quickOf(all) {
		of := logOfPages(pages(len(s.load.sizes)), sigma)
		for _, ms := range s.listMS {
			listed = append(listed, math.Log(ms)-of)
		}
	}
	return listed
}

// quickOf gives the settings that have CPU to spare, and whose client takes little
// of it: of the others, reading the answer takes much of the time.
func quickOf(all []sample) []sample {
	least := math.Inf(1)
	for _, s := range all {
		if s.load.cpuMS > 0 {
			least = min(least, s.load.cpuMS)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s sample) bool {
		return s.cpuShare > idleCPU || s.load.cpuMS > quickCPU*least
	})
}

// logOfPages is the mean logarithm of the sum of so many lognormal times with a
// median of 1: of one it is 0.
func logOfPages(pages int, sigma float64) float64 {
	if pages == 1 {
		return 0
	}
	const draws = 2000
	rng := rand.New(rand.NewPCG(1, 3))
	logs := make([]float64, draws)
	for i := range logs {
		sum := 0.0
		for range pages {
			sum += math.Exp(sigma * rng.NormFloat64())
		}
		logs[i] = math.Log(sum)
	}
	return mean(logs)
}

func scaled(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// idleOf gives the settings that have CPU and bandwidth to spare.
func idleOf(all []sample) []sample {
	top := 0.0
	for _, s := range all {
		top = max(top, s.bytesPerMS)
	}
	spare := func(most float64) []sample {
		return slices.DeleteFunc(slices.Clone(all), func(s sample) bool {
			return len(s.p50) == 0 || s.cpuShare > idleCPU || s.bytesPerMS > idleBandwidth*most
		})
	}
	if idle := spare(min(top, lambda.BandwidthBytesPerS/1000)); len(idle) > 0 {
		return idle
	}
	return spare(lambda.BandwidthBytesPerS / 1000) // all of them may be: then none is at the top
}

// fitBandwidth fits what the settings moved that nothing but the bandwidth held, by
// those of them that it held the most: of the others, chance decides as much.
// said is that the functions were deployed with lambda.QuotaBandwidth, for where
// they do not show it.
func fitBandwidth(m *network.Model, all []sample, said bool, assume func(string, ...any)) {
	free := *m // without any limit
	var held []heldSample
	var top, most [2]float64 // bytes a millisecond, and the highest by, of small sizes and of those that may have more
	which := func(s sample) int {
		if s.MemoryMB > lambda.QuotaFromMB {
			return 1
		}
		return 0
	}
	for _, s := range all {
		top[which(s)] = max(top[which(s)], s.bytesPerMS)
	}
	for i, s := range all {
		if s.bytesPerMS < nearTop*top[which(s)] || s.cpuShare > boundShare {
			continue
		}
		by := s.MeasuredMS / simulated(free, s.load, uint64(i)).durationMS
		if by < bandwidthBinds {
			continue
		}
		held = append(held, heldSample{sample: s, by: by, seed: uint64(i)})
		most[which(s)] = max(most[which(s)], by)
	}
	var small, flat, steep []float64
	for _, s := range held {
		if s.by < heldMost*most[which(s.sample)] {
			continue
		}
		if fitted := bandwidthOf(free, s.sample, s.seed); which(s.sample) == 0 {
			small = append(small, fitted)
		} else {
			flat = append(flat, fitted)
			steep = append(steep, fitted/lambda.Bandwidth(s.MemoryMB, true)*lambda.BandwidthBytesPerS)
		}
	}
	if m.Quota = said; said && (len(small) == 0 || len(flat) == 0) {
		assume("bandwidth that grows from %d MB on: the functions say so, and no settings on both sides of it used theirs up", lambda.QuotaFromMB)
	}
	switch {
	case len(small) > 0:
		m.Bandwidth = median(small)
		if len(flat) > 0 { // beyond 2,048 MB either the same was there, or more by memory: the nearer
			m.Quota = math.Abs(math.Log(median(steep)/m.Bandwidth)) < math.Abs(math.Log(median(flat)/m.Bandwidth))
		}
	case len(flat) > 0 && said:
		m.Bandwidth = median(steep)
	case len(flat) > 0:
		assume("bandwidth: only settings above %d MB used it up, and it is taken for the same at each size", lambda.QuotaFromMB)
		m.Bandwidth = median(flat)
	default:
		m.Bandwidth = lambda.BandwidthBytesPerS
		for _, s := range all { // none has less than it moved
			m.Bandwidth = max(m.Bandwidth, s.bytesPerMS*1000*lambda.BandwidthBytesPerS/lambda.Bandwidth(s.MemoryMB, m.Quota))
		}
		assume("%.0f Mbit/s of bandwidth: no setting used it up (a run with larger objects would tell it, such as --objects 200 "+
			"--min-bytes 2000000 --max-bytes 2000000 --memory 1769 --concurrency 64)", m.Bandwidth*8/1e6)
	}
}

// boundShare is from which CPU share on a setting may be held by its CPU.
const boundShare = 0.8

// heldSample is a setting that the bandwidth held.
type heldSample struct {
	sample
	by   float64 // how many times as long as without a limit it took
	seed uint64  // of its simulation
}

// bandwidthOf finds the bandwidth, in bytes a second, with which a setting takes
// as long as it did.
func bandwidthOf(m network.Model, s sample, seed uint64) float64 {
	lo, hi := s.bytesPerMS*1000/2, s.bytesPerMS*1000*4
	for range 14 {
		m.Bandwidth = math.Sqrt(lo * hi)
		if simulated(m, s.load, seed).durationMS > s.MeasuredMS {
			lo = m.Bandwidth
		} else {
			hi = m.Bandwidth
		}
	}
	return m.Bandwidth
}

// fitThisMachine fits what a run of the sandbox on this machine is compared for:
// the CPU factor, and the connection's set-up beyond the work of both ends.
func fitThisMachine(
	m *network.Model, in Input, all []sample, mine here, connects []float64, assume func(string, ...any),
) error {
	here := 0.0 // what a set-up takes here beyond the model's, in ms
	m.CPUFactor = 1
	if in.Sandbox == nil {
		assume("CPU factor 1: no run of the sandbox was given to compare with (--sandbox)")
	} else {
		ratios, err := cpuRatios(in, all, mine.samples)
		if err != nil {
			return err
		}
		if apart := lambda.Milliseconds(m.FirstByteMedian) / max(lambda.Milliseconds(mine.model.FirstByteMedian), 1); apart > sameNetwork ||
			apart < 1/sameNetwork {
			assume("CPU factor: by a sandbox with another network (fanout run --network with the model that is made without --sandbox is better)")
		}
		m.CPUFactor, m.Calibration.Against = median(ratios), in.Sandbox.Header.Host
		if connects := connectsOf(*in.Sandbox); len(connects) > 0 {
			here = max(median(connects)-lambda.Milliseconds(in.Sandbox.Header.NetworkModel().Connect), 0)
		}
	}
	if len(connects) == 0 {
		assume("no time to connect: no cold start tells it; client lean does")
		return nil
	}
	m.Connect = inMS(max(median(connects)-here, 0))
	return nil
}

// cpuRatios gives, for each setting of both, the CPU time of an object where it was
// measured over that on this machine: of those with CPU to spare, if there are
// some.
func cpuRatios(in Input, all, mine []sample) ([]float64, error) {
	h := in.Sandbox.Header
	var ratios, spare []float64
	size := false
	for _, s := range all {
		for _, o := range mine {
			ratio := float64(s.ObjectBytes) / float64(max(o.ObjectBytes, 1))
			if s.Key != o.Key || ratio > sameSize || ratio < 1/sameSize || len(s.load.sizes) != len(o.load.sizes) {
				size = size || s.Key == o.Key
				continue
			}
			if s.load.cpuMS > 0 && o.load.cpuMS > 0 {
				ratio := s.load.cpuMS / o.load.cpuMS
				if ratios = append(ratios, ratio); s.cpuShare <= boundShare && o.cpuShare <= boundShare {
					spare = append(spare, ratio)
				}
			}
		}
	}
	if len(spare) >= leastRatios { // where CPU is short, chance decides what an object takes of it
		ratios = spare
	}
	switch {
	case len(ratios) > 0 && question(h.Plan) == question(in.Measured[0].Header.Plan):
		return ratios, nil
	case len(ratios) > 0:
		return nil, hint.Usage("give --count to both or to none", "calibrate: --sandbox: another workload: one counted, the other searched")
	case size:
		return nil, hint.Usage("run the sandbox with --objects, --min-bytes and --max-bytes, or --shape, like the measured objects",
			"calibrate: --sandbox: another workload: run %s read objects of another number or size", h.Run)
	}
	return nil, hint.Usage("fanout report of the measured run shows the command that repeats it",
		"calibrate: --sandbox: run %s has no setting of the measured ones (memory, architecture, contender, client, workers)", h.Run)
}
