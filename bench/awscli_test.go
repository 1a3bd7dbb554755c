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

// With the sandbox's exports the AWS CLI works as against AWS. make
// test-awscli runs it.
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
	for _, tc := range []struct {
		args string
		want string // pattern in the output
	}{
		{"s3 ls s3://fanout-lab/objects/", `(?s)object-000000.*object-000029`},
		{"s3 cp s3://fanout-lab/objects/object-000000 object", `download`},
		{"lambda list-functions --query Functions[].FunctionName --output text", `fanout-go-\S+-128\s+` + function},
		{"lambda get-function --function-name " + function, `"MemorySize": 512`},
		{"lambda update-function-configuration --memory-size 640 --function-name " + function, `"LastUpdateStatus": "Successful"`},
		{"lambda wait function-updated --function-name " + function, `^$`},
		{"lambda get-function-configuration --query MemorySize --function-name " + function, `^640\s*$`},
		{`lambda invoke --log-type Tail --query LogResult --output text --payload {"s3_bucket_name":"fanout-lab"} answer.json --function-name ` + function, `^[A-Za-z0-9+/]+=*\s*$`},
	} {
		c := exec.CommandContext(t.Context(), aws, strings.Fields(tc.args)...)
		c.Env, c.Dir = env, dir
		out, err := c.CombinedOutput()
		if err != nil || !regexp.MustCompile(tc.want).Match(out) {
			t.Errorf("aws %s: %v\n%s\nwant %s", tc.args, err, out, tc.want)
		}
	}
	answer, err := os.ReadFile(filepath.Join(dir, "answer.json"))
	if err != nil || !bytes.Contains(answer, []byte(`"result":"30"`)) {
		t.Errorf("answer %s, %v", answer, err)
	}
	interrupt(t, cmd, stderr)
}
