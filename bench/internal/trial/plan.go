// Package trial measures: a [Plan] says which settings to try and how often, a
// [Runner] invokes them through the Lambda API, interleaved, and writes one
// [Result] line for each invocation. What the lines mean is package report's
// affair: everything shown can be made from the file alone.
package trial

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"fanout/bench/internal/network"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	"fanout/functions/store"
)

// Starts of an invocation.
const (
	Cold = "cold" // in a process that had to be started first
	Warm = "warm" // in a process that has read with the same client before

	// Unknown is an invocation of which nothing says whether its process was
	// new. It is no sample of either.
	Unknown = "unknown"
)

// Plan is which settings are tried, and how often each.
type Plan struct {
	MemoriesMB    []int    `json:"memories_mb"`
	Architectures []string `json:"architectures"`
	Clients       []string `json:"clients"`
	Concurrencies []int    `json:"concurrencies"` // Auto: the function's own choice
	Contenders    []string `json:"contenders"`
	Invocations   int      `json:"invocations"` // warm ones a setting
	Cold          int      `json:"cold"`        // cold ones a setting, but of concurrency 1
	Sequential    int      `json:"sequential"`  // warm ones a setting of concurrency 1: the slow baseline, see settings
	Count         bool     `json:"count"`       // count the objects instead of finding the needle
	Seed          uint64   `json:"seed"`        // of the order

	// Of functions that are invoked with events of the caller's own, instead of
	// the published one. Clients, Concurrencies, Sequential and Count then mean
	// nothing.
	Events []EventInfo `json:"events,omitempty"`
	Expect Expectation `json:"expect,omitempty"`
}

// Own says whether the events are the caller's own: then nothing is known of
// what the functions do.
func (p Plan) Own() bool { return len(p.Events) > 0 }

// MaxInvocations is the most of a kind that a plan asks for.
const MaxInvocations = 10_000

// Validate says what is wrong with p: the field, its value, what is allowed.
func (p Plan) Validate() error {
	for _, list := range []struct {
		name string
		n    int
		own  bool // whether it means something for own events, too
	}{
		{"memory", len(p.MemoriesMB), true}, {"arch", len(p.Architectures), true}, {"client", len(p.Clients), false},
		{"concurrency", len(p.Concurrencies), false}, {"contender", len(p.Contenders), true},
	} {
		if list.n == 0 && (list.own || !p.Own()) {
			return fmt.Errorf("%s: give at least one", list.name)
		}
	}
	for _, m := range p.MemoriesMB {
		if err := lambda.CheckMemory(m); err != nil {
			return err
		}
	}
	for _, c := range p.Concurrencies {
		if c != Auto && (c < 1 || c > fetch.MaxConcurrency) {
			return fmt.Errorf("concurrency %d: must be auto or 1 to %d", c, fetch.MaxConcurrency)
		}
	}
	for _, count := range []struct {
		name string
		n    int
	}{{"invocations", p.Invocations}, {"cold", p.Cold}, {"sequential", p.Sequential}} {
		if count.n < 0 || count.n > MaxInvocations {
			return fmt.Errorf("%s %d: must be 0 to %d", count.name, count.n, MaxInvocations)
		}
	}
	if p.Invocations+p.Cold == 0 {
		return errors.New("invocations 0 and cold 0: nothing to measure")
	}
	return nil
}

// Target is a deployed function: one contender at one memory size and
// architecture.
type Target struct {
	Function  string // name or ARN
	Contender string
	MemoryMB  int
	Arch      string

	// Clients are the ones it has; nil: the plan's.
	Clients []string

	// Published says that the function knows the published event and answer
	// only: neither client nor concurrency can be set, and there are no stats.
	Published bool

	// Fixed says that it is an alias or a published version, whose cold starts
	// cannot be forced: neither has a configuration that can be changed.
	Fixed bool
}

// Setting is what a row of the result is about.
type Setting struct {
	Target      Target
	Client      string // empty for a Published target
	Concurrency int    // Auto, too, for a Published target

	event  int  // of the caller's own ones: which one an invocation sends
	sample bool // the runner's Sample is read, and not all objects
}

