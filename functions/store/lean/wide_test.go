package lean

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

// readerConn is a connection that only reads.
type readerConn struct {
	net.Conn
	io.Reader
}

func (c readerConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// What comes through a wide connection is what was sent, whether it has a buffer
// or not, and whatever the sizes of the reads on either side.
func TestWideConn(t *testing.T) {
	want := random(3*wideBytes + 17)
	for name, from := range map[string]func(io.Reader) io.Reader{
		"as much as fits":        func(r io.Reader) io.Reader { return r },
		"half of it":             iotest.HalfReader,
		"the end with the bytes": iotest.DataErrReader,
	} {
		for _, size := range []int{1, 5, 16 << 10, wideBytes, wideBytes + 1} {
			for _, wide := range []bool{false, true} {
				c := &wideConn{Conn: readerConn{Reader: from(bytes.NewReader(want))}, lender: new(wideReads)}
				if wide {
					c.buf = new([wideBytes]byte)
				}
				var got []byte
				var err error
				for p := make([]byte, size); err == nil; {
					var n int
					n, err = c.Read(p)
					got = append(got, p[:n]...)
				}
				if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
					t.Errorf("%s, %d bytes at a time, wide %v: got %d bytes, %v", name, size, wide, len(got), err)
				}
			}
		}
	}
}

// tcpPair gives the two ends of a connection.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	one, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = one.Close(), other.Close() })
	return one.(*net.TCPConn), other.(*net.TCPConn)
}

// wakesAt asks the kernel how many bytes wake the reader of c.
func wakesAt(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		n, optErr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT)
	}); err != nil {
		t.Fatal(err)
	}
	if optErr != nil {
		t.Fatal(optErr)
	}
	return n
}

// Whatever the length of a body, and however it comes, its reader is never left
// waiting for bytes that do not come, and a small answer after it wakes at once.
func TestWake(t *testing.T) {
	for _, length := range []int{1, wakeBytes - 1, wakeBytes, wakeBytes + 1, 2*wakeBytes + 1, 3 * wideBytes} {
		for _, chunk := range []int{16<<10 + 22, wakeBytes - 1, 4 * wideBytes} {
			here, there := tcpPair(t)
			want := random(length)
			go func() { // and does not close: an end would wake anybody
				for rest := want; len(rest) > 0; rest = rest[min(len(rest), chunk):] {
					if _, err := there.Write(rest[:min(len(rest), chunk)]); err != nil {
						return
					}
				}
			}()
			p := newPool()
			p.wide.init(128)
			c := &conn{raw: here, wide: wideConn{Conn: here, lender: &p.wide}, host: &host{pool: p}}
			c.head.length = int64(length)
			c.widen()
			if err := here.SetReadDeadline(time.Now().Add(stall)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, length)
			_, err := io.ReadFull(&c.wide, got)
			if c.narrow(); err != nil || !bytes.Equal(got, want) || p.wide.prompt.Load() || c.failed {
				t.Errorf("%d bytes, %d at a time: right %t, waited in vain %t, failed %t, %v",
					length, chunk, bytes.Equal(got, want), p.wide.prompt.Load(), c.failed, err)
			}
			if n := wakesAt(t, here); n != 1 {
				t.Errorf("%d bytes, %d at a time: %d bytes wake the next reader", length, chunk, n)
			}
		}
	}
}

// stalledConn is a connection on which the first read ends with its deadline.
type stalledConn struct {
	*net.TCPConn
	stalled bool
}

func (c *stalledConn) Read(p []byte) (int, error) {
	if !c.stalled {
		c.stalled = true
		return 0, os.ErrDeadlineExceeded
	}
	return c.TCPConn.Read(p)
}

// Bytes that come too slowly to wake the reader in time are not lost, and no other
// reader waits like that; a connection that is dead is.
func TestSlowIsNotDead(t *testing.T) {
	for _, alive := range []bool{true, false} {
		here, there := tcpPair(t)
		if alive {
			if _, err := there.Write([]byte("slow")); err != nil {
				t.Fatal(err)
			}
		} else if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		lender := &wideReads{}
		c := &wideConn{Conn: &stalledConn{TCPConn: here}, lender: lender, buf: new([wideBytes]byte), length: 2 * wakeBytes}
		p := make([]byte, 4)
		_, err := io.ReadFull(c, p)
		if alive != (string(p) == "slow" && err == nil) || lender.prompt.Load() != alive {
			t.Errorf("alive %t: %q, prompt %t, %v", alive, p, lender.prompt.Load(), err)
		}
		if n := wakesAt(t, here); n != 1 {
			t.Errorf("alive %t: %d bytes wake a reader", alive, n)
		}
	}
}

// A connection that read on beyond an answer is not used again, and gives its
// buffer back all the same.
func TestNarrow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		r, w   int
		failed bool
	}{
		{"read to its end", 7, 7, false},
		{"bytes that nobody asked for", 7, 8, true},
	} {
		p := newPool()
		p.wide.init(128)
		all := p.wide.left
		c := &conn{host: &host{pool: p}}
		c.widen()
		if c.wide.buf == nil || p.wide.left != all-1 {
			t.Fatalf("%s: %d of %d buffers are left", tt.name, p.wide.left, all)
		}
		c.wide.r, c.wide.w = tt.r, tt.w
		c.narrow()
		if c.failed != tt.failed || c.wide.buf != nil || p.wide.left != all {
			t.Errorf("%s: failed %v, %d of %d buffers are left", tt.name, c.failed, p.wide.left, all)
		}
	}
}

// TestWideReads guards the share of the memory that wide reads may take; a
// connection that gets no buffer reads without.
func TestWideReads(t *testing.T) {
	for _, tt := range []struct{ memoryMB, buffers int }{{0, 32}, {128, 8}, {10240, 640}} {
		p := newPool()
		p.wide.init(tt.memoryMB)
		if p.wide.left != tt.buffers {
			t.Errorf("%d MB: %d buffers, want %d", tt.memoryMB, p.wide.left, tt.buffers)
		}
		p.wide.left = 0
		c := &conn{host: &host{pool: p}}
		c.widen()
		c.narrow()
		if c.wide.buf != nil || c.failed || p.wide.left != 0 {
			t.Errorf("%d MB, none left: buffer %v, failed %v, %d left", tt.memoryMB, c.wide.buf != nil, c.failed, p.wide.left)
		}
	}
}

// lateSink takes so long for each piece of a body that the deadline of the connection
// which reads it has passed by then.
type lateSink struct {
	memory
	pool *pool
}

func (s *lateSink) Write(p []byte) (int, error) {
	c := s.pool.all[0]
	c.deadline = time.Now().Add(-time.Second)
	if err := c.SetDeadline(c.deadline); err != nil {
		return 0, err
	}
	return s.memory.Write(p)
}

// A sink that is slower than a connection may stall costs no connection: what it is slow
// for is there, and the next read has a deadline of its own, whatever was read ahead.
func TestSlowSink(t *testing.T) {
	body := random(wideFrom)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	defer server.Close()
	c := clientOf(t, server)
	sink := &lateSink{pool: c.pool}
	r, err := c.Get(t.Context(), "bucket", "key", sink)
	if err != nil || r.Retries != 0 || !bytes.Equal(sink.Bytes(), body) || c.pool.wide.prompt.Load() {
		t.Errorf("%d bytes, right: %t, %d retries, waited in vain %t, %v",
			sink.Len(), bytes.Equal(sink.Bytes(), body), r.Retries, c.pool.wide.prompt.Load(), err)
	}
}
