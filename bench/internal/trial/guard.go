package trial

import "time"

// Guard decides, while a run goes on, what is still worth measuring.
type Guard interface {
	// Before is asked ahead of each step.
	Before(s Setting, start string) Decision
	// Invoked hears of every invocation and what is billed for it, those that
	// only warm up, too.
	Invoked(s Setting, billedMS float64)
	// Measured hears of every result line.
	Measured(s Setting, r Result)
	// End is asked in the end: Budget or PrecisionMissed where that is how it
	// came about, else the zero value.
	End() End
}

// Decision is a Guard's.
type Decision int

// Decisions.
const (
	Go   Decision = iota // measure the step
	Skip                 // pass over it
	Stop                 // end the run here, with what there is
)

// Forecast is one invocation that a run will make.
type Forecast struct {
	Setting Setting
	Time    time.Duration // as [Runner.Guess] has it
}

// Forecast lists every invocation that the run will make if no guard and no
// failure shortens it, those that only warm up, too.
func (r *Runner) Forecast() []Forecast {
	plain := Runner{warmed: map[string]map[string]int{}}
	var all []Forecast
	add := func(s Setting) {
		all = append(all, Forecast{s, r.Guess(s)})
		plain.noteWarm(s)
	}
	for _, s := range r.Header.Plan.schedule(r.Targets) {
		if s.start == Cold {
			delete(plain.warmed, s.setting.Target.Function)
		} else if warmup, needed := plain.warmup(s.setting); needed {
			add(warmup)
		}
		add(s.setting)
	}
	return all
}

// Guess is a rough forecast of one invocation's time: what a run's progress is
// weighed by, and its budget as long as a setting has not been measured.
func (r *Runner) Guess(s Setting) time.Duration {
	if r.Header.Plan.Own() {
		return ownGuess
	}
	return guess(s, r.Header.Corpus.Count, r.Header.Bytes, r.Header)
}

// ownGuess is what is taken for an invocation of which nothing is known.
const ownGuess = 500 * time.Millisecond
