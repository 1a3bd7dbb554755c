package corpus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"fanout/functions/fetch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The bytes of the published set never change: results of different versions
// would not be of the same work. A file, so that a change shows in review.
func TestDefaultIsPinned(t *testing.T) {
	const golden = "testdata/default.golden"
	s := Default()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	n, digest := s.Expect()
	if n != s.TotalBytes() {
		t.Errorf("read %d bytes, the sizes sum to %d", n, s.TotalBytes())
	}
	h := sha256.New()
	for i := range s.Count {
		if _, err := io.WriteString(h, s.Key(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(h, s.Body(i)); err != nil {
			t.Fatal(err)
		}
	}
	got := "digest " + digest.String() + "\nsha256 " + hex.EncodeToString(h.Sum(nil)) + "\nneedle " + s.Key(s.NeedleObject()) + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSizes(t *testing.T) {
	s := Default()
	var below, above int
	for i := range s.Count {
		n := s.Size(i)
		if n < s.MinBytes || n > s.MaxBytes {
			t.Fatalf("object %d has %d bytes", i, n)
		}
		if n != s.Body(i).Size() {
			t.Fatalf("object %d: body of %d bytes, size %d", i, s.Body(i).Size(), n)
		}
		if n < 10_000 {
			below++
		}
		if n > 41_000 {
			above++
		}
	}
	// uniform: 184 of 1,000 each, with a standard deviation of 12
	if below < 124 || below > 244 || above < 124 || above > 244 {
		t.Errorf("%d objects under 10,000 bytes, %d over 41,000", below, above)
	}
	one := Spec{Count: 3, MinBytes: 7, MaxBytes: 7, Seed: 1, Needle: "n"}
	if n := one.TotalBytes(); n != 21 {
		t.Errorf("three objects of 7 bytes have %d", n)
	}
}

// occurrences counts them, overlapping ones too.
func occurrences(body, needle []byte) (n int) {
	for {
		i := bytes.Index(body, needle)
		if i < 0 {
			return n
		}
		n++
		body = body[i+1:]
	}
}

func needles(t testing.TB, s Spec) {
	t.Helper()
	var total int
	for i := range s.Count {
		body, err := io.ReadAll(s.Body(i))
		if err != nil || int64(len(body)) != s.Size(i) {
			t.Fatalf("object %d: %d bytes, %v", i, len(body), err)
		}
		n := occurrences(body, []byte(s.Needle))
		if n > 0 && i != s.NeedleObject() {
			t.Errorf("needle %q in object %d, not in %d alone", s.Needle, i, s.NeedleObject())
		}
		total += n
	}
	if total != 1 {
		t.Errorf("needle %q: %d times", s.Needle, total)
	}
}

func TestNeedleOnce(t *testing.T) {
	for _, needle := range []string{
		"MyMagicString",
		"aXa",                     // ends in its first byte
		"abab",                    // its own border
		"aaaa",                    // all borders
		"a",                       // every other byte could be it
		"-",                       // the last but two of the alphabet
		"é",                       // first byte not in the alphabet
		"\x00\x01",                // nor these
		"日本語日",                    // a border of three bytes
		"ab\nab",                  // line ends
		strings.Repeat("xy", 512), // the longest
	} {
		for seed := range uint64(5) {
			s := Spec{Count: 20, MinBytes: int64(len(needle)), MaxBytes: 5000, Seed: seed, Needle: needle}
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			needles(t, s)
		}
		// no room beside it
		needles(t, Spec{Count: 2, MinBytes: int64(len(needle)), MaxBytes: int64(len(needle)), Needle: needle})
	}
}

func FuzzNeedleOnce(f *testing.F) {
	f.Add("aXa", uint64(1), uint16(100), uint8(3))
	f.Add("Z", uint64(0), uint16(0), uint8(1))
	f.Add("日日", uint64(9), uint16(5000), uint8(2))
	f.Fuzz(func(t *testing.T, needle string, seed uint64, room uint16, count uint8) {
		s := Spec{Count: int(count), MinBytes: int64(len(needle)), MaxBytes: int64(len(needle)) + int64(room), Seed: seed, Needle: needle}
		if s.Validate() != nil {
			t.Skip()
		}
		needles(t, s)
	})
}

// A reader that seeks, as a PUT that is tried again does, sees the same bytes.
func TestReadAt(t *testing.T) {
	s := Spec{Count: 4, MinBytes: 20_000, MaxBytes: 30_000, Seed: 3, Needle: "needle in it"}
	for i := range s.Count { // the needle's object among them
		want, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(s.Body(i), 9000)))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(s.Body(i))
		if err != nil || !bytes.Equal(want, whole[:9000]) {
			t.Fatalf("byte by byte differs, %v", err)
		}
		if err := iotest.TestReader(s.Body(i), whole); err != nil {
			t.Error(err)
		}
		for _, off := range []int{0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 3*blockBytes - 5, len(whole) - 1} {
			for _, n := range []int{1, 3, blockBytes - 1, blockBytes, 2*blockBytes + 7} {
				p := make([]byte, min(n, len(whole)-off))
				if m, err := s.Body(i).ReadAt(p, int64(off)); m != len(p) || err != nil || !bytes.Equal(p, whole[off:off+len(p)]) {
					t.Errorf("object %d: %d bytes at %d differ (%d, %v)", i, n, off, m, err)
				}
			}
		}
		if i == s.NeedleObject() { // cut in the middle of the needle
			at := bytes.Index(whole, []byte(s.Needle))
			p := make([]byte, 4)
			if _, err := s.Body(i).ReadAt(p, int64(at+5)); err != nil || string(p) != s.Needle[5:9] {
				t.Errorf("inside the needle: %q, %v", p, err)
			}
		}
	}
}

// Every part of the Spec that is to change the bytes does, and no other.
func TestSeeds(t *testing.T) {
	base := Spec{Count: 10, MinBytes: 100, MaxBytes: 200, Seed: 1, Needle: "needle", Prefix: "p/"}
	_, want := base.Expect()
	for _, row := range []struct {
		name string
		edit func(*Spec)
		same bool
	}{
		{"nothing", func(*Spec) {}, true},
		{"seed", func(s *Spec) { s.Seed = 2 }, false},
		{"count", func(s *Spec) { s.Count = 11 }, false},
		{"needle", func(s *Spec) { s.Needle = "Needle" }, false},
		{"prefix", func(s *Spec) { s.Prefix = "q/" }, false},
		{"size", func(s *Spec) { s.MaxBytes = 201 }, false},
	} {
		s := base
		row.edit(&s)
		if _, got := s.Expect(); (got == want) != row.same {
			t.Errorf("%s: digest %s and %s", row.name, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*Spec)
		want string // part of the error; "": valid
	}{
		{"default", func(*Spec) {}, ""},
		{"most objects", func(s *Spec) { s.Count = MaxCount }, ""},
		{"no objects", func(s *Spec) { s.Count = 0 }, "objects 0"},
		{"one too many", func(s *Spec) { s.Count = MaxCount + 1 }, "objects 10000001"},
		{"longest prefix of seven digits", func(s *Spec) { s.Count, s.Prefix = 1_000_001, strings.Repeat("p", 1024-14) }, ""},
		{"key of seven digits too long", func(s *Spec) { s.Count, s.Prefix = 1_000_001, strings.Repeat("p", 1024-13) }, "prefix of 1011"},
		{"no needle", func(s *Spec) { s.Needle = "" }, "needle of 0 bytes"},
		{"longest needle", func(s *Spec) { s.Needle, s.MinBytes = strings.Repeat("n", fetch.MaxFindBytes), fetch.MaxFindBytes }, ""},
		{"longer than a worker searches for", func(s *Spec) { s.Needle = strings.Repeat("n", fetch.MaxFindBytes+1) }, "needle of 1025"},
		{"needle that JSON cannot hold", func(s *Spec) { s.Needle = "a\xff" }, "UTF-8"},
		{"object shorter than the needle", func(s *Spec) { s.MinBytes = 12 }, "min-bytes 12"},
		{"negative", func(s *Spec) { s.MinBytes = -1 }, "min-bytes -1"},
		{"most before least", func(s *Spec) { s.MaxBytes = 999 }, "max-bytes 999"},
		{"past one PUT", func(s *Spec) { s.MaxBytes = maxObjectBytes + 1 }, "max-bytes"},
		{"longest prefix", func(s *Spec) { s.Prefix = strings.Repeat("p", 1024-13) }, ""},
		{"key too long", func(s *Spec) { s.Prefix = strings.Repeat("p", 1024-12) }, "prefix of 1012"},
		{"prefix that is no key", func(s *Spec) { s.Prefix = "\xff/" }, "UTF-8"},
	} {
		s := Default()
		row.edit(&s)
		err := s.Validate()
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
		if err == nil && !utf8.ValidString(s.Key(s.Count-1)) {
			t.Errorf("%s: key %q", row.name, s.Key(s.Count-1))
		}
	}
}

func TestSeedKeys(t *testing.T) {
	s := Spec{Prefix: "p/"}
	for _, row := range []struct {
		key    string
		number int  // -1: none of s
		any    bool // some Spec's
	}{
		{"p/object-000000", 0, true},
		{"p/object-999999", 999999, true},
		{"p/object-000120", 120, true},
		{"p/object-0000000", 0, true}, // of more than a million
		{"p/object-9999999", 9999999, true},
		{"p/object-00000000", -1, false}, // a digit more
		{"p/object-object-000001", -1, true},
		{"p/object-00000x", -1, false},
		{"p/object-00000", -1, false},
		{"p/object-+00001", -1, false}, // strconv would take it
		{"p/object-", -1, false},
		{"q/object-000000", -1, true},   // under another prefix
		{"object-000000", -1, true},     // under none
		{"p/q/object-000001", -1, true}, // in a folder below
		{"p/x/object-00000", -1, false},
		{"p/anobject-000001", -1, true}, // the prefix p/an
		{"", -1, false},
	} {
		i, ok := s.numberOfAny(row.key)
		if ok != (row.number >= 0) || ok && i != row.number {
			t.Errorf("%q: object %d, %t", row.key, i, ok)
		}
		if isSeedKey(row.key) != row.any {
			t.Errorf("%q: seed key %t", row.key, !row.any)
		}
	}
}

// Keys, bytes and matches of sets that six digits suffice for are what they
// were before there were more: the file was written by the code of that time.
func TestSetsArePinned(t *testing.T) {
	want, err := os.ReadFile("testdata/pinned.golden")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, s := range []Spec{
		Default(),
		{Count: 100_000, MinBytes: 20, MaxBytes: 60, Seed: 3, Needle: "needle", Prefix: "p/"},
		{Count: 1_000_000, MinBytes: 1, MaxBytes: 1, Seed: 9, Needle: "n", Prefix: ""}, // the largest
		{Count: 40, MinBytes: 4095, MaxBytes: 8193, Seed: 1<<64 - 1, Needle: "aXa", Prefix: "q/"},
		{Count: 3, MinBytes: 1_500_000, MaxBytes: 2_500_000, Seed: 2, Needle: "日本", Prefix: "objects/"},
	} {
		n, d := s.Expect()
		fmt.Fprintf(&got, "%s: %d bytes, digest %s, last %s, needle in %s\n", s, n, d, s.Key(s.Count-1), s.Key(s.NeedleObject()))
		if total := s.TotalBytes(); total != n {
			t.Errorf("%s: %d bytes in all, read %d", s, total, n)
		}
	}
	if got.String() != string(want) {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// Keys have a digit more where six do not suffice, all of a set, and are in
// list order. Those of another number of digits are another set's.
func TestMillions(t *testing.T) {
	for _, row := range []struct {
		count, i int
		key      string
	}{
		{1_000_000, 0, "p/object-000000"},
		{1_000_000, 999_999, "p/object-999999"},
		{1_000_001, 0, "p/object-0000000"},
		{1_000_001, 1_000_000, "p/object-1000000"},
		{MaxCount, 1_234_567, "p/object-1234567"},
		{MaxCount, MaxCount - 1, "p/object-9999999"},
	} {
		s := Default()
		s.Count, s.Prefix = row.count, "p/"
		if key := s.Key(row.i); key != row.key {
			t.Errorf("%d objects: key %q, want %q", row.count, key, row.key)
		}
		if i, ok := s.Number(row.key); !ok || i != row.i {
			t.Errorf("%d objects: %q is number %d, %t", row.count, row.key, i, ok)
		}
		if i := s.NeedleObject(); i < 0 || i >= s.Count {
			t.Errorf("%d objects: needle in %d", row.count, i)
		}
	}
	few, many := Default(), Default()
	few.Count, many.Count = 1_000_000, 1_000_001
	for s, key := range map[Spec]string{few: many.Key(5), many: few.Key(5), Default(): few.Key(1000)} {
		if i, ok := s.Number(key); ok {
			t.Errorf("%d objects: %q is number %d", s.Count, key, i)
		}
	}
	last := ""
	for i := range many.Count {
		if key := many.Key(i); key <= last {
			t.Fatalf("%q comes after %q", key, last)
		} else {
			last = key
		}
	}
}

// What parts answer adds up to what the whole does, however they are cut and
// on however many cores; one that is interrupted has no answer.
func TestExpectOf(t *testing.T) {
	s := Spec{Count: 3000, MinBytes: 10, MaxBytes: 9000, Seed: 4, Needle: "needle", Prefix: "p/"}
	bytesRead, digest := s.Expect()
	for _, cut := range []int{1, 7, 255, 256, 257, 1000, 3000, 5000} {
		var sum Expected
		for from := 0; from < s.Count; from += cut {
			last := 0
			part, err := s.ExpectOf(t.Context(), from, min(from+cut, s.Count), func(done, total int) {
				if done <= last || done > total || total != min(cut, s.Count-from) {
					t.Errorf("%d of %d after %d", done, total, last)
				}
				last = done
			})
			if err != nil || last != part.Objects {
				t.Fatalf("%d objects, %d noted, %v", part.Objects, last, err)
			}
			sum.Merge(part)
		}
		if want := (Expected{s.Count, bytesRead, digest}); sum != want {
			t.Errorf("in parts of %d: %v, want %v", cut, sum, want)
		}
	}
	heard := 0
	large := Spec{Count: 3, MinBytes: eachBytes, MaxBytes: eachBytes, Seed: 4, Needle: "needle"}
	if _, err := large.ExpectOf(t.Context(), 0, large.Count, func(done, total int) {
		if heard++; done != heard || total != large.Count {
			t.Errorf("large objects: %d of %d when called for the %dth time", done, total, heard)
		}
	}); err != nil || heard != large.Count {
		t.Errorf("of %d large objects heard %d times, %v", large.Count, heard, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got, err := s.ExpectOf(ctx, 0, s.Count, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) || got.Objects == s.Count {
		t.Errorf("interrupted: %d objects, %v", got.Objects, err)
	}
}

func BenchmarkReadAt(b *testing.B) {
	s := Spec{Count: 1, MinBytes: 1 << 20, MaxBytes: 1 << 20, Seed: 1, Needle: "needle"}
	body, p := s.Body(0), make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := body.ReadAt(p, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExpect(b *testing.B) {
	s := Default()
	b.SetBytes(s.TotalBytes())
	for b.Loop() {
		s.Expect()
	}
}

// BenchmarkExpectSmall is a digest of objects of 2 KB, of which there may be ten
// million.
func BenchmarkExpectSmall(b *testing.B) {
	s := Spec{Count: 100_000, MinBytes: 1000, MaxBytes: 3000, Seed: 1, Needle: "needle", Prefix: "objects/"}
	b.SetBytes(s.TotalBytes())
	b.ReportAllocs()
	for b.Loop() {
		s.Expect()
	}
}

func BenchmarkTotalBytes(b *testing.B) {
	s := Default()
	s.Count = 100_000
	b.ReportAllocs()
	for b.Loop() {
		s.TotalBytes()
	}
}
