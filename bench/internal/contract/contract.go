// Package contract holds the cases that say whether a contender keeps the
// contract of docs/architecture.md, under "Event and answer". [Put] makes what
// they read, and [Fixtures.Check] puts a contender through them.
package contract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// Memory sizes that contenders are checked at.
const (
	memoryMB = lambda.VCPUMemoryMB
	smallMB  = lambda.MinMemoryMB
)

// Config is the lab that the cases need, but for its contenders and log.
func Config() lab.Config {
	return lab.Config{
		MemoriesMB: []int{memoryMB, smallMB}, Architectures: []string{lambda.HostArchitecture()},
		Timeout: timeoutSeconds * time.Second, Network: network.None, Corpus: corpus.Default(), Seed: 1,
	}
}

// Verdict is a contender's in one case.
type Verdict string

// Verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
	Skip Verdict = "skip"
)

// Outcome is what came of one case.
type Outcome struct {
	Case    string
	Verdict Verdict
	Note    string // what was wanted and what came, or why the case was skipped
}

// Check puts one contender through every case, in order, and gives each outcome
// to report. If it answers with stats, events name the client, unless that is empty.
// The error is one that ends the check: ctx's, or the sandbox's own.
func (f *Fixtures) Check(ctx context.Context, contender, client string, report func(Outcome)) error {
	l := f.lab
	k := &checker{lab: l, lambda: l.Client(), fixtures: f, limited: !l.Lambda.Limits().None(), asked: client}
	for _, t := range l.Targets {
		switch {
		case t.Contender != contender:
		case t.MemoryMB == smallMB:
			k.small = t.Function
		default:
			k.function = t.Function
		}
	}
	for _, c := range contract {
		o := Outcome{Case: c.name, Verdict: Pass}
		switch {
		case c.stats && !k.stats:
			o.Verdict, o.Note = Skip, "it knows the published event and answer only"
		case c.limits && !k.limited:
			o.Verdict, o.Note = Skip, "memory is not limited here: "+l.Lambda.Limits().Reason
		default:
			var broken *violation
			switch err := c.run(ctx, k); {
			case errors.As(err, &broken):
				o.Verdict, o.Note = Fail, broken.Error()
			case err != nil:
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
		report(o)
	}
	return nil
}
