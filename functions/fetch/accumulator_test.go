package fetch

import (
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
