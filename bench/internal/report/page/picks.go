package page

import (
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fmt"
	"slices"
	"strings"
)

// pageStep is a pick, of one or several goals.
type pageStep struct {
	Goals     []string
	Best      bool // the one to take first
	Setting   string
	Workers   string
	Time      string
	Precision string
	Cost      string
	Sure      string // in a word or two
	SureKind  string // sure, tie, few
	Certainty []string
	Why       string
}

// picks gives the advice, a step for each setting in it.
func (c *charts) picks() []pageStep {
	var steps []pageStep
	for i, p := range c.Advice.Picks {
		row := c.Rows[p.Row]
		certainty := c.Certainty(p)
		if first := slices.IndexFunc(c.Advice.Picks, func(o report.Pick) bool { return o.Row == p.Row }); first < i {
			// The steps hold each row once, in the order of the picks.
			k := slices.IndexFunc(steps, func(s pageStep) bool { return s.Goals[0] == string(c.Advice.Picks[first].Goal) })
			steps[k].Goals = append(steps[k].Goals, string(p.Goal))
			steps[k].Certainty = append(steps[k].Certainty, fmt.Sprintf("As %s: %s.", p.Goal, certainty))
			if kind, word := sureness(p); kind != "sure" && steps[k].SureKind != "few" {
				steps[k].SureKind, steps[k].Sure = kind, word // the least sure of its goals
			}
			continue
		}
		s := pageStep{
			Goals: []string{string(p.Goal)}, Best: i == 0, Setting: fmt.Sprintf("%d MB", row.MemoryMB),
			Workers: c.whoWorks(row), Time: table.Grouped(row.Warm.Median),
			Certainty: []string{sentence(certainty)},
		}
		if row.Warm.HasInterval {
			s.Precision = "±" + table.Share(row.Warm.Precision())
		}
		if c.Priced {
			s.Cost = table.Dollars(row.WarmCost.Median * 1e6)
		}
		s.SureKind, s.Sure = sureness(p)
		if row.Verdict.Kind != report.Unknown {
			s.Why = sentence(row.Verdict.String())
		}
		steps = append(steps, s)
	}
	return steps
}

// whoWorks says which code ran, with how many workers where it has them.
func (c *charts) whoWorks(row report.Row) string {
	if c.Own() {
		return c.who(row)
	}
	return c.who(row) + ", " + workers(row)
}

// sureness says in a word how sure a pick is, and of which kind that is.
func sureness(p report.Pick) (kind, word string) {
	switch {
	case p.RunnerUp < 0:
		return "sure", "no rival"
	case p.Test.Relation == stats.TooFew:
		return "few", "too few runs"
	case p.Sure():
		return "sure", "sure"
	}
	return "tie", "a tie"
}

// sentence makes one of a phrase.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// facts stand beside the picks.
func facts(r *report.Report) []fact {
	var all []fact
	if len(r.Advice.Picks) > 0 {
		if s := r.Rows[r.Advice.Picks[0].Row].SpeedUp; s > 0 {
			all = append(all, fact{"speed-up over one worker", table.Times(s)})
		}
	}
	if smallest := r.SmallestMemory(); smallest != "" {
		all = append(all, fact{"smallest memory without failures", smallest})
	}
	if r.Advice.S3Share > 0 {
		all = append(all, fact{"of this cost is S3's", table.Share(r.Advice.S3Share)})
	}
	invocations, failed := 0, 0
	for _, row := range r.Rows {
		invocations, failed = invocations+row.Invocations, failed+row.Failed
	}
	of := fmt.Sprintf("invocations of %s", count(len(r.Rows), "setting", "settings"))
	if failed > 0 {
		of += fmt.Sprintf(", %d failed", failed)
	}
	return append(all, fact{of, table.Grouped(float64(invocations))})
}
