package lean

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fanout/functions/fetch"
)

// maxDials is how many connections to one host may be set up at once. Without
// a limit 1,024 workers of a small function begin 1,024 handshakes together,
// and all of them end late. Whoever comes after waits for one of these, or for
// a connection that another worker gives back, whichever is sooner. For a cold
// start of 64 workers, 2 to 64 made no difference that could be measured.
const maxDials = 16

// maxIdle is how long a connection may lie unused. S3 closes its end after
// some seconds, address translation on the way forgets after 350 s; the clock
// is the wall's, since a frozen function's own stands still.
const maxIdle = 60 * time.Second

// addressAge is how long a name's addresses are used, by the wall's clock too:
// S3 publishes them for 5 seconds.
const addressAge = 5 * time.Second

// pool keeps the connections to all hosts.
type pool struct {
	opened  atomic.Int64
	wide    wideReads
	fastest atomic.Int64 // nanoseconds of the shortest set-up since it was asked for; 0: none
	connect func(ctx context.Context, h *host, nth int) (net.Conn, error)

	mu      sync.Mutex
	limit   int // on connections, open and being opened
	dialing int // connections being opened
	waiting int // requests, for any host
	hosts   map[string]*host
	all     []*conn                           // open connections, in use or idle
	watches map[<-chan struct{}]*contextWatch // by the context's Done channel
}

// host is one address and the connections to it. Everything is guarded by
// pool.mu except where said.
type host struct {
	pool    *pool
	address string      // name:port
	dialed  string      // the same, or the proxy's
	proxy   *url.URL    // nil: none
	tls     *tls.Config // nil: plain HTTP
	idle    []*conn     // the last one given back is the first to go
	dialing int
	waiting []chan *conn // in order of arrival; nil sent: dial yourself

	names     sync.Mutex // guards what follows
	addresses []string
	resolved  int64 // UnixNano
}

// contextWatch watches one context: when it is canceled, the connections of all
// its requests are closed. One serves all requests with that context, so that
// they do not register one by one.
type contextWatch struct {
	requests int // under way
	canceled bool
	stop     func() bool
}

func newPool() *pool {
	return &pool{connect: connect, limit: fetch.MaxConnections(), hosts: map[string]*host{}, watches: map[<-chan struct{}]*contextWatch{}}
}

// most is how many connections there may be.
func (p *pool) most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

// host gives the one entry for an endpoint's address.
func (p *pool) host(e endpoint, config *tls.Config) *host {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[e.address]
	if h == nil {
		h = &host{pool: p, address: e.address, dialed: e.address, tls: config}
		if proxy, err := url.Parse(e.proxy); e.proxy != "" && err == nil { // it was a URL before
			h.proxy = proxy
			h.dialed = proxyAddress(proxy)
		}
		p.hosts[e.address] = h
	}
	return h
}

// watchLocked gives the watch of ctx; nil: it cannot be canceled.
func (p *pool) watchLocked(ctx context.Context) *contextWatch {
	done := ctx.Done()
	if done == nil {
		return nil
	}
	if w := p.watches[done]; w != nil {
		return w
	}
	for other, w := range p.watches {
		if w.requests == 0 {
			w.stop()
			delete(p.watches, other)
		}
	}
	w := &contextWatch{}
	w.stop = context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		w.canceled = true
		for _, c := range p.all {
			if c.watch == w {
				// subtle: closed, not given a deadline in the past: the
				// worker could be about to set a later one.
				_ = c.raw.Close()
			}
		}
	})
	p.watches[done] = w
	return w
}

// takeLocked binds a connection to ctx's request.
func (p *pool) takeLocked(ctx context.Context, c *conn) {
	if c.watch = p.watchLocked(ctx); c.watch != nil {
		c.watch.requests++
		if c.watch.canceled {
			_ = c.raw.Close()
		}
	}
}

