package forecast

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// Help is a change of the plan, and what the forecast is with it.
type Help struct {
	Change  string  `json:"change"` // such as "16 prefixes"
	Faster  float64 `json:"faster"` // how many times as fast
	Cheaper float64 `json:"cheaper"`
	TimeS   float64 `json:"time_s"`
	USD     float64 `json:"usd"`
	Binding string  `json:"binding"` // the limit that binds then
}

// String reads "16 prefixes: 2.7× as fast", or "1769 MB of memory: 2.0× as fast, for
// 1.1× the dollars".
func (h Help) String() string {
	var gains, losses []string
	switch {
	case h.Faster >= worthIt:
		gains = append(gains, table.Times(h.Faster)+" as fast")
	case h.Faster <= 1/worthIt:
		losses = append(losses, table.Times(1/h.Faster)+" the time")
	}
	switch {
	case h.Cheaper >= worthIt:
		gains = append(gains, table.Times(h.Cheaper)+" cheaper")
	case h.Cheaper <= 1/worthIt:
		losses = append(losses, table.Times(1/h.Cheaper)+" the dollars")
	}
	text := h.Change + ": " + strings.Join(gains, " and ")
	if losses != nil {
		text += ", for " + losses[0]
	}
	return text
}

// A help is worth telling if it gives a tenth of time or dollars, and still does
// with what it takes of the other.
const (
	worthIt  = 1.1
	mostHelp = 6
	many     = 16 // prefixes, or Map Runs
	further  = 4  // times as many as there are, if these are many
)

// change is one thing that can be done about a plan.
type change struct {
	does     func(*Plan) (name string) // empty: there is nothing to change
	combined bool                      // of two others
}

// changes are what can be done, the simpler ones first.
var changes = []change{
	{does: func(p *Plan) string { return p.morePrefixes() }},
	{does: func(p *Plan) string {
		p.MapRuns = grown(p.MapRuns, MapRuns)
		return fmt.Sprintf("%d Map Runs, each over a part of the keys", p.MapRuns)
	}},
	{combined: true, does: func(p *Plan) string {
		name := p.morePrefixes()
		if name == "" {
			return ""
		}
		p.MapRuns = grown(p.MapRuns, MapRuns)
		return fmt.Sprintf("%s and %d Map Runs", name, p.MapRuns)
	}},
	{does: func(p *Plan) string {
		if p.Inventory || p.Class == cost.Express { // of directory buckets there is none
			return ""
		}
		p.Inventory = true
		return "an S3 Inventory instead of a listing"
	}},
	{does: func(p *Plan) string {
		if p.Class == cost.Express {
			return ""
		}
		p.Class, p.Inventory = cost.Express, false
		return "S3 Express One Zone"
	}},
	{does: func(p *Plan) string {
		p.AccountConcurrency = min(p.AccountConcurrency*10, maxCount)
		return fmt.Sprintf("an account concurrency of %s", table.Grouped(float64(p.AccountConcurrency)))
	}},
	{does: func(p *Plan) string {
		if p.MaxConcurrency == 0 {
			return ""
		}
		p.MaxConcurrency = 0
		return "max concurrency auto"
	}},
	{does: func(p *Plan) string {
		if p.Batch == 0 {
			return ""
		}
		p.Batch = 0
		return "batch auto"
	}},
	{does: func(p *Plan) string {
		if p.Children == fn.Express {
			return ""
		}
		p.Children = fn.Express
		return "EXPRESS children"
	}},
	{does: func(p *Plan) string {
		if p.MemoryMB >= lambda.VCPUMemoryMB {
			p.MemoryMB = min(2*p.MemoryMB, lambda.MaxMemoryMB)
		} else {
			p.MemoryMB = lambda.VCPUMemoryMB
		}
		return fmt.Sprintf("%d MB of memory", p.MemoryMB)
	}},
	{does: func(p *Plan) string {
		if p.Arch == lambda.ARM {
			return ""
		}
		p.Arch = lambda.ARM
		return "arm64, if it reads as fast"
	}},
}

// morePrefixes spreads the objects over more of them.
func (p *Plan) morePrefixes() string {
	if p.Class == cost.Express {
		return ""
	}
	p.Prefixes = grown(p.Prefixes, maxCount)
	return fmt.Sprintf("%s prefixes", table.Grouped(float64(p.Prefixes)))
}

func grown(n, most int) int {
	if n < many {
		return many
	}
	return min(n*further, most)
}

// helps makes the forecast again with one change each.
func helps(p Plan, f Forecast, prices cost.Prices) []Help {
	found := []Help{} // never null in JSON
	if p.Objects == 0 {
		return found
	}
	base := p
	base.fill()
	base.Batch, base.MaxConcurrency = p.Batch, p.MaxConcurrency // still auto, if they were
	for _, c := range changes {
		changed := base
		name := c.does(&changed)
		if name == "" {
			continue
		}
		with, err := once(changed, prices)
		if err != nil || with.Fails != "" { // no such price, or no such size
			continue
		}
		h := Help{
			Change: name, Faster: f.Time().Seconds() / with.Time().Seconds(), Cheaper: f.Bill.Total() / with.Bill.Total(),
			TimeS: with.Time().Seconds(), USD: with.Bill.Total(), Binding: with.Binding.Name,
		}
		better := h.Faster >= worthIt || h.Cheaper >= worthIt
		worth := h.Faster*h.Cheaper >= worthIt
		more := !c.combined || !slices.ContainsFunc(found, func(o Help) bool { // than one change gives
			return o.Faster*worthIt > h.Faster && o.Cheaper*worthIt > h.Cheaper
		})
		if f.Fails != "" || better && worth && more {
			found = append(found, h)
		}
	}
	slices.SortStableFunc(found, func(a, b Help) int { return cmp.Compare(max(b.Faster, b.Cheaper), max(a.Faster, a.Cheaper)) })
	return found[:min(len(found), mostHelp)]
}
