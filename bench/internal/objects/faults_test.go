package objects

import (
	"math"
	"slices"
	"testing"
	"time"

	"fanout/bench/internal/network"
)

func TestFaultsValidate(t *testing.T) {
	for _, row := range []struct {
		f  Faults
		ok bool
	}{
		{Faults{}, true},
		{Faults{0.5, 0.25, 0.25, 1}, true},      // all of it
		{Faults{SlowDown: -0.1}, false},         // below the range
		{Faults{Spike: 1.1}, false},             // above it
		{Faults{Reset: 0.6, Short: 0.6}, false}, // a request has one of these at most
		{Faults{Short: math.NaN()}, false},      // compares with nothing
	} {
		if err := row.f.Validate(); (err == nil) != row.ok {
			t.Errorf("%+v: %v", row.f, err)
		}
	}
	if _, err := Start(Config{Faults: Faults{Spike: 2}, Dir: t.TempDir()}); err == nil {
		t.Error("Start took a share of 2")
	}
}

func TestFaultsRepeat(t *testing.T) {
	type draw struct {
		kind  fault
		spike bool
	}
	draws := func(seed uint64, shares Faults) []draw {
		f, all := newFaultSampler(seed, shares), make([]draw, 10_000)
		for i := range all {
			all[i].kind, all[i].spike = f.draw()
		}
		return all
	}
	shares := Faults{SlowDown: 0.1, Reset: 0.05, Short: 0.2, Spike: 0.01}
	a := draws(7, shares)
	if !slices.Equal(a, draws(7, shares)) {
		t.Error("the same seed drew differently")
	}
	if slices.Equal(a, draws(8, shares)) {
		t.Error("another seed drew the same")
	}
	counts := make(map[fault]int)
	spikes := 0
	for _, d := range a {
		counts[d.kind]++
		if d.spike {
			spikes++
		}
	}
	for f, want := range map[fault]int{slowDownFault: 1000, resetFault: 500, shortFault: 2000} {
		if got := counts[f]; got < want*8/10 || got > want*12/10 {
			t.Errorf("fault %d: %d of 10,000, want about %d", f, got, want)
		}
	}
	if spikes < 60 || spikes > 150 {
		t.Errorf("%d spikes of 10,000, want about 100", spikes)
	}
	for i, d := range draws(7, Faults{}) {
		if d != (draw{}) {
			t.Fatalf("draw %d of no faults: %+v", i, d)
		}
	}
}

// A storm catches as many GETs as it was asked for, or as long as it lasts.
func TestStormTakes(t *testing.T) {
	now := time.Unix(100, 0)
	for _, row := range []struct {
		name string
		storm
		at   []time.Duration // after now
		want []bool
	}{
		{"none", storm{}, []time.Duration{0}, []bool{false}},
		{"two requests", storm{on: true, left: 2}, []time.Duration{0, 0, 0}, []bool{true, true, false}},
		{"a second", storm{on: true, until: now.Add(time.Second)}, []time.Duration{0, time.Second, time.Second + 1, 0},
			[]bool{true, true, false, false}},
		{"requests that end it early", storm{on: true, left: 1, until: now.Add(time.Second)}, []time.Duration{0, 0}, []bool{true, false}},
		{"a time that ends it early", storm{on: true, left: 9, until: now.Add(time.Second)}, []time.Duration{0, 2 * time.Second},
			[]bool{true, false}},
	} {
		for i, at := range row.at {
			if got := row.takes(now.Add(at)); got != row.want[i] {
				t.Errorf("%s: request %d: %t", row.name, i, got)
			}
		}
	}
}

// A spike is the same latency, ten times; other faults leave it as it was.
func TestSpike(t *testing.T) {
	for _, row := range []struct {
		shares Faults
		factor int
	}{
		{Faults{}, 1},
		{Faults{SlowDown: 0.5, Reset: 0.2, Short: 0.3}, 1},
		{Faults{Spike: 1}, 10},
	} {
		plain := newLatencySampler(7, network.S3Standard)
		s := newServer(Config{Network: network.S3Standard, Seed: 7, Faults: row.shares}, t.TempDir())
		for i := range 100 {
			want := plain.draw(noBody) * time.Duration(row.factor)
			if got, _ := s.drawGet(noBody); got != want {
				t.Fatalf("%+v: draw %d is %s, want %s", row.shares, i, got, want)
			}
		}
	}
}
