package lean

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
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
				c := &wideConn{Conn: readerConn{Reader: from(bytes.NewReader(want))}}
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
	for _, tt := range []struct{ memoryMB, buffers int }{{0, 128}, {128, 32}, {10240, 2560}} {
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
