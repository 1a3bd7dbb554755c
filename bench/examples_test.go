package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestExampleGo: the example builds as its README says, and keeps the contract.
func TestExampleGo(t *testing.T) {
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "fanout/examples/contender-go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	keepsContract(t, bootstrap)
}

// keepsContract puts a bootstrap that knows the published event and answer
// through every case there is for it.
func keepsContract(t *testing.T, bootstrap string) {
	t.Helper()
	build(t, "fanout")
	fanout := filepath.Join(bins, "bin", "fanout")
	cmd := exec.CommandContext(t.Context(), fanout, "check", "--contender", "example="+bootstrap)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^example: 1[0-9] passed, 0 failed, [0-9]+ skipped$`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
