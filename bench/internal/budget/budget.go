// Package budget holds a run to its bounds: [New] gives the guard of a
// [trial.Runner], which says in advance what the run will take
// ([Guard.Estimate]), ends it before its budget is passed, and passes over the
// settings that are precise enough.
package budget

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

// Bounds are how far a run goes.
type Bounds struct {
	Precision float64       // of every setting's warm median, a share; 0: no aim, every invocation is made
	Dollars   float64       // 0: no bound
	Within    time.Duration // 0: no bound
	Text      string        // the budget as it was asked for; empty: none
}

// maxDollars is the most that a budget may have.
const maxDollars = 1e6

// Parse reads a budget: dollars, a duration, or both, separated by a comma;
// empty: none.
func Parse(text string) (Bounds, error) {
	b := Bounds{Text: text}
	if text == "" {
		return b, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		number, isDollars := strings.CutPrefix(part, "$")
		if usd, err := strconv.ParseFloat(number, 64); err == nil && usd > 0 && usd <= maxDollars && b.Dollars == 0 {
			b.Dollars = usd
			continue
		}
		if d, err := time.ParseDuration(part); err == nil && d > 0 && b.Within == 0 && !isDollars {
			b.Within = d
			continue
		}
		return Bounds{}, fmt.Errorf("budget %q: must be dollars, a time, or both, such as 0.50,20m", text)
	}
	return b, nil
}

// Guard holds a run to its bounds. It is a [trial.Guard].
type Guard struct {
	bounds Bounds
	runner *trial.Runner
	prices *cost.Prices // nil: unknown, and no dollars are counted
	class  cost.StorageClass
	now    func() time.Time

	began   time.Time
	spent   float64 // dollars
	warm    map[trial.Key][]float64
	last    map[trial.Key]time.Duration // round trip
	stopped string                      // by which bound; empty: by none
}

// New makes the guard of a run that begins now. prices are those of the run's
// region, or nil where nobody knows them: a bound in dollars then never holds.
func New(b Bounds, prices *cost.Prices, class cost.StorageClass, runner *trial.Runner) *Guard {
	g := &Guard{
		bounds: b, runner: runner, prices: prices, class: class, now: time.Now,
		warm: map[trial.Key][]float64{}, last: map[trial.Key]time.Duration{},
	}
	g.began = g.now()
	return g
}

// Begin has the run begin now: before, somebody was asked whether it is to.
func (g *Guard) Begin() { g.began = g.now() }

// usd is what an invocation costs, at AWS's prices wherever it runs.
func (g *Guard) usd(s trial.Setting, billedMS float64) float64 {
	if g.prices == nil {
		return 0
	}
	expected := g.runner.Expected
	i := cost.Invocation{Arch: s.Target.Arch, MemoryMB: s.Target.MemoryMB, BilledMS: billedMS, Class: g.class}
	if !g.runner.Header.Plan.Own() {
		i.GETs, i.LISTs, i.Bytes = expected.Objects, cost.ListRequests(expected.Objects), expected.Bytes
	}
	split, err := g.prices.Invocation(i)
	if err != nil {
		return 0 // an architecture that Lambda does not have
	}
	return split.Total()
}

// next forecasts an invocation from the last one of its setting.
func (g *Guard) next(s trial.Setting) time.Duration {
	if last, ok := g.last[s.Key()]; ok {
		return last
	}
	return g.runner.Guess(s)
}

// Before ends the run where the next step would pass the budget, and passes
// over the warm ones of a setting that is precise enough.
func (g *Guard) Before(s trial.Setting, start string) trial.Decision {
	next := g.next(s)
	switch {
	case g.bounds.Within > 0 && g.now().Sub(g.began)+next > g.bounds.Within:
		g.stopped = fmt.Sprintf("the budget's %v", g.bounds.Within)
		return trial.Stop
	case g.bounds.Dollars > 0 && g.spent+g.usd(s, float64(next.Milliseconds())) > g.bounds.Dollars:
		g.stopped = fmt.Sprintf("the budget's $%g", g.bounds.Dollars)
		return trial.Stop
	case g.bounds.Precision > 0 && start == trial.Warm && stats.Summarise(g.warm[s.Key()]).Precision() <= g.bounds.Precision:
		return trial.Skip
	}
	return trial.Go
}

// Invoked adds an invocation to what is spent.
func (g *Guard) Invoked(s trial.Setting, billedMS float64) { g.spent += g.usd(s, billedMS) }

// Measured adds a line to what is known.
func (g *Guard) Measured(s trial.Setting, r trial.Result) {
	k := s.Key()
	g.last[k] = time.Duration(r.RoundtripMS * float64(time.Millisecond))
	if r.OK && r.Start == trial.Warm {
		g.warm[k] = append(g.warm[k], r.DurationMS)
	}
}

// End says which bound ended the run, or which settings stayed short of the
// precision aimed at, of those that were given a chance.
func (g *Guard) End() trial.End {
	if g.stopped != "" {
		return trial.End{Reason: trial.Budget, Text: fmt.Sprintf("stopped before %s would be exceeded", g.stopped)}
	}
	var missed []string
	for _, k := range slices.SortedFunc(maps.Keys(g.warm), trial.Key.Compare) {
		s := stats.Summarise(g.warm[k])
		if g.bounds.Precision > 0 && s.N >= stats.MinForInterval && s.Precision() > g.bounds.Precision {
			missed = append(missed, fmt.Sprintf("%s: ±%.0f%% after %d", k, s.Precision()*100, s.N))
		}
	}
	if missed == nil {
		return trial.End{}
	}
	return trial.End{
		Reason: trial.PrecisionMissed,
		Text:   fmt.Sprintf("precision %g%% not reached: %s", g.bounds.Precision*100, strings.Join(missed, "; ")),
	}
}

// Estimate says what lies ahead: "33 invocations, about 2m10s, …".
func (g *Guard) Estimate() string {
	var took time.Duration
	var usd float64
	ahead := g.runner.Forecast()
	for _, f := range ahead {
		took += f.Time
		usd += g.usd(f.Setting, float64(f.Time.Milliseconds()))
	}
	text := fmt.Sprintf("%d invocations, about %v", len(ahead), took.Round(time.Second))
	if g.bounds.Precision > 0 {
		text = "at most " + text
	}
	switch known := g.prices != nil && g.runner.Expected.Objects > 0; {
	case g.runner.Header.Plan.Own() && g.runner.Header.Backend == trial.AWS:
		text += ", at Lambda's price for what they take, and that of whatever they call"
	case g.runner.Header.Backend != trial.AWS && known:
		text += fmt.Sprintf(", no money (on AWS about $%.2f)", math.Ceil(usd*100)/100)
	case g.runner.Header.Backend != trial.AWS:
		text += ", no money"
	case known:
		text += fmt.Sprintf(", about $%.2f (prices of %s, S3 requests included, no free tier)", math.Ceil(usd*100)/100, g.prices.Date)
	default:
		text += ", at a cost that is not known here"
	}
	if g.bounds.Text != "" {
		text += "; budget " + g.bounds.Text
	}
	return text
}
