// Package forecast says what a scan of many objects will take: [New] turns a
// [Plan] into a [Forecast] of time, dollars and the limit that binds. Nothing is
// called and nothing is measured: it is arithmetic with the quotas of quotas.go
// and the speed of one invocation, which a run measures.
//
// The scan reads at the lowest of its [Limit]s. What would help, a [Help], is
// found by making the forecast again with one thing changed.
package forecast

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"fanout/bench/internal/cost"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// Plan is what is to be read, from where, and by what.
type Plan struct {
	Objects   int64             `json:"objects"`
	Bytes     float64           `json:"bytes_per_object"` // mean
	KeyBytes  int               `json:"bytes_per_key"`    // mean, as JSON; 0: DefaultKeyBytes
	Prefixes  int               `json:"prefixes"`         // partitioned prefixes that the objects are spread over
	Inventory bool              `json:"inventory"`        // instead of a listing
	Class     cost.StorageClass `json:"storage_class"`
	MapRuns   int               `json:"map_runs"` // jobs at the same time, each with its part of the keys; 0: as few as may be

	MemoryMB int    `json:"memory_mb"`
	Quota    bool   `json:"bandwidth_quota,omitempty"` // bandwidth grows with the memory size, as lambda.Bandwidth has it
	Arch     string `json:"arch"`
	Speed    Speed  `json:"speed"`

	Children           string `json:"children"`            // fn.Express or fn.Standard
	Batch              int    `json:"batch"`               // items; 0: auto
	MaxConcurrency     int    `json:"max_concurrency"`     // children of one Map Run at once; 0: auto
	AccountConcurrency int    `json:"account_concurrency"` // 0: AccountConcurrency
}

// DefaultKeyBytes is how long a key is taken to be where nobody says: an
// assumption.
const DefaultKeyBytes = 64

// Bounds of a plan.
const (
	maxObjects = 1e12 // ten thousand Map Runs
	maxBytes   = 50e12
	maxCount   = 1_000_000
)

// Validate says what is wrong with a plan.
func (p Plan) Validate() error {
	for _, v := range []struct {
		name    string
		value   float64
		lo, hi  float64
		allowed string
	}{
		{"objects", float64(p.Objects), 0, maxObjects, "0 to 1e12"},
		{"bytes", p.Bytes, 0, maxBytes, "0 to 50 TB, the largest object that S3 has"},
		{"key bytes", float64(p.KeyBytes), 0, 6 * 1024, "0 to 6,144: 1,024 bytes, which JSON may write with six each"},
		{"prefixes", float64(p.Prefixes), 1, maxCount, "1 to 1,000,000"},
		{"map runs", float64(p.MapRuns), 0, MapRuns, "0 for auto, or 1 to 1,000, which is what an account may have open"},
		{"batch", float64(p.Batch), 0, maxCount, "0 for auto, or 1 to 1,000,000"},
		{"max concurrency", float64(p.MaxConcurrency), 0, MapRunChildren, "0 for auto, or 1 to 10,000, which is all that a Map Run has"},
		{"account concurrency", float64(p.AccountConcurrency), 0, maxCount, "1 to 1,000,000"},
		{"rate", p.Speed.ObjectsPerS, 1e-6, 1e6, "above 0 and at most 1,000,000 objects a second"},
	} {
		if !(v.value >= v.lo && v.value <= v.hi) {
			return fmt.Errorf("%s %g: must be %s", v.name, v.value, v.allowed)
		}
	}
	if p.Children != fn.Express && p.Children != fn.Standard {
		return fmt.Errorf("children %q: must be %s or %s", p.Children, fn.Express, fn.Standard)
	}
	if least := mapRuns(p.Objects); least > MapRuns {
		return fmt.Errorf("objects %d: more than 1,000 Map Runs of 100,000,000 objects, which is all that an account may have open", p.Objects)
	} else if p.MapRuns > 0 && p.MapRuns < least {
		return fmt.Errorf("map runs %d: one reads at most 100,000,000 objects, so %d objects take %d", p.MapRuns, p.Objects, least)
	}
	return errors.Join(lambda.CheckMemory(p.MemoryMB), lambda.CheckArchitecture(p.Arch))
}

