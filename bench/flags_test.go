package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"fanout/bench/internal/hint"
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
		{"--memory 128MB,1GB,10240mb", ""},
		{"--memory 10241MB", "memory 10241"},
		{"--memory 11GB", "memory 11264"},
		{"--memory -1GB", "memory -1024"},
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
		{"--budget=", "--budget is empty"},
		{"--invocations 10001", "invocations 10001"},
		{"--invocations 0 --cold 0", "nothing to measure"},
		{"--objects 10000001", "objects 10000001"},
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

// A value that is no number, or has a unit that is not known, is answered in
// plain words, with what is allowed, by every command.
func TestFlagValues(t *testing.T) {
	const whole = "must be a whole number, such as 1000, without a unit"
	const memory = "must be a whole number of MB or GB, such as 512, 512MB or 2GB"
	for _, tc := range []struct{ command, flag, value, want string }{
		{"run", "memory", "512KB", memory},
		{"run", "memory", "1.5GB", memory},
		{"run", "memory", "99999999999999999GB", memory},
		{"run", "memory", "", memory},
		{"perf", "memory", "MB", memory},
		{"sandbox", "memory", "large", memory},
		{"run", "timeout", "5", "must be a number with a unit, such as 90s or 5m; did you mean 5s?"},
		{"run", "timeout", "5 minutes", "must be a number with a unit, such as 90s or 5m"},
		{"run", "objects", "1k", whole},
		{"seed", "min-bytes", "1 bushel", "must be a size such as 25000, 25kB or 25KiB"},
		{"seed", "max-bytes", "99999999999999999999", "must be a size such as 25000, 25kB or 25KiB"},
		{"run", "invocations", "x", whole},
		{"run", "cold", "1.5", whole},
		{"perf", "rounds", "9x", whole},
		{"perf", "large", "100k", whole},
		{"run", "seed", "-1", "must be a whole number from 0, such as 1000, without a unit"},
		{"run", "count", "yes", "must be true or false"},
		{"run", "client", `a"b`, "must be words with commas between them"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{tc.command, "--" + tc.flag + "=" + tc.value}, &stdout, &stderr)
		want := fmt.Sprintf("error: %s %q: %s\nhint: see fanout help %s\n", tc.flag, tc.value, tc.want, tc.command)
		if status != hint.StatusUsage || stderr.String() != want || stdout.Len() > 0 {
			t.Errorf("%s --%s %s: status %d, %s", tc.command, tc.flag, tc.value, status, &stderr)
		}
	}
}

// Memory sizes may have a unit, and be given one by one.
func TestMemorySizes(t *testing.T) {
	rf, err := parseRun("--memory", "128 MB,1gb", "--memory=512")
	if want := []int{128, 1024, 512}; err != nil || !slices.Equal(rf.MemoriesMB, want) {
		t.Errorf("%d, %v, want %d", rf.MemoriesMB, err, want)
	}
	if rf, err = parseRun(); err != nil || !slices.Equal(rf.MemoriesMB, []int{128, 512, 1769}) {
		t.Errorf("by default %d, %v", rf.MemoriesMB, err)
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
