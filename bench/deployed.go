package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/deployed"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/outputs"
)

// deployed says whether functions are named that are there already.
func (rf *runFlags) deployed() bool { return rf.stack != "" || len(rf.functions) > 0 }

// parseDeployed checks the flags that name deployed functions.
func (rf *runFlags) parseDeployed() error {
	const help = "see fanout help run"
	switch {
	case rf.stack != "" && len(rf.functions) > 0:
		return hint.Usage(help, "--stack and --function are mutually exclusive")
	case rf.stack != "" && rf.bucket != "":
		return hint.Usage(help, "--bucket requires --function: a stack has its own bucket")
	case len(rf.functions) > 0 && rf.bucket == "" && !rf.own():
		return hint.Usage(help, "--function needs --bucket")
	case len(rf.contenders) > 0:
		return hint.Usage(help, "--contender runs in the sandbox: leave out --stack and --function")
	case len(rf.env) > 0:
		return hint.Usage(help, "--env is the sandbox's: deployed functions have their own")
	case rf.given("network"):
		return hint.Usage(help, "--network is the sandbox's: deployed functions have their own")
	}
	if err := rf.checkARNs(); err != nil {
		return err
	}
	rf.functions = unique(rf.functions)
	return nil
}

// connect finds the deployed functions, puts right what a run that was killed
// left of them, and tells the runner of them.
func (rf *runFlags) connect(ctx context.Context, runner *trial.Runner, show *progress.Progress, stderr io.Writer) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return hint.Failed("check your AWS profile and environment", "read the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return hint.Usage("set AWS_REGION, such as us-east-1, or a region in your AWS profile", "no region: in which the functions are")
	}
	found := deployed.Stack{Bucket: rf.bucket, Prefix: rf.Corpus.Prefix}
	for _, arn := range rf.functions {
		f := deployed.Function{ARN: arn, Contender: outputs.GoContender}
		if rf.own() {
			f.Contender = nameOf(arn)
		}
		found.Functions = append(found.Functions, f)
	}
	if rf.stack != "" {
		if found, err = deployed.Find(ctx, cloudformation.NewFromConfig(cfg), rf.stack); err != nil {
			return err
		}
	}
	client := awslambda.NewFromConfig(cfg)
	if found.Functions, err = deployed.Describe(ctx, client, found.Functions); err != nil {
		return err
	}
	putRight(ctx, client, found.Functions, stderr)
	if found.Functions, err = rf.choose(found.Functions); err != nil {
		return err
	}
	h := &runner.Header
	say := found.Functions
	if rf.own() { // whose BANDWIDTH may mean anything
		say = nil
	}
	if h.Bandwidth, err = rf.net.ofDeployed(say); err != nil {
		return err
	}
	h.Backend = trial.AWS
	if aws.ToString(client.Options().BaseEndpoint) != "" {
		h.Backend = trial.Endpoint
	}
	h.Region = cfg.Region
	h.Host = "AWS Lambda, " + cfg.Region
	h.Corpus = corpus.Spec{Prefix: found.Prefix, Needle: rf.Corpus.Needle}
	if runner.Events = rf.list; rf.own() {
		h.Corpus = corpus.Spec{}
	} else if found.Objects != nil {
		h.Corpus = *found.Objects
		if runner.Expected, err = expect(ctx, h.Corpus, rf.plan.Count, show); err != nil {
			return err
		}
		h.Bytes = runner.Expected.Bytes
	} else if !rf.given("needle") {
		rf.plan.Count = true // there is nothing known to find
	}
	h.Plan = rf.plan
	runner.Lambda, runner.Targets, runner.Bucket = client, rf.targets(found.Functions), found.Bucket
	return nil
}

// choose gives the functions to measure, of those there are, and notes in the
// plan what they are.
func (rf *runFlags) choose(functions []deployed.Function) ([]deployed.Function, error) {
	var chosen []deployed.Function
	p := &rf.plan
	p.MemoriesMB, p.Architectures, p.Contenders = nil, nil, nil
	for _, f := range functions {
		if rf.given("memory") && !slices.Contains(rf.MemoriesMB, f.MemoryMB) || rf.given("arch") && !slices.Contains(rf.Architectures, f.Arch) {
			continue
		}
		chosen = append(chosen, f)
		p.MemoriesMB = append(p.MemoriesMB, f.MemoryMB)
		p.Architectures = append(p.Architectures, f.Arch)
		p.Contenders = append(p.Contenders, f.Contender)
	}
	if len(chosen) == 0 {
		return nil, hint.Failed("leave out --memory and --arch to measure all of them",
			"none of the %d functions has the memory size and architecture asked for", len(functions))
	}
	p.MemoriesMB, p.Architectures, p.Contenders = unique(p.MemoriesMB), unique(p.Architectures), unique(p.Contenders)
	return chosen, nil
}

// targets are deployed functions as the runner takes them.
func (rf *runFlags) targets(functions []deployed.Function) []trial.Target {
	all := make([]trial.Target, len(functions))
	for i, f := range functions {
		all[i] = trial.Target{
			Function: f.ARN, Contender: f.Contender, MemoryMB: f.MemoryMB, Arch: f.Arch,
			Published: rf.own(), Fixed: deployed.Qualified(f.ARN),
		}
	}
	return all
}

// putRight takes from the functions' descriptions what a run left there that
// was killed before it could, and says so. Where it cannot, the run goes on.
func putRight(ctx context.Context, client deployed.Configurer, functions []deployed.Function, stderr io.Writer) {
	control := deployed.NewControl(client, deployed.CallsPerSecond)
	for _, f := range functions {
		if deployed.Qualified(f.ARN) {
			continue // nothing of it can be changed
		}
		switch found, err := control.PutRight(ctx, f.ARN); {
		case errors.Is(err, deployed.ErrLost):
			fmt.Fprintf(stderr, "warning: %s\n", term.CleanLines(err.Error()))
		case err != nil && ctx.Err() == nil:
			fmt.Fprintf(stderr, "warning: an earlier run was killed, and its change of a function remains: %s\n", term.CleanLines(err.Error()))
		case found && err == nil:
			fmt.Fprintf(stderr, "put back the description of %s, which an earlier run left changed\n", f.ARN)
		}
	}
}
