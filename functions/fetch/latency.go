package fetch

import (
	"math/bits"
	"time"
)

// latencies is a histogram of durations in constant memory, so that a million
// objects take no more of it than a thousand. Buckets are 1/32 of an octave of
// microseconds wide: a quantile is off by at most 3.2%, or by a microsecond.
type latencies struct {
	n       int
	buckets [40 * 32]uint32
}

func (l *latencies) add(d time.Duration) {
	l.n++
	l.buckets[bucketOf(uint64(max(d.Microseconds(), 0)))]++
}

func bucketOf(us uint64) int {
	if us < 32 {
		return int(us)
	}
	exp := bits.Len64(us) - 6 // us>>exp is 32 to 63
	return min(exp*32+int(us>>exp), len(latencies{}.buckets)-1)
}

func (l *latencies) merge(other *latencies) {
	l.n += other.n
	for i, c := range other.buckets {
		l.buckets[i] += c
	}
}

// quantileMS gives the q-quantile in milliseconds, the middle of its bucket;
// nil under atLeast samples.
func (l *latencies) quantileMS(q float64, atLeast int) *float64 {
	if l.n < max(atLeast, 1) {
		return nil
	}
	rank := int(q * float64(l.n-1))
	for i, c := range l.buckets {
		if rank -= int(c); rank < 0 {
			us := float64(i)
			if i >= 64 {
				exp := i/32 - 1
				us = (float64(32+i%32) + 0.5) * float64(uint64(1)<<exp)
			}
			ms := us / 1000
			return &ms
		}
	}
	return nil
}
