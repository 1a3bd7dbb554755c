//go:build qemu

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

// The arm64 package answers right; what it takes under qemu means nothing.
// make test-arm64 runs it.
func TestARM64AnswersRight(t *testing.T) {
	if _, err := exec.LookPath("qemu-aarch64-static"); err != nil {
		t.Fatal("qemu-aarch64-static not found: apt-get install qemu-user-static")
	}
	pack := exec.CommandContext(t.Context(), "go", "run", "fanout/functions/cmd/package",
		"-o", filepath.Join(bins, "build"), "-arch", "arm64", "fetch")
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd, stdout, stderr := command(t, "sandbox", "--arch", "arm64", "--memory", "1769", "--network", "none", "--objects", "100")
	until(t, stderr, `^serving until interrupted`)
	env := exports(t, until(t, stdout, `^export AWS_SECRET_ACCESS_KEY=`))
	spec := corpus.Default()
	spec.Count = 100
	_, digest := spec.Expect()
	out, err := lambdaOf(env).Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("fanout-go-arm64-1769"),
		Payload:      fmt.Appendf(nil, `{"s3_bucket_name":"fanout-lab","folder":%q,"find":%q}`, spec.Prefix, spec.Needle),
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer fetch.Response
	if err := json.Unmarshal(out.Payload, &answer); err != nil {
		t.Fatalf("%s: %v", out.Payload, err)
	}
	if want := spec.Key(spec.NeedleObject()); answer.Result != want || answer.Stats.Digest != digest.String() {
		t.Errorf("answered %s, want %s and digest %v", out.Payload, want, digest)
	}
	interrupt(t, cmd, stderr)
}
