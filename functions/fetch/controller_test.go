package fetch

import (
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"fanout/functions/lambda"
)

// A network model drives the controller: each window sees what so many workers would.
func TestController(t *testing.T) {
	const object = 25_500
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, tc := range []struct {
		name      string
		memoryMB  int
		previous  int
		warmed    bool          // INIT has opened the connections
		firstByte time.Duration // and so the time of an object with CPU to spare
		slowest   time.Duration // one first byte in a hundred
		cpu       time.Duration // an object's
		want      int
	}{
		{"128 MB: CPU is used up at once", 128, 0, false, ms(20), ms(100), 70 * time.Microsecond, 64},
		{"128 MB, costly client", 128, 0, false, ms(20), ms(100), 300 * time.Microsecond, 64},
		{"128 MB, far away", 128, 0, false, ms(200), ms(200), 70 * time.Microsecond, 256},
		{"one vCPU: until the bandwidth is used up", 1769, 0, false, ms(20), ms(20), 70 * time.Microsecond, 64},
		{"one vCPU, farther away", 1769, 0, false, ms(45), ms(45), 70 * time.Microsecond, 128},
		{"one vCPU, bandwidth used up, but a long tail", 1769, 0, false, ms(20), ms(100), 70 * time.Microsecond, 256},
		{"one vCPU, a tail that more workers bear", 1769, 0, false, ms(20), ms(60), 70 * time.Microsecond, 128},
		{"no latency: CPU-bound", 1769, 0, false, 100 * time.Microsecond, ms(100), 400 * time.Microsecond, 64},
		{"128 MB, connections there", 128, 0, true, ms(20), ms(100), 70 * time.Microsecond, 128},
		{"one vCPU, connections there", 1769, 0, true, ms(20), ms(20), 70 * time.Microsecond, 64},
		{"what the previous invocation came to is kept", 1769, 128, false, 100 * time.Microsecond, ms(1), 400 * time.Microsecond, 128},
	} {
		now, used := time.Unix(0, 0), time.Duration(0)
		c := newController(tc.memoryMB, false, tc.previous, tc.warmed)
		c.now, c.cpu = func() time.Time { return now }, func() time.Duration { return used }
		c.share = lambda.VCPU(tc.memoryMB) // whatever this machine has
		for i := range 20_000 {
			// An object each: as fast as latency, CPU and bandwidth allow.
			step := max(tc.firstByte/time.Duration(c.size()),
				time.Duration(float64(tc.cpu)/c.share), time.Duration(object/lambda.BandwidthBytesPerS*float64(time.Second)))
			now, used = now.Add(step), used+tc.cpu
			firstByte := tc.firstByte
			if i%100 == 99 {
				firstByte = tc.slowest
			}
			c.observe(object, firstByte)
		}
		if got := c.size(); got != tc.want {
			t.Errorf("%s: %d workers, want %d", tc.name, got, tc.want)
		}
	}
}

// Workers that were once bound by CPU or bandwidth are not added to later, though
// the objects that follow take longer.
func TestControllerSaturates(t *testing.T) {
	for _, tc := range []struct {
		name string
		cpu  time.Duration // of each early object
		late time.Duration // a late object's time, with next to no CPU
		want int
	}{
		{"CPU-bound", time.Millisecond, 50 * time.Millisecond, leastAuto},
		{"not bound", 0, 50 * time.Millisecond, mostAuto},
	} {
		now, used := time.Unix(0, 0), time.Duration(0)
		c := newController(1769, false, 0, false)
		c.now, c.cpu, c.share = func() time.Time { return now }, func() time.Duration { return used }, 1
		for i := range 10_000 {
			step, busy := tc.cpu, tc.cpu
			if i > 1000 || busy == 0 {
				step, busy = tc.late/time.Duration(c.size()), 0
			}
			now, used = now.Add(step), used+busy
			c.observe(100, step)
		}
		if got := c.size(); got != tc.want {
			t.Errorf("%s: %d workers, want %d", tc.name, got, tc.want)
		}
	}
}

