//go:build python

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fanout/bench/internal/hint"
)

const pythonExample = "../examples/contender-python/bootstrap"

// TestExamplePython: so does the script.
func TestExamplePython(t *testing.T) {
	needPython(t)
	bootstrap, err := filepath.Abs(pythonExample)
	if err != nil {
		t.Fatal(err)
	}
	keepsContract(t, bootstrap)
}

// TestExamplePythonDroppingErrors: the same script, but for an object that it
// cannot read taken for one without a match, fails in the one case that is about
// such objects.
func TestExamplePythonDroppingErrors(t *testing.T) {
	needPython(t)
	script, err := os.ReadFile(pythonExample)
	if err != nil {
		t.Fatal(err)
	}
	const reads, drops = "        body = s3.get(bucket, key)\n", `        try:
            body = s3.get(bucket, key)
        except NamedError:
            return False
`
	text := strings.Replace(string(script), reads, drops, 1)
	if text == string(script) {
		t.Fatalf("the script has no line %q", reads)
	}
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(bootstrap, []byte(text), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	build(t, "fanout")
	cmd := exec.CommandContext(t.Context(), filepath.Join(bins, "bin", "fanout"), "check", "--contender", "drops="+bootstrap)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != hint.StatusFailed {
		t.Errorf("ended with %v", err)
	}
	failed := regexp.MustCompile(`(?m)^fail  drops: (.*?)(?:: .*)?$`).FindAllStringSubmatch(string(out), -1)
	if len(failed) != 1 || failed[0][1] != "requests that fail for good" {
		t.Errorf("failed %q:\n%s", failed, out)
	}
}

func needPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Fatalf("%v; on Debian: apt-get install python3", err)
	}
}
