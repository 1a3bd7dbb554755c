package main

import (
	"strings"
	"testing"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
)

// The command that a report says repeats its run is one that fanout run takes.
func TestRepeatCommand(t *testing.T) {
	for _, backend := range []string{trial.Sandbox, trial.AWS} {
		f := reporttest.AWS()
		f.Header.Backend, f.Header.Network, f.Header.Plan.Count = backend, "s3-express", true
		words := strings.Fields(report.New(f, report.Options{}).Command())
		if c := runCommand(); strings.Join(words[:2], " ") != "fanout run" || c.ParseFlags(words[2:]) != nil || c.Flags().NFlag() < 8 {
			t.Errorf("%s: %q, %v", backend, words, c.ParseFlags(words[2:]))
		}
	}
}
