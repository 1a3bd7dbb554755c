package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"fanout/bench/internal/stats"
	"fanout/functions/lambda"
)

// Goal is what a pick is best at.
type Goal string

// Goals.
const (
	Cheapest Goal = "cheapest" // least cost of a warm invocation
	Balanced Goal = "balanced" // least time^weight × settable cost^(1-weight)
	Fastest  Goal = "fastest"  // least time of a warm invocation
)

// Advice is what to choose. Settings of which any invocation failed, and those
// whose memory size was not enforced, are never advised.
type Advice struct {
	Frontier   []int      `json:"frontier"`          // indexes of rows that no other beats in both time and cost, cheapest first
	Picks      []Pick     `json:"picks"`             // balanced, fastest, cheapest; none: Missing says why
	Missing    string     `json:"missing,omitempty"` // why nothing is advised
	Notes      []string   `json:"notes,omitempty"`   // what the advice leaves out
	Weight     float64    `json:"weight"`            // of time in the balanced pick
	SmallestMB int        `json:"smallest_mb"`       // the least memory at which nothing failed of any client; 0: there is none
	Smallest   []Smallest `json:"smallest"`          // the same for each contender, architecture and client
	S3Share    float64    `json:"s3_share"`          // S3's part of the balanced pick's cost
}

// Smallest is the least memory at which no invocation of a client failed.
type Smallest struct {
	Contender string `json:"contender"`
	Arch      string `json:"arch"`
	Client    string `json:"client"`
	MemoryMB  int    `json:"memory_mb"` // 0: at each some failed
}

// Pick is the setting to choose for a goal, and how sure that is.
type Pick struct {
	Goal     Goal             `json:"goal"`
	Row      int              `json:"row"`       // index into the report's rows
	RunnerUp int              `json:"runner_up"` // index of the best other; -1: there is none
	Margin   float64          `json:"margin"`    // the runner-up's figure over the pick's, less 1
	Test     stats.Comparison `json:"test"`      // of the two, in the goal's figure
	Ties     []int            `json:"ties"`      // rows that no difference from the best was found of: the pick is the cheapest of them
}

// Sure says whether the pick is better than the runner-up beyond chance.
func (p Pick) Sure() bool {
	return p.RunnerUp < 0 || len(p.Ties) == 0 && p.Test.Relation == stats.Differs
}

// candidate is a row that may be advised.
type candidate struct {
	row                     int
	time, cost, settable    float64 // medians
	times, costs, settables []float64
}

// candidates are the rows to choose among, and notes on those left out that
// never failed.
func (r *Report) candidates() (all []candidate, notes []string) {
	for i, row := range r.Rows {
		if row.Warm.N == 0 || row.Failed > 0 || row.Limits.None() {
			continue
		}
		if k := r.sameCPU(i); k >= 0 {
			note := fmt.Sprintf("%s and %s had the same CPU, this machine's %.3g vCPU, so the larger is not advised",
				r.Name(r.Rows[k]), r.Name(row), row.Limits.VCPU)
			notes = append(notes, note)
			continue
		}
		c := candidate{row: i, time: row.Warm.Median, times: row.Warm.Values}
		if r.Priced {
			c.cost, c.costs = row.WarmCost.Median, row.WarmCost.Values
			c.settable, c.settables = row.SettableCost.Median, row.SettableCost.Values
		}
		all = append(all, c)
	}
	return all, notes
}

// sameCPU gives the row of less memory, and the same otherwise, that had as
// much CPU as row i: where that was clamped to what this machine has, more
// memory bought nothing that was measured. -1: there is none.
func (r *Report) sameCPU(i int) int {
	row, found := r.Rows[i], -1
	if row.Limits.VCPU == 0 {
		return -1
	}
	for k, o := range r.Rows {
		key := o.Key
		if key.MemoryMB = row.MemoryMB; key != row.Key || o.MemoryMB >= row.MemoryMB || o.Warm.N == 0 || o.Failed > 0 {
			continue
		}
		had := lambda.VCPU(o.MemoryMB)
		if o.Limits.VCPU > 0 {
			had = min(had, o.Limits.VCPU)
		}
		if had >= row.Limits.VCPU*0.99 && (found < 0 || o.MemoryMB < r.Rows[found].MemoryMB) {
			found = k
		}
	}
	return found
}

