package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

// Outcome is what became of a setting.
type Outcome string

// Outcomes.
const (
	Same    Outcome = "~" // no change beyond chance, or none beyond the threshold
	Worse   Outcome = "worse"
	Better  Outcome = "better"
	Removed Outcome = "only in old"
	Added   Outcome = "only in new"

	// Broken is what worked in old and in no invocation of new; it takes no test.
	Broken     Outcome = "always fails now"
	BrokenCold Outcome = "each cold start fails now"
)

// Metrics of a change.
const (
	WarmMS   = "warm ms"
	ColdMS   = "cold ms"
	Failures = "failures"
)

// Change is one test of one setting.
type Change struct {
	Name    string        `json:"name"`   // of the setting
	Metric  string        `json:"metric"` // WarmMS, ColdMS or Failures
	Old     stats.Summary `json:"old"`    // of failures: n is all invocations, the median those that failed
	New     stats.Summary `json:"new"`
	Delta   float64       `json:"delta"` // new over old, less 1; of failures the difference of the shares
	P       float64       `json:"p"`     // of this test alone
	Holm    float64       `json:"p_holm"`
	Outcome Outcome       `json:"outcome"`
}

// Tested says whether there are samples to test, large enough for any verdict.
func (c Change) Tested() bool {
	return c.Old.N > 0 && c.New.N > 0 && (c.Metric == Failures || stats.CanDiffer(c.Old.N, c.New.N))
}

// MarshalJSON gives null for what only a test gives, where none was made.
func (c Change) MarshalJSON() ([]byte, error) {
	type plain Change
	out := struct {
		plain
		Delta *float64 `json:"delta"`
		P     *float64 `json:"p"`
		Holm  *float64 `json:"p_holm"`
	}{plain: plain(c)}
	if c.Tested() {
		out.Delta, out.P, out.Holm = &c.Delta, &c.P, &c.Holm
	}
	return json.Marshal(out)
}

// Comparison sets two runs side by side.
type Comparison struct {
	Threshold float64  `json:"threshold"`
	Changes   []Change `json:"changes"`
	Tests     int      `json:"tests"` // in the family that the p values are corrected for
	Need      int      `json:"need"`  // the n of each setting with which the smallest family-wise p can be reached
	Warnings  []string `json:"warnings"`
	Undecided []string `json:"undecided"` // why "nothing got worse" could not be said; empty: it could

	unplanned int // settings whose cold starts only old was to have
}

// Worse gives the changes for the worse, what broke first.
func (c *Comparison) Worse() []Change {
	var broken, worse []Change
	for _, change := range c.Changes {
		switch change.Outcome {
		case Broken, BrokenCold:
			broken = append(broken, change)
		case Worse:
			worse = append(worse, change)
		}
	}
	return append(broken, worse...)
}

// Better counts the changes for the better.
func (c *Comparison) Better() int {
	n := 0
	for _, change := range c.Changes {
		if change.Outcome == Better {
			n++
		}
	}
	return n
}

// MismatchError says why two runs must not be compared.
type MismatchError struct {
	What []string // each "backend: aws, sandbox"
}

func (e *MismatchError) Error() string {
	return "the runs are not alike: " + strings.Join(e.What, "; ")
}

