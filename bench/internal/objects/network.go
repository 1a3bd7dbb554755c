package objects

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Network names what lies between a caller and the objects.
type Network string

// The networks there are.
const (
	S3Standard Network = "s3-standard" // S3 in the same region, general purpose bucket
	S3Express  Network = "s3-express"  // S3 Express One Zone in the same zone
	None       Network = "none"        // loopback as it is: no latency, no limit
)

// ParseNetwork takes the name of a network, as a user writes it.
func ParseNetwork(name string) (Network, error) {
	switch n := Network(name); n {
	case S3Standard, S3Express, None:
		return n, nil
	}
	return "", fmt.Errorf("network %q: must be one of %s", name, strings.Join([]string{string(S3Standard), string(S3Express), string(None)}, ", "))
}

// Model is what a [Network] does to a request. A zero field does nothing.
type Model struct {
	// FirstByteMedian and FirstByteP99 define the lognormal that the time
	// from a request's arrival to the first byte of its answer is drawn from.
	FirstByteMedian, FirstByteP99 time.Duration
	// Bandwidth is what one caller gets over all its connections, in bytes a
	// second.
	Bandwidth float64
	// GetLimit is how many GET and HEAD requests a second one prefix of a
	// bucket answers; past that they get 503 SlowDown.
	GetLimit float64
}

// Model gives the figures of a network. 5,500 GETs a second and prefix is S3's
// documented rate. The latencies (median 20 ms and 99th percentile 100 ms, 5
// and 15 ms for Express) and 600 Mbit/s a function are this project's model of
// a function beside its bucket: assumptions, to compare settings by.
func (n Network) Model() Model {
	const functionBandwidth = 600e6 / 8
	switch n {
	case S3Standard:
		return Model{20 * time.Millisecond, 100 * time.Millisecond, functionBandwidth, 5500}
	case S3Express:
		return Model{5 * time.Millisecond, 15 * time.Millisecond, functionBandwidth, 5500}
	}
	return Model{}
}

// Faults are shares, 0 to 1, of the GETs of objects that go wrong. Of the
// first three a request has at most one, so that their sum is at most 1.
type Faults struct {
	SlowDown float64 // answered 503 SlowDown
	Reset    float64 // the connection is reset in place of an answer
	Short    float64 // the whole Content-Length is promised, half is sent
	Spike    float64 // the first byte takes ten times as long
}

// Validate says which share is out of range.
func (f Faults) Validate() error {
	for _, s := range []struct {
		name  string
		share float64
	}{{"slow-down", f.SlowDown}, {"reset", f.Reset}, {"short", f.Short}, {"spike", f.Spike}, {"slow-down, reset and short together", f.SlowDown + f.Reset + f.Short}} {
		if !(s.share >= 0 && s.share <= 1) { // so put, NaN is refused too
			return fmt.Errorf("fault share %s %g: must be 0 to 1", s.name, s.share)
		}
	}
	return nil
}

type fault int

const (
	noFault fault = iota
	slowDownFault
	resetFault
	shortFault
)

// dice draws what happens to each request. The same seed gives the same
// sequence of draws; which request gets which depends on their order of
// arrival.
type dice struct {
	mu     sync.Mutex
	median float64 // nanoseconds; 0: no latency
	sigma  float64
	faults Faults
	// Two generators, so that switching faults on does not change the
	// latencies.
	latencyRand, faultRand *rand.Rand
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

// spikeFactor is how much longer a spike's first byte takes.
const spikeFactor = 10

func newDice(seed uint64, m Model, f Faults) *dice {
	d := &dice{
		faults:      f,
		latencyRand: rand.New(rand.NewPCG(seed, 1)),
		faultRand:   rand.New(rand.NewPCG(seed, 2)),
	}
	if m.FirstByteMedian > 0 {
		d.median = float64(m.FirstByteMedian)
		d.sigma = math.Log(float64(m.FirstByteP99)/float64(m.FirstByteMedian)) / z99
	}
	return d
}

func (d *dice) setFaults(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// latency draws the time to the first byte of one request.
func (d *dice) latency() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.latencyLocked()
}

func (d *dice) latencyLocked() time.Duration {
	if d.median == 0 {
		return 0
	}
	return time.Duration(d.median * math.Exp(d.sigma*d.latencyRand.NormFloat64()))
}

// get draws the time to the first byte of one GET, and what goes wrong with
// it.
func (d *dice) get() (latency time.Duration, f fault, spike bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	latency = d.latencyLocked()
	if d.faults == (Faults{}) {
		return latency, noFault, false
	}
	u := d.faultRand.Float64()
	spike = d.faultRand.Float64() < d.faults.Spike
	if spike {
		latency *= spikeFactor
	}
	switch {
	case u < d.faults.SlowDown:
		f = slowDownFault
	case u < d.faults.SlowDown+d.faults.Reset:
		f = resetFault
	case u < d.faults.SlowDown+d.faults.Reset+d.faults.Short:
		f = shortFault
	}
	return latency, f, spike
}
