package fetch

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestJoinCRC(t *testing.T) {
	zeros, noise := make([]byte, 1<<20), make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	for _, tt := range []struct {
		name string // what it guards
		a, b []byte
	}{
		{"nothing", nil, nil},
		{"nothing first", nil, noise[:7]},
		{"nothing last", noise[:7], nil},
		{"a byte each", noise[1:2], noise[2:3]},
		{"a power of two", noise[:33], noise[:1<<16]},
		{"one less", noise[:33], noise[:1<<16-1]},
		{"all bits of a length", noise, noise[:0xaaaaa]},
		{"zeros, which a CRC without its inversions would not see", zeros, zeros[:5]},
	} {
		got := joinCRC(BodyCRC(0, tt.a), BodyCRC(0, tt.b), int64(len(tt.b)))
		if want := crc32.Checksum(slices.Concat(tt.a, tt.b), castagnoli); got != want {
			t.Errorf("%s: %08x, want %08x", tt.name, got, want)
		}
	}
}

// Lengths that no test can hold: joining in another order gives the same.
func TestJoinCRCLong(t *testing.T) {
	const a, b, c, n = 0x12345678, 0x9abcdef0, 0x0fedcba9, int64(5<<40 + 12345)
	if l, r := joinCRC(joinCRC(a, b, n), c, n+1), joinCRC(a, joinCRC(b, c, n+1), 2*n+1); l != r {
		t.Errorf("%08x and %08x", l, r)
	}
}

func FuzzJoinCRC(f *testing.F) {
	f.Add([]byte("ab"), []byte("c"), uint16(3))
	f.Fuzz(func(t *testing.T, a, b []byte, times uint16) {
		b = bytes.Repeat(b, int(times%512))
		got := joinCRC(BodyCRC(0, a), BodyCRC(0, b), int64(len(b)))
		if want := crc32.Checksum(slices.Concat(a, b), castagnoli); got != want {
			t.Errorf("%08x, want %08x", got, want)
		}
	})
}

// readApart gives a body to a sink in pieces that begin at cuts: the first one to
// Write, the others as ranges that end in the order given, each chunk bytes at a time.
func readApart(a *accumulator, body string, cuts, order []int, chunk int) error {
	a.Reset()
	write := func(to RangeWriter, p string) {
		for ; len(p) > 0; p = p[min(chunk, len(p)):] {
			if n, err := to.Write([]byte(p[:min(chunk, len(p))])); err != nil || n != min(chunk, len(p)) {
				panic(fmt.Sprint(n, err))
			}
		}
	}
	ends := append(slices.Clone(cuts), len(body))
	open := make([]RangeWriter, len(cuts))
	for i, from := range cuts { // all at once
		open[i] = a.Range(int64(from))
	}
	for _, i := range order {
		write(open[i], body[cuts[i]:ends[i+1]])
		open[i].End()
	}
	for p := body[:ends[0]]; len(p) > 0; p = p[min(chunk, len(p)):] {
		if _, err := a.Write([]byte(p[:min(chunk, len(p))])); err != nil {
			return err
		}
	}
	return a.join(int64(len(body)))
}

// Of three pieces, wherever the match lies: in one, over either seam or both, and over
// pieces that are shorter than it.
func TestSeams(t *testing.T) {
	orders := [][]int{{0, 1}, {1, 0}}
	for _, needle := range []string{"n", "needle", "aab", strings.Repeat("a", 9) + "b", strings.Repeat("x", MaxFindBytes-1) + "y"} {
		a := newAccumulator(&needle)
		size := 2*len(needle) + 20
		cuts := [][]int{
			{size / 3, 2 * size / 3}, {size / 2, size/2 + 1}, {1, 2}, {size / 2, size/2 + len(needle)/2}, {0, size / 2}, {size - 2, size - 1},
		}
		for at := -1; at+len(needle) <= size; at++ {
			body := []byte(strings.Repeat("a", size)) // which is also the beginning of a match
			if strings.HasPrefix(needle, "xx") {
				body = []byte(strings.Repeat("x", size))
			}
			if at >= 0 {
				copy(body[at:], needle)
			}
			want := bytes.Contains(body, []byte(needle))
			for _, cut := range cuts {
				for _, order := range orders {
					if err := readApart(a, string(body), cut, order, 7); err != nil {
						t.Fatal(err)
					}
					if a.hit() != want || a.body.crc != BodyCRC(0, body) {
						t.Fatalf("needle of %d bytes at %d of %d, ranges from %v, ending in order %v: found %t, CRC right %t",
							len(needle), at, size, cut, order, a.hit(), a.body.crc == BodyCRC(0, body))
					}
				}
			}
		}
	}
}