// mapRuns is how many Map Runs it takes at least.
func mapRuns(objects int64) int { return int(max((objects+MapRunItems-1)/MapRunItems, 1)) }

// Forecast is what a scan will take. It is calculated, not measured.
type Forecast struct {
	Plan      Plan          `json:"plan"`      // with what was left to the forecast: batch, concurrency, Map Runs
	Batches   int64         `json:"batches"`   // child executions, and invocations
	BatchTime time.Duration `json:"-"`         // that one invocation takes
	Functions int           `json:"functions"` // that read at once, once all are there
	Reading   time.Duration `json:"-"`
	Ramp      time.Duration `json:"-"` // of the reading: until all functions are there
	Merging   time.Duration `json:"-"`

	ObjectsPerS float64 `json:"objects_per_s"` // over the reading
	BytesPerS   float64 `json:"bytes_per_s"`

	Binding Limit     `json:"binding"`
	Limits  []Limit   `json:"limits"`          // the lowest first
	Fails   string    `json:"fails,omitempty"` // why it would not end well; empty: nothing is known that speaks against it
	Bill    cost.Bill `json:"bill"`
	Helps   []Help    `json:"helps"` // what would make it faster or cheaper, the most effective first
}

// Time is all of it, but for the seconds that an execution takes to begin.
func (f Forecast) Time() time.Duration { return f.Reading + f.Merging }

// USDPerMillion is what a million objects cost.
func (f Forecast) USDPerMillion() float64 {
	if f.Plan.Objects == 0 {
		return 0
	}
	return f.Bill.Total() / float64(f.Plan.Objects) * 1e6
}

// MarshalJSON writes times in seconds.
func (f Forecast) MarshalJSON() ([]byte, error) {
	type plain Forecast // without this method
	return json.Marshal(struct {
		Calculated bool    `json:"calculated"` // always: it is no measurement
		TimeS      float64 `json:"time_s"`
		ReadingS   float64 `json:"reading_s"`
		RampS      float64 `json:"ramp_s"`
		MergingS   float64 `json:"merging_s"`
		BatchS     float64 `json:"batch_s"`
		USD        float64 `json:"usd"`
		Million    float64 `json:"usd_per_million_objects"`
		plain
	}{
		true, f.Time().Seconds(), f.Reading.Seconds(), f.Ramp.Seconds(), f.Merging.Seconds(), f.BatchTime.Seconds(),
		f.Bill.Total(), f.USDPerMillion(), plain(f),
	})
}

// New makes the forecast of a plan at these prices. The error says what is
// wrong with the plan, or which price is missing.
func New(p Plan, prices cost.Prices) (Forecast, error) {
	f, err := once(p, prices)
	if err != nil {
		return Forecast{}, err
	}
	f.Helps = helps(p, f, prices)
	return f, nil
}

// once makes a forecast without what would help.
func once(p Plan, prices cost.Prices) (Forecast, error) {
	if err := p.Validate(); err != nil {
		return Forecast{}, err
	}
	p.fill()
	f := Forecast{Plan: p}
	f.Batches = (p.Objects + int64(p.Batch) - 1) / int64(p.Batch)
	perFunction := p.batched(p.Batch)
	f.BatchTime = seconds(float64(min(int64(p.Batch), max(p.Objects, 1)))/p.speed().rate) + Overhead
	f.limits()
	rate := f.Binding.ObjectsPerS

	// Functions that the rate keeps busy, and what they read while they come.
	busy := int(min(math.Ceil(rate/perFunction-1e-9), float64(max(f.Batches, 1))))
	f.Functions = max(busy, 1)
	f.read(rate, perFunction)
	if f.Plan.MaxConcurrency == 0 {
		f.Plan.MaxConcurrency = p.autoConcurrency(f.Functions)
	}
	if f.Binding.Name == GETRate {
		// More functions than the GETs feed wait, and are paid for it.
		f.Functions = max(f.Functions, int(min(int64(f.Plan.MaxConcurrency*p.MapRuns), int64(p.AccountConcurrency), f.Batches)))
	}
	f.merge()
	f.fails()
	return f, f.bill(prices)
}

