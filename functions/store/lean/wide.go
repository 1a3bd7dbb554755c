package lean

import (
	"cmp"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// wideBytes is how much of a large body is read from the kernel at once at most, and
// wakeBytes how much has come before a reader that waits is woken (SO_RCVLOWAT). By
// itself crypto/tls reads a record or a few, and a reader that is faster than its network
// wakes up for whatever has come. 1 GB at 1,769 MB took 0.86 s of CPU with 128 KB at a
// time, 0.55 woken for 96 of them, 0.48 with 256 and 192, and 0.43 with 512 and 384 KB.
const (
	wideBytes = 512 << 10
	wakeBytes = 384 << 10
)

// wideFrom is from which length on a body is read wide.
const wideFrom = partBytes

// wideReads lends buffers of wideBytes, to all connections together a thirty-second of
// the memory: 8 of them at 128 MB. A body that gets none is read as a small one is.
type wideReads struct {
	// prompt says that readers are woken at once: there was one for whom less than
	// wakeBytes came in the time that a connection may stall.
	prompt atomic.Bool

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
	lender *wideReads
	buf    *[wideBytes]byte // nil: it reads what it is asked for
	r, w   int              // buf[r:w] is read and not yet used
	got    int64            // bytes read since the last request
	length int64            // of the body under way: the answer is at least that long on the wire
	wake   int64            // SO_RCVLOWAT; 0: never set
}

func (c *wideConn) Read(p []byte) (int, error) {
	if c.buf == nil {
		n, err := c.Conn.Read(p)
		c.got += int64(n)
		return n, err
	}
	if c.r == c.w {
		n, err := c.readWide()
		c.got += int64(n)
		if c.r, c.w = 0, n; n == 0 {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

func (c *wideConn) readWide() (int, error) {
	// subtle: no more than will come for sure, or the reader would wait for ever.
	// What TLS adds comes on top of the length.
	wake := min(c.length-c.got, wakeBytes)
	if c.lender.prompt.Load() {
		wake = 1
	}
	c.wakeAt(wake)
	n, err := c.Conn.Read(c.buf[:])
	if err == nil || c.wake <= 1 || !isTimeout(err) {
		return n, err
	}
	// Slow is not dead: less than wake may have come.
	c.wakeAt(1)
	if err := c.SetReadDeadline(time.Now().Add(stall / 8)); err != nil {
		return 0, err
	}
	if n, err = c.Conn.Read(c.buf[:]); n > 0 {
		c.lender.prompt.Store(true)
	}
	return n, err
}

// wakeAt sets how many bytes must have come before a waiting reader is woken, as far as
// it is a socket's.
func (c *wideConn) wakeAt(n int64) {
	n = max(n, 1)
	if n == max(c.wake, 1) {
		return
	}
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return // it is closed: the next read says so
	}
	c.wake = n
	if controlErr := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, int(n))
	}); controlErr != nil || err != nil {
		c.wake = 0 // it stays at 1, or the connection is closed
	}
}

// widen borrows a buffer, and narrow gives it back.
func (c *conn) widen() {
	if c.wide.buf == nil {
		c.wide.buf, c.wide.length = c.host.pool.wide.borrow(), c.head.length
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
	if !c.failed {
		c.wide.wakeAt(1)
	}
}