func (r *Report) advise(weight float64) {
	r.Advice = Advice{Weight: weight}
	r.smallest()
	all, notes := r.candidates()
	r.Advice.Notes = notes
	if len(all) == 0 {
		r.Advice.Missing = r.whyNothing()
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
	r.Advice.Frontier = paretoFrontier(all)
	if c := r.Rows[r.Advice.Picks[0].Row].Cost; c.Total() > 0 {
		r.Advice.S3Share = c.S3() / c.Total()
	}
}

// whyNothing says why there is no candidate.
func (r *Report) whyNothing() string {
	for _, row := range r.Rows {
		if row.Limits.None() && row.Warm.N > 0 {
			what := "CPU and memory were not limited, so memory sizes mean nothing in this run"
			if row.Limits.Reason == lambda.SwitchedOff {
				return what + ". Leave out --no-limits to have them limited"
			}
			return what + ". " + HowToLimit
		}
	}
	return "no setting has warm invocations without a failure"
}

// HowToLimit says what to do where CPU and memory are not limited.
// With a systemd that delegates what it takes, the command asks for a scope itself.
const HowToLimit = "To have them limited, measure as root (sudo bin/fanout run ...), or let systemd delegate the cpu and memory " +
	"controllers to your user (docs/limits.md); to compare clients only, --no-limits does without"

// paretoFrontier lists the rows that no other setting beats: at most its time
// and its cost, and less of one. Of settings with the same time and cost the
// first row stands for all.
func paretoFrontier(all []candidate) []int {
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

// scores gives a goal's figure for each invocation of a candidate; less is
// better. The balanced one takes the cost that a setting changes: S3's part is
// nearly all of the cost, and the same for all.
func (c candidate) scores(goal Goal, weight float64) []float64 {
	switch goal {
	case Fastest:
		return c.times
	case Cheapest:
		return c.costs
	}
	scores := make([]float64, len(c.times))
	for i := range scores {
		scores[i] = math.Pow(c.times[i], weight) * math.Pow(c.settables[i], 1-weight)
	}
	return scores
}

// scored is a candidate with its figure for a goal.
type scored struct {
	candidate
	score stats.Summary
}

// ties says whether no difference between two was found.
func (a scored) ties(b scored) bool {
	switch stats.Compare(a.score.Values, b.score.Values).Relation {
	case stats.Differs:
		return false
	case stats.Tie:
		return true
	}
	return a.score.Lowest <= b.score.Highest && b.score.Lowest <= a.score.Highest
}

// pick chooses for a goal: of those that no difference from the best was found
// of, the cheapest; among equally cheap ones the fastest.
func (r *Report) pick(goal Goal, all []candidate, weight float64) Pick {
	ranked := make([]scored, len(all))
	for i, c := range all {
		ranked[i] = scored{c, stats.Summarise(c.scores(goal, weight))}
	}
	slices.SortStableFunc(ranked, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.score.Median, b.score.Median), cmp.Compare(a.time, b.time), cmp.Compare(a.row, b.row))
	})
	best := 0
	var tied []int // indexes of ranked, the best too
	for i := range ranked {
		if i > 0 && !ranked[0].ties(ranked[i]) {
			continue
		}
		tied = append(tied, i)
		cheaper := cmp.Or(cmp.Compare(ranked[i].settable, ranked[best].settable), cmp.Compare(ranked[i].time, ranked[best].time))
		if goal == Cheapest { // in cost they tie: then the time decides
			cheaper = cmp.Compare(ranked[i].time, ranked[best].time)
		}
		if cheaper < 0 {
			best = i
		}
	}
	chosen := ranked[best]
	p := Pick{Goal: goal, Row: chosen.row, RunnerUp: -1}
	for _, i := range tied {
		if i != best {
			p.Ties = append(p.Ties, ranked[i].row)
		}
	}
	if other := slices.IndexFunc(ranked, func(s scored) bool { return s.row != chosen.row }); other >= 0 {
		p.RunnerUp = ranked[other].row
		if chosen.score.Median > 0 {
			p.Margin = ranked[other].score.Median/chosen.score.Median - 1
		}
		p.Test = stats.Compare(chosen.score.Values, ranked[other].score.Values)
	}
	return p
}

// smallest finds the least memory at which no invocation failed, for each
// client: one that fails must not hide that another does not. Memory that was
// not limited says nothing.
func (r *Report) smallest() {
	failed := map[Smallest]bool{}
	for _, row := range r.Rows {
		if !row.Limits.None() {
			key := Smallest{row.Contender, row.Arch, row.Client, row.MemoryMB}
			failed[key] = failed[key] || row.Failed > 0
		}
	}
	least := map[Smallest]int{}
	for key, bad := range failed {
		mb := key.MemoryMB
		key.MemoryMB = 0
		if old := least[key]; !bad && (old == 0 || mb < old) {
			least[key] = mb
		} else {
			least[key] = old
		}
	}
	for key, mb := range least {
		key.MemoryMB = mb
		r.Advice.Smallest = append(r.Advice.Smallest, key)
		if old := r.Advice.SmallestMB; mb > 0 && (old == 0 || mb < old) {
			r.Advice.SmallestMB = mb
		}
	}
	slices.SortFunc(r.Advice.Smallest, func(a, b Smallest) int {
		return cmp.Or(cmp.Compare(a.Contender, b.Contender), cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Client, b.Client))
	})
}

