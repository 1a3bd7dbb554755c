package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// functionARN is a Lambda function's, without a version.
var functionARN = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+$`)

// parseDeployed checks the flags that name deployed functions.
func (rf *runFlags) parseDeployed() error {
	const help = "see fanout help run"
	switch {
	case rf.stack != "" && len(rf.functions) > 0:
		return hint.Usage(help, "--stack and --function exclude each other")
	case rf.stack != "" && rf.bucket != "":
		return hint.Usage(help, "--bucket goes with --function: a stack knows its own")
	case len(rf.functions) > 0 && rf.bucket == "":
		return hint.Usage(help, "--function needs --bucket")
	case len(rf.labFlags.contenders) > 0:
		return hint.Usage(help, "--contender runs in the sandbox: leave out --stack and --function")
	case rf.given("network"):
		return hint.Usage(help, "--network is the sandbox's: deployed functions have their own")
	}
	for _, f := range rf.functions {
		if !functionARN.MatchString(f) {
			return hint.Usage(help, "function %q: must be a function's ARN, without a version", f)
		}
	}
	rf.functions = unique(rf.functions)
	return nil
}

// deployedFunction is one function, and whose it is.
type deployedFunction struct{ arn, contender string }

// functionOutput is the name of an output that gives a function's ARN: memory,
// architecture, and the contender where it is not Go.
var functionOutput = regexp.MustCompile(`^Fetch[0-9]+(?:Arm|X86)?([A-Z][a-z0-9]*)?Arn$`)

// contenderOf reads a contender's name from an output's.
func contenderOf(output string) string {
	if m := functionOutput.FindStringSubmatch(output); m != nil && m[1] != "" {
		return strings.ToLower(m[1])
	}
	return goContender
}

// stackOutputs is what the CDK app says of its stack.
type stackOutputs struct {
	functions []deployedFunction
	bucket    string
	prefix    string
	objects   *corpus.Spec // nil: the bucket is somebody's own
}

// connect finds the deployed functions, and tells the runner of them.
func (rf *runFlags) connect(ctx context.Context, runner *trial.Runner) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return hint.Failed("see your AWS profile and environment", "read the AWS configuration: %w", err)
	}
	var named []deployedFunction
	for _, arn := range rf.functions {
		named = append(named, deployedFunction{arn, goContender})
	}
	found := stackOutputs{functions: named, bucket: rf.bucket, prefix: rf.Corpus.Prefix}
	if rf.stack != "" {
		if found, err = describeStack(ctx, cloudformation.NewFromConfig(cfg), rf.stack); err != nil {
			return err
		}
	}
	client := awslambda.NewFromConfig(cfg)
	targets, err := describeFunctions(ctx, client, found.functions)
	if err != nil {
		return err
	}
	all := len(targets)
	targets = slices.DeleteFunc(targets, func(t trial.Target) bool {
		return rf.given("memory") && !slices.Contains(rf.MemoriesMB, t.MemoryMB) || rf.given("arch") && !slices.Contains(rf.Architectures, t.Arch)
	})
	if len(targets) == 0 {
		return hint.Failed("leave out --memory and --arch to measure all of them", "none of the %d functions has the memory size and architecture asked for", all)
	}
	rf.plan.MemoriesMB, rf.plan.Architectures, rf.plan.Contenders = nil, nil, nil
	for _, t := range targets {
		rf.plan.MemoriesMB = append(rf.plan.MemoriesMB, t.MemoryMB)
		rf.plan.Architectures = append(rf.plan.Architectures, t.Arch)
		rf.plan.Contenders = append(rf.plan.Contenders, t.Contender)
	}
	rf.plan.MemoriesMB, rf.plan.Architectures, rf.plan.Contenders = unique(rf.plan.MemoriesMB), unique(rf.plan.Architectures), unique(rf.plan.Contenders)

	h := &runner.Header
	h.Backend = trial.AWS
	if aws.ToString(client.Options().BaseEndpoint) != "" {
		h.Backend = trial.Endpoint
	}
	h.Region = cfg.Region
	h.Host = "AWS Lambda, " + cfg.Region
	h.Corpus = corpus.Spec{Prefix: found.prefix, Needle: rf.Corpus.Needle}
	if found.objects != nil {
		h.Corpus = *found.objects
		runner.Expected = trial.Expect(h.Corpus, rf.plan.Count)
		h.Bytes = runner.Expected.Bytes
	} else if !rf.given("needle") {
		rf.plan.Count = true // there is nothing known to find
	}
	h.Plan = rf.plan
	runner.Lambda, runner.Targets, runner.Bucket = client, targets, found.bucket
	return nil
}

// describeStack reads the outputs of a stack that infra made.
func describeStack(ctx context.Context, client *cloudformation.Client, name string) (stackOutputs, error) {
	var s stackOutputs
	out, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return s, hint.Failed("deploy it first: npx aws-cdk deploy; see AWS_PROFILE and AWS_REGION, too", "describe stack %s: %w", name, err)
	}
	if len(out.Stacks) != 1 {
		return s, hint.Failed("give the stack's name or ARN", "describe stack %s: %d stacks", name, len(out.Stacks))
	}
	for _, o := range out.Stacks[0].Outputs {
		value := aws.ToString(o.OutputValue)
		switch key := aws.ToString(o.OutputKey); {
		case key == "Bucket":
			s.bucket = value
		case key == "Prefix":
			s.prefix = value
		case key == "Objects":
			s.objects = &corpus.Spec{}
			if err := json.Unmarshal([]byte(value), s.objects); err != nil {
				return s, hint.Failed("deploy it again with this version", "stack %s: output Objects: %w", name, err)
			}
			if err := s.objects.Validate(); err != nil {
				return s, hint.Failed("deploy it again with this version", "stack %s: output Objects: %w", name, err)
			}
		case strings.HasSuffix(key, "Arn") && functionARN.MatchString(value):
			s.functions = append(s.functions, deployedFunction{value, contenderOf(key)})
		}
	}
	if s.bucket == "" || len(s.functions) == 0 {
		return s, hint.Failed("name a stack that this repository's CDK app made", "stack %s has no outputs Bucket and …Arn", name)
	}
	return s, nil
}

// describeFunctions reads memory and architecture from each function's own
// configuration.
func describeFunctions(ctx context.Context, client *awslambda.Client, functions []deployedFunction) ([]trial.Target, error) {
	targets := make([]trial.Target, 0, len(functions))
	for _, function := range functions {
		arn := function.arn
		f, err := client.GetFunctionConfiguration(ctx, &awslambda.GetFunctionConfigurationInput{FunctionName: &arn})
		if err != nil {
			return nil, hint.Failed("see AWS_PROFILE and AWS_REGION: the function must be in that region", "look at function %s: %w", arn, err)
		}
		if f.MemorySize == nil {
			return nil, fmt.Errorf("look at function %s: it has no memory size", arn)
		}
		t := trial.Target{Function: arn, Contender: function.contender, MemoryMB: int(*f.MemorySize), Arch: lambda.X86}
		if len(f.Architectures) > 0 {
			t.Arch = string(f.Architectures[0])
		}
		targets = append(targets, t)
	}
	return targets, nil
}
