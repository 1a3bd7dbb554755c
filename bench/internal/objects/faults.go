package objects

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

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
	}{
		{"slow-down", f.SlowDown}, {"reset", f.Reset}, {"short", f.Short}, {"spike", f.Spike},
		{"slow-down, reset and short together", f.SlowDown + f.Reset + f.Short},
	} {
		if !(s.share >= 0 && s.share <= 1) { // so put, NaN is refused too
			return fmt.Errorf("fault share %s %g: must be 0 to 1", s.name, s.share)
		}
	}
	return nil
}

// fault is what goes wrong with one GET.
type fault int

const (
	noFault fault = iota
	slowDownFault
	resetFault
	shortFault
	deniedFault
	missingFault
)

// KeyFault is what goes wrong with every GET and HEAD of one key, which is
// listed all the same.
type KeyFault int

// The faults of a key.
const (
	Readable KeyFault = iota // none
	Denied                   // 403 AccessDenied, as a bucket policy or a KMS key can have it for some keys
	Missing                  // 404 NoSuchKey, as if it was deleted between listing and reading
)

// key names an object in a bucket.
type key struct{ bucket, key string }

// SetKeyFault sets what goes wrong with a key from now on, whether there is an
// object or not. The faults that are drawn come before it.
func (s *Server) SetKeyFault(bucket, name string, f KeyFault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if f == Readable {
		delete(s.faults.keys, key{bucket, name})
		return
	}
	s.faults.keys[key{bucket, name}] = f
}

// Storm has the next GETs of objects, so many of them, answered 503 SlowDown,
// until so much time has passed. Either may be 0: no such end. Storm(0, 0) ends
// one.
func (s *Server) Storm(requests int, lasts time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	st := storm{on: requests > 0 || lasts > 0, left: requests}
	if lasts > 0 {
		st.until = time.Now().Add(lasts)
	}
	s.faults.storm = st
}

// storm is a time in which every GET fails.
type storm struct {
	on    bool
	left  int       // requests; 0: however many
	until time.Time // zero: whenever
}

// takes says whether a GET at a time is caught in it, and counts it.
func (st *storm) takes(at time.Time) bool {
	switch {
	case !st.on:
		return false
	case !st.until.IsZero() && at.After(st.until):
		st.on = false
		return false
	case st.left > 0:
		st.left--
		st.on = st.left > 0
	}
	return true
}

// spikeFactor is how much longer a spike's first byte takes.
const spikeFactor = 10

// faultSampler draws what goes wrong with each GET, from a generator of its own, so
// that switching faults on does not change the latencies.
type faultSampler struct {
	mu     sync.Mutex
	shares Faults
	rng    *rand.Rand
	keys   map[key]KeyFault
	storm  storm
}

func newFaultSampler(seed uint64, shares Faults) *faultSampler {
	return &faultSampler{shares: shares, rng: rand.New(rand.NewPCG(seed, 2)), keys: make(map[key]KeyFault)}
}

func (f *faultSampler) set(shares Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shares = shares
}

// draw gives the fault of one GET, and whether its first byte is late.
func (f *faultSampler) draw() (kind fault, spike bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shares == (Faults{}) {
		return noFault, false
	}
	u := f.rng.Float64()
	spike = f.rng.Float64() < f.shares.Spike
	switch {
	case u < f.shares.SlowDown:
		kind = slowDownFault
	case u < f.shares.SlowDown+f.shares.Reset:
		kind = resetFault
	case u < f.shares.SlowDown+f.shares.Reset+f.shares.Short:
		kind = shortFault
	}
	return kind, spike
}

// asked gives the fault that was asked for a request by name, or by a storm: it
// is not drawn.
func (f *faultSampler) asked(c *call) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.r.Method == http.MethodGet && f.storm.takes(c.arrived) {
		return slowDownFault
	}
	if len(f.keys) == 0 {
		return noFault
	}
	switch f.keys[key{c.bucket, c.key}] {
	case Denied:
		return deniedFault
	case Missing:
		return missingFault
	}
	return noFault
}

// drawGet gives the time to the first byte of one GET of that many bytes, and its
// fault.
func (s *Server) drawGet(bytes int64) (delay time.Duration, f fault) {
	f, spike := s.faults.draw()
	delay = s.latencies.draw(bytes)
	if spike {
		delay *= spikeFactor
	}
	if f != noFault || spike {
		s.counts.faults.Add(1)
	}
	return delay, f
}

// reset ends the connection with a TCP reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // closes it too, more politely
	}
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn() // past TLS: no close_notify
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // if it fails, the caller sees a plain end
	}
	_ = conn.Close()
}
