package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"fanout/bench/internal/stats"
)

// Goal is what a pick is best at.
type Goal string

// Goals.
const (
	Cheapest Goal = "cheapest" // least cost of a warm invocation
	Balanced Goal = "balanced" // least time^weight × cost^(1-weight)
	Fastest  Goal = "fastest"  // least time of a warm invocation
)

// Advice is what to choose. Settings of which any invocation failed are never
// advised.
type Advice struct {
	Frontier   []int   `json:"frontier"`    // indexes of rows that no other beats in both time and cost, cheapest first
	Picks      []Pick  `json:"picks"`       // balanced, fastest, cheapest; none: no setting is without failures
	Weight     float64 `json:"weight"`      // of time in the balanced pick
	SmallestMB int     `json:"smallest_mb"` // the least memory at which nothing failed; 0: there is none
	S3Share    float64 `json:"s3_share"`    // S3's part of the balanced pick's cost
}

// Pick is the setting to choose for a goal, and how sure that is.
type Pick struct {
	Goal     Goal             `json:"goal"`
	Row      int              `json:"row"`       // index into the report's rows
	RunnerUp int              `json:"runner_up"` // index; -1: there is none
	Margin   float64          `json:"margin"`    // the runner-up's figure over the pick's, less 1
	Test     stats.Comparison `json:"test"`      // of the two, in the goal's figure
	Ties     []int            `json:"ties"`      // rows that no difference from the pick was found of
}

// Sure says whether the pick is better than the runner-up beyond chance.
func (p Pick) Sure() bool { return p.RunnerUp < 0 || p.Test.Relation == stats.Differs }

// closeBy is how much worse than the best a tied setting may look and still be
// picked for being better in the other figure.
const closeBy = 0.05

// candidate is a row that may be advised.
type candidate struct {
	row        int
	time, cost float64 // medians
	times      []float64
	costs      []float64
}

func (r *Report) candidates() []candidate {
	var all []candidate
	for i, row := range r.Rows {
		if row.Warm.N == 0 || row.Failed > 0 {
			continue
		}
		c := candidate{row: i, time: row.Warm.Median, times: row.Warm.Values}
		if r.Priced {
			c.cost, c.costs = row.WarmCost.Median, row.WarmCost.Values
		}
		all = append(all, c)
	}
	return all
}

func (r *Report) advise(weight float64) {
	r.Advice = Advice{Weight: weight, SmallestMB: r.smallest()}
	all := r.candidates()
	if len(all) == 0 {
		return
	}
	if !r.Priced {
		r.Advice.Picks = []Pick{r.pick(Fastest, all, weight)}
		r.Advice.Frontier = []int{r.Advice.Picks[0].Row}
		return
	}
	for _, goal := range []Goal{Balanced, Fastest, Cheapest} {
		r.Advice.Picks = append(r.Advice.Picks, r.pick(goal, all, weight))
	}
	r.Advice.Frontier = frontier(all)
	if c := r.Rows[r.Advice.Picks[0].Row].Cost; c.Total() > 0 {
		r.Advice.S3Share = c.S3() / c.Total()
	}
}

// frontier keeps what no other setting beats: at most its time and its cost,
// and less of one.
func frontier(all []candidate) []int {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.time, b.time)) })
	var kept []int
	fastest := math.Inf(1)
	for _, c := range sorted {
		if c.time < fastest {
			kept, fastest = append(kept, c.row), c.time
		}
	}
	return kept
}

// figures gives a goal's figure for each invocation of a candidate.
func (c candidate) figures(goal Goal, weight float64) []float64 {
	switch goal {
	case Fastest:
		return c.times
	case Cheapest:
		return c.costs
	}
	scores := make([]float64, len(c.times))
	for i := range scores {
		scores[i] = math.Pow(c.times[i], weight) * math.Pow(c.costs[i], 1-weight)
	}
	return scores
}

func (r *Report) pick(goal Goal, all []candidate, weight float64) Pick {
	type scored struct {
		candidate
		figures stats.Summary
	}
	ranked := make([]scored, len(all))
	for i, c := range all {
		ranked[i] = scored{c, stats.Summarise(c.figures(goal, weight))}
	}
	slices.SortStableFunc(ranked, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.figures.Median, b.figures.Median), cmp.Compare(a.time, b.time), cmp.Compare(a.row, b.row))
	})
	tied := func(a, b scored) bool {
		switch stats.Compare(a.figures.Values, b.figures.Values).Relation {
		case stats.Differs:
			return false
		case stats.Tie:
			return true
		}
		return a.figures.Lowest <= b.figures.Highest && b.figures.Lowest <= a.figures.Highest
	}
	// Of those that are as good in the goal's figure, the best in the other.
	best := 0
	for i := 1; i < len(ranked); i++ {
		near := ranked[i].figures.Median <= ranked[0].figures.Median*(1+closeBy) && tied(ranked[0], ranked[i])
		switch {
		case !near:
		case goal == Fastest && r.Priced && ranked[i].cost < ranked[best].cost,
			goal == Cheapest && ranked[i].time < ranked[best].time:
			best = i
		}
	}
	chosen := ranked[best]
	p := Pick{Goal: goal, Row: chosen.row, RunnerUp: -1}
	for i, other := range ranked {
		if i == best {
			continue
		}
		if p.RunnerUp < 0 {
			p.RunnerUp = other.row
			p.Margin = other.figures.Median/chosen.figures.Median - 1
			p.Test = stats.Compare(chosen.figures.Values, other.figures.Values)
		}
		if tied(chosen, other) {
			p.Ties = append(p.Ties, other.row)
		}
	}
	return p
}

// smallest is the least memory at which no invocation of any setting failed.
func (r *Report) smallest() int {
	failed := map[int]bool{}
	for _, row := range r.Rows {
		failed[row.MemoryMB] = failed[row.MemoryMB] || row.Failed > 0
	}
	least := 0
	for mb, bad := range failed {
		if !bad && (least == 0 || mb < least) {
			least = mb
		}
	}
	return least
}

// Certainty reads «11% ahead of X (n=6, p=0.002)», «no difference from X …»
// or «too few runs to tell it from X …».
func (r *Report) Certainty(p Pick) string {
	if p.RunnerUp < 0 {
		return "the only setting without failures"
	}
	other := r.Name(r.Rows[p.RunnerUp])
	n := fmt.Sprintf("n=%d", p.Test.N1)
	if p.Test.N1 != p.Test.N2 {
		n += fmt.Sprintf("+%d", p.Test.N2)
	}
	switch p.Test.Relation {
	case stats.Tie:
		text := fmt.Sprintf("no difference from %s (%s)", other, p.Test)
		switch others := len(p.Ties) - 1; {
		case others == 1:
			text += ", nor from another"
		case others > 1:
			text += fmt.Sprintf(", nor from %d others", others)
		}
		return text
	case stats.TooFew:
		return fmt.Sprintf("%s ahead of %s, but too few runs to be sure (%s)", margin(p.Margin), other, n)
	}
	return fmt.Sprintf("%s ahead of %s (%s)", margin(p.Margin), other, p.Test)
}

// margin reads «0.4%», «11%» or «3.1×».
func margin(m float64) string {
	switch {
	case m >= 1:
		return fmt.Sprintf("%.1f×", m+1)
	case math.Abs(m) < 0.0995:
		return fmt.Sprintf("%.1f%%", m*100)
	}
	return fmt.Sprintf("%.0f%%", m*100)
}
