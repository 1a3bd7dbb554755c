package lean

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// A connection that resumes a TLS session leaves out the server's certificates, a
// third of a handshake's work. It takes a ticket, which with TLS 1.3 the server
// sends after the handshake, and crypto/tls takes note of when something is read.
// Whoever opens many connections at once therefore has one of them read.

// sessions keeps the TLS sessions to resume.
type sessions struct {
	tls.ClientSessionCache
	awaited atomic.Pointer[ticketWait]
}

func newSessions() *sessions { return &sessions{ClientSessionCache: tls.NewLRUClientSessionCache(0)} }

// Put keeps a session, and tells the one who waits for it.
func (s *sessions) Put(key string, state *tls.ClientSessionState) {
	s.ClientSessionCache.Put(key, state)
	if w := s.awaited.Load(); w != nil && state != nil {
		w.end()
	}
}

// ticketWait is one wait for a ticket. It ends when one has come, or when there is
// nobody left to use it.
type ticketWait struct {
	mu    sync.Mutex
	conn  *conn // that waits; nil: none does
	ended bool
}

// begin has c wait, unless another one does, or the wait has ended.
func (w *ticketWait) begin(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil || w.ended {
		return false
	}
	w.conn = c
	return true
}

// end breaks off what the connection reads.
func (w *ticketWait) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended = true; w.conn != nil {
		_ = w.conn.raw.SetReadDeadline(time.Unix(1, 0)) // of a closed one, which needs none
	}
}

// leave has the wait not touch the connection any more.
func (w *ticketWait) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.ended = nil, true
}

// awaitTicket reads the ticket that the server sends after the handshake, and no
// more: nothing else is owed before a request.
func (c *conn) awaitTicket(w *ticketWait) {
	secure, ok := c.Conn.(*tls.Conn)
	if !ok || !w.begin(c) {
		return
	}
	var none [1]byte
	if n, err := secure.Read(none[:]); n > 0 || !isTimeout(err) {
		c.failed = true
	}
	w.leave()
	c.deadline = time.Time{} // one of an earlier request, such as for a session, does not stand any more
	if err := c.raw.SetReadDeadline(time.Time{}); err != nil {
		c.failed = true
	}
}
