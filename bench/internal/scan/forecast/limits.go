package forecast

import (
	"cmp"
	"fmt"
	"slices"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// Names of limits.
const (
	GETRate     = "GET rate of a prefix"
	Listing     = "listing"
	Dispatch    = "child dispatch"
	Children    = "children of a Map Run"
	Concurrency = "max concurrency" // that was asked for
	Account     = "account concurrency"
	CPU         = "CPU"       // of functions whose number another limit holds
	Bandwidth   = "bandwidth" // the same
	Batches     = "number of batches"
	Ramp        = "ramp"
	TimeLimit   = "time limit"
	NothingToDo = "nothing to read"
)

// Limit is how fast one thing lets the scan read.
type Limit struct {
	Name        string  `json:"name"`
	ObjectsPerS float64 `json:"objects_per_s"`
	Why         string  `json:"why"` // how that comes about
}

// limits works out all of them but for the ramp, and which binds.
func (f *Forecast) limits() {
	p := f.Plan
	if p.Objects == 0 {
		f.Binding = Limit{NothingToDo, 1, "there are no objects"}
		return
	}
	f.Limits = append(f.Limits, getLimit(p))
	if !p.Inventory {
		f.Limits = append(f.Limits, Limit{Listing, Pages * PageKeys * float64(p.MapRuns),
			fmt.Sprintf("%s, each %d pages of 1,000 keys a second, one after the other", count(p.MapRuns, "Map Run"), Pages)})
	}
	starts := p.starts()
	f.Limits = append(f.Limits,
		Limit{Dispatch, float64(starts*p.MapRuns) * float64(p.Batch),
			fmt.Sprintf("%s, each starting %s %s children a second, of %s", count(p.MapRuns, "Map Run"),
				table.Grouped(float64(starts)), p.Children, objectCount(int64(p.Batch)))},
		functionLimit(p),
		Limit{Batches, float64(f.Batches) * p.batched(p.Batch),
			fmt.Sprintf("%s, each read by one function", count(int(f.Batches), "batch"))},
	)
	slices.SortStableFunc(f.Limits, func(a, b Limit) int { return cmp.Compare(a.ObjectsPerS, b.ObjectsPerS) })
	f.Binding = f.Limits[0]
}

// getLimit is S3's.
func getLimit(p Plan) Limit {
	rate := gets(p.Class, p.Prefixes)
	if p.Class == cost.Express {
		return Limit{GETRate, rate, "a directory bucket answers 2,000,000 GETs a second"}
	}
	return Limit{GETRate, rate, fmt.Sprintf("%s, each 5,500 GETs a second", count(p.Prefixes, "prefix"))}
}

// functionLimit is what all functions read that may run at once. It has the
// name of what holds each of them, where that is its CPU or its bandwidth: more
// of that helps then, as well as more functions.
func functionLimit(p Plan) Limit {
	name, most := p.mostFunctions()
	pace := p.speed()
	l := Limit{name, float64(most) * p.batched(p.Batch), fmt.Sprintf("%s at once (%s), each reading %s objects a second",
		count(most, "function"), name, table.Grouped(pace.rate))}
	switch pace.by {
	case CPU:
		l.Name = CPU
		l.Why += fmt.Sprintf(" with its %.3g vCPU", lambda.VCPU(p.MemoryMB))
	case Bandwidth:
		l.Name = Bandwidth
		l.Why += fmt.Sprintf(" with its %.0f Mbit/s", lambda.Bandwidth(p.MemoryMB, p.Quota)*8/1e6)
	}
	return l
}

// mostFunctions is how many may run at once, and what says so.
func (p Plan) mostFunctions() (string, int) {
	name, most := Account, p.AccountConcurrency
	if n := MapRunChildren * p.MapRuns; n < most {
		name, most = Children, n
	}
	if n := p.MaxConcurrency * p.MapRuns; p.MaxConcurrency > 0 && n < most {
		name, most = Concurrency, n
	}
	return name, most
}

// starts is how many children a second a Map Run starts.
func (p Plan) starts() int {
	if p.Children == fn.Standard {
		return StandardStarts
	}
	return ExpressStarts
}

// count reads "1 prefix", "16 prefixes".
func count(n int, what string) string {
	switch {
	case n == 1:
	case what == "prefix" || what == "batch":
		what += "es"
	default:
		what += "s"
	}
	return table.Grouped(float64(n)) + " " + what
}