// Mismatch gives a [*MismatchError] where the runs differ in what makes
// figures comparable: backend, machine, network, limits, objects, or the
// plan's settings. How often each was measured, and in which order, may
// differ.
func Mismatch(old, new trial.Header) error {
	var what []string
	differ := func(name string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			what = append(what, fmt.Sprintf("%s: %v, %v", name, a, b))
		}
	}
	differ("backend", old.Backend, new.Backend)
	differ("machine", old.Host, new.Host)
	differ("region", old.Region, new.Region)
	differ("network", old.Network, new.Network)
	differ("network's figures", old.NetworkModel().String(), new.NetworkModel().String())
	differ("bandwidth", old.Bandwidth, new.Bandwidth)
	differ("limits", old.Limits, new.Limits)
	differ("storage class", ClassOf(old), ClassOf(new))
	differ("corpus", old.Corpus, new.Corpus)
	differ("corpus bytes", old.Bytes, new.Bytes)
	sorted := func(p trial.Plan) trial.Plan {
		p.Invocations, p.Cold, p.Sequential, p.Seed = 0, 0, 0, 0
		for _, list := range []*[]int{&p.MemoriesMB, &p.Concurrencies} {
			*list = slices.Sorted(slices.Values(*list))
		}
		for _, list := range []*[]string{&p.Architectures, &p.Clients, &p.Contenders} {
			*list = slices.Sorted(slices.Values(*list))
		}
		return p
	}
	a, b := sorted(old.Plan), sorted(new.Plan)
	differ("memories", a.MemoriesMB, b.MemoriesMB)
	differ("architectures", a.Architectures, b.Architectures)
	differ("clients", a.Clients, b.Clients)
	differ("concurrencies", a.Concurrencies, b.Concurrencies)
	differ("contenders", a.Contenders, b.Contenders)
	differ("count", a.Count, b.Count)
	if len(what) > 0 {
		return &MismatchError{what}
	}
	return nil
}

// Compare tests each setting of both runs for a change: warm and cold times
// with the Mann-Whitney U test, failures with Fisher's exact test. All of the
// tests are one family, corrected after Holm, so that a comparison of two runs
// of the same thing calls anything changed in at most [stats.Alpha] of all
// comparisons. A time counts as worse, or better, where its median moved by
// more than threshold, too; a failure counts however few. What worked in old
// and never in new is worse without a test.
func Compare(old, new *Report, threshold float64) *Comparison {
	c := &Comparison{Threshold: threshold}
	find := func(r *Report, key trial.Key) int {
		return slices.IndexFunc(r.Rows, func(row Row) bool { return row.Key == key })
	}
	for _, o := range old.Rows {
		name := old.fullName(o)
		i := find(new, o.Key)
		if i < 0 {
			c.add(Change{Name: name, Metric: WarmMS, Old: o.Warm, Outcome: Removed})
			continue
		}
		c.setting(name, o, new.Rows[i], new.Header.Plan.Cold > 0)
	}
	for _, n := range new.Rows {
		if find(old, n.Key) < 0 {
			c.add(Change{Name: new.fullName(n), Metric: WarmMS, New: n.Warm, Outcome: Added})
		}
	}
	c.allFailures()
	c.decide()
	c.judge(old, new)
	if old.Header.Run != "" && old.Header.Run == new.Header.Run {
		c.Warnings = append(c.Warnings, "old and new are the same run, "+old.Header.Run+": that shows no change")
	}
	for _, w := range []struct {
		run string
		r   *Report
	}{{"old", old}, {"new", new}} {
		if ending := w.r.Ending(); ending != "" {
			c.Warnings = append(c.Warnings, w.run+": "+ending)
		}
		for _, text := range w.r.Warnings {
			if strings.HasPrefix(text, "drift") {
				c.Warnings = append(c.Warnings, w.run+": "+text)
			}
		}
		for _, text := range w.r.missing {
			c.Warnings = append(c.Warnings, w.run+": "+text)
		}
	}
	return c
}

// add adds a change that is no test, or not yet decided.
func (c *Comparison) add(change Change) {
	if change.P == 0 {
		change.P = 1
	}
	change.Holm = 1
	c.Changes = append(c.Changes, change)
}

