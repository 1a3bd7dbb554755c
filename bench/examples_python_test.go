//go:build python

package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestExamplePython: so does the script.
func TestExamplePython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Fatalf("%v; on Debian: apt-get install python3", err)
	}
	bootstrap, err := filepath.Abs("../examples/contender-python/bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	keepsContract(t, bootstrap)
}
