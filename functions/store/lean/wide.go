package lean

import (
	"cmp"
	"net"
	"sync"
)

// wideBytes is how much of a large body is read from the kernel at once. Under
// crypto/tls, each read is of one record, 16 KB; eight at a time take a third less
// system time for objects of 64 MB, and 128 KB still fit the processor's cache. For
// objects of 1 MB it makes no difference.
const wideBytes = 128 << 10

// wideFrom is from which length on a body is read wide.
const wideFrom = partBytes

// wideReads lends buffers of wideBytes, to all connections together a
// thirty-second of the memory: 32 of them at 128 MB. A body that gets none is
// read as a small one is.
type wideReads struct {
	mu   sync.Mutex
	left int
	free []*[wideBytes]byte
}

func (l *wideReads) init(memoryMB int) {
	l.left = cmp.Or(memoryMB, assumedMemoryMB) << 20 / 32 / wideBytes
}

func (l *wideReads) borrow() *[wideBytes]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		return nil
	}
	l.left--
	last := len(l.free) - 1
	if last < 0 {
		return new([wideBytes]byte)
	}
	b := l.free[last]
	l.free = l.free[:last]
	return b
}

func (l *wideReads) giveBack(b *[wideBytes]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left++
	l.free = append(l.free, b)
}

// wideConn is the connection under TLS. It reads ahead while it has a buffer.
type wideConn struct {
	net.Conn
	buf  *[wideBytes]byte // nil: it reads what it is asked for
	r, w int              // buf[r:w] is read and not yet used
}

func (c *wideConn) Read(p []byte) (int, error) {
	if c.buf == nil {
		return c.Conn.Read(p)
	}
	if c.r == c.w {
		n, err := c.Conn.Read(c.buf[:])
		if c.r, c.w = 0, n; n == 0 {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

// widen borrows a buffer, and narrow gives it back.
func (c *conn) widen() {
	if c.wide.buf == nil {
		c.wide.buf = c.host.pool.wide.borrow()
	}
}

// narrow leaves a connection as small bodies need it. What was read beyond the
// last record of an answer belongs to none, and ends the connection.
func (c *conn) narrow() {
	if c.wide.buf == nil {
		return
	}
	if c.wide.r != c.wide.w {
		c.failed = true
	}
	c.host.pool.wide.giveBack(c.wide.buf)
	c.wide.buf, c.wide.r, c.wide.w = nil, 0, 0
}
