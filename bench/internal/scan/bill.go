package scan

import (
	"slices"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/scan/forecast"
	fn "fanout/functions/scan"
)

// Pricing is what a job's dollars are counted from, beside what it did.
type Pricing struct {
	Prices    cost.Prices
	Class     cost.StorageClass // of the objects
	Function  Function
	Children  string // Express or Standard
	Inventory bool   // read instead of a listing
}

// Sample gives the bill of a job that runs, as far as it is known.
func (p Pricing) Sample(s Sample) (cost.Bill, error) {
	return p.bill(s.Items.Succeeded, s.Batches.Done(), s.Bytes, s.BusyMS, 0)
}

// Summary gives the bill of a job that has ended. Time that batches took which
// left no part is not in it, nor what retries of invocations took. Each key is
// one GET: S3 does not bill its own 503, which is what is retried.
func (p Pricing) Summary(s Summary) (cost.Bill, error) {
	return p.bill(s.Keys, int64(s.Parts), s.Bytes, s.BusyMS, int64(s.Parts))
}

// bill prices objects that were read in batches.
func (p Pricing) bill(gets, batches, bytes int64, busyMS float64, merged int64) (cost.Bill, error) {
	const page = 1000
	u := cost.Scan{
		Arch: p.Function.Arch, MemoryMB: p.Function.MemoryMB, Class: p.Class,
		GETs: gets, Bytes: float64(bytes), Invocations: batches, ComputeS: busyMS / 1000,
		Transitions: forecast.ParentTransitions, PUTs: batches, MergeGETs: merged, MergeLISTs: (merged + page - 1) / page,
	}
	if p.Inventory {
		u.Inventoried = gets
	} else {
		u.LISTs = (gets + page - 1) / page
	}
	if p.Children == fn.Standard {
		u.Transitions += forecast.ChildTransitions * batches
	} else {
		u.ExpressRequests, u.ExpressS = batches, busyMS/1000
	}
	return p.Prices.Scan(u)
}

// groups are the bill's, the largest amount first.
func groups(b cost.Bill) []cost.Group {
	all := slices.Clone(cost.ScanGroups)
	slices.SortStableFunc(all, func(x, y cost.Group) int {
		switch dx, dy := b.Of(x), b.Of(y); {
		case dx > dy:
			return -1
		case dx < dy:
			return 1
		}
		return 0
	})
	return all
}
