package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/pflag"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
	"fanout/functions/store"
)

// runFlags is what fanout run was asked for.
type runFlags struct {
	labFlags
	ownFlags
	plan          trial.Plan
	concurrencies []string
	out           string
	verbose       bool
	quiet, json   bool
	keepGoing     bool
	bounds        boundFlags
	prices        priceFlags

	stack     string   // deployed functions: of this stack,
	functions []string // or these,
	bucket    string   // which read this bucket
	given     func(flag string) bool
}

// add adds the flags, in the order of the help.
func (rf *runFlags) add(f *pflag.FlagSet) {
	rf.given = f.Changed
	f.SortFlags = false
	rf.labFlags.add(f)
	rf.ownFlags.add(f)
	f.StringSliceVar(&rf.plan.Clients, "client", []string{store.Default}, "S3 clients: "+fmt.Sprint(store.Names))
	f.StringSliceVar(&rf.concurrencies, "concurrency", []string{"1", "16", "64"}, "numbers of goroutines that read, 1 to 1024, or auto;"+
		" 1 is the sequential baseline, measured with the first client only if there are others")
	f.IntVar(&rf.plan.Invocations, "invocations", stats.MinForInterval,
		"warm invocations per setting; a confidence interval needs 6")
	f.IntVar(&rf.plan.Cold, "cold", 1, "cold starts per setting (none for concurrency 1)")
	f.IntVar(&rf.plan.Sequential, "sequential", 1, "warm invocations per setting of concurrency 1, which are slow")
	f.BoolVar(&rf.plan.Count, "count", false, "count the objects instead of finding the needle")
	rf.bounds.add(f)
	f.StringVar(&rf.stack, "stack", "", "measure the deployed functions of this CloudFormation stack, which costs money")
	f.StringArrayVar(&rf.functions, "function", nil, "measure the deployed function with this `ARN`, which costs money; with an event,"+
		" also ARN:ALIAS; may be repeated")
	f.StringVar(&rf.bucket, "bucket", "", "bucket that the --function reads, under --prefix")
	f.BoolVar(&rf.keepGoing, "keep-going", false, "measure a contender that answers wrong, too: its rows say so, and the status is 1")
	f.StringVar(&rf.out, "out", "", "`folder` for "+trial.FileName+" and "+pageName+" (default results/DATE-TIME)")
	rf.prices.addTable(f)
	f.BoolVarP(&rf.quiet, "quiet", "q", false, "no progress and no estimate on standard error")
	f.BoolVar(&rf.json, "json", false, "print the report as JSON")
	f.BoolVarP(&rf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
}

// parse checks the flags.
func (rf *runFlags) parse() (err error) {
	if err := rf.ownFlags.parse(); err != nil {
		return err
	}
	if rf.own() {
		if err := rf.parseOwn(); err != nil {
			return err
		}
	}
	if err := rf.labFlags.parse("run", rf.own()); err != nil {
		return err
	}
	if rf.Network.Quota && !rf.given("memory") && runtime.NumCPU() >= lambda.MaxVCPU {
		rf.MemoriesMB = append(rf.MemoriesMB, lambda.MaxMemoryMB) // which has the most of it
	}
	const help = "see fanout help run"
	if rf.stack == "" && rf.given("stack") { // of a variable that is not set, such as "$STACK": not a run on this machine
		return hint.Usage(help, "--stack is empty")
	}
	if rf.bounds.budget == "" && rf.given("budget") { // the same: not a run without bounds
		return hint.Usage(help, "--budget is empty")
	}
	if err := rf.bounds.parse(); err != nil {
		return err
	}
	if rf.bounds.Precision > 0 && !rf.given("invocations") {
		rf.plan.Invocations = precisionInvocations
	}
	if !rf.own() {
		if rf.plan.Concurrencies, err = parseConcurrencies(rf.concurrencies); err != nil {
			return hint.Usage(help, "%w", err)
		}
	}
	if rf.deployed() {
		if err := rf.parseDeployed(); err != nil {
			return err
		}
	} else if err := rf.parseHere(); err != nil {
		return err
	}
	rf.plan.Clients = unique(rf.plan.Clients)
	for _, name := range rf.plan.Clients {
		if !store.Known(name) {
			return hint.Usage(help, "client %q: must be one of %v", name, store.Names)
		}
	}
	rf.plan.MemoriesMB, rf.plan.Architectures = rf.MemoriesMB, rf.Architectures
	rf.plan.Contenders, rf.plan.Seed = rf.names(), rf.Seed
	if rf.own() && rf.deployed() {
		rf.plan.Contenders = []string{outputs.GoContender} // until they are found: see choose
	}
	if err := rf.plan.Validate(); err != nil {
		return hint.Usage(help, "%w", err)
	}
	return nil
}

// parseHere checks the flags of a run on this machine.
func (rf *runFlags) parseHere() error {
	for _, a := range rf.Architectures {
		if a != lambda.HostArchitecture() {
			return hint.Usage("fanout sandbox --arch "+a+" runs it under qemu, for its answers",
				"arch %s: this machine is %s, and an emulated processor's times mean nothing", a, lambda.HostArchitecture())
		}
	}
	if rf.bucket != "" {
		return hint.Usage("see fanout help run", "--bucket requires --function")
	}
	return nil
}
