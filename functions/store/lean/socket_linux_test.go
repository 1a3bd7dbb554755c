package lean

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// reset closes a connection as a crash does.
func reset(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
		t.Fatal(err)
	}
}

// A socket does what net's connection does, whatever the other end does.
func TestSocket(t *testing.T) {
	long := bytes.Repeat([]byte("a long body "), 1<<18) // more than both ends' buffers hold
	for _, tt := range []struct {
		name string
		try  func(t *testing.T, c net.Conn, theirs *net.TCPConn) (string, error)
		want string
		is   error // nil: none
	}{
		{"bytes that are there", func(t *testing.T, c net.Conn, theirs *net.TCPConn) (string, error) {
			_, err := theirs.Write([]byte("hello"))
			p := make([]byte, 16)
			n, readErr := c.Read(p)
			return string(p[:n]), errors.Join(err, readErr)
		}, "hello", nil},
		{"bytes that come later", func(t *testing.T, c net.Conn, theirs *net.TCPConn) (string, error) {
			go func() {
				asked := make([]byte, 1)
				_, _ = io.ReadFull(theirs, asked)
				_, _ = theirs.Write(asked)
			}()
			p := make([]byte, 16)
			_, err := c.Write([]byte("?"))
			n, readErr := c.Read(p)
			return string(p[:n]), errors.Join(err, readErr)
		}, "?", nil},
		{"nothing is asked for", func(_ *testing.T, c net.Conn, _ *net.TCPConn) (string, error) {
			n, err := c.Read(nil)
			return string(make([]byte, n)), err
		}, "", nil},
		{"nothing is written", func(_ *testing.T, c net.Conn, _ *net.TCPConn) (string, error) {
			n, err := c.Write(nil)
			return string(make([]byte, n)), err
		}, "", nil},
		{"the end", func(t *testing.T, c net.Conn, theirs *net.TCPConn) (string, error) {
			_, err := theirs.Write([]byte("last"))
			if err := errors.Join(err, theirs.CloseWrite()); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 16)
			n, err := io.ReadFull(c, p[:4])
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Read(p)
			return string(p[:n]), err
		}, "last", io.EOF},
		{"more than there is room for", func(_ *testing.T, c net.Conn, theirs *net.TCPConn) (string, error) {
			got := make(chan []byte)
			go func() {
				all, _ := io.ReadAll(theirs)
				got <- all
			}()
			n, err := c.Write(long)
			closeErr := c.Close()
			if all := <-got; n != len(long) || !bytes.Equal(all, long) {
				return "something else", errors.Join(err, closeErr)
			}
			return "", errors.Join(err, closeErr)
		}, "", nil},
		{"a reset while reading", func(t *testing.T, c net.Conn, theirs *net.TCPConn) (string, error) {
			reset(t, theirs)
			_, err := c.Read(make([]byte, 16))
			return "", err
		}, "", syscall.ECONNRESET},
		{"a reset while writing", func(t *testing.T, c net.Conn, theirs *net.TCPConn) (string, error) {
			go func() {
				_, _ = io.CopyN(io.Discard, theirs, 1)
				_ = theirs.SetLinger(0)
				_ = theirs.Close()
			}()
			for {
				if _, err := c.Write(long); err != nil {
					if errors.Is(err, syscall.EPIPE) { // the reset was there before
						err = syscall.ECONNRESET
					}
					return "", err
				}
			}
		}, "", syscall.ECONNRESET},
		{"a deadline for reading", func(t *testing.T, c net.Conn, _ *net.TCPConn) (string, error) {
			if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			_, err := c.Read(make([]byte, 16))
			return "", err
		}, "", os.ErrDeadlineExceeded},
		{"a deadline for writing", func(t *testing.T, c net.Conn, _ *net.TCPConn) (string, error) {
			if err := c.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			for {
				if _, err := c.Write(long); err != nil {
					return "", err
				}
			}
		}, "", os.ErrDeadlineExceeded},
		{"closed here while reading", func(_ *testing.T, c net.Conn, _ *net.TCPConn) (string, error) {
			ctx, cancel := context.WithCancel(context.Background())
			context.AfterFunc(ctx, func() { _ = c.Close() })
			cancel()
			_, err := c.Read(make([]byte, 16))
			return "", err
		}, "", net.ErrClosed},
		{"closed here before", func(t *testing.T, c net.Conn, _ *net.TCPConn) (string, error) {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			_, err := c.Write([]byte("?"))
			return "", err
		}, "", net.ErrClosed},
	} {
		for kind, of := range map[string]func(net.Conn) net.Conn{
			"net's": func(c net.Conn) net.Conn { return c },
			"quick": quick,
		} {
			t.Run(tt.name+", "+kind, func(t *testing.T) {
				ours, theirs := tcpPair(t)
				got, err := tt.try(t, of(ours), theirs)
				if got != tt.want || !errors.Is(err, tt.is) {
					t.Errorf("%q, %v, want %q, %v", got, err, tt.want, tt.is)
				}
			})
		}
	}
}

