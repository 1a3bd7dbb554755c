package fetch

import (
	"runtime"
	"sync"
	"time"

	"fanout/functions/lambda"
)

// controller is the adaptive concurrency of one invocation, used if neither
// event nor function gives a number of workers: it starts with what the CPU
// share can feed and doubles as long as the workers wait for the network rather
// than for CPU or bandwidth, or for the slowest of them in spite of a full
// bandwidth. It never shrinks: once their connections are open, workers too many
// cost little, while a handshake takes as much CPU as some ten objects.
type controller struct {
	share     float64 // vCPUs
	bandwidth float64 // bytes a second
	now       func() time.Time
	cpu       func() time.Duration

	mu        sync.Mutex
	workers   int
	started   bool
	objects   int           // read since the window began
	bytes     int64         // of them
	slowest   time.Duration // to a first byte
	began     time.Time     // the window
	cpuThen   time.Duration // the process's CPU time at that moment
	saturated bool          // bound by something that more workers do not help
}

const (
	// leastAuto is where it starts: 16 rounds of latency for 1,000 objects.
	leastAuto = 64

	// A CPU share under half a vCPU comes in slices, with waits in between: with
	// more requests under way more is there to read in each slice, and an object
	// costs less. At 128 MB 128 workers took 665 ms and 64 took 805 (medians of
	// 7, s3-standard); with fewer connections open it would not pay.
	smallShare     = 0.5
	smallShareAuto = 128

	// mostAuto bounds it: above it a first byte would have to take over
	// 80 ms for the bandwidth not to be used up by objects of 25 kB.
	mostAuto = 256

	// busy is the share of CPU, or of bandwidth, above which more workers would
	// only wait for something else.
	busy = 0.85

	// burstyWindow is how long to observe before CPU is judged, with a share of
	// nearly nothing; less with a larger one. A share is given out every burstEvery,
	// all at once, so that a window holds up to one burst too many or too few. It is
	// taken for one too few: workers too many are kept for good.
	burstyWindow = 200 * time.Millisecond
	burstEvery   = 20 * time.Millisecond

	// longTail is how many times as long as the mean the slowest object of a
	// window took if more workers help although the bandwidth is used up:
	// with all of the last objects under way early, the slowest of them is no
	// longer waited for alone.
	longTail = 2
)

// newController is for a function of a memory size, whose bandwidth grows with it
// if quota says so. It starts with as many workers as the previous invocation came to
// or, if that is 0, with leastAuto; with smallShareAuto on a small CPU share whose
// connections INIT has opened.
func newController(memoryMB int, quota bool, previous int, warmed bool) *controller {
	c := &controller{
		share: float64(runtime.GOMAXPROCS(0)), bandwidth: lambda.Bandwidth(memoryMB, quota), now: time.Now, cpu: cpuTime, workers: previous,
	}
	if memoryMB > 0 {
		c.share = min(c.share, lambda.VCPU(memoryMB))
	}
	if c.workers == 0 {
		c.workers = leastAuto
		if warmed && c.share < smallShare {
			c.workers = smallShareAuto
		}
	}
	return c
}

// observe counts an object in, and gives how many workers to add.
func (c *controller) observe(bytes int64, firstByte time.Duration) (more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started { // the listing before the first object is not for workers to shorten
		c.started, c.began, c.cpuThen = true, c.now(), c.cpu()
		return 0
	}
	c.objects++
	c.bytes += bytes
	c.slowest = max(c.slowest, firstByte)
	if c.saturated || c.objects < 2*c.workers { // in the first round the slowest are missing
		return 0
	}
	now := c.now()
	span := now.Sub(c.began)
	if span.Seconds() < (1-c.share)*burstyWindow.Seconds() {
		return 0
	}
	used := c.cpu()
	cpuBusy := (used - c.cpuThen).Seconds() / (span.Seconds() * c.share)
	if c.share < 1 {
		cpuBusy += burstEvery.Seconds() / span.Seconds()
	}
	netBusy := float64(c.bytes) / (span.Seconds() * c.bandwidth)
	mean := span * time.Duration(c.workers) / time.Duration(c.objects)
	tail := c.slowest > longTail*mean
	c.objects, c.bytes, c.slowest, c.began, c.cpuThen = 0, 0, 0, now, used
	if cpuBusy > busy || netBusy > busy && !tail || c.workers >= mostAuto {
		c.saturated = true
		return 0
	}
	more = min(c.workers, mostAuto-c.workers)
	c.workers += more
	return more
}

// size is how many workers there are.
func (c *controller) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers
}
