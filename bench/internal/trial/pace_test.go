package trial

import (
	"math"
	"testing"
	"time"
)

// guessed is a guess of an invocation that reads the default corpus.
func guessed(s Setting) time.Duration {
	return guess(s, 1000, 25_500_000, Header{Network: "s3-standard"})
}

// Time left, from guesses that are wrong by another factor for each setting:
// by the end of the first round it is right within a tenth, and it stays so.
func TestPace(t *testing.T) {
	for _, tc := range []struct {
		name   string
		factor func(paceKind) float64 // of what a step takes to its guess
		change func(*Plan)
	}{
		{"guesses are right", func(paceKind) float64 { return 1 }, func(*Plan) {}},
		{"everything takes five times as long", func(paceKind) float64 { return 5 }, func(*Plan) {}},
		{"only small memory is slow", func(k paceKind) float64 { return map[int]float64{128: 4, 512: 0.5}[k.setting.MemoryMB] }, func(*Plan) {}},
		{"cold starts are slow", func(k paceKind) float64 { return map[string]float64{Cold: 9, Warm: 1}[k.start] },
			func(p *Plan) { p.Cold = 20 }},
		{"several clients in one process", func(paceKind) float64 { return 2 }, func(p *Plan) { p.Clients = []string{"lean", "stock"} }},
	} {
		plan := basePlan()
		plan.Invocations = 20
		tc.change(&plan)
		steps := plan.schedule(targets())
		p := newPace(steps, guessed)
		var truth time.Duration
		took := make([]time.Duration, len(steps))
		for i, kind := range p.kinds {
			took[i] = time.Duration(tc.factor(kind) * float64(p.guess[kind]))
			truth += took[i]
		}
		for i, s := range steps {
			if s.seq > 0 && math.Abs(float64(p.left()-truth)) > 0.1*float64(truth) {
				t.Errorf("%s: step %d of %d: %v left, want %v", tc.name, i, len(steps), p.left(), truth)
			}
			p.measured(took[i])
			truth -= took[i]
		}
		if p.left() != 0 {
			t.Errorf("%s: %v left in the end", tc.name, p.left())
		}
	}
}

// A step that is passed over takes no time, and says nothing of the others.
func TestPaceSkipped(t *testing.T) {
	plan := basePlan()
	steps := plan.schedule(targets())
	p := newPace(steps, guessed)
	before := p.left()
	kind := p.skipped()
	if got := before - p.left(); got != p.guess[kind] || p.guessed != 0 {
		t.Errorf("%v less, want %v; guessed %v", got, p.guess[kind], p.guessed)
	}
}

// One slow outlier moves the forecast of its kind by a third of what it would
// be if it were the rule.
func TestPaceOutlier(t *testing.T) {
	plan := basePlan()
	plan.MemoriesMB, plan.Concurrencies, plan.Cold, plan.Invocations = []int{128}, []int{64}, 0, 12
	p := newPace(plan.schedule(targets()[:1]), guessed)
	for range 2 { // the first with its warm-up
		p.measured(time.Second)
	}
	p.measured(11 * time.Second)
	if got := p.left(); got != 9*4*time.Second {
		t.Errorf("%v left, want 36s", got)
	}
}