// turnsAt names the environment variable that makes this test's process the one of
// [TestSocketTurns] that reads.
const turnsAt = "LEAN_TEST_TURNS_AT"

// pauses are how many times all goroutines of that process wait first: the monitor
// goes to sleep in one of them.
const pauses = 2000

// A goroutine that always finds bytes does not keep others from theirs, even with one
// thread. The bytes come from another process, since system calls of this one would
// wake the scheduler's monitor.
func TestSocketTurns(t *testing.T) {
	if address := os.Getenv(turnsAt); address != "" {
		takeTurns(t, address)
		return
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		flood, ok := accept(listener)
		other, okToo := accept(listener)
		if !ok || !okToo {
			return
		}
		defer func() { _, _ = flood.Close(), other.Close() }()
		bytes := make([]byte, 64<<10)
		for range pauses {
			_, _ = io.ReadFull(flood, bytes[:1])
			_, _ = flood.Write(bytes[:1])
		}
		for asked, err := false, error(nil); err == nil; {
			_, err = flood.Write(bytes)
			if !asked { // it has begun
				_, _ = io.ReadFull(flood, bytes[:1])
				_, err = other.Write(bytes[:1])
				asked = true
			}
		}
	}()
	reader := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSocketTurns$")
	reader.Env = append(os.Environ(), turnsAt+"="+listener.Addr().String(), "GOMAXPROCS=1")
	if out, err := reader.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func accept(l net.Listener) (net.Conn, bool) {
	c, err := l.Accept()
	return c, err == nil
}

func takeTurns(t *testing.T, address string) {
	var conns [2]net.Conn
	for i := range conns {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = quick(c)
	}
	var served atomic.Bool
	go func() {
		if _, err := conns[1].Read(make([]byte, 1)); err == nil {
			served.Store(true)
		}
	}()
	p := make([]byte, 1)
	for range pauses {
		_, err := conns[0].Write(p)
		if _, readErr := conns[0].Read(p); err != nil || readErr != nil {
			t.Fatal(err, readErr)
		}
	}
	for reads := 0; !served.Load(); reads++ {
		if _, err := conns[0].Read(p); err != nil {
			t.Fatal(err)
		}
		if reads == 0 {
			if _, err := conns[0].Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if reads == 20_000_000 { // one or two of them take a microsecond
			t.Fatal("the other one was never served")
		}
	}
}

// What is no TCP connection of the kernel's stays as it is.
func TestQuickLeavesOthers(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	if got := quick(ours); got != ours {
		t.Errorf("%T", got)
	}
	tcp, _ := tcpPair(t)
	if _, ok := quick(tcp).(*socket); !ok {
		t.Error("a TCP connection is not quick")
	}
}

// What the client connects to is read quick.
func TestSocketIsUsed(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	h := newPool().host(endpoint{address: listener.Addr().String()}, nil)
	c, err := h.dial(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.raw.Close() }()
	if _, ok := c.raw.(*socket); !ok {
		t.Errorf("%T, want a socket", c.raw)
	}
}
