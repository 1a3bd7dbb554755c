package fetch

import (
	"bytes"
	"strings"
	"testing"
)

// Whatever the chunks, the finder agrees with bytes.Contains on the whole.
func FuzzFinder(f *testing.F) {
	f.Add([]byte("xxneedlexx"), "needle", uint8(3))
	f.Add([]byte("aabaab"), "aab", uint8(1))
	f.Add([]byte("nneedle"), "needle", uint8(2))
	f.Add([]byte(""), "n", uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, needle string, chunk uint8) {
		if needle == "" || len(needle) > MaxFindBytes || chunk == 0 {
			return
		}
		find := newFinder(needle)
		find.write([]byte(needle))
		find.reset() // nothing of an earlier body may stay
		for rest := body; len(rest) > 0; {
			n := min(int(chunk), len(rest))
			find.write(bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		if want := bytes.Contains(body, []byte(needle)); find.found != want {
			t.Errorf("found %v, want %v", find.found, want)
		}
		if len(find.tail) >= max(len(needle), 1) || len(find.seam) > 2*len(needle) {
			t.Errorf("keeps %d and %d bytes for a needle of %d", len(find.tail), len(find.seam), len(needle))
		}
	})
}

// Memory must not grow with the body.
func TestFinderAllocatesNothing(t *testing.T) {
	find := newFinder("MyMagicString")
	chunk := []byte(strings.Repeat("MyMagicStrin", 100))
	if n := testing.AllocsPerRun(100, func() { find.write(chunk); find.write(chunk[:5]) }); n != 0 {
		t.Errorf("%v allocations a write", n)
	}
}

func BenchmarkFinder(b *testing.B) {
	find := newFinder("MyMagicString")
	chunk := bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz MyMagi"), 1000)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		find.write(chunk)
	}
}