// SmallestMemory reads "128 MB", or "lean 128 MB, stock 256 MB" where clients
// differ, and "none" for one that fails at each size; empty: nothing is known.
func (r *Report) SmallestMemory() string {
	size := func(mb int) string {
		if mb == 0 {
			return "none"
		}
		return fmt.Sprintf("%d MB", mb)
	}
	var said []string
	alike := true
	for _, s := range r.Advice.Smallest {
		alike = alike && s.MemoryMB == r.Advice.SmallestMB
		row := Row{}
		row.Contender, row.Arch, row.Client = s.Contender, s.Arch, s.Client
		said = append(said, r.Who(row)+" "+size(s.MemoryMB))
	}
	switch {
	case len(said) == 0:
		return ""
	case alike:
		return size(r.Advice.SmallestMB)
	case len(said) > 4:
		return r.mostAlike(said, size)
	}
	return strings.Join(said, ", ")
}

// mostAlike gives the size that most need, and names only the others: "128 MB,
// but java lean 512 MB". said names each with its size.
func (r *Report) mostAlike(said []string, size func(mb int) string) string {
	times := map[int]int{}
	for _, s := range r.Advice.Smallest {
		times[s.MemoryMB]++
	}
	most := r.Advice.Smallest[0].MemoryMB
	for _, s := range r.Advice.Smallest {
		if times[s.MemoryMB] > times[most] {
			most = s.MemoryMB
		}
	}
	var others []string
	for i, s := range r.Advice.Smallest {
		if s.MemoryMB != most {
			others = append(others, said[i])
		}
	}
	return size(most) + ", but " + strings.Join(others, ", ")
}

// Certainty says how sure a pick is: "11% ahead of X (n=6, p=0.002)", "128 to
// 1769 MB tie (n=6, p=0.59): take 128 MB, the cheapest" or "too few runs to
// tell it from X (n=2)".
func (r *Report) Certainty(p Pick) string {
	if p.RunnerUp < 0 {
		if len(r.Rows) == 1 {
			return "the only setting measured"
		}
		fine := 0
		for _, row := range r.Rows {
			if row.Warm.N > 0 && row.Failed == 0 {
				fine++
			}
		}
		if fine == 1 {
			return "the only setting without failures"
		}
		return "the only setting to choose from"
	}
	n := fmt.Sprintf("n=%d", p.Test.N1)
	if p.Test.N1 != p.Test.N2 {
		n += fmt.Sprintf("+%d", p.Test.N2)
	}
	other := r.Name(r.Rows[p.RunnerUp])
	switch {
	case len(p.Ties) > 0 && p.Test.Relation == stats.TooFew:
		return fmt.Sprintf("too few runs to tell it from %s%s (%s): %s", other, others(len(p.Ties)-1), n, p.reason())
	case len(p.Ties) > 0:
		if from, to, rest := r.tiedSizes(p); from < to {
			return fmt.Sprintf("%d to %d MB tie%s (%s): take %d MB, %s", from, to, others(rest), p.Test, r.Rows[p.Row].MemoryMB, p.reason())
		}
		return fmt.Sprintf("tied with %s%s (%s): %s", other, others(len(p.Ties)-1), p.Test, p.reason())
	case p.Test.Relation == stats.TooFew:
		return fmt.Sprintf("%s ahead of %s, but too few runs to be sure (%s)", margin(p.Margin), other, n)
	}
	return fmt.Sprintf("%s ahead of %s (%s)", margin(p.Margin), other, p.Test)
}

// reason says why it is this one of several that tie.
func (p Pick) reason() string {
	if p.Goal == Cheapest {
		return "the fastest"
	}
	return "the cheapest"
}

func others(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", with another setting"
	}
	return fmt.Sprintf(", with %d other settings", n)
}

// tiedSizes gives the least and the most memory of a pick and of its ties that
// differ in nothing else, and how many others tie.
func (r *Report) tiedSizes(p Pick) (from, to, rest int) {
	pick := r.Rows[p.Row]
	from, to = pick.MemoryMB, pick.MemoryMB
	for _, i := range p.Ties {
		key := r.Rows[i].Key
		mb := key.MemoryMB
		if key.MemoryMB = pick.MemoryMB; key != pick.Key {
			rest++
			continue
		}
		from, to = min(from, mb), max(to, mb)
	}
	return from, to, rest
}

// margin reads "0.4%", "11%" or "3.1×".
func margin(m float64) string {
	switch {
	case m >= 1:
		return fmt.Sprintf("%.1f×", m+1)
	case math.Abs(m) < 0.0995:
		return fmt.Sprintf("%.1f%%", m*100)
	}
	return fmt.Sprintf("%.0f%%", m*100)
}
