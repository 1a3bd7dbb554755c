package budget

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

func TestParseBudget(t *testing.T) {
	for _, tc := range []struct {
		text    string
		dollars float64
		within  time.Duration
		ok      bool
	}{
		{"", 0, 0, true}, // no bound
		{"0.50,20m", 0.5, 20 * time.Minute, true},
		{"20m, $0.50", 0.5, 20 * time.Minute, true},
		{"1h30m", 0, 90 * time.Minute, true},
		{"2", 2, 0, true},      // a bare number is dollars
		{"0", 0, 0, false},     // a run of nothing
		{"-1", 0, 0, false},    // nobody pays back
		{"1,2", 0, 0, false},   // dollars twice
		{"1m,2m", 0, 0, false}, // time twice
		{"$20m", 0, 0, false},  // neither
		{"Inf", 0, 0, false},   // no bound, said as one
		{"NaN", 0, 0, false},   // neither
		{"1,,", 0, 0, false},   // empty parts
		{"a lot", 0, 0, false}, // words
		{"-20m", 0, 0, false},  // over before it begins
		{"1,20m,3", 0, 0, false} /* three */} {
		got, err := Parse(tc.text)
		if (err == nil) != tc.ok || got.Dollars != tc.dollars || got.Within != tc.within {
			t.Errorf("%q: %v, %v, %v", tc.text, got.Dollars, got.Within, err)
		}
	}
}

func FuzzParseBudget(f *testing.F) {
	f.Add("0.50,20m")
	f.Add("$1e3")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Parse(text)
		if err == nil && text != "" && !(b.Dollars > 0 && b.Dollars <= maxDollars) && b.Within <= 0 {
			t.Errorf("%q bounds nothing", text)
		}
	})
}

func planned(backend string) (*trial.Runner, [2]trial.Setting) {
	r := &trial.Runner{
		Header: trial.Header{Backend: backend, Network: "s3-standard", Corpus: corpus.Default(), Plan: trial.Plan{
			Clients: []string{"lean"}, Concurrencies: []int{64}, Invocations: 10, Cold: 1, Seed: 1,
		}},
		Targets: []trial.Target{
			{Function: "a", Contender: "go", MemoryMB: 1024, Arch: lambda.X86}, {Function: "b", Contender: "go", MemoryMB: 2048, Arch: "arm64"},
		},
		Expected: trial.Expected{Objects: 1000, Bytes: 25_500_000},
	}
	return r, [2]trial.Setting{
		{Target: r.Targets[0], Client: "lean", Concurrency: 64}, {Target: r.Targets[1], Client: "lean", Concurrency: 64},
	}
}