// fill chooses what was left to the forecast, but for the concurrency, which
// follows from the limits.
func (p *Plan) fill() {
	if p.KeyBytes == 0 {
		p.KeyBytes = DefaultKeyBytes
	}
	if p.AccountConcurrency == 0 {
		p.AccountConcurrency = AccountConcurrency
	}
	if p.MapRuns == 0 {
		p.MapRuns = mapRuns(p.Objects)
	}
	if p.Batch == 0 {
		p.Batch = p.autoBatch()
	}
	p.Batch = min(p.Batch, p.payloadItems()) // ItemBatcher puts no more into one
}

// pace is how fast one invocation reads, and what holds it.
type pace struct {
	rate float64 // objects a second
	by   string  // CPU, Bandwidth, or empty: latency
}

// boundShare is from which share of its CPU or bandwidth on an invocation is
// taken to be held by it: as the verdict of a run has it (docs/statistics.md).
const boundShare = 0.8

// speed works out how fast one invocation of the plan reads, from one that was
// measured at another memory size or with objects of another size. What the
// measured one did in the time of latency it does at any size; where it used its
// CPU or bandwidth up, it gets faster and slower with these.
func (p Plan) speed() pace {
	at := func(memoryMB int, bytes float64) (cpu, bandwidth float64) {
		perObject := p.Speed.CPUPerObject.Seconds()
		if perObject <= 0 {
			perObject = Measured.CPUPerObject.Seconds() + (p.Speed.Bytes-Measured.Bytes)*cpuPerByte
		}
		perObject = max(perObject+(bytes-p.Speed.Bytes)*cpuPerByte, perObject/4)
		return lambda.VCPU(memoryMB) / perObject, lambda.Bandwidth(memoryMB, p.Quota) / max(bytes, 1)
	}
	cpu, bandwidth := at(p.Speed.MemoryMB, p.Speed.Bytes)
	latency, used := math.Inf(1), p.Speed.ObjectsPerS/min(cpu, bandwidth)
	if used < boundShare {
		latency, used = p.Speed.ObjectsPerS, 1
	}
	cpu, bandwidth = at(p.MemoryMB, p.Bytes)
	cpu, bandwidth = cpu*used, bandwidth*used
	switch least := min(cpu, bandwidth, latency); least {
	case latency:
		return pace{latency, ""}
	case cpu:
		return pace{cpu, CPU}
	default:
		return pace{bandwidth, Bandwidth}
	}
}

// batched is how many objects a second one invocation after the other reads, in
// batches of this size.
func (p Plan) batched(items int) float64 {
	return float64(items) / (float64(items)/p.speed().rate + Overhead.Seconds())
}

// read works out how long reading takes at a rate, while functions come at
// Lambda's pace.
func (f *Forecast) read(rate, perFunction float64) {
	n := float64(f.Plan.Objects)
	if n == 0 {
		return
	}
	took := n / rate
	if late := float64(f.Functions - RampStart); late > 0 {
		ramp := late / RampPerS
		f.Ramp = seconds(ramp)
		// Functions are RampStart + RampPerS × t, and what they read the integral.
		meanwhile := perFunction * (RampStart*ramp + RampPerS*ramp*ramp/2)
		if meanwhile < n {
			took = ramp + (n-meanwhile)/rate
		} else {
			took = (math.Sqrt(RampStart*RampStart+2*RampPerS*n/perFunction) - RampStart) / RampPerS
			f.Ramp = seconds(took)
			f.Binding = Limit{Ramp, n / took, fmt.Sprintf("all objects are read before Lambda has started the %d functions that would be busy: "+
				"1,000 at once, then 100 more each second", f.Functions)}
			f.Functions = int(math.Ceil(RampStart + RampPerS*took))
		}
	}
	took = max(took, f.BatchTime.Seconds())
	f.Reading = seconds(took)
	f.ObjectsPerS, f.BytesPerS = n/took, n*f.Plan.Bytes/took
}