// CPU is judged over a window that is long enough for the bursts in which a small
// share is given out, and workers are never more than mostAuto.
func TestControllerWindow(t *testing.T) {
	for _, tc := range []struct {
		name     string
		share    float64
		previous int
		cpu      time.Duration // used
		after    time.Duration // from the first object
		want     int           // added
	}{
		{"a tenth of a vCPU, too early", 0.1, 0, 0, 179 * time.Millisecond, 0},
		{"a tenth of a vCPU", 0.1, 0, 0, 181 * time.Millisecond, leastAuto},
		{"two bursts short of all", 0.1, 0, 16 * time.Millisecond, 200 * time.Millisecond, 0},
		{"three bursts short", 0.1, 0, 14 * time.Millisecond, 200 * time.Millisecond, leastAuto},
		{"half a vCPU, too early", 0.5, 0, 0, 99 * time.Millisecond, 0},
		{"half a vCPU", 0.5, 0, 0, 101 * time.Millisecond, leastAuto},
		{"more than one vCPU", 2, 0, 0, time.Millisecond, leastAuto},
		{"a vCPU has no bursts", 1, 0, 80 * time.Millisecond, 100 * time.Millisecond, leastAuto},
		{"no more than the most", 2, 200, 0, time.Millisecond, mostAuto - 200},
		{"at the most already", 2, mostAuto, 0, time.Millisecond, 0},
	} {
		now := time.Unix(0, 0)
		c := newController(1769, false, tc.previous, false)
		var used time.Duration
		c.now, c.cpu, c.share = func() time.Time { return now }, func() time.Duration { return used }, tc.share
		c.observe(1, 0)
		for range 2*c.size() - 1 {
			if more := c.observe(1, 0); more != 0 {
				t.Errorf("%s: %d more in the first round", tc.name, more)
			}
		}
		now, used = now.Add(tc.after), tc.cpu
		if more := c.observe(1, 0); more != tc.want {
			t.Errorf("%s: %d more, want %d", tc.name, more, tc.want)
		}
	}
}

// Where the bandwidth grows with the memory size, workers are added until that is
// used up.
func TestControllerBandwidth(t *testing.T) {
	for _, tc := range []struct {
		name     string
		memoryMB int
		quota    bool
		want     int
	}{
		{"flat", 10_240, false, leastAuto},
		{"quota, a size that has no more", 2048, true, leastAuto},
		{"quota, a size that has more", 10_240, true, mostAuto},
	} {
		const object = 25_500
		now := time.Unix(0, 0)
		c := newController(tc.memoryMB, tc.quota, 0, false)
		c.now, c.cpu = func() time.Time { return now }, func() time.Duration { return 0 }
		for range 20_000 {
			now = now.Add(max(20*time.Millisecond/time.Duration(c.size()),
				time.Duration(object/lambda.Bandwidth(tc.memoryMB, tc.quota)*float64(time.Second))))
			c.observe(object, 20*time.Millisecond)
		}
		if got := c.size(); got != tc.want {
			t.Errorf("%s: %d workers, want %d", tc.name, got, tc.want)
		}
	}
}

// The share is never larger than the cores that Go may use.
func TestControllerShare(t *testing.T) {
	cores := float64(runtime.GOMAXPROCS(0))
	for _, tc := range []struct {
		memoryMB int
		want     float64
	}{
		{0, cores},    // not in Lambda
		{1769, 1},     // one vCPU
		{884, 0.4997}, // about half of one
		{1 << 20, cores},
	} {
		if got := newController(tc.memoryMB, false, 0, false).share; math.Abs(got-min(tc.want, cores)) > 0.001 {
			t.Errorf("%d MB: %v vCPUs, want %v", tc.memoryMB, got, tc.want)
		}
	}
}

// Auto is bounded, says in stats what it chose, and starts there next time.
func TestAutoConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{bodies: objects(5000, func(int) string { return "x" }), delay: 100 * time.Millisecond}
		h := handlerOver(s, Config{Client: "fake", MemoryMB: 1769})
		for _, want := range []int{mostAuto, mostAuto} {
			s.most.Store(0)
			got, err := h.Handle(t.Context(), []byte(`{"s3_bucket_name":"b"}`))
			if err != nil {
				t.Fatal(err)
			}
			if got.Stats.Concurrency != want || int(s.most.Load()) != want || got.Result != "5000" {
				t.Errorf("stats say %d, %d at once, result %s; want %d", got.Stats.Concurrency, s.most.Load(), got.Result, want)
			}
		}
		// Another bucket, or another client, starts anew.
		for _, event := range []string{
			`{"s3_bucket_name":"c","keys":["p/00001"]}`,
			`{"s3_bucket_name":"b","keys":["p/00001"],"client":"fake2"}`,
		} {
			got, err := h.Handle(t.Context(), []byte(event))
			if err != nil || got.Stats.Concurrency != leastAuto {
				t.Errorf("%s: concurrency %d, %v", event, got.Stats.Concurrency, err)
			}
		}
	})
}