func newTestGuard(t *testing.T, b Bounds, r *trial.Runner) (*Guard, func(time.Duration)) {
	t.Helper()
	prices, err := cost.Builtin.Prices("us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	g := New(b, &prices, cost.Standard, r)
	clock := time.Unix(0, 0)
	g.now = func() time.Time { return clock }
	g.began = clock
	return g, func(d time.Duration) { clock = clock.Add(d) }
}

func warmLine(ms float64) trial.Result {
	return trial.Result{OK: true, Start: trial.Warm, DurationMS: ms, RoundtripMS: ms}
}

func TestGuardPrecision(t *testing.T) {
	r, s := planned(trial.Sandbox)
	g, _ := newTestGuard(t, Bounds{Precision: 0.05}, r)
	for i := range 5 {
		g.Measured(s[0], warmLine(100+float64(i)))
		g.Measured(s[1], warmLine(100*float64(i+1)))
	}
	if g.Before(s[0], trial.Warm) != trial.Go {
		t.Error("five values have no interval")
	}
	g.Measured(s[0], warmLine(102))
	g.Measured(s[1], warmLine(900))
	if g.Before(s[0], trial.Warm) != trial.Skip {
		t.Error("±2% is within 5%")
	}
	if g.Before(s[0], trial.Cold) != trial.Go {
		t.Error("cold starts have no aim")
	}
	if g.Before(s[1], trial.Warm) != trial.Go {
		t.Error("the other setting is far from precise")
	}
	failed := warmLine(1)
	failed.OK = false
	for range 9 {
		g.Measured(s[1], failed)
	}
	cold, untold := warmLine(1), warmLine(1)
	cold.Start, untold.Start = trial.Cold, trial.Unknown
	g.Measured(s[1], cold)
	g.Measured(s[1], untold)
	if n := len(g.warm[s[1].Key()]); n != 6 {
		t.Errorf("%d values: failures were counted", n)
	}
	none, _ := newTestGuard(t, Bounds{}, r)
	for range 9 {
		none.Measured(s[0], warmLine(100))
	}
	if none.Before(s[0], trial.Warm) != trial.Go {
		t.Error("without an aim everything is measured")
	}
}

func TestGuardBudget(t *testing.T) {
	r, s := planned(trial.AWS)
	g, pass := newTestGuard(t, Bounds{Within: 20 * time.Minute}, r)
	if g.Before(s[0], trial.Warm) != trial.Go {
		t.Error("there is all the time")
	}
	g.Measured(s[0], warmLine(60_000))
	pass(19*time.Minute + 30*time.Second)
	if g.Before(s[1], trial.Warm) != trial.Go {
		t.Error("the other setting takes a moment")
	}
	if g.Before(s[0], trial.Warm) != trial.Stop || g.stopped != "the budget's 20m0s" {
		t.Errorf("a minute more, half of one left: %q", g.stopped)
	}

	g.Begin() // whoever was asked took that long to answer
	if g.Before(s[0], trial.Warm) != trial.Go {
		t.Error("the time before the run counts")
	}

	// A second at 1,024 MB, x86_64: $0.0004218667, with its S3 requests.
	g, _ = newTestGuard(t, Bounds{Dollars: 0.001}, r)
	g.Measured(s[0], warmLine(1000))
	g.Invoked(s[0], 1000)
	if g.Before(s[0], trial.Warm) != trial.Go {
		t.Errorf("two cost $0.00084, and $%v is spent", g.spent)
	}
	g.Invoked(s[0], 1000) // a warm-up costs the same
	if g.Before(s[0], trial.Warm) != trial.Stop || g.stopped != "the budget's $0.001" {
		t.Errorf("three cost $0.00127, and $%v is spent: %q", g.spent, g.stopped)
	}
}

func TestEstimate(t *testing.T) {
	r, _ := planned(trial.AWS)
	// 10 warm and a cold one each; a warm-up where a warm one comes first, and
	// none after the cold start, which warms up.
	for _, tc := range []struct {
		name    string
		backend string
		flags   Bounds
		want    string
	}{
		{"on AWS", trial.AWS, Bounds{},
			`^2[2-4] invocations, about [0-9]+s, about \$0\.0[12] \(prices of 20[0-9-]+, S3 requests included, no free tier\)$`},
		{"in the sandbox", trial.Sandbox, Bounds{}, `, no money \(on AWS about \$0\.0[12]\)$`},
		{"with an aim", trial.AWS, Bounds{Precision: 0.05, Dollars: 0.5, Within: 20 * time.Minute, Text: "0.50,20m"},
			`^at most 2[2-4] .*; budget 0\.50,20m$`},
	} {
		r.Header.Backend = tc.backend
		g, _ := newTestGuard(t, tc.flags, r)
		if got := g.Estimate(); !regexp.MustCompile(tc.want).MatchString(got) {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
	r.Expected = trial.Expected{}
	r.Header.Backend = trial.AWS
	g, _ := newTestGuard(t, Bounds{}, r)
	if got := g.Estimate(); !strings.Contains(got, "at a cost that is not known here") {
		t.Error(got)
	}
}

// How a run ended is for the closing line.
func TestGuardEnd(t *testing.T) {
	for _, tc := range []struct {
		name   string
		bounds Bounds
		warm   []float64
		reason string
		text   string
	}{
		{"no bounds", Bounds{}, []float64{1, 9, 1, 9, 1, 9}, "", ""},
		{"precise enough", Bounds{Precision: 0.5}, []float64{100, 101, 102, 103, 104, 105}, "", ""},
		{"too wide", Bounds{Precision: 0.05}, []float64{100, 900, 100, 900, 100, 900}, trial.PrecisionMissed,
			"precision 5% not reached: go on x86_64, 1024 MB lean, 64 workers: ±80% after 6"},
		{"too few to tell", Bounds{Precision: 0.05}, []float64{1, 9}, "", ""},
		{"a budget comes first", Bounds{Precision: 0.05, Within: 1}, []float64{100, 900, 100, 900, 100, 900}, trial.Budget,
			"stopped before the budget's 1ns would be exceeded"},
	} {
		r, s := planned(trial.Sandbox)
		g, _ := newTestGuard(t, tc.bounds, r)
		for _, ms := range tc.warm {
			g.Measured(s[0], warmLine(ms))
		}
		g.Before(s[1], trial.Cold)
		if got := g.End(); got.Reason != tc.reason || got.Text != tc.text {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}
