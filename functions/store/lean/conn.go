package lean

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// An exchange is one write and as many reads as it takes, on the worker's own
// goroutine: nothing is handed to another one, and bytes go from the
// connection's buffer straight into the sink.

// readBytes is a connection's read buffer: the most that one TLS record holds.
const readBytes = 16 << 10

// recordBytes is the most that one TLS record takes on the wire: crypto/tls may have to
// wait for the rest of one of which the beginning was read.
const recordBytes = 5 + 16<<10 + 2<<10

// stall is how long a connection may go without a byte, from the request's
// last to the head's first, and between two reads of a body. A deadline is
// renewed only when less than half of it is left (setting one costs as much as
// signing), so that a stall is noticed after stall/2 to stall.
const stall = 8 * time.Second

// conn is one connection. It belongs to one exchange at a time.
type conn struct {
	net.Conn          // TLS, or wide itself
	raw      net.Conn // what to close on cancellation: no goodbye, no waiting
	wide     wideConn // reads raw
	host     *host
	signer   signer
	head     head
	buf      [readBytes]byte
	r, w     int // buf[r:w] is read and not yet used
	deadline time.Time
	failed   bool // an error was seen: not to be used again
	reused   bool
	idle     int64         // UnixNano since when
	watch    *contextWatch // of the context of the request under way; guarded by pool.mu
	index    int           // in pool.all
}

// arm renews the deadline where it draws near.
func (c *conn) arm(now time.Time) error {
	if c.deadline.Sub(now) > stall/2 {
		return nil
	}
	c.deadline = now.Add(stall)
	return c.SetDeadline(c.deadline)
}

// send writes a request, with its body if it has one, and reads the response's
// head.
func (c *conn) send(wire, body []byte, now time.Time) error {
	c.r, c.w, c.wide.got = 0, 0, 0
	if err := c.arm(now); err != nil {
		return c.fail(err)
	}
	if _, err := c.Write(wire); err != nil {
		return c.fail(err)
	}
	if len(body) > 0 {
		if err := c.sendBody(body); err != nil {
			return err
		}
	}
	for {
		if err := c.readHead(); err != nil {
			return c.fail(err)
		}
		if c.head.status >= 200 {
			return nil
		}
		if c.head.status == 101 {
			return c.fail(fmt.Errorf("%w: status 101", errHead))
		}
	}
}

// writeBytes is how much of a body is written between two looks at the deadline.
const writeBytes = 256 << 10

// sendBody writes a request's body. If it breaks off, the response says why, in as
// far as there is one: S3 may refuse a request before it has read the body.
func (c *conn) sendBody(body []byte) error {
	for len(body) > 0 {
		n := min(len(body), writeBytes)
		err := c.arm(time.Now())
		if err == nil {
			_, err = c.Write(body[:n])
		}
		if err != nil {
			c.failed = true
			if isTimeout(err) {
				return err
			}
			return nil // reading the head fails too, if there is none
		}
		body = body[n:]
	}
	return nil
}

func (c *conn) fail(err error) error {
	c.failed = true
	return err
}

