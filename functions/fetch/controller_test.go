package fetch

import (
	"testing"
	"testing/synctest"
	"time"
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
		{"one vCPU, farther away", 1769, 0, false, ms(50), ms(50), 70 * time.Microsecond, 128},
		{"one vCPU, bandwidth used up, but a long tail", 1769, 0, false, ms(20), ms(100), 70 * time.Microsecond, 256},
		{"one vCPU, a tail that more workers bear", 1769, 0, false, ms(20), ms(60), 70 * time.Microsecond, 128},
		{"no latency: CPU-bound", 1769, 0, false, 100 * time.Microsecond, ms(100), 400 * time.Microsecond, 64},
		{"128 MB, connections there", 128, 0, true, ms(20), ms(100), 70 * time.Microsecond, 128},
		{"one vCPU, connections there", 1769, 0, true, ms(20), ms(20), 70 * time.Microsecond, 64},
		{"what the previous invocation came to is kept", 1769, 128, false, 100 * time.Microsecond, ms(1), 400 * time.Microsecond, 128},
	} {
		now, used := time.Unix(0, 0), time.Duration(0)
		c := newController(tc.memoryMB, tc.previous, tc.warmed)
		c.now, c.cpu = func() time.Time { return now }, func() time.Duration { return used }
		c.share = float64(tc.memoryMB) / mbPerVCPU // whatever this machine has
		for i := range 20_000 {
			// An object each: as fast as latency, CPU and bandwidth allow.
			step := max(tc.firstByte/time.Duration(c.size()),
				time.Duration(float64(tc.cpu)/c.share), time.Duration(object/functionBandwidth*float64(time.Second)))
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
		// Another bucket is another matter.
		got, err := h.Handle(t.Context(), []byte(`{"s3_bucket_name":"c","keys":["p/00001"]}`))
		if err != nil || got.Stats.Concurrency == mostAuto {
			t.Errorf("concurrency %d, %v", got.Stats.Concurrency, err)
		}
	})
}