// get gives a connection for one request with ctx: an idle one, or a new one.
// put takes it back.
func (h *host) get(ctx context.Context) (*conn, error) {
	p := h.pool
	p.mu.Lock()
	if n := len(h.idle); n > 0 {
		c := h.idle[n-1]
		if time.Now().UnixNano()-c.idle < int64(maxIdle) {
			h.idle = h.idle[:n-1]
			p.takeLocked(ctx, c)
			p.mu.Unlock()
			return c, nil
		}
		h.dropIdleLocked(n) // the others are older
	}
	if h.dialing < maxDials && h.roomLocked() {
		h.dialing++
		p.dialing++
		p.mu.Unlock()
		return h.open(ctx)
	}
	waiter := make(chan *conn, 1)
	h.waiting = append(h.waiting, waiter)
	p.waiting++
	p.mu.Unlock()
	select {
	case c := <-waiter:
		return h.accept(ctx, c)
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, w := range h.waiting {
		if w == waiter {
			h.waiting = append(h.waiting[:i], h.waiting[i+1:]...)
			p.waiting--
			p.mu.Unlock()
			return nil, ctx.Err()
		}
	}
	p.mu.Unlock()
	// It had just been served: pass it on.
	if c := <-waiter; c != nil {
		h.put(c)
	} else {
		p.mu.Lock()
		h.dialing--
		p.dialing--
		p.wakeLocked()
		p.mu.Unlock()
	}
	return nil, ctx.Err()
}

// accept takes what a waiting request was sent.
func (h *host) accept(ctx context.Context, c *conn) (*conn, error) {
	if c == nil {
		return h.open(ctx)
	}
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	h.pool.takeLocked(ctx, c)
	return c, nil
}

// open dials; h.dialing counts it already. Where the process has no file left for
// it, the request waits for one of the connections that there are, and there will
// be no more of them.
func (h *host) open(ctx context.Context) (*conn, error) {
	p := h.pool
	c, err := h.dial(ctx, int(p.opened.Add(1)))
	p.mu.Lock()
	h.dialing--
	p.dialing--
	if err != nil {
		p.opened.Add(-1)
		others := len(p.all) + p.dialing
		again := others > 0 && TooManyFiles(err)
		if again {
			p.limit = min(p.limit, others)
		}
		p.wakeLocked()
		p.mu.Unlock()
		if again {
			return h.get(ctx)
		}
		return nil, &connectError{err}
	}
	defer p.mu.Unlock()
	c.index = len(p.all)
	p.all = append(p.all, c)
	p.takeLocked(ctx, c)
	p.wakeLocked()
	return c, nil
}

// TooManyFiles says whether the process, or the machine, has no file left.
func TooManyFiles(err error) bool {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return true
	}
	// Of what kept it from asking a name server, package net passes on the text alone.
	var name *net.DNSError
	return errors.As(err, &name) && strings.Contains(name.Err, syscall.EMFILE.Error())
}

// roomLocked says whether one more connection to h may be opened. An idle one to
// another host gives way.
func (h *host) roomLocked() bool {
	p := h.pool
	if len(p.all)+p.dialing < p.limit {
		return true
	}
	for _, other := range p.hosts {
		if other != h && len(other.idle) > 0 {
			other.dropIdleLocked(1)
			return true
		}
	}
	return false
}

// wakeLocked lets those who wait dial, in as far as there is room.
func (p *pool) wakeLocked() {
	if p.waiting == 0 {
		return
	}
	for _, h := range p.hosts {
		for len(h.waiting) > 0 && h.dialing < maxDials && h.roomLocked() {
			h.dialing++
			p.dialing++
			h.nextLocked() <- nil
		}
	}
}

func (h *host) nextLocked() chan *conn {
	waiter := h.waiting[0]
	h.waiting = append(h.waiting[:0], h.waiting[1:]...)
	h.pool.waiting--
	return waiter
}

// release takes a connection out of the context that it was got with: it may outlast it.
func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked(c)
}

func (p *pool) releaseLocked(c *conn) {
	if c.watch == nil {
		return
	}
	c.watch.requests--
	if c.watch.canceled {
		c.failed = true
	}
	c.watch = nil
}

// put gives a connection back, or closes it where it cannot be used again.
func (h *host) put(c *conn) {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked(c)
	switch {
	case !c.reusable():
		p.closeLocked(c)
		p.wakeLocked()
	case len(h.waiting) > 0:
		c.reused = true
		h.nextLocked() <- c
	default:
		c.reused = true
		c.idle = time.Now().UnixNano()
		h.idle = append(h.idle, c)
		p.wakeLocked() // of those who wait for another host
	}
}

func (p *pool) closeLocked(c *conn) {
	last := p.all[len(p.all)-1]
	p.all[c.index], last.index = last, c.index
	p.all[len(p.all)-1] = nil
	p.all = p.all[:len(p.all)-1]
	// Nothing is lost with an error here, and no goodbye is owed.
	_ = c.raw.Close()
}

// dropIdleLocked closes the n idle connections that have lain longest.
func (h *host) dropIdleLocked(n int) {
	for _, c := range h.idle[:n] {
		h.pool.closeLocked(c)
	}
	h.idle = append(h.idle[:0], h.idle[n:]...)
}

// closeIdle closes every idle connection.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		h.dropIdleLocked(len(h.idle))
	}
}

// stale closes the connections that have lain idle since c was given back, or
// longer: c turned out to be closed by the other end, and so will they.
func (h *host) stale(c *conn) {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	n := 0
	for n < len(h.idle) && h.idle[n].idle <= c.idle {
		n++
	}
	h.dropIdleLocked(n)
}

// resolve gives the addresses to dial, asking for them at most once in
// addressAge.
func (h *host) resolve(ctx context.Context) ([]string, error) {
	h.names.Lock()
	defer h.names.Unlock()
	if len(h.addresses) > 0 && time.Now().UnixNano()-h.resolved < int64(addressAge) {
		return h.addresses, nil
	}
	name, port, err := net.SplitHostPort(h.dialed)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(name) != nil {
		return []string{h.dialed}, nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return nil, err
	}
	// RFC 6724 has sorted them; the other family is for those who cannot
	// reach the first.
	var addresses []string
	for _, a := range found {
		if strings.Contains(a, ":") == strings.Contains(found[0], ":") {
			addresses = append(addresses, net.JoinHostPort(a, port))
		}
	}
	h.addresses, h.resolved = addresses, time.Now().UnixNano()
	return addresses, nil
}

// forget makes the next resolve ask anew.
func (h *host) forget() {
	h.names.Lock()
	defer h.names.Unlock()
	h.addresses = nil
}
