package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"fanout/bench/internal/deployed"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
)

// ownFlags is what a function of the caller's own is invoked with, in place of
// the published event.
type ownFlags struct {
	event, events, expect string

	list []trial.Event
	mode trial.Expectation
}

func (of *ownFlags) add(f *pflag.FlagSet) {
	f.StringVar(&of.event, "event", "", "measure functions of your own with the event in this `file`, any JSON")
	f.StringVar(&of.events, "events", "", "the same with several events, one a line of this `file`: {\"event\": {}, \"weight\": 2}")
	f.StringVar(&of.expect, "expect", "", "the right answer, as JSON, or none: any answer is (default the first answer)")
}

// own says whether the events are the caller's own.
func (of *ownFlags) own() bool { return of.event != "" || of.events != "" }

// parse reads the events.
func (of *ownFlags) parse() error {
	const help = "see fanout help run, and docs/own-function.md"
	switch {
	case of.event != "" && of.events != "":
		return hint.Usage(help, "--event and --events are mutually exclusive")
	case !of.own() && of.expect != "":
		return hint.Usage(help, "--expect requires --event or --events")
	case !of.own():
		return nil
	}
	path := cmp.Or(of.event, of.events)
	f, err := os.Open(path)
	if err != nil {
		return hint.Usage("check the path", "read events: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	if of.event != "" {
		of.list = make([]trial.Event, 1)
		of.list[0], err = trial.ReadEvent(f, filepath.Base(path))
	} else {
		of.list, err = trial.ReadEvents(f)
	}
	if err != nil {
		return hint.Usage(help, "%s: %w", path, err)
	}
	switch of.mode = trial.ExpectFirst; {
	case of.expect == "":
	case of.expect == string(trial.ExpectNone):
		of.mode = trial.ExpectNone
	case !json.Valid([]byte(of.expect)):
		return hint.Usage("text is JSON in quotes, such as '\"text\"'", "expect %q: must be JSON, or none", of.expect)
	default:
		of.mode = trial.ExpectGiven
		for i, e := range of.list {
			if e.Expect == nil {
				of.list[i].Expect = bytes.TrimSpace([]byte(of.expect))
			}
		}
	}
	return nil
}

// parseOwn checks the flags of a run with events of the caller's own: those of
// this repository's workload mean nothing in it.
func (rf *runFlags) parseOwn() error {
	const help = "see docs/own-function.md"
	for _, flag := range []string{"client", "concurrency", "sequential", "count", "needle", "bucket"} {
		if rf.given(flag) {
			return hint.Usage(help, "--%s is of this repository's workload: an event of your own says what your function does", flag)
		}
	}
	if len(rf.contenders) == 0 && !rf.deployed() {
		return hint.Usage("--contender mine=PATH,runtime=python3.13,handler=app.handler, or --function ARN",
			"--%s needs a function of your own", map[bool]string{true: "event", false: "events"}[rf.event != ""])
	}
	rf.plan.Events, rf.plan.Expect = trial.Info(rf.list), rf.mode
	rf.plan.Clients, rf.plan.Concurrencies, rf.plan.Sequential = nil, nil, 0
	if !rf.given("objects") || rf.Corpus.Count == 0 {
		rf.Corpus = corpus.Spec{}
	}
	return nil
}

// nameOf is what a deployed function is called as a contender: its name, with
// the alias or version.
func nameOf(arn string) string {
	_, name, _ := strings.Cut(arn, ":function:")
	return name
}

// checkARNs checks what --function names: an event of the caller's own can go to
// an alias or a published version, too.
func (rf *runFlags) checkARNs() error {
	check := deployed.CheckARN
	if rf.own() {
		check = deployed.CheckQualifiedARN
	}
	for _, f := range rf.functions {
		if err := check(f); err != nil {
			return hint.Usage("see fanout help run", "%w", err)
		}
	}
	return nil
}

// ownHint says what to do about answers that differ from the right one.
func (rf *runFlags) ownHint() string {
	if rf.mode == trial.ExpectFirst {
		return fmt.Sprintf("the first answer counts as the right one; --expect %s compares nothing, --expect JSON says what is right",
			trial.ExpectNone)
	}
	return "--keep-going measures it all the same; --expect none compares nothing"
}
