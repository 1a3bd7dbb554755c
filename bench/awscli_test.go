//go:build awscli

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fanout/functions/lambda"
)

// With the sandbox's exports the AWS CLI and boto3 work as against AWS, with
// their defaults. make test-awscli runs it. The CLI is version 1, the newest
// that PyPI has; version 2, which is not there, sends the same requests from the
// same library.
func TestAWSCLI(t *testing.T) {
	aws, err := filepath.Abs("../.venv/awscli/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(aws); err != nil {
		t.Fatal("the AWS CLI is not in .venv/awscli: make test-awscli installs it")
	}
	cmd, stdout, stderr := command(t, "sandbox", "--memory", "128,512", "--objects", "30")
	until(t, stderr, `^serving until interrupted`)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_PAGER="}
	for name, value := range exports(t, until(t, stdout, `^export AWS_SECRET_ACCESS_KEY=`)) {
		env = append(env, name+"="+value)
	}
	function := "fanout-go-" + lambda.HostArchitecture() + "-512"
	dir := t.TempDir()
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16) // three parts of 8 MB at most
	for name, body := range map[string][]byte{"empty": nil, "large": large} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		args string
		want string // pattern in the output
	}{
		{"s3 ls s3://fanout-lab/objects/", `(?s)object-000000.*object-000029`},
		{"s3 cp s3://fanout-lab/objects/object-000000 object", `download`},
		{"s3 cp empty s3://fanout-lab/cli/empty", `upload`},
		{"s3 cp large s3://fanout-lab/cli/large", `upload`},
		{"s3 cp s3://fanout-lab/cli/large large2", `download`},
		{"s3 cp s3://fanout-lab/cli/large s3://fanout-lab/cli/copy", `copy`},
		{"s3 ls s3://fanout-lab/cli/", `(?s) 20971520 copy.* 0 empty.* 20971520 large`},
		{"s3api head-object --bucket fanout-lab --key cli/large --query ETag --output text", `^"[0-9a-f]{32}-3"\s*$`},
		{"s3api get-object --bucket fanout-lab --key cli/copy --range bytes=-16 tail", `"ContentRange": "bytes 20971504-20971519/20971520"`},
		{"s3api list-objects-v2 --bucket fanout-lab --prefix none --no-paginate --query KeyCount", `^0\s*$`},
		{"s3api put-bucket-versioning --bucket fanout-lab --versioning-configuration Status=Enabled", `^$`},
		{"s3 mb s3://fanout-lab", `make_bucket: fanout-lab`},
		{"s3 sync s3://fanout-lab/cli synced", `(?s)download.*download.*download`},
		{"s3 rm --recursive s3://fanout-lab/cli", `(?s)delete.*delete.*delete`},
		{"s3api list-object-versions --bucket fanout-lab --prefix cli/ --query length(DeleteMarkers)", `^3\s*$`},
		{"lambda list-functions --query Functions[].FunctionName --output text", `fanout-go-\S+-128\s+` + function},
		{"lambda get-function --function-name " + function, `"MemorySize": 512`},
		{"lambda update-function-configuration --memory-size 640 --function-name " + function, `"LastUpdateStatus": "Successful"`},
		{"lambda wait function-updated --function-name " + function, `^$`},
		{"lambda get-function-configuration --query MemorySize --function-name " + function, `^640\s*$`},
		{`lambda invoke --log-type Tail --query LogResult --output text --payload {"s3_bucket_name":"fanout-lab"} answer.json ` +
			"--function-name " + function, `^[A-Za-z0-9+/]+=*\s*$`},
	} {
		c := exec.CommandContext(t.Context(), aws, strings.Fields(tc.args)...)
		c.Env, c.Dir = env, dir
		out, err := c.CombinedOutput()
		if err != nil || !regexp.MustCompile(tc.want).Match(out) {
			t.Errorf("aws %s: %v\n%s\nwant %s", tc.args, err, out, tc.want)
		}
	}
	awsStates(t, func(args string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), aws, strings.Fields(args)...)
		c.Env, c.Dir = env, dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("aws %s: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	})
	for _, name := range []string{"large2", "synced/large", "synced/copy"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, large) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	script, err := filepath.Abs("testdata/boto3_defaults.py")
	if err != nil {
		t.Fatal(err)
	}
	python := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(aws), "python"), script)
	python.Env, python.Dir = env, dir
	if out, err := python.CombinedOutput(); err != nil || !bytes.HasSuffix(out, []byte("done\n")) {
		t.Errorf("boto3: %v\n%s", err, out)
	}
	answer, err := os.ReadFile(filepath.Join(dir, "answer.json"))
	if err != nil || !bytes.Contains(answer, []byte(`"result":"30"`)) {
		t.Errorf("answer %s, %v", answer, err)
	}
	interrupt(t, cmd, stderr)
}

// awsStates has the CLI start a scan and watch it.
func awsStates(t *testing.T, aws func(args string) string) {
	const prefix = "arn:aws:states:us-east-1:000000000000:"
	machine := "fanout-scan-" + lambda.HostArchitecture() + "-512"
	if got := aws("stepfunctions list-state-machines --query stateMachines[].name --output text"); !strings.Contains(got, machine) {
		t.Errorf("state machines %s, want %s among them", got, machine)
	}
	const input = `{"event":{"s3_bucket_name":"fanout-lab","folder":"","find":"MyMagicString"},"prefix":"objects/",` +
		`"results":{"bucket":"fanout-lab-results"},"batch":{"items":10,"bytes":200000},"max_concurrency":2,"tolerated_failure_percentage":0}`
	started := aws("stepfunctions start-execution --name job-1 --query executionArn --output text --state-machine-arn " +
		prefix + "stateMachine:" + machine + " --input " + input)
	if want := prefix + "execution:" + machine + ":job-1"; started != want {
		t.Fatalf("started %s, want %s", started, want)
	}
	status := "RUNNING"
	for status == "RUNNING" {
		status = aws("stepfunctions describe-execution --query status --output text --execution-arn " + started)
	}
	if status != "SUCCEEDED" {
		t.Errorf("%s: %s", status, aws("stepfunctions describe-execution --execution-arn "+started))
	}
	run := aws("stepfunctions list-map-runs --query mapRuns[0].mapRunArn --output text --execution-arn " + started)
	if got := aws("stepfunctions describe-map-run --query itemCounts.[total,succeeded] --output text --map-run-arn " + run); got != "30\t30" {
		t.Errorf("item counts %q, want 30 of 30", got)
	}
	last := aws("stepfunctions get-execution-history --reverse-order --query events[0].type --output text --execution-arn " + started)
	if !strings.HasPrefix(last, "ExecutionSucceeded") {
		t.Errorf("the history ends with %s", last)
	}
}