// Whatever the pieces, their order and the chunks, it comes out as in one piece.
func FuzzRanges(f *testing.F) {
	f.Add("xxneedlexx", "needle", uint64(1), uint8(3), uint8(2))
	f.Add("aabaab", "aab", uint64(2), uint8(6), uint8(1))
	f.Add("", "n", uint64(3), uint8(2), uint8(1))
	f.Fuzz(func(t *testing.T, body, needle string, seed uint64, pieces, chunk uint8) {
		if needle == "" || len(needle) > MaxFindBytes || chunk == 0 {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		cuts := make([]int, pieces%16)
		for i := range cuts {
			cuts[i] = rng.IntN(len(body) + 1)
		}
		slices.Sort(cuts)
		a := newAccumulator(&needle)
		for range 2 { // nothing of an earlier body may stay
			if err := readApart(a, body, cuts, rng.Perm(len(cuts)), int(chunk)); err != nil {
				t.Fatal(err)
			}
			if want := strings.Contains(body, needle); a.hit() != want || a.body.crc != BodyCRC(0, []byte(body)) {
				t.Errorf("found %v, want %v; CRC right: %v", a.hit(), want, a.body.crc == BodyCRC(0, []byte(body)))
			}
			if len(a.ranges.ended) > 1 {
				t.Errorf("%d ranges, although all have ended", len(a.ranges.ended))
			}
		}
	})
}

// A body whose bytes do not all come, or come twice, is none.
func TestGaps(t *testing.T) {
	needle := "needle"
	for _, tt := range []struct {
		name  string
		first string
		parts map[int64]string // by offset
		open  int64            // a range that does not end
		size  int64
		good  bool
	}{
		{name: "whole", first: "ab", parts: map[int64]string{2: "cd", 4: "ef"}, size: 6, good: true},
		{name: "no bytes before the ranges", parts: map[int64]string{0: "cd", 2: "ef"}, size: 4, good: true},
		{name: "a range without a byte", first: "ab", parts: map[int64]string{2: ""}, size: 2, good: true},
		{name: "a gap before the ranges", first: "a", parts: map[int64]string{2: "cd"}, size: 4},
		{name: "a gap between ranges", first: "ab", parts: map[int64]string{2: "c", 4: "ef"}, size: 6},
		{name: "the end is missing", first: "ab", parts: map[int64]string{2: "cd"}, size: 6},
		{name: "bytes twice", first: "abc", parts: map[int64]string{2: "cd"}, size: 4},
		{name: "a range did not end", first: "ab", open: 2, size: 4},
		{name: "more than there is", first: "ab", parts: map[int64]string{2: "cd"}, size: 3},
	} {
		a := newAccumulator(&needle)
		_ = readApart(a, "an earlier needle", []int{2, 9}, []int{1, 0}, 3)
		a.Reset()
		_, _ = a.Write([]byte(tt.first))
		for offset, p := range tt.parts {
			r := a.Range(offset)
			_, _ = r.Write([]byte(p))
			r.End()
		}
		if tt.open > 0 {
			_, _ = a.Range(tt.open).Write([]byte("cd"))
		}
		if err := a.join(tt.size); (err == nil) != tt.good || a.hit() {
			t.Errorf("%s: found %t, %v", tt.name, a.hit(), err)
		}
	}
}

// Memory does not grow with the number of ranges, from whichever end they come.
func TestRangesMemory(t *testing.T) {
	needle := "needle"
	a := newAccumulator(&needle)
	for _, from := range []func(i int64) int64{
		func(i int64) int64 { return i }, func(i int64) int64 { return 9999 - i },
	} {
		a.Reset()
		for i := range int64(10000) {
			r := a.Range(from(i))
			_, _ = r.Write([]byte("n"))
			r.End()
			if n := len(a.ranges.ended) + len(a.ranges.spare); n > 3 {
				t.Fatalf("%d ranges are kept after %d", n, i+1)
			}
		}
		if err := a.join(10000); err != nil {
			t.Error(err)
		}
	}
}
