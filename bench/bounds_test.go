package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
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
		dollars, within, err := parseBudget(tc.text)
		if (err == nil) != tc.ok || dollars != tc.dollars || within != tc.within {
			t.Errorf("%q: %v, %v, %v", tc.text, dollars, within, err)
		}
	}
}

func FuzzParseBudget(f *testing.F) {
	f.Add("0.50,20m")
	f.Add("$1e3")
	f.Fuzz(func(t *testing.T, text string) {
		dollars, within, err := parseBudget(text)
		if err == nil && text != "" && !(dollars > 0 && dollars <= 1e6) && within <= 0 {
			t.Errorf("%q bounds nothing", text)
		}
	})
}

func TestParsePercent(t *testing.T) {
	for _, tc := range []struct {
		text string
		want float64
		ok   bool
	}{
		{"5%", 0.05, true},
		{" 2.5% ", 0.025, true},
		{"0.05", 0.05, true},
		{"0%", 0, true},
		{"5", 5, true}, // a share of five: 500%
		{"10", 0, false},
		{"-1%", 0, false},
		{"NaN", 0, false},
		{"", 0, false},
	} {
		got, err := parsePercent(tc.text)
		if (err == nil) != tc.ok || got != tc.want {
			t.Errorf("%q: %v, %v", tc.text, got, err)
		}
	}
}

func FuzzParsePercent(f *testing.F) {
	f.Add("5%")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := parsePercent(text); err == nil && !(v >= 0 && v < 10) {
			t.Errorf("%q: %v", text, v)
		}
	})
}

// planned is a runner of two settings that is never run.
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
	return r, [2]trial.Setting{{Target: r.Targets[0], Client: "lean", Concurrency: 64}, {Target: r.Targets[1], Client: "lean", Concurrency: 64}}
}

func newTestGuard(t *testing.T, b boundFlags, r *trial.Runner) (*guard, func(time.Duration)) {
	t.Helper()
	if err := b.parse(); err != nil {
		t.Fatal(err)
	}
	o, err := (&priceFlags{weight: 0.5}).options("run")
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGuard(b, o, r)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Unix(0, 0)
	g.now = func() time.Time { return clock }
	g.began = clock
	return g, func(d time.Duration) { clock = clock.Add(d) }
}

func warmLine(ms float64) trial.Result {
	return trial.Result{OK: true, Start: trial.Warm, DurationMS: ms, RoundtripMS: ms}
}

// Precision: a setting is passed over as soon as its interval is narrow
// enough, and each for itself.
func TestGuardPrecision(t *testing.T) {
	r, s := planned(trial.Sandbox)
	g, _ := newTestGuard(t, boundFlags{precisionFlag: "5%"}, r)
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
	if n := len(g.warm[s[1].Key()]); n != 6 {
		t.Errorf("%d values: failures were counted", n)
	}
	none, _ := newTestGuard(t, boundFlags{}, r)
	for range 9 {
		none.Measured(s[0], warmLine(100))
	}
	if none.Before(s[0], trial.Warm) != trial.Go {
		t.Error("without an aim everything is measured")
	}
}

// Budget: the run ends before the step that would pass it.
func TestGuardBudget(t *testing.T) {
	r, s := planned(trial.AWS)
	g, pass := newTestGuard(t, boundFlags{budgetFlag: "20m"}, r)
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

	// A second at 1,024 MB, x86_64: $0.0004218667, with its S3 requests.
	g, _ = newTestGuard(t, boundFlags{budgetFlag: "0.0010"}, r)
	g.Measured(s[0], warmLine(1000))
	g.Invoked(s[0], 1000)
	if g.Before(s[0], trial.Warm) != trial.Go {
		t.Errorf("two cost $0.00084, and $%v is spent", g.spent)
	}
	g.Invoked(s[0], 1000) // a warm-up costs the same
	if g.Before(s[0], trial.Warm) != trial.Stop || g.stopped != "the budget's $0.001" {
		t.Errorf("three cost $0.00127, and $%v is spent: %q", g.spent, g.stopped)
	}

	r.Header.Region = "mars-north-1"
	o := report.Options{Prices: cost.Builtin}
	if _, err := newGuard(boundFlags{dollars: 1}, o, r); err == nil || !strings.Contains(err.Error(), "mars-north-1") {
		t.Errorf("a budget in dollars without prices: %v", err)
	}
	if _, err := newGuard(boundFlags{within: time.Minute}, o, r); err != nil {
		t.Errorf("a budget in minutes needs no prices: %v", err)
	}
}

