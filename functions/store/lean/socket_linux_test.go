package lean

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
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

// A read or a write of a socket allocates nothing.
func TestSocketAllocates(t *testing.T) {
	ours, theirs := tcpPair(t)
	c, p := quick(ours), make([]byte, 1)
	go func() { _, _ = io.Copy(theirs, theirs) }()
	if n := testing.AllocsPerRun(100, func() {
		_, err := c.Write(p)
		if _, readErr := c.Read(p); err != nil || readErr != nil {
			t.Error(err, readErr)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