// merge works out how long adding the parts up takes.
func (f *Forecast) merge() {
	merging := 1
	if f.grouped() {
		merging = groups
	}
	rate := min(float64(merging*f.Plan.MapRuns)*MergeParts, PrefixGETs)
	f.Merging = seconds(float64(f.Batches) / rate)
}

// grouped says whether the parts are merged in two levels.
func (f Forecast) grouped() bool { return f.Plan.Objects > GroupedItems*int64(f.Plan.MapRuns) }

// fails finds what would end the scan before it is done.
func (f *Forecast) fails() {
	one := 1 / f.Plan.speed().rate
	switch {
	case f.Plan.Objects == 0:
	case one > BatchTimeout.Seconds():
		f.Fails = fmt.Sprintf("an object of the mean size takes %v, and a batch has %v", seconds(one).Round(time.Second), BatchTimeout)
	case f.BatchTime > BatchTimeout:
		f.Fails = fmt.Sprintf("a batch of %d takes %v, and it has %v", f.Plan.Batch, f.BatchTime.Round(time.Second), BatchTimeout)
	case f.Merging > MergeTimeout:
		f.Fails = fmt.Sprintf("%d parts take %v to merge, and the function has %v: take larger batches", f.Batches,
			f.Merging.Round(time.Second), MergeTimeout)
		return
	default:
		return
	}
	if f.Fails != "" {
		f.Binding = Limit{TimeLimit, f.Binding.ObjectsPerS, f.Fails}
	}
}

// bill prices the forecast.
func (f *Forecast) bill(prices cost.Prices) error {
	p, batches := f.Plan, f.Batches
	used := cost.Scan{
		Arch: p.Arch, MemoryMB: p.MemoryMB, Class: p.Class, GETs: p.Objects, Bytes: float64(p.Objects) * p.Bytes,
		Invocations: batches, PUTs: batches + int64(writerFiles*p.MapRuns), Transitions: int64(ParentTransitions * p.MapRuns),
		MergeGETs: batches, MergeLISTs: max((batches+PageKeys-1)/PageKeys, int64(p.MapRuns)), MergeS: float64(batches) / MergeParts,
	}
	if p.Inventory {
		used.Inventoried = p.Objects
	} else {
		used.LISTs = max((p.Objects+PageKeys-1)/PageKeys, int64(p.MapRuns))
	}
	if batches > 0 {
		// Functions that wait for GETs are paid like those that read.
		used.ComputeS = float64(p.Objects)/p.speed().rate + float64(batches)*Overhead.Seconds()
		if f.Binding.Name == GETRate {
			used.ComputeS = max(used.ComputeS, float64(f.Functions)*f.Reading.Seconds())
		}
	}
	if p.Children == fn.Express {
		const half = 0.05 // seconds: durations are rounded up to 100 ms
		used.ExpressRequests, used.ExpressS = batches, used.ComputeS+half*float64(batches)
	} else {
		used.Transitions += ChildTransitions * batches
	}
	if f.grouped() {
		used.PUTs += int64(groups * p.MapRuns)
		used.Transitions += int64(GroupTransitions * p.MapRuns)
	}
	var err error
	f.Bill, err = prices.Scan(used)
	return err
}

func seconds(s float64) time.Duration {
	return time.Duration(min(s, math.MaxInt64/float64(2*time.Second)) * float64(time.Second))
}
