package cost

import "fmt"

// Groups that only the bill of a scan has, beside those of its invocations.
var (
	StepFunctions = Group{"step_functions", "Step Functions", true}
	Results       = Group{"results", "results and merge", true} // writing the parts, and reading them again
)

// ScanGroups is all of a scan's, in the order in which they are shown.
var ScanGroups = []Group{S3Requests, Retrieval, Compute, Request, StepFunctions, Results}

// Scan is what a scan used: a state machine that lists objects and has them
// read in batches, each by one child execution with one invocation.
type Scan struct {
	Arch     string
	MemoryMB int
	Class    StorageClass // of the objects read

	GETs        int64   // of objects
	LISTs       int64   // of pages of 1,000 keys
	Inventoried int64   // objects of an inventory that was read instead of listing; their share of one report is counted
	Bytes       float64 // of the objects' bodies; of 10^11 of 100 MB they are more than an int64 holds

	Invocations int64   // of the function that reads batches
	ComputeS    float64 // their billed seconds, all together

	ExpressRequests int64   // child executions, if they are Express ones
	ExpressS        float64 // their seconds, all together
	Transitions     int64   // of states in Standard executions

	PUTs       int64   // parts and files of the results bucket, which is S3 Standard
	MergeGETs  int64   // of parts
	MergeLISTs int64   // of pages of 1,000 parts
	MergeS     float64 // billed seconds of merging
}

// ExpressMemoryGB is what an Express execution is billed for: memory in steps of
// 64 MB, of which a batch's input and a definition of this size take the first
// (aws.amazon.com/step-functions/pricing, read in November 2026).
const ExpressMemoryGB = 64.0 / 1024

var scanCharges = []charge[Scan]{
	{"S3 GET", "request", S3Requests, func(s Scan) float64 { return float64(s.GETs) },
		func(p Prices, s Scan) (float64, error) { return p.get(s.Class) }},
	{"S3 LIST", "request", S3Requests, func(s Scan) float64 { return float64(s.LISTs) },
		func(p Prices, s Scan) (float64, error) { return p.list(s.Class) }},
	{"S3 Inventory", "million objects", S3Requests, func(s Scan) float64 { return float64(s.Inventoried) / 1e6 },
		func(p Prices, s Scan) (float64, error) {
			if s.Inventoried > 0 && p.MillionInventoried == 0 {
				return 0, fmt.Errorf("no price for S3 Inventory in %s", p.Region)
			}
			return p.MillionInventoried, nil
		}},
	{"S3 retrieval", "GB", Retrieval, func(s Scan) float64 { return s.Bytes / (1 << 30) },
		func(p Prices, s Scan) (float64, error) { return p.retrieval(s.Class) }},
	{"Lambda compute", "GB-second", Compute, func(s Scan) float64 { return s.ComputeS * float64(s.MemoryMB) / 1024 },
		func(p Prices, s Scan) (float64, error) { return p.gbSecond(s.Arch) }},
	{"Lambda requests", "request", Request, func(s Scan) float64 { return float64(s.Invocations) },
		func(p Prices, _ Scan) (float64, error) { return p.MillionRequests / 1e6, nil }},
	{"Express requests", "request", StepFunctions, func(s Scan) float64 { return float64(s.ExpressRequests) },
		statesPrice(func(s StepFunctionsPrices) float64 { return s.MillionExpressRequests / 1e6 })},
	{"Express duration", "GB-second", StepFunctions, func(s Scan) float64 { return s.ExpressS * ExpressMemoryGB },
		statesPrice(func(s StepFunctionsPrices) float64 { return s.ExpressGBSecond })},
	{"state transitions", "transition", StepFunctions, func(s Scan) float64 { return float64(s.Transitions) },
		statesPrice(func(s StepFunctionsPrices) float64 { return s.ThousandTransitions / 1000 })},
	{"results PUT", "request", Results, func(s Scan) float64 { return float64(s.PUTs) },
		func(p Prices, _ Scan) (float64, error) { return p.list(Standard) }},
	{"merge GET", "request", Results, func(s Scan) float64 { return float64(s.MergeGETs) },
		func(p Prices, _ Scan) (float64, error) { return p.get(Standard) }},
	{"merge LIST", "request", Results, func(s Scan) float64 { return float64(s.MergeLISTs) },
		func(p Prices, _ Scan) (float64, error) { return p.list(Standard) }},
	{"merge compute", "GB-second", Results, func(s Scan) float64 { return s.MergeS * float64(s.MemoryMB) / 1024 },
		func(p Prices, s Scan) (float64, error) { return p.gbSecond(s.Arch) }},
}

func statesPrice(of func(StepFunctionsPrices) float64) func(Prices, Scan) (float64, error) {
	return func(p Prices, _ Scan) (float64, error) {
		if p.StepFunctions == nil {
			return 0, fmt.Errorf("no price for Step Functions in %s", p.Region)
		}
		return of(*p.StepFunctions), nil
	}
}

// Scan gives what one costs. The error names the price that the table does not
// have.
func (p Prices) Scan(s Scan) (Bill, error) { return bill(p, scanCharges, s) }
