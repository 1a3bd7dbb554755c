package fetch

import (
	"runtime"
	"sync"
	"time"
)

// crew finds out how many workers to read with, where nobody said: it starts
// with what the CPU share can feed and doubles as long as the workers wait for
// the network rather than for CPU or bandwidth, or for the slowest of them in
// spite of a full bandwidth. It never shrinks: once their connections are open,
// workers too many cost next to nothing, while a handshake takes as much CPU as
// some ten objects.
type crew struct {
	share float64 // vCPUs
	now   func() time.Time
	cpu   func() time.Duration

	mu      sync.Mutex
	workers int
	begun   bool
	objects int           // read since the last look
	bytes   int64         // of them
	slowest time.Duration // to a first byte
	at      time.Time
	used    time.Duration
	settled bool // bound by something that more workers do not help
}

const (
	// leastAuto is where a crew starts: 16 rounds of latency for 1,000 objects.
	leastAuto = 64

	// A CPU share under half a vCPU comes in slices, with waits in between: with
	// more requests under way more is there to read in each slice, and an object
	// costs less. At 128 MB 128 workers took 665 ms and 64 took 805 (medians of
	// 7, s3-standard); with fewer connections open it would not pay.
	smallShare     = 0.5
	smallShareAuto = 128

	// mostAuto bounds the crew: above it a first byte would have to take over
	// 80 ms for the bandwidth not to be used up by objects of 25 kB.
	mostAuto = 256

	// busy is the share of CPU, or of bandwidth, above which more workers would
	// only wait in another place.
	busy = 0.85

	// functionBandwidth is what one function's network gives, in bytes a
	// second: 600 Mbit/s, as the sandbox models it.
	functionBandwidth = 600e6 / 8

	// burstyLook is how long to look before CPU is judged, of a share of nearly
	// nothing; less of a larger one. A share is given out every 20 ms, all at
	// once, so that a look sees up to one burst too many or too few.
	burstyLook = 200 * time.Millisecond

	// longTail is how many times as long as the mean the slowest object of a
	// look took where more workers help although the bandwidth is used up:
	// with all of the last objects under way early, the slowest of them is no
	// longer waited for alone.
	longTail = 2
)

// newCrew starts at a size learned before, or, where that is 0, at leastAuto;
// at smallShareAuto on a small CPU share whose connections INIT has opened.
func newCrew(memoryMB, learned int, warmed bool) *crew {
	c := &crew{share: float64(runtime.GOMAXPROCS(0)), now: time.Now, cpu: cpuTime, workers: learned}
	if memoryMB > 0 {
		c.share = min(c.share, float64(memoryMB)/mbPerVCPU)
	}
	if c.workers == 0 {
		c.workers = leastAuto
		if warmed && c.share < smallShare {
			c.workers = smallShareAuto
		}
	}
	return c
}

// read counts an object in, and gives how many workers to add.
func (c *crew) read(bytes int64, firstByte time.Duration) (more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun { // the listing before the first object is not for workers to shorten
		c.begun, c.at, c.used = true, c.now(), c.cpu()
		return 0
	}
	c.objects++
	c.bytes += bytes
	c.slowest = max(c.slowest, firstByte)
	if c.settled || c.objects < 2*c.workers { // in the first round the slowest are missing
		return 0
	}
	now := c.now()
	span := now.Sub(c.at)
	if span.Seconds() < (1-c.share)*burstyLook.Seconds() {
		return 0
	}
	used := c.cpu()
	cpuBusy := (used - c.used).Seconds() / (span.Seconds() * c.share)
	netBusy := float64(c.bytes) / (span.Seconds() * functionBandwidth)
	mean := span * time.Duration(c.workers) / time.Duration(c.objects)
	tail := c.slowest > longTail*mean
	c.objects, c.bytes, c.slowest, c.at, c.used = 0, 0, 0, now, used
	if cpuBusy > busy || netBusy > busy && !tail || c.workers >= mostAuto {
		c.settled = true
		return 0
	}
	more = min(c.workers, mostAuto-c.workers)
	c.workers += more
	return more
}

// size is how many workers there are.
func (c *crew) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers
}
