//go:build !race

package lean

import (
	"io"
	"testing"
)

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
