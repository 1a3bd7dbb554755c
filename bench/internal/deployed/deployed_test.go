package deployed

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lambdatest"
	"fanout/functions/lambda"
)

// stacks is a CloudFormation that knows one stack by its outputs.
type stacks map[string]string

func (s stacks) DescribeStacks(_ context.Context, in *cloudformation.DescribeStacksInput, _ ...func(*cloudformation.Options)) (
	*cloudformation.DescribeStacksOutput, error) {
	if *in.StackName != "Fanout" {
		return nil, errors.New("Stack does not exist")
	}
	var stack types.Stack
	for key, value := range s {
		stack.Outputs = append(stack.Outputs, types.Output{OutputKey: aws.String(key), OutputValue: aws.String(value)})
	}
	slices.SortFunc(stack.Outputs, func(a, b types.Output) int { return strings.Compare(*a.OutputKey, *b.OutputKey) })
	return &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{stack}}, nil
}

const arn = "arn:aws:lambda:us-east-1:123456789012:function:"

func TestFind(t *testing.T) {
	for _, tc := range []struct {
		name    string
		stack   string
		outputs stacks
		want    string // "CONTENDER NAME" of each function
		message string
	}{
		{"ours", "Fanout", stacks{
			"Bucket": "b", "Prefix": "p/", "Region": "r", "Fetch128ArmArn": arn + "f", "Fetch128X86RustArn": arn + "g",
			"Objects": `{"objects":5,"min_bytes":1,"max_bytes":9,"seed":1,"needle":"n","prefix":"p/"}`,
		}, "go f, rust g", ""},
		{"other partitions", "Fanout", stacks{
			"Bucket": "b", "Fetch128ArmArn": "arn:aws-cn:lambda:cn-north-1:123456789012:function:f",
			"Fetch256ArmArn": "arn:aws-eusc:lambda:eusc-de-east-1:123456789012:function:g",
		}, "go f, go g", ""},
		{"ARNs of other things", "Fanout", stacks{"Bucket": "b", "Fetch128ArmArn": arn + "f", "TopicArn": "arn:aws:sns:us-east-1:123456789012:t"},
			"go f", ""},
		{"no such stack", "Nope", nil, "", "describe stack Nope: "},
		{"no bucket", "Fanout", stacks{"Fetch128ArmArn": arn + "f"}, "", "stack Fanout has no outputs Bucket"},
		{"no functions", "Fanout", stacks{"Bucket": "b"}, "", "stack Fanout has no outputs Bucket"},
		{"objects that are none", "Fanout", stacks{"Bucket": "b", "Fetch128ArmArn": arn + "f", "Objects": `{"objects":-1}`},
			"", "output Objects: objects -1"},
		{"objects that are no JSON", "Fanout", stacks{"Bucket": "b", "Fetch128ArmArn": arn + "f", "Objects": "many"},
			"", "output Objects: invalid"},
	} {
		s, err := Find(t.Context(), tc.outputs, tc.stack)
		var got []string
		for _, f := range s.Functions {
			got = append(got, f.Contender+" "+f.ARN[strings.LastIndex(f.ARN, ":")+1:])
		}
		if tc.message == "" && (err != nil || strings.Join(got, ", ") != tc.want || s.Bucket != "b") {
			t.Errorf("%s: %+v, %v", tc.name, s, err)
		}
		var hinted *hint.Error
		if tc.message != "" && (!errors.As(err, &hinted) || !strings.Contains(err.Error(), tc.message)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.message)
		}
	}
}

// Describe reads many functions through what the control plane allows.
func TestDescribe(t *testing.T) {
	s := lambdatest.Start(t)
	s.Add("f", lambdatest.Function{MemoryMB: 512, Arch: lambda.ARM, Env: map[string]string{"BANDWIDTH": "quota"}})
	s.Add("g", lambdatest.Function{MemoryMB: 1769, Arch: lambda.X86, VPC: "vpc-1", Env: map[string]string{"BANDWIDTH": "any", "BUCKET": "b"}})
	s.Add("h", lambdatest.Function{MemoryMB: 128, Arch: lambda.X86})
	throttled := lambdatest.Fault(429, "TooManyRequestsException")
	s.Script(lambdatest.Get, "f", throttled, throttled, throttled, lambdatest.Drop)
	got, err := Describe(t.Context(), s.Client(), []Function{
		{ARN: arn + "f", Contender: "go"}, {ARN: arn + "g", Contender: "rust"}, {ARN: arn + "h", Contender: "go"},
	})
	want := []Function{
		{arn + "f", "go", 512, lambda.ARM, lambda.QuotaBandwidth, false},
		{arn + "g", "rust", 1769, lambda.X86, "", true}, // whatever "any" is, it is not ours
		{arn + "h", "go", 128, lambda.X86, "", false},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	var hinted *hint.Error
	_, err = Describe(t.Context(), s.Client(), []Function{{ARN: arn + "gone"}})
	if !errors.As(err, &hinted) || !strings.Contains(err.Error(), arn+"gone") {
		t.Errorf("gone: %v", err)
	}
}

func TestCheckARN(t *testing.T) {
	for text, ok := range map[string]bool{
		arn + "f":                               true,
		arn + "f:1":                             false, // a version
		arn + "f:$LATEST":                       false,
		"f":                                     false,
		"arn:aws:lambda:us-east-1:1:function:f": false,
		"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f": true,
		arn + "f\n": false,
		"":          false,
	} {
		if (CheckARN(text) == nil) != ok {
			t.Errorf("%q: %v", text, CheckARN(text))
		}
	}
}

func TestQualified(t *testing.T) {
	for text, want := range map[string]struct{ ok, qualified bool }{
		arn + "f":         {true, false},
		arn + "f:1":       {true, true},
		arn + "f:live":    {true, true},
		arn + "f:$LATEST": {false, false}, // the function itself: without it
		arn + "f:":        {false, false},
		arn + "f:a:b":     {false, false},
		"f:live":          {false, false},
		"arn:aws:lambda:us-east-1:1:function:f:1": {false, false},
	} {
		if (CheckQualifiedARN(text) == nil) != want.ok || Qualified(text) != want.qualified {
			t.Errorf("%q: %v, qualified %v", text, CheckQualifiedARN(text), Qualified(text))
		}
	}
}
