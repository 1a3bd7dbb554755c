//go:build runtimes

package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Functions of managed runtimes are measured and checked, by the real command.
func TestRuntimeScripts(t *testing.T) {
	for program, install := range map[string]string{"python3": "python3", "javac": "default-jdk-headless"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v; on Debian: apt-get install %s", err, install)
		}
	}
	build(t, "fanout", "bootstrap")
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/runtimes",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Join(bins, "bin")+":"+e.Getenv("PATH"))
			e.Setenv("EXAMPLES", examples)
			return nil
		},
	})
}
