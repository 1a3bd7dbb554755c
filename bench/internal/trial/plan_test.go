package trial

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
)

func basePlan() Plan {
	return Plan{
		MemoriesMB: []int{128, 512}, Architectures: []string{"x86_64"}, Clients: []string{"tuned"},
		Concurrencies: []int{1, 64}, Contenders: []string{"go"}, Invocations: 5, Cold: 1, Sequential: 1, Seed: 1,
	}
}

func targets() []Target {
	return []Target{{Function: "a", Contender: "go", MemoryMB: 128}, {Function: "b", Contender: "go", MemoryMB: 512}}
}

func TestPlanValidate(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*Plan)
		message string
	}{
		{"as it is", func(*Plan) {}, ""},
		{"auto is allowed", func(p *Plan) { p.Concurrencies = []int{Auto} }, ""},
		{"cold only", func(p *Plan) { p.Invocations = 0 }, ""},
		{"no memory", func(p *Plan) { p.MemoriesMB = nil }, "memory: give at least one"},
		{"no client", func(p *Plan) { p.Clients = nil }, "client: give at least one"},
		{"below Lambda's least", func(p *Plan) { p.MemoriesMB = []int{64} }, "memory 64: must be 128 to 10240 MB"},
		{"above Lambda's most", func(p *Plan) { p.MemoriesMB = []int{99999} }, "memory 99999"},
		{"too many workers", func(p *Plan) { p.Concurrencies = []int{5000} }, "concurrency 5000: must be auto or 1 to 1024"},
		{"negative", func(p *Plan) { p.Cold = -1 }, "cold -1"},
		{"nothing to do", func(p *Plan) { p.Invocations, p.Cold = 0, 0 }, "nothing to measure"},
	} {
		p := basePlan()
		tc.change(&p)
		err := p.Validate()
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.message)
		}
	}
}

func TestSchedule(t *testing.T) {
	p := basePlan()
	steps := p.schedule(targets())
	count := map[string]int{}
	for _, s := range steps {
		kind := s.start
		if s.setting.sequential() {
			kind = "sequential " + kind
		}
		count[kind]++
	}
	want := map[string]int{Warm: 10, Cold: 2, "sequential " + Warm: 2}
	if !reflect.DeepEqual(count, want) {
		t.Errorf("got %v, want %v", count, want)
	}
	// Interleaved: no setting's second invocation comes before every setting
	// has had its first.
	for i, s := range steps {
		for _, earlier := range steps[:i] {
			if earlier.seq > s.seq {
				t.Fatalf("round %d after round %d", s.seq, earlier.seq)
			}
		}
	}
	if !reflect.DeepEqual(steps, p.schedule(targets())) {
		t.Error("the same seed gave another order")
	}
	p.Seed = 2
	if reflect.DeepEqual(steps, p.schedule(targets())) {
		t.Error("another seed gave the same order")
	}
}

// One worker is tried with the first client only, unless nothing else is tried.
func TestSettingsOfOneWorker(t *testing.T) {
	p := basePlan()
	p.Clients = []string{"lean", "stock"}
	for _, tc := range []struct {
		concurrencies []int
		want          int // settings of one worker, of two functions
	}{{[]int{1, 64}, 2}, {[]int{1}, 4}, {[]int{64}, 0}} {
		p.Concurrencies = tc.concurrencies
		n := 0
		for _, s := range p.settings(targets()) {
			if s.sequential() {
				n++
			}
		}
		if n != tc.want {
			t.Errorf("%v: %d settings of one worker, want %d", tc.concurrencies, n, tc.want)
		}
	}
}

// A contender that knows only the published event has one setting a function.
func TestSchedulePublished(t *testing.T) {
	ts := append(targets(), Target{Function: "c", Contender: "other", MemoryMB: 128, Published: true})
	n := 0
	for _, s := range basePlan().schedule(ts) {
		if s.setting.Target.Function == "c" {
			if n++; s.setting.Client != "" || s.setting.Concurrency != Auto {
				t.Errorf("setting %+v", s.setting)
			}
		}
	}
	if n != 6 { // 5 warm, 1 cold
		t.Errorf("%d steps, want 6", n)
	}
}

func TestWarmup(t *testing.T) {
	setting := func(client string, workers int) Setting {
		return Setting{Target: Target{Function: "a"}, Client: client, Concurrency: workers}
	}
	seq, many, stock := setting("tuned", 1), setting("tuned", 64), setting("stock", 64)
	other := Setting{Target: Target{Function: "a", Published: true}}
	for _, tc := range []struct {
		name   string
		warmed map[string]int
		want   Setting
		needed bool
	}{
		{"a fresh process", nil, many, true},
		{"another client's connections do not help", map[string]int{"tuned": 64}, stock, true},
		{"too few connections", map[string]int{"tuned": 8}, many, true},
		{"warm", map[string]int{"tuned": 64}, many, false},
		{"more than needed", map[string]int{"tuned": 64}, seq, false},
		{"sequential is warmed up by many", nil, setting("tuned", 1), true},
		{"published, fresh", nil, other, true},
		{"published, warm", map[string]int{"": 1}, other, false},
	} {
		r := Runner{warmed: map[string]map[string]int{"a": tc.warmed}}
		got, needed := r.warmup(tc.want)
		if needed != tc.needed {
			t.Errorf("%s: needed %v", tc.name, needed)
		}
		if needed && tc.want.sequential() && got.Concurrency != Auto {
			t.Errorf("%s: warmed up with %d", tc.name, got.Concurrency)
		}
	}
}

