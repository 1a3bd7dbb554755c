// Package deployed finds the functions of a stack or account, and forces their
// cold starts by changing their configuration, which it changes back: see
// [Control].
package deployed

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/hint"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
)

var functionARN = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+$`)

// Qualified says whether an ARN names an alias or a published version.
func Qualified(arn string) bool {
	qualifier := qualifiedARN.FindStringSubmatch(arn)
	return qualifier != nil && qualifier[1] != "$LATEST"
}

var qualifiedARN = regexp.MustCompile(
	`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+:([A-Za-z0-9_-]+|\$LATEST)$`)

// CheckQualifiedARN refuses what is not a function's ARN, with or without an
// alias or a version.
func CheckQualifiedARN(arn string) error {
	if !functionARN.MatchString(arn) && !Qualified(arn) {
		return fmt.Errorf("function %q: must be a function's ARN, or that of an alias or a published version of it", arn)
	}
	return nil
}

// CheckARN refuses what is not a function's ARN, without a version.
func CheckARN(arn string) error {
	if !functionARN.MatchString(arn) {
		return fmt.Errorf("function %q: must be a function's ARN, without a version", arn)
	}
	return nil
}

// Function is a deployed one. [Describe] fills in what its configuration says.
type Function struct {
	ARN       string
	Contender string
	MemoryMB  int
	Arch      string
	// Bandwidth is its environment variable BANDWIDTH, lambda.FlatBandwidth or
	// lambda.QuotaBandwidth; empty: it says nothing.
	Bandwidth string
	VPC       bool // it is in one, where AWS grants no more bandwidth
}

// Stack is what the CDK app's stack says of itself.
type Stack struct {
	Functions []Function // ARN and contender
	Bucket    string
	Prefix    string       // of the objects' keys
	Objects   *corpus.Spec // nil: the bucket is somebody's own

	StateMachine string // ARN of that for fanout scan; empty: there is none
	Results      string // bucket of its results
}

// StackDescriber is what of the CloudFormation API finds a stack.
type StackDescriber interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (
		*cloudformation.DescribeStacksOutput, error)
}

// Find reads the outputs of a stack that infra made. The error has a hint.
func Find(ctx context.Context, client StackDescriber, name string) (Stack, error) {
	var s Stack
	out, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return s, hint.Failed(hint.AWS(err, "deploy it first: npx aws-cdk deploy; see AWS_PROFILE and AWS_REGION, too"),
			"describe stack %s: %w", name, err)
	}
	if len(out.Stacks) != 1 {
		return s, hint.Failed("give the stack's name or ARN", "describe stack %s: %d stacks", name, len(out.Stacks))
	}
	for _, o := range out.Stacks[0].Outputs {
		value := aws.ToString(o.OutputValue)
		switch key := aws.ToString(o.OutputKey); {
		case key == outputs.Bucket:
			s.Bucket = value
		case key == outputs.Prefix:
			s.Prefix = value
		case key == outputs.ScanStateMachine:
			s.StateMachine = value
		case key == outputs.ScanResults:
			s.Results = value
		case key == outputs.Objects:
			s.Objects = &corpus.Spec{}
			err := json.Unmarshal([]byte(value), s.Objects)
			if err == nil {
				err = s.Objects.Validate()
			}
			if err != nil {
				return s, hint.Failed("deploy it again with this version", "stack %s: output %s: %w", name, key, err)
			}
		case strings.HasSuffix(key, "Arn") && CheckARN(value) == nil:
			s.Functions = append(s.Functions, Function{ARN: value, Contender: outputs.Contender(key)})
		}
	}
	if s.Bucket == "" || len(s.Functions) == 0 {
		return s, hint.Failed("name a stack that this repository's CDK app made", "stack %s has no outputs Bucket and …Arn", name)
	}
	return s, nil
}

// Describe reads memory, architecture and bandwidth from each function's own
// configuration. The error has a hint.
func Describe(ctx context.Context, client Configurer, functions []Function) ([]Function, error) {
	all := make([]Function, 0, len(functions))
	for _, f := range functions {
		conf, err := client.GetFunctionConfiguration(ctx, &awslambda.GetFunctionConfigurationInput{FunctionName: &f.ARN}, patient)
		if err != nil {
			return nil, hint.Failed(hint.AWS(err, "see AWS_PROFILE and AWS_REGION: the function must be in that region"),
				"look at function %s: %w", f.ARN, err)
		}
		if aws.ToInt32(conf.MemorySize) < 1 {
			return nil, fmt.Errorf("look at function %s: it has no memory size", f.ARN)
		}
		f.MemoryMB, f.Arch = int(*conf.MemorySize), lambda.X86
		if len(conf.Architectures) > 0 {
			f.Arch = string(conf.Architectures[0])
		}
		if conf.Environment != nil && lambda.CheckBandwidth(conf.Environment.Variables["BANDWIDTH"]) == nil {
			f.Bandwidth = conf.Environment.Variables["BANDWIDTH"]
		}
		f.VPC = conf.VpcConfig != nil && aws.ToString(conf.VpcConfig.VpcId) != ""
		all = append(all, f)
	}
	return all, nil
}
