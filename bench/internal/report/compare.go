package report

import (
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

// Comparison sets two runs side by side.
type Comparison struct {
	Threshold float64  `json:"threshold"`
	Changes   []Change `json:"changes"`
	Tests     int      `json:"tests"` // in the family that the p values are corrected for
	Need      int      `json:"need"`  // the n of each setting with which the smallest family-wise p can be reached
	Warnings  []string `json:"warnings"`
}

// Worse gives the changes for the worse.
func (c *Comparison) Worse() []Change {
	var worse []Change
	for _, change := range c.Changes {
		if change.Outcome == Worse {
			worse = append(worse, change)
		}
	}
	return worse
}

// MismatchError says why two runs must not be compared.
type MismatchError struct {
	What []string // each «backend: aws, sandbox»
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
	differ("network", old.Network, new.Network)
	differ("limits", old.Limits, new.Limits)
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
// more than threshold, too; a failure counts however few.
func Compare(old, new *Report, threshold float64) *Comparison {
	c := &Comparison{Threshold: threshold}
	identity := func(row Row) Setting { s := row.Setting; s.Chosen = 0; return s }
	for _, o := range old.Rows {
		i := slices.IndexFunc(new.Rows, func(n Row) bool { return identity(n) == identity(o) })
		if i < 0 {
			c.Changes = append(c.Changes, Change{Name: old.fullName(o), Metric: WarmMS, Old: o.Warm, P: 1, Holm: 1, Outcome: Removed})
			continue
		}
		n := new.Rows[i]
		c.times(old.fullName(o), WarmMS, o.Warm, n.Warm)
		c.times(old.fullName(o), ColdMS, o.Cold, n.Cold)
		if o.Failed+n.Failed > 0 {
			c.Changes = append(c.Changes, failures(old.fullName(o), o, n))
		}
	}
	for _, n := range new.Rows {
		if !slices.ContainsFunc(old.Rows, func(o Row) bool { return identity(n) == identity(o) }) {
			c.Changes = append(c.Changes, Change{Name: new.fullName(n), Metric: WarmMS, New: n.Warm, P: 1, Holm: 1, Outcome: Added})
		}
	}
	c.decide()
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
	}
	return c
}

// leastMS is the shortest time that a REPORT line shows.
const leastMS = 0.01

func (c *Comparison) times(name, metric string, old, new stats.Summary) {
	if old.N == 0 || new.N == 0 {
		return // failures, if any, are a test of their own
	}
	c.Changes = append(c.Changes, Change{
		Name: name, Metric: metric, Old: old, New: new, Delta: new.Median/max(old.Median, leastMS) - 1,
		P: stats.Compare(old.Values, new.Values).P, Outcome: Same,
	})
}

func failures(name string, old, new Row) Change {
	count := func(row Row) stats.Summary { return stats.Summary{N: row.Invocations, Median: float64(row.Failed)} }
	c := Change{Name: name, Metric: Failures, Old: count(old), New: count(new), Outcome: Same}
	c.Delta = float64(new.Failed)/float64(new.Invocations) - float64(old.Failed)/float64(old.Invocations)
	// Both directions are looked at, so that each has half of the chance.
	worse := stats.FisherWorse(old.Failed, old.Invocations, new.Failed, new.Invocations)
	better := stats.FisherWorse(new.Failed, new.Invocations, old.Failed, old.Invocations)
	c.P = min(2*min(worse, better), 1)
	return c
}

// decide corrects the p values and calls the outcomes. Samples too small for
// any verdict are no test, and do not make the others' harder.
func (c *Comparison) decide() {
	var tests []int
	var ps []float64
	for i, change := range c.Changes {
		if c.Changes[i].Holm = 1; change.Tested() {
			tests, ps = append(tests, i), append(ps, change.P)
		}
	}
	c.Tests = len(tests)
	c.Need = stats.MinForTest(stats.Alpha / float64(max(len(tests), 1)))
	for k, p := range stats.Holm(ps) {
		change := &c.Changes[tests[k]]
		change.Holm = p
		if p > stats.Alpha {
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
	few := 0
	for _, change := range c.Changes {
		if change.Metric == WarmMS && change.Old.N > 0 && change.New.N > 0 && min(change.Old.N, change.New.N) < c.Need {
			few++
		}
	}
	if few > 0 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%d settings have n below %d, with which one change among %d tests would be sure to be seen: their changes may go unseen", few, c.Need, c.Tests))
	}
}

// ErrWorse ends a comparison in which a setting got worse.
var ErrWorse = errors.New("got worse")

// Err gives an error that names what got worse, or nil. It is an [ErrWorse].
func (c *Comparison) Err() error {
	worse := c.Worse()
	if len(worse) == 0 {
		return nil
	}
	first := worse[0]
	by := fmt.Sprintf("%+.1f%%", first.Delta*100)
	if first.Metric == Failures {
		by = fmt.Sprintf("%.0f of %d, from %.0f of %d", first.New.Median, first.New.N, first.Old.Median, first.Old.N)
	}
	return fmt.Errorf("%w in %d of %d tests; first %s, %s %s", ErrWorse, len(worse), c.Tests, first.Name, first.Metric, by)
}