// A forecast holds the warm-ups that a run will make: one before the first warm
// invocation of a process, none after a cold start, which warms it up.
func TestForecast(t *testing.T) {
	for seed := range uint64(8) {
		p := basePlan()
		p.Concurrencies, p.Invocations, p.Seed = []int{64}, 2, seed
		r := Runner{Header: Header{Plan: p}, Targets: targets()[:1]}
		want := 4 // warm-up, warm, cold, warm
		if p.schedule(r.Targets)[0].start == Cold {
			want = 3 // cold, warm, warm
		}
		got := r.Forecast()
		if len(got) != want || got[0].Time <= 0 || r.warmed != nil {
			t.Errorf("seed %d: %d invocations, want %d", seed, len(got), want)
		}
	}
}

// A guess is bound by what is slowest: waiting, CPU time, or bandwidth.
func TestGuess(t *testing.T) {
	setting := func(memoryMB int, client string, workers int) Setting {
		return Setting{Target: Target{MemoryMB: memoryMB}, Client: client, Concurrency: workers}
	}
	for _, tc := range []struct {
		name    string
		setting Setting
		objects int
		bytes   int64
		network string
		want    time.Duration
	}{
		{"one worker waits", setting(1769, "lean", 1), 1000, 25_500_000, "s3-standard", 25_508 * time.Millisecond},
		{"sixty-four wait less", setting(1769, "lean", 64), 1000, 25_500_000, "s3-standard", 497 * time.Millisecond},
		{"auto is taken for sixty-four", setting(1769, "lean", Auto), 1000, 25_500_000, "s3-standard", 497 * time.Millisecond},
		{"AWS is taken for s3-standard", setting(1769, "lean", 64), 1000, 25_500_000, "", 497 * time.Millisecond},
		{"little CPU", setting(128, "lean", 64), 1000, 25_500_000, "s3-standard", 520 * time.Millisecond},
		{"a slower client", setting(128, "stock", 64), 1000, 25_500_000, "s3-standard", 8136 * time.Millisecond},
		{"a client that nobody measured", setting(128, "foreign", 64), 1000, 25_500_000, "s3-standard", 8136 * time.Millisecond},
		{"no more than two vCPUs were measured", setting(10240, "stock", 1024), 100_000, 0, "none", 10_030 * time.Millisecond},
		{"one object of 3 GB", setting(1769, "lean", 64), 1, 3_000_000_000, "s3-standard", 38_400 * time.Millisecond},
		{"nothing known", setting(0, "", Auto), 0, 0, "", 100 * time.Millisecond},
	} {
		got := guess(tc.setting, tc.objects, tc.bytes, Header{Network: tc.network})
		if diff := got - tc.want; diff.Abs() > time.Millisecond {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// stopping is a guard that passes over the warm ones and ends the run at the
// third step.
type stopping struct{ asked int }

func (s *stopping) Before(_ Setting, start string) Decision {
	if s.asked++; s.asked == 3 {
		return Stop
	}
	return Skip
}
func (*stopping) Invoked(Setting, float64) {}
func (*stopping) Measured(Setting, Result) {}
func (*stopping) End() End                 { return End{Reason: Budget, Text: "third"} }

// A guard that skips and stops leaves a header, no line but the closing one
// that says so, and no error.
func TestGuardEndsRun(t *testing.T) {
	var out bytes.Buffer
	g := &stopping{}
	r := Runner{Lambda: silent{}, Header: Header{Plan: basePlan()}, Targets: targets(), Out: &out, Guard: g}
	if err := r.Run(t.Context()); err != nil || g.asked != 3 {
		t.Errorf("%v, asked %d times", err, g.asked)
	}
	f, err := Read(&out)
	if err != nil || len(f.Results) != 0 || f.End.Reason != Budget || f.End.Text != "third" {
		t.Errorf("%+v, %v", f, err)
	}
}

// silent is a Lambda that refuses every call.
type silent struct{ Lambda }

func (silent) Invoke(context.Context, *awslambda.InvokeInput, ...func(*awslambda.Options)) (*awslambda.InvokeOutput, error) {
	return nil, &smithy.GenericAPIError{Code: "AccessDeniedException"}
}
