package objects

import (
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"fanout/bench/internal/network"
)

// latencySampler draws the time to the first byte of each request. The same seed
// gives the same sequence; which request gets which depends on their order of
// arrival.
type latencySampler struct {
	model network.Model
	mu    sync.Mutex // of rng
	rng   *rand.Rand
}

func newLatencySampler(seed uint64, m network.Model) *latencySampler {
	return &latencySampler{model: m, rng: rand.New(rand.NewPCG(seed, 1))}
}

// noBody is the size that answers other than an object's bytes have.
const noBody = 0

// draw gives the time to the first byte of an answer of that size.
func (l *latencySampler) draw(bytes int64) time.Duration {
	return l.lognormal(l.model.FirstByteOf(bytes))
}

// drawList gives the time to the first byte of a page of a listing.
func (l *latencySampler) drawList() time.Duration { return l.lognormal(l.model.FirstByteOfList()) }

func (l *latencySampler) lognormal(median, p99 time.Duration) time.Duration {
	if median == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(float64(median) * math.Exp(network.Sigma(median, p99)*l.rng.NormFloat64()))
}

// lateListener gives connections that answer nothing until some time after they
// were opened, as if the round trips of their set-up took that long.
type lateListener struct {
	net.Listener
	delay time.Duration
}

// Accept waits for the next connection, but not for its set-up.
func (l lateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lateConn{Conn: c, ready: time.Now().Add(l.delay)}, nil
}

// lateConn is a connection whose first read waits. The server reads with one
// goroutine.
type lateConn struct {
	net.Conn
	ready time.Time // zero: it has been waited for
}

// Read reads once the connection is set up.
func (c *lateConn) Read(p []byte) (int, error) {
	if !c.ready.IsZero() {
		time.Sleep(time.Until(c.ready))
		c.ready = time.Time{}
	}
	return c.Conn.Read(p)
}
