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

// The networks there are; [Models] says what each is.
const (
	S3Standard Network = "s3-standard"
	S3Express  Network = "s3-express"
	None       Network = "none"
)

// Model is what a [Network] does to a request. A zero figure does nothing.
type Model struct {
	Name  Network
	About string // one line, for help and completion
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

// functionBandwidth is what one function gets: 600 Mbit/s.
const functionBandwidth = 600e6 / 8

// Models lists the networks there are, the default first. 5,500 GETs a second
// and prefix is S3's documented rate. The latencies and the bandwidth are this
// project's model of a function beside its bucket: assumptions, to compare
// settings by.
var Models = []Model{
	{S3Standard, "S3 in the same region, general purpose bucket", 20 * time.Millisecond, 100 * time.Millisecond, functionBandwidth, 5500},
	{S3Express, "S3 Express One Zone in the same zone", 5 * time.Millisecond, 15 * time.Millisecond, functionBandwidth, 5500},
	{None, "loopback as it is: no latency, no limit", 0, 0, 0, 0},
}

// Networks gives the names of [Models], in the same order.
func Networks() []string {
	names := make([]string, len(Models))
	for i, m := range Models {
		names[i] = string(m.Name)
	}
	return names
}

// ParseNetwork takes the name of a network, as a user writes it.
func ParseNetwork(name string) (Network, error) {
	for _, m := range Models {
		if string(m.Name) == name {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("network %q: must be one of %s", name, strings.Join(Networks(), ", "))
}

// Model gives what n does; of a network that is not there, nothing.
func (n Network) Model() Model {
	for _, m := range Models {
		if m.Name == n {
			return m
		}
	}
	return Model{}
}

// String gives the figures of m in words.
func (m Model) String() string {
	if m.FirstByteMedian == 0 && m.Bandwidth == 0 && m.GetLimit == 0 {
		return "no latency, no limit"
	}
	return fmt.Sprintf("first byte %d ms (99th percentile %d ms), %.0f Mbit/s a process, %.0f GET/s a prefix",
		m.FirstByteMedian.Milliseconds(), m.FirstByteP99.Milliseconds(), m.Bandwidth*8/1e6, m.GetLimit)
}

// latencySampler draws the time to the first byte of each request. The same seed
// gives the same sequence; which request gets which depends on their order of
// arrival.
type latencySampler struct {
	median float64 // nanoseconds; 0: no latency
	sigma  float64
	mu     sync.Mutex // of rng
	rng    *rand.Rand
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

func newLatencySampler(seed uint64, m Model) *latencySampler {
	l := &latencySampler{rng: rand.New(rand.NewPCG(seed, 1))}
	if m.FirstByteMedian > 0 {
		l.median = float64(m.FirstByteMedian)
		l.sigma = math.Log(float64(m.FirstByteP99)/float64(m.FirstByteMedian)) / z99
	}
	return l
}

func (l *latencySampler) draw() time.Duration {
	if l.median == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.median * math.Exp(l.sigma*l.rng.NormFloat64()))
}