// setting compares one that both runs tried. coldPlanned says whether new was to
// have cold starts.
func (c *Comparison) setting(name string, o, n Row, coldPlanned bool) {
	broken := false
	for _, m := range []struct {
		metric   string
		old, new stats.Summary
		failed   int // of new
		expected bool
		broken   Outcome
	}{
		{WarmMS, o.Warm, n.Warm, n.Failed - n.FailedCold, true, Broken},
		{ColdMS, o.Cold, n.Cold, n.FailedCold, coldPlanned, BrokenCold},
	} {
		switch none := m.old.N > 0 && m.new.N == 0; {
		case m.old.N > 0 && m.new.N > 0:
			c.times(name, m.metric, m.old, m.new)
		case broken: // that is said once
		case none && m.failed > 0 && n.UnknownStarts == 0:
			broken = true
			c.broke(name, o, n, m.broken)
		case none && m.expected:
			c.add(Change{Name: name, Metric: m.metric, Old: m.old, Outcome: Removed})
		case none:
			c.unplanned++
		}
	}
	always := n.Failed == n.Invocations && o.Failed < o.Invocations
	switch {
	case broken || o.Failed+n.Failed == 0:
	case always: // the successes of old may have been cold or warm
		c.broke(name, o, n, Broken)
	default:
		c.add(failures(name, o, n, Same))
	}
}

// broke adds that a setting no longer works: without a test, if it never failed
// before; if it did, as the test of failures says, and where that cannot tell,
// the comparison is undecided.
func (c *Comparison) broke(name string, o, n Row, how Outcome) {
	change := failures(name, o, n, how)
	if o.Failed > 0 && change.P > stats.Alpha {
		change.Outcome = Same
		c.Undecided = append(c.Undecided,
			fmt.Sprintf("%s: %s, but %d of %d failed before, too few invocations to tell", name, how, o.Failed, o.Invocations))
	}
	c.add(change)
}

// allSettings is the name of the failures of all settings together.
const allSettings = "all settings"

// allFailures tests the failures of all settings that both runs tried together,
// if several fail: what shows in none of them, a few times each, shows in all.
func (c *Comparison) allFailures() {
	all := Change{Name: allSettings, Metric: Failures, Outcome: Same}
	n := 0
	for _, change := range c.Changes {
		if change.Metric == Failures {
			n++
			all.Old.N, all.New.N = all.Old.N+change.Old.N, all.New.N+change.New.N
			all.Old.Median, all.New.Median = all.Old.Median+change.Old.Median, all.New.Median+change.New.Median
		}
	}
	if n > 1 {
		all.P, all.Delta = fisher(int(all.Old.Median), all.Old.N, int(all.New.Median), all.New.N)
		c.add(all)
	}
}

// leastMS is the shortest time that a REPORT line shows.
const leastMS = 0.01

func (c *Comparison) times(name, metric string, old, new stats.Summary) {
	c.add(Change{
		Name: name, Metric: metric, Old: old, New: new, Delta: new.Median/max(old.Median, leastMS) - 1,
		P: stats.Compare(old.Values, new.Values).P, Outcome: Same,
	})
}

func failures(name string, old, new Row, outcome Outcome) Change {
	count := func(row Row) stats.Summary { return stats.Summary{N: row.Invocations, Median: float64(row.Failed)} }
	c := Change{Name: name, Metric: Failures, Old: count(old), New: count(new), Outcome: outcome}
	c.P, c.Delta = fisher(old.Failed, old.Invocations, new.Failed, new.Invocations)
	return c
}

// fisher tests a change of failures, and gives the difference of the shares.
// Both directions are looked at, so that each has half of the chance.
func fisher(oldFailed, oldN, newFailed, newN int) (p, delta float64) {
	worse := stats.FisherWorse(oldFailed, oldN, newFailed, newN)
	better := stats.FisherWorse(newFailed, newN, oldFailed, oldN)
	return min(2*min(worse, better), 1), float64(newFailed)/float64(newN) - float64(oldFailed)/float64(oldN)
}

// decide corrects the p values and calls the outcomes. Samples too small for
// any verdict are no test, and do not make the others' harder.
func (c *Comparison) decide() {
	var tests []int
	var ps []float64
	for i, change := range c.Changes {
		if change.Tested() {
			tests, ps = append(tests, i), append(ps, change.P)
		}
	}
	c.Tests = len(tests)
	c.Need = stats.MinForTest(stats.Alpha / float64(max(len(tests), 1)))
	for k, p := range stats.Holm(ps) {
		change := &c.Changes[tests[k]]
		change.Holm = p
		if p > stats.Alpha || change.Outcome != Same {
			continue
		}
		least := c.Threshold
		if change.Metric == Failures {
			least = 0
		}
		switch {
		case change.Delta > least:
			change.Outcome = Worse
		case change.Delta < -least:
			change.Outcome = Better
		}
	}
}

