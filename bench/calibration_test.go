//go:build calibration

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hidden is the model of the sandbox that plays AWS. It has no "calibrated": it is
// a truth, and not a fit.
const hidden = `{"fanout_model": 1, "name": "hidden", "first_byte": [{"median_ms": 34, "p99_ms": 140}], "bandwidth_mbit_per_s": 480,
	"gets_per_s_and_prefix": 5500, "connect_ms": 18, "cpu_factor": 1.4}`

// A real sandbox with a hidden model plays AWS; another is calibrated by its results
// and predicts settings that it was not fitted to. What comes out depends on how quiet
// the machine is, so it is printed and not judged: compare it with hidden.
func TestCalibration(t *testing.T) {
	build(t, "fanout", "bootstrap")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hidden.json"), []byte(hidden), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		fitted = "run -q --client lean,tuned --invocations 7 --cold 2 --memory 128,512,1769 --concurrency 16,64,256"
		large  = "run -q --invocations 7 --memory 1769 --concurrency 64 --objects 200 --min-bytes 2000000 --max-bytes 2000000"
		unseen = "run -q --client lean,tuned --invocations 15 --cold 2 --memory 256,1024 --concurrency 32,128"
	)
	for _, args := range []string{
		fitted + " --network hidden.json --seed 11 --out truth",
		large + " --network hidden.json --seed 12 --out large",
		"calibrate -o network.json truth large",
		fitted + " --network network.json --seed 13 --out here",
		"calibrate --sandbox here -o model.json truth large",
		unseen + " --network hidden.json --seed 14 --out measured",
		unseen + " --network model.json --seed 15 --out predicted",
		"compare --predict measured predicted",
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(bins, "bin", "fanout"), strings.Fields(args)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
		if !strings.HasPrefix(args, "run ") {
			t.Logf("hidden: %s\n%s\n%s", hidden, args, out)
		}
	}
}
