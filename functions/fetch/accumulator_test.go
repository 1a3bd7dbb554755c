package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

func TestDigest(t *testing.T) {
	sum := func(pairs ...string) Digest {
		var d Digest
		for i := 0; i < len(pairs); i += 2 {
			d.Add(pairs[i], BodyCRC(0, []byte(pairs[i+1])))
		}
		return d
	}
	base := sum("a", "1", "b", "2")
	for _, tc := range []struct {
		name string
		got  Digest
		same bool
	}{
		{"another order", sum("b", "2", "a", "1"), true},
		{"bodies swapped", sum("a", "2", "b", "1"), false},
		{"one missing", sum("a", "1"), false},
		{"one twice", sum("a", "1", "b", "2", "b", "2"), false},
		{"another key", sum("a", "1", "c", "2"), false},
		{"another body", sum("a", "1", "b", "3"), false},
	} {
		if (tc.got == base) != tc.same {
			t.Errorf("%s: %v against %v", tc.name, tc.got, base)
		}
	}
	if base.String() != "c56e3bf98ebff87a" { // pinned: results of two versions must be comparable, and other languages compute it too
		t.Errorf("digest %v changed its definition", base)
	}
	merged := sum("a", "1")
	if merged.Merge(sum("b", "2")); merged != base {
		t.Error("merging is not adding")
	}
	if BodyCRC(BodyCRC(0, []byte("ab")), []byte("c")) != BodyCRC(0, []byte("abc")) {
		t.Error("the checksum depends on the chunks")
	}
}

// Whichever worker's numbers come first, the earliest object in list order is the
// one that is named, and nothing is dropped.
func TestMerge(t *testing.T) {
	needle, late, early := "needle", errors.New("late"), errors.New("early")
	first, second := newAccumulator(&needle), newAccumulator(&needle)
	for _, step := range []struct {
		to    *accumulator
		index int
		fails error
	}{
		{first, 3, late}, {first, 5, late}, {first, 9, nil}, {second, 2, early}, {second, 8, nil}, {second, 4, late},
	} {
		it := item{step.index, fmt.Sprint(step.index)}
		if step.fails != nil {
			step.to.fail(it, step.fails)
			continue
		}
		step.to.Reset()
		_, _ = step.to.Write([]byte(needle)) // cannot fail
		step.to.add(it, Read{Bytes: 6, FirstByte: time.Millisecond})
	}
	for _, order := range [][]*accumulator{{first, second}, {second, first}} {
		total := newAccumulator(nil)
		for _, a := range order {
			total.merge(a)
		}
		if total.objects != 2 || total.bytes != 12 || total.failures != 4 || total.firstByte.n != 2 ||
			total.match.key != "8" || total.failed.key != "2" || !errors.Is(total.failure, early) || total.result(true) != "8" {
			t.Errorf("%+v", total)
		}
	}
}

// What the process has used is what the kernel says.
func TestUsage(t *testing.T) {
	used := func() time.Duration {
		var ru syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ru.Utime.Nano()) + time.Duration(ru.Stime.Nano())
	}
	before := used()
	got := cpuTime()
	if after := used(); got < before || got > after || got == 0 {
		t.Errorf("%v of CPU time, want %v to %v", got, before, after)
	}
	touched := bytes.Repeat([]byte{1}, 64<<20)
	if peak := maxRSS(); peak < int64(len(touched)) || peak > 1<<36 {
		t.Errorf("a peak of %d bytes with %d in use", peak, len(touched))
	}
}

func TestQuantile(t *testing.T) {
	var l latencies
	for us := 1; us <= 100_000; us++ { // uniform: 1 µs to 100 ms
		l.add(time.Duration(us) * time.Microsecond)
	}
	for q, want := range map[float64]float64{0.5: 50, 0.99: 99, 0: 0.001, 1: 100} {
		if got := *l.quantileMS(q, 1); got < want*0.968 || got > want*1.032 {
			t.Errorf("quantile %v: %v ms, want %v within 3.2%%", q, got, want)
		}
	}
	for _, d := range []time.Duration{-1, 0, 24 * time.Hour * 365 * 100} { // out of range: kept, not a panic
		l.add(d)
	}
	var middle latencies
	if middle.add(time.Millisecond); *middle.quantileMS(0.5, 1) != 1 { // of the bucket from 0.992 to 1.008 ms
		t.Errorf("1 ms came back as %v ms", *middle.quantileMS(0.5, 1))
	}
	var small latencies
	small.add(3 * time.Microsecond)
	if got := *small.quantileMS(0.5, 1); got != 0.003 {
		t.Errorf("3 µs came back as %v ms", got)
	}
	small.merge(&l)
	if small.n != 100_004 {
		t.Errorf("merged to %d samples", small.n)
	}
}