func (c *conn) readHead() error {
	for seen := c.r; ; {
		if i := bytes.Index(c.buf[seen:c.w], headEnd); i >= 0 {
			end := seen + i + len(headEnd)
			err := c.head.parse(c.buf[c.r:end])
			c.r = end
			return err
		}
		if c.w == len(c.buf) {
			if c.r == 0 {
				return fmt.Errorf("%w: over %d bytes", errHead, maxHeadBytes)
			}
			c.r, c.w = 0, copy(c.buf[:], c.buf[c.r:c.w])
		}
		seen = max(c.r, c.w-len(headEnd)+1)
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads once, behind what is there.
func (c *conn) fill() error {
	n, err := c.readInto(c.buf[c.w:])
	c.w += n
	return err
}

// readInto reads once.
func (c *conn) readInto(p []byte) (int, error) {
	n, err := c.Read(p)
	if err != nil {
		c.failed = true
		if n > 0 {
			return n, nil // what came counts; the next read says it again
		}
	}
	return n, err
}

// sinkError is a failure of the one who takes the bytes.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// body passes on the first most bytes of the body after the head, which is all
// of it where most is greater than its length.
func (c *conn) body(to io.Writer, most int64) (n int64, err error) {
	if c.head.status == 204 || c.head.status == 304 {
		return 0, nil
	}
	if c.head.chunked {
		return c.chunked(to, most)
	}
	length := most
	if c.head.length >= 0 {
		length = min(length, c.head.length)
	}
	if c.head.length >= wideFrom {
		c.widen()
		defer c.narrow()
	}
	if n, err = c.sized(to, length); err == nil && n != c.head.length {
		c.failed = true // there is more to come
	}
	return n, err
}

// sized passes on length bytes, or all until the connection is closed if the
// head gives no length.
func (c *conn) sized(to io.Writer, length int64) (n int64, err error) {
	into, _ := to.(*part)
	for n < length {
		if c.r == c.w {
			c.r, c.w = 0, 0
			read := 0
			if c.wide.w-c.wide.r < recordBytes { // else there is no need to wait
				if err := c.arm(time.Now()); err != nil {
					return n, c.fail(err)
				}
			}
			if into != nil { // without a detour through c.buf
				read, err = c.readInto(into.b[into.n : into.n+int(length-n)])
				into.n += read
			} else {
				err = c.fill()
			}
			if n += int64(read); err != nil {
				if c.head.length < 0 && errors.Is(err, io.EOF) {
					return n, nil
				}
				return n, c.fail(err)
			}
			continue
		}
		p := c.buf[c.r : c.r+int(min(int64(c.w-c.r), length-n))]
		c.r += len(p)
		n += int64(len(p))
		if _, err := to.Write(p); err != nil {
			return n, c.fail(&sinkError{err})
		}
	}
	return n, nil
}

func (c *conn) chunked(to io.Writer, most int64) (n int64, err error) {
	for d := (dechunker{}); ; {
		data, rest, done, err := d.next(c.buf[c.r:c.w])
		if err != nil {
			return n, c.fail(err)
		}
		c.r = c.w - len(rest)
		if done {
			return n, nil
		}
		if len(data) > 0 {
			data = data[:min(int64(len(data)), most-n)]
			n += int64(len(data))
			if _, err := to.Write(data); err != nil {
				return n, c.fail(&sinkError{err})
			}
			if n == most {
				c.failed = true
				return n, nil
			}
			continue
		}
		c.r, c.w = 0, 0
		if err = c.arm(time.Now()); err == nil {
			err = c.fill()
		}
		if err != nil {
			return n, c.fail(err)
		}
	}
}

// reusable says whether the response was read to its end and the connection can
// carry another request. Bytes beyond the end would be taken for the next
// response.
func (c *conn) reusable() bool { return !c.failed && !c.head.close && c.r == c.w }

// dialTimeout bounds one connection's set-up, TLS included. At a sixteenth of
// a vCPU 16 handshakes at once take over a second.
const dialTimeout = 10 * time.Second

// connect opens a TCP connection to h; the nth of the pool tries the host's
// addresses from the nth on, so that connections spread over them.
func connect(ctx context.Context, h *host, nth int) (net.Conn, error) {
	addresses, err := h.resolve(ctx)
	if err != nil {
		return nil, err
	}
	for i := range min(len(addresses), 3) {
		// No keep-alive probes: three system calls for a connection that is
		// not kept for more than a minute.
		d := net.Dialer{KeepAlive: -1, Timeout: dialTimeout / 3}
		var c net.Conn
		if c, err = d.DialContext(ctx, "tcp", addresses[(nth+i)%len(addresses)]); err == nil {
			return c, nil
		}
	}
	if !TooManyFiles(err) { // which is no fault of the addresses, and a name server could not be asked either
		h.forget()
	}
	return nil, err
}

// dial sets a connection to h up.
func (h *host) dial(ctx context.Context, nth int) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	began := time.Now()
	raw, err := h.pool.connect(ctx, h, nth)
	if err != nil {
		return nil, err
	}
	if h.proxy != nil {
		if raw, err = h.tunnel(ctx, raw); err != nil {
			return nil, err
		}
	}
	raw = quick(raw)
	c := &conn{raw: raw, wide: wideConn{Conn: raw, lender: &h.pool.wide}, host: h}
	c.Conn = &c.wide
	if h.tls != nil {
		secure := tls.Client(&c.wide, h.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS with %s: %w", h.address, err), raw.Close())
		}
		c.Conn = secure
	}
	h.pool.tookToConnect(time.Since(began))
	return c, nil
}

// tookToConnect notes how long a connection's set-up took, if it is the shortest.
func (p *pool) tookToConnect(took time.Duration) {
	for {
		least := p.fastest.Load()
		if least != 0 && least <= int64(took) || p.fastest.CompareAndSwap(least, max(int64(took), 1)) {
			return
		}
	}
}