func TestEstimate(t *testing.T) {
	r, _ := planned(trial.AWS)
	// 10 warm and a cold one each; a warm-up where a warm one comes first, and
	// none after the cold start, which warms up.
	for _, tc := range []struct {
		name    string
		backend string
		flags   boundFlags
		want    string
	}{
		{"on AWS", trial.AWS, boundFlags{}, `^2[2-4] invocations, about [0-9]+s, about \$0\.0[12] \(prices of 20[0-9-]+, S3 requests included, no free tier\)$`},
		{"in the sandbox", trial.Sandbox, boundFlags{}, `, no money \(on AWS about \$0\.0[12]\)$`},
		{"with an aim", trial.AWS, boundFlags{precisionFlag: "5%", budgetFlag: "0.50,20m"}, `^at most 2[2-4] .*; budget 0\.50,20m$`},
	} {
		r.Header.Backend = tc.backend
		g, _ := newTestGuard(t, tc.flags, r)
		if got := g.estimate(); !regexp.MustCompile(tc.want).MatchString(got) {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
	r.Expected = trial.Expected{}
	r.Header.Backend = trial.AWS
	g, _ := newTestGuard(t, boundFlags{}, r)
	if got := g.estimate(); !strings.Contains(got, "at a cost that is not known here") {
		t.Error(got)
	}
}

// On AWS money is spent only with a yes.
func TestConfirm(t *testing.T) {
	for _, tc := range []struct {
		name    string
		backend string
		yes     bool
		answer  io.Reader
		asked   bool
		message string
	}{
		{"the sandbox costs nothing", trial.Sandbox, false, strings.NewReader(""), false, ""},
		{"yes", trial.AWS, false, strings.NewReader("Y\n"), true, ""},
		{"yes before", trial.AWS, true, strings.NewReader(""), false, ""},
		{"no", trial.AWS, false, strings.NewReader("n\n"), true, "not confirmed"},
		{"just return", trial.AWS, false, strings.NewReader("\n"), true, "not confirmed"},
		{"the end", trial.AWS, false, strings.NewReader(""), true, "not confirmed"},
	} {
		r, _ := planned(tc.backend)
		g, _ := newTestGuard(t, boundFlags{yes: tc.yes}, r)
		var said bytes.Buffer
		err := g.confirm(t.Context(), tc.answer, &said)
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if asked := strings.Contains(said.String(), "Go on?"); asked != tc.asked {
			t.Errorf("%s: said %q", tc.name, &said)
		}
	}
	// A pipe has nobody to ask.
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(in.Close(), out.Close()) }()
	r, _ := planned(trial.AWS)
	g, _ := newTestGuard(t, boundFlags{}, r)
	var p *hint.Error
	if err := g.confirm(t.Context(), in, io.Discard); !errors.As(err, &p) || p.Status != hint.StatusUsage || !strings.Contains(p.Next, "--yes") {
		t.Errorf("a pipe: %v", err)
	}
	// Ctrl-C ends the question.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, answers := io.Pipe()
	defer func() { _ = answers.Close() }()
	if err := g.confirm(ctx, silent, io.Discard); err == nil || err.Error() != "interrupted" {
		t.Errorf("Ctrl-C: %v", err)
	}
}

func TestCompleted(t *testing.T) {
	values := []string{"lean", "tuned", "stock"}
	for _, tc := range []struct {
		typed string
		list  bool
		want  []string
	}{
		{"", true, values},
		{"t", true, []string{"tuned"}},
		{"lean,", true, []string{"lean,tuned", "lean,stock"}}, // not twice
		{"lean,s", true, []string{"lean,stock"}},
		{"lean,", false, nil}, // one value only
		{"x", true, nil},
	} {
		if got := completed(values, tc.typed, tc.list); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.typed, got, tc.want)
		}
	}
}

// fanout prices asks the endpoint it is given, and writes a table that report
// takes.
func TestPricesCommand(t *testing.T) {
	figures := map[string]string{
		"AWS-Lambda-Duration": "0.0000170000", "AWS-Lambda-Duration-ARM": "0.0000136000", "AWS-Lambda-Requests": "0.0000002000",
		"S3-API-Tier1": "0.0000054000", "S3-API-Tier2": "0.0000004300",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Filters []struct{ Field, Value string }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Filters) != 2 {
			t.Errorf("%v %v", in, err)
		}
		group, region := in.Filters[0].Value, in.Filters[1].Value
		usage := strings.Replace(group, "S3-API", "EUW9-Requests", 1)
		entry := fmt.Sprintf(`{"product":{"attributes":{"group":%q,"regionCode":%q,"usagetype":%q}},"terms":{"OnDemand":{"x":{"priceDimensions":{"y":{"beginRange":"0","pricePerUnit":{"USD":%q}}}}}}}`,
			group, region, usage, figures[group])
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if err := json.NewEncoder(w).Encode(map[string]any{"PriceList": []string{entry}}); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "A")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "B")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	path := filepath.Join(t.TempDir(), "prices.json")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"prices", "--endpoint", server.URL, "--region", "eu-west-9", "-o", path}, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	o, err := (&priceFlags{prices: path, region: "eu-west-9", weight: 1}).options("report")
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Prices.Prices("eu-west-9")
	if err != nil || p.GBSecond["arm64"] != 0.0000136 || p.MillionRequests != 0.2 || p.S3[cost.Standard].ThousandGETs != 0.00043 {
		t.Errorf("%+v, %v", p, err)
	}
}

// Each subcommand's help has an example that calls it.
func TestHelpHasExamples(t *testing.T) {
	root := rootCommand(nil, io.Discard, io.Discard)
	for _, c := range root.Commands() {
		if !strings.Contains(c.Example, "fanout "+c.Name()) {
			t.Errorf("fanout %s has no example", c.Name())
		}
		if c.Flags().HasFlags() && c.Flags().Lookup("network") != nil {
			if f, ok := c.GetFlagCompletionFunc("network"); !ok {
				t.Errorf("fanout %s does not complete --network", c.Name())
			} else if got, _ := f(c, nil, "s3-e"); len(got) != 1 || !strings.HasPrefix(got[0], "s3-express\tS3 Express One Zone") {
				t.Errorf("fanout %s --network s3-e: %q", c.Name(), got)
			}
		}
	}
}
