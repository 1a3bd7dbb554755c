package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// parseRun reads the flags of fanout run, and checks them.
func parseRun(args ...string) (*runFlags, error) {
	var rf runFlags
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	rf.add(f)
	if err := f.Parse(args); err != nil {
		return &rf, err
	}
	return &rf, rf.parse()
}

func TestRunFlags(t *testing.T) {
	for _, tc := range []struct {
		args    string
		message string
	}{
		{"", ""},
		{"--memory 128,10240 --concurrency 1,1024,auto --timeout 15m --precision 5% --budget $1,1h", ""},
		{"--memory 127", "memory 127"},
		{"--memory 10241", "memory 10241"},
		{"--memory -128", "memory -128"},
		{"--memory 1e3", "memory"},
		{"--concurrency 0", "concurrency"},
		{"--concurrency -1", "concurrency"},
		{"--concurrency 1025", "concurrency 1025"},
		{"--concurrency 99999999999999999999", "concurrency"},
		{"--timeout 1.5s", "timeout 1.5s"},
		{"--timeout 0s", "timeout 0s"},
		{"--timeout 15m1s", "timeout 15m1s"},
		{"--timeout 290000h", "timeout 290000h"},
		{"--precision 0%", "precision"},
		{"--precision NaN", "precision"},
		{"--precision Inf%", "precision"},
		{"--budget 0", "budget"},
		{"--invocations 10001", "invocations 10001"},
		{"--invocations 0 --cold 0", "nothing to measure"},
		{"--objects 1000001", "objects 1000001"},
		{"--min-bytes -1", "min-bytes"},
		{"--contender =x", "contender name"},
		{"--contender x=", "must be NAME=PATH"},
		{"--contender go=a --contender go=b", "named twice"},
		{"--bucket b", "--bucket requires --function"},
		{"--stack s --function arn:aws:lambda:us-east-1:123456789012:function:f", "mutually exclusive"},
	} {
		_, err := parseRun(strings.Fields(tc.args)...)
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%q: %v, want %q", tc.args, err, tc.message)
		}
	}
}

// The order of contenders is that of the flags; this repository's Go comes
// first unless it is replaced.
func TestContenders(t *testing.T) {
	for _, tc := range []struct {
		flags []string
		want  []string
	}{
		{nil, []string{"go"}},
		{[]string{"--contender", "a=x", "--contender", "b=y"}, []string{"go", "a", "b"}},
		{[]string{"--contender", "a=x", "--contender", "go=y"}, []string{"a", "go"}},
	} {
		rf, err := parseRun(tc.flags...)
		if err != nil || !slices.Equal(rf.names(), tc.want) {
			t.Errorf("%q: %q, %v", tc.flags, rf.names(), err)
		}
	}
	if c, err := parseContender("mine=/a=b"); err != nil || c.Name != "mine" || c.Path("arm64") != "/a=b" {
		t.Errorf("%+v, %v", c, err)
	}
}

// Whatever the flags say: no panic, and what passes is something that a lab, a
// plan and a guard can do.
func FuzzRunFlags(f *testing.F) {
	f.Add("128,512", "1,auto", "5m", "5%", "0.50,20m", "go=x", "1000")
	f.Add("0x80", "01", "1m0.0s", "1e-9", "1e-300", "a=b=c", "-1")
	f.Fuzz(func(t *testing.T, memory, concurrency, timeout, precision, budget, contender, objects string) {
		rf, err := parseRun("--memory="+memory, "--concurrency="+concurrency, "--timeout="+timeout, "--precision="+precision,
			"--budget="+budget, "--contender="+contender, "--objects="+objects)
		if err != nil {
			return
		}
		for _, mb := range rf.MemoriesMB {
			if lambda.CheckMemory(mb) != nil {
				t.Errorf("memory %q: %d", memory, mb)
			}
		}
		for _, n := range rf.plan.Concurrencies {
			if n != trial.Auto && (n < 1 || n > fetch.MaxConcurrency) {
				t.Errorf("concurrency %q: %d", concurrency, n)
			}
		}
		if rf.Timeout < time.Second || rf.Timeout > 15*time.Minute {
			t.Errorf("timeout %q: %v", timeout, rf.Timeout)
		}
		if p := rf.bounds.Precision; precision != "" && !(p > 0 && p < 10) {
			t.Errorf("precision %q: %v", precision, p)
		}
		if b := rf.bounds.Bounds; budget != "" && b.Dollars <= 0 && b.Within <= 0 {
			t.Errorf("budget %q bounds nothing", budget)
		}
		if rf.Corpus.Count < 1 || rf.Corpus.Count > corpus.MaxCount {
			t.Errorf("objects %q: %d", objects, rf.Corpus.Count)
		}
	})
}
