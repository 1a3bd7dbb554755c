package calibrate

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"fanout/bench/internal/network"
	"fanout/functions/lambda"
)

// load is what one warm invocation of a setting does.
type load struct {
	sizes    []int64 // of the objects, in list order
	workers  int
	memoryMB int
	vcpu     float64 // CPU share
	cpuMS    float64 // CPU time an object, of the Lambda that is modelled
}

// outcome is what an invocation took.
type outcome struct {
	durationMS, listMS float64
	p50MS, p99MS       float64 // first byte, as the function sees it
}

// burstBytes may come ahead of the bandwidth, as in the embedded S3.
const burstBytes = 256 << 10

// keysPerPage is how many keys an answer of ListObjectsV2 has.
const keysPerPage = 1000

// pages is how many a listing of so many keys has.
func pages(keys int) int { return (keys + keysPerPage - 1) / keysPerPage }

// simulate plays one warm invocation: workers take objects off a queue that the
// listing fills; each request takes half of its object's CPU time before it is
// sent, waits for its first byte, shares the bandwidth with the others in order
// of arrival, and takes the other half. CPU is one queue with the share's speed.
// It knows nothing of the 20 ms in which a share is given out, of garbage
// collection, or of anything else that only a real process has.
func simulate(m network.Model, l load, rng *rand.Rand) outcome {
	s := simulation{model: m, load: l, rng: rng, bandwidth: m.BandwidthOf(l.memoryMB) / 1000, bytesAt: math.Inf(-1)}
	if s.bandwidth == 0 {
		s.bandwidth = math.Inf(1)
	}
	s.listed = make([]float64, pages(len(l.sizes)))
	for i := range s.listed {
		s.out.listMS += s.lognormal(m.FirstByteOfList())
		s.listed[i] = s.out.listMS
	}
	for range min(l.workers, len(l.sizes)) {
		s.take(0)
	}
	for s.events.Len() > 0 {
		e := heap.Pop(&s.events).(event)
		s.out.durationMS = max(s.out.durationMS, e.at)
		switch e.stage {
		case starts:
			s.after(event{at: s.compute(e.at) + s.draw(l.sizes[e.object]), stage: answered, object: e.object, began: e.at})
		case answered:
			s.firsts = append(s.firsts, max(e.at, s.cpuFree)-e.began)
			size := float64(l.sizes[e.object])
			s.bytesAt = max(s.bytesAt, e.at-burstBytes/s.bandwidth) + size/s.bandwidth
			s.after(event{at: max(e.at, s.bytesAt), stage: arrived})
		case arrived:
			done := s.compute(e.at)
			s.out.durationMS = max(s.out.durationMS, done)
			s.take(done)
		}
	}
	s.out.durationMS = max(s.out.durationMS, s.out.listMS)
	slices.Sort(s.firsts)
	if n := len(s.firsts); n > 0 { // the ranks are those of the function's own figures
		s.out.p50MS, s.out.p99MS = s.firsts[(n-1)/2], s.firsts[int(0.99*float64(n-1))]
	}
	return s.out
}

// Stages of a request.
const (
	starts   = iota // a worker has taken the object
	answered        // its first byte is there
	arrived         // its last byte is there
)

type event struct {
	at     float64 // ms
	stage  int
	object int
	began  float64
}

type simulation struct {
	model     network.Model
	load      load
	rng       *rand.Rand
	bandwidth float64 // bytes a millisecond

	events  eventHeap
	next    int       // object to take
	listed  []float64 // when each page is there
	cpuFree float64
	bytesAt float64 // when the bandwidth has carried what was asked of it
	firsts  []float64
	out     outcome
}

// draw gives a first byte's time, in ms.
func (s *simulation) draw(bytes int64) float64 { return s.lognormal(s.model.FirstByteOf(bytes)) }

// lognormal gives one of the times with these figures, in ms.
func (s *simulation) lognormal(median, p99 time.Duration) float64 {
	return lambda.Milliseconds(median) * math.Exp(network.Sigma(median, p99)*s.rng.NormFloat64())
}

// compute takes half of an object's CPU time, and gives when that is done.
func (s *simulation) compute(at float64) float64 {
	s.cpuFree = max(s.cpuFree, at) + s.load.cpuMS/2/s.load.vcpu
	return s.cpuFree
}

// take has a worker go on with the next object, once that is listed.
func (s *simulation) take(at float64) {
	if s.next < len(s.load.sizes) {
		s.after(event{at: max(at, s.listed[s.next/keysPerPage]), stage: starts, object: s.next})
		s.next++
	}
}

func (s *simulation) after(e event) { heap.Push(&s.events, e) }

// eventHeap has the earliest first.
type eventHeap []event

func (h eventHeap) Len() int           { return len(h) }
func (h eventHeap) Less(i, k int) bool { return h[i].at < h[k].at }
func (h eventHeap) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *eventHeap) Push(x any)        { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// simulated gives the medians of some simulated invocations. The same seed gives
// the same draws, so that two models are compared by their figures.
func simulated(m network.Model, l load, seed uint64) outcome { return simulatedTimes(11, m, l, seed) }

// simulatedTimes simulates so many invocations of up to 1,400 objects, and fewer
// of more.
func simulatedTimes(most int, m network.Model, l load, seed uint64) outcome {
	rng := rand.New(rand.NewPCG(seed, 3))
	n := min(max(1400*most/max(len(l.sizes), 1), 1), most) | 1
	all := make([]outcome, n)
	for i := range all {
		all[i] = simulate(m, l, rng)
	}
	median := func(of func(outcome) float64) float64 {
		v := make([]float64, n)
		for i, o := range all {
			v[i] = of(o)
		}
		slices.Sort(v)
		return v[n/2]
	}
	return outcome{
		durationMS: median(func(o outcome) float64 { return o.durationMS }), listMS: median(func(o outcome) float64 { return o.listMS }),
		p50MS: median(func(o outcome) float64 { return o.p50MS }), p99MS: median(func(o outcome) float64 { return o.p99MS }),
	}
}

// inMS is a time in milliseconds.
func inMS(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
