package lab

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"fanout/bench/internal/network"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
)

// A scan runs in the lab from its listing to its merge, with the real function,
// though Lambda throttles; and with JobsDir it is known to the next lab.
func TestJobs(t *testing.T) {
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "fanout/functions/cmd/fetch")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the function: %v\n%s", err, out)
	}
	cfg := Config{
		Contenders:    []Contender{{Name: outputs.GoContender, Path: func(string) string { return bootstrap }}},
		Architectures: []string{lambda.HostArchitecture()}, MemoriesMB: []int{512}, Timeout: time.Minute,
		Network: network.None, Corpus: corpus.Default(), NoLimits: true,
		Jobs: true, JobsDir: t.TempDir(), Concurrency: 1,
	}
	cfg.Corpus.Count, cfg.Corpus.MaxBytes = 200, 2000
	l := startJobs(t, cfg)
	if err := l.Seed(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	input := fmt.Sprintf(`{"event":{"s3_bucket_name":%q,"folder":"","find":%q},"prefix":"","results":{"bucket":%q},
		"batch":{"items":50,"bytes":200000},"max_concurrency":2,"tolerated_failure_percentage":0}`, Bucket, cfg.Corpus.Needle, Results)
	started, err := l.StatesClient().StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: &l.Machines[0].ARN, Name: aws.String("job-1"), Input: &input,
	})
	if err != nil {
		t.Fatal(err)
	}
	out := describe(t, l, *started.ExecutionArn)
	for deadline := time.Now().Add(5 * time.Minute); out.Status == types.ExecutionStatusRunning && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond) // the API has nothing that waits
		out = describe(t, l, *started.ExecutionArn)
	}
	var found struct{ Keys, Objects, Matched int }
	err = json.Unmarshal([]byte(aws.ToString(out.Output)), &found)
	if err != nil || found.Keys != 200 || found.Objects != 200 || found.Matched != 1 {
		t.Fatalf("%s %s: %s, output %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause), aws.ToString(out.Output))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = startJobs(t, cfg)
	again := describe(t, l, *started.ExecutionArn)
	if again.Status != types.ExecutionStatusSucceeded || *again.Output != *out.Output || *again.Input != input {
		t.Errorf("in the next lab: %s %s", again.Status, aws.ToString(again.Output))
	}
	parts, err := l.S3Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{
		Bucket: aws.String(Results), Prefix: aws.String("jobs/job-1/parts/"),
	})
	if err != nil || len(parts.Contents) != 4 {
		t.Errorf("%d parts, %v", len(parts.Contents), err)
	}
}

func startJobs(t *testing.T, cfg Config) *Lab {
	t.Helper()
	l, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // its error was seen where that matters
	if l.Exports()["AWS_ENDPOINT_URL_SFN"] != l.States.URL() || len(l.Machines) != 1 ||
		l.Machines[0].Name != "fanout-scan-"+lambda.HostArchitecture()+"-512" {
		t.Errorf("exports %v, machines %v", l.Exports(), l.Machines)
	}
	return l
}

func describe(t *testing.T, l *Lab, arn string) *sfn.DescribeExecutionOutput {
	t.Helper()
	out, err := l.StatesClient().DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
