package trial

import "time"

// pace forecasts how long the rest of a run takes, from the steps measured so
// far. Steps are alike if they have the setting, the start and the need of a
// warm-up in common: each such kind is forecast by its own times, and a kind
// that was not measured yet by its guess, corrected by how far the other
// kinds' guesses were off.
type pace struct {
	kinds []paceKind // of the schedule's steps, in order
	next  int        // index into kinds
	ahead map[paceKind]int
	guess map[paceKind]time.Duration
	mean  map[paceKind]time.Duration

	took, guessed time.Duration // sums over the steps that were measured
}

type paceKind struct {
	setting Key
	start   string
	warmup  bool
}

// recent is the weight of the latest time in the mean of its kind.
const recent = 0.3

// newPace takes the whole schedule, and a guess of each invocation's time.
func newPace(steps []step, guessOf func(Setting) time.Duration) *pace {
	p := &pace{ahead: map[paceKind]int{}, guess: map[paceKind]time.Duration{}, mean: map[paceKind]time.Duration{}}
	simulated := Runner{warmed: map[string]map[string]int{}}
	for _, s := range steps {
		kind := paceKind{setting: s.setting.Key(), start: s.start}
		guess := guessOf(s.setting)
		if s.start == Cold {
			delete(simulated.warmed, s.setting.Target.Function)
		} else if warmup, needed := simulated.warmup(s.setting); needed {
			kind.warmup = true
			guess += guessOf(warmup)
			simulated.noteWarm(warmup)
		}
		simulated.noteWarm(s.setting)
		p.kinds = append(p.kinds, kind)
		p.ahead[kind]++
		p.guess[kind] = guess
	}
	return p
}

// measured takes the time of the next step, warm-up included.
func (p *pace) measured(took time.Duration) {
	kind := p.skipped()
	p.took += took
	p.guessed += p.guess[kind]
	if mean, ok := p.mean[kind]; ok {
		took = mean + time.Duration(recent*float64(took-mean))
	}
	p.mean[kind] = took
}

// skipped passes over the next step.
func (p *pace) skipped() paceKind {
	kind := p.kinds[p.next]
	p.next++
	p.ahead[kind]--
	return kind
}

// left is the forecast for all steps ahead. Before the first measurement it
// is the sum of the guesses.
func (p *pace) left() time.Duration {
	correction := 1.0
	if p.guessed > 0 {
		correction = float64(p.took) / float64(p.guessed)
	}
	var left time.Duration
	for kind, n := range p.ahead {
		left += time.Duration(n) * p.one(kind, correction)
	}
	return left
}

// one is the forecast for a single step of a kind.
func (p *pace) one(kind paceKind, correction float64) time.Duration {
	if mean, ok := p.mean[kind]; ok {
		return mean
	}
	// The same with, or without, a warm-up is nearer than any guess.
	other := kind
	other.warmup = !kind.warmup
	if mean, ok := p.mean[other]; ok && p.guess[other] > 0 {
		correction = float64(mean) / float64(p.guess[other])
	}
	return time.Duration(correction * float64(p.guess[kind]))
}
