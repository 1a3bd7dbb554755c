package objects

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"fanout/bench/internal/network"
)

// latencySampler draws the time to the first byte of each request. The same seed
// gives the same sequence; which request gets which depends on their order of
// arrival.
type latencySampler struct {
	median float64 // nanoseconds; 0: no latency
	sigma  float64
	mu     sync.Mutex // of rng
	rng    *rand.Rand
}

func newLatencySampler(seed uint64, m network.Model) *latencySampler {
	l := &latencySampler{rng: rand.New(rand.NewPCG(seed, 1))}
	l.median, l.sigma = float64(m.FirstByteMedian), m.Sigma()
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