// judge says what keeps a comparison from being one, and what makes it less
// sure.
func (c *Comparison) judge(old, new *Report) {
	decidable, few, untested := false, 0, 0
	var gone []string
	for _, change := range c.Changes {
		n, m := change.Old.N, change.New.N
		switch {
		case change.Outcome == Removed:
			gone = append(gone, change.Name+" "+change.Metric)
		case change.Outcome == Added:
		case !change.Tested():
			untested++
		case change.Metric != Failures:
			decidable = decidable || stats.MinP(n, m)*float64(c.Tests) <= stats.Alpha
			if change.Metric == WarmMS && min(n, m) < c.Need {
				few++
			}
		}
	}
	switch {
	case len(old.Rows) == 0:
		c.Undecided = append(c.Undecided, "old has no results")
	case len(new.Rows) == 0:
		c.Undecided = append(c.Undecided, "new has no results")
	// Of a bucket of one's own the header does not tell.
	case old.Objects > 0 && new.Objects > 0 && (old.Objects != new.Objects || old.Bytes != new.Bytes):
		c.Undecided = append(c.Undecided,
			fmt.Sprintf("old read %d objects of %d bytes in all, new %d of %d", old.Objects, old.Bytes, new.Objects, new.Bytes))
	case len(gone) > 0:
		c.Undecided = append(c.Undecided, fmt.Sprintf("%s of old missing from new; first %s", counted(len(gone), "measurement"), gone[0]))
	}
	if !decidable && len(c.Worse()) == 0 && c.Better() == 0 && len(old.Rows) > 0 && len(new.Rows) > 0 {
		why := "no setting has times in both runs"
		if untested > 0 || c.Tests > 0 {
			why = fmt.Sprintf("too few invocations for any test to decide: it needs n of %d per setting",
				max(c.Need, stats.MinForTest(stats.Alpha)))
		}
		c.Undecided = append(c.Undecided, why)
	}
	if few > 0 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%d settings have n below %d, which one change among %d tests needs to be found: "+
			"their changes may go unnoticed", few, c.Need, c.Tests))
	}
	if c.unplanned > 0 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("the cold starts of %s are not compared: new was to have none",
			counted(c.unplanned, "setting")))
	}
	if untested > 0 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s not tested, for lack of invocations: any change there goes unnoticed",
			counted(untested, "measurement")))
	}
}

// ErrUndecided ends a comparison that cannot say that nothing got worse: of runs
// without results, without some of the settings, or with too few invocations.
var ErrUndecided = errors.New("the runs cannot be compared")

// ErrWorse ends a comparison in which a setting got worse.
var ErrWorse = errors.New("got worse")

// Err gives an error that names what got worse, an [ErrWorse]; else one that says
// why that cannot be known, an [ErrUndecided]; else nil.
func (c *Comparison) Err() error {
	worse := c.Worse()
	switch {
	case len(worse) == 0 && len(c.Undecided) > 0:
		return fmt.Errorf("%w: %s", ErrUndecided, strings.Join(c.Undecided, "; "))
	case len(worse) == 0:
		return nil
	}
	first := worse[0]
	by := fmt.Sprintf("%+.1f%%", first.Delta*100)
	if first.Metric == Failures {
		by = fmt.Sprintf("%.0f of %d, from %.0f of %d", first.New.Median, first.New.N, first.Old.Median, first.Old.N)
	}
	if first.Outcome == Broken || first.Outcome == BrokenCold {
		by += ", " + string(first.Outcome)
	}
	return fmt.Errorf("%w in %d of %d tests; first %s, %s %s", ErrWorse, len(worse), c.Tests, first.Name, first.Metric, by)
}