// sequential says whether s is the baseline that speed-up is measured
// against.
func (s Setting) sequential() bool { return s.Concurrency == 1 }

// settings lists every setting of the plan on these targets. Beside other
// concurrencies, one worker is the baseline, and is tried with the first client
// only: it takes long, and nearly all of that is waiting, whatever the client.
func (p Plan) settings(targets []Target) []Setting {
	var all []Setting
	for _, t := range targets {
		if t.Published {
			all = append(all, Setting{Target: t})
			continue
		}
		clients := p.Clients
		if t.Clients != nil {
			clients = t.Clients
		}
		for _, client := range clients {
			for _, c := range p.Concurrencies {
				if c == 1 && client != clients[0] && len(p.Concurrencies) > 1 {
					continue
				}
				all = append(all, Setting{Target: t, Client: client, Concurrency: c})
			}
		}
	}
	return all
}

// step is one invocation to measure.
type step struct {
	setting Setting
	start   string // Cold or Warm
	seq     int    // from 0, within the setting and start
}

// schedule orders all invocations: rounds, each with every setting's next
// cold and warm one, shuffled within the round. A machine that gets slower
// then does so for all settings alike, and not for the last ones.
func (p Plan) schedule(targets []Target) []step {
	rng := rand.New(rand.NewPCG(p.Seed, 0))
	settings := p.settings(targets)
	var all []step
	for round := range max(p.Invocations, p.Cold, p.Sequential) {
		var steps []step
		for _, s := range settings {
			warm, cold := p.Invocations, p.Cold
			if s.sequential() {
				warm, cold = p.Sequential, 0
			}
			if s.Target.Fixed {
				cold = 0
			}
			if round < cold {
				steps = append(steps, step{s, Cold, round})
			}
			if round < warm {
				steps = append(steps, step{s, Warm, round})
			}
		}
		rng.Shuffle(len(steps), func(i, k int) { steps[i], steps[k] = steps[k], steps[i] })
		all = slices.Concat(all, steps)
	}
	return all
}

// clientCPU is the CPU time that a client takes an object, in ms, at the memory
// sizes in MB that it was measured at: the table in docs/performance.md, under
// "The clients", of objects of 25 KB on two cores.
var clientCPU = map[string][]struct {
	fromMB int
	ms     float64
}{
	store.Lean:  {{0, 0.0376}, {512, 0.0411}, {1769, 0.0447}},
	store.Tuned: {{0, 0.1752}, {512, 0.1551}, {1769, 0.1594}},
	store.Stock: {{0, 0.5887}, {512, 0.2614}, {1769, 0.2006}},
}

// measuredVCPU is the most that the clients' figures hold for.
const measuredVCPU = 2

// guess is a forecast of an invocation's time: the longest of waiting for first
// bytes, CPU time at the memory size's share, and the bodies at Lambda's
// bandwidth; before that the first page of the listing, if the model has its
// time. A client that nobody measured is taken for the slowest that was.
func guess(s Setting, objects int, bytes int64, h Header) time.Duration {
	workers := float64(s.Concurrency)
	if s.Concurrency == Auto {
		workers = 64
	}
	model := h.NetworkModel()
	if model.Name == "" {
		model = network.S3Standard // AWS, by its most usual storage class
	}
	var ms float64
	figures, ok := clientCPU[s.Client]
	if !ok {
		figures = clientCPU[store.Stock]
	}
	for _, f := range figures {
		if s.Target.MemoryMB >= f.fromMB {
			ms = f.ms
		}
	}
	latency := float64(objects)/workers*lambda.Milliseconds(model.FirstByteMean()) + lambda.Milliseconds(model.FirstByteP99)
	cpu := float64(objects) * ms * model.Factor() / min(lambda.VCPU(max(s.Target.MemoryMB, lambda.MinMemoryMB)), measuredVCPU)
	bodies := 0.
	if bandwidth := h.BandwidthOf(s.Target.MemoryMB); bandwidth > 0 {
		bodies = float64(bytes) / bandwidth * 1000
	}
	return model.List + time.Duration(max(latency, cpu, bodies)*float64(time.Millisecond))
}
