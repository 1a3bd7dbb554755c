package trial

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/lambdatest"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// cloud is a fake Lambda with functions a and b of one contender.
func cloud(t *testing.T, f lambdatest.Function) *lambdatest.Service {
	t.Helper()
	s := lambdatest.Start(t)
	f.MemoryMB, f.Arch = 512, lambda.X86
	s.Add("a", f)
	s.Add("b", lambdatest.Function{MemoryMB: 1024, Arch: lambda.X86})
	return s
}

// runnerOf makes the runner of a small plan on the cloud's functions, which
// writes to out and waits for nothing between two tries.
func runnerOf(s *lambdatest.Service, out *bytes.Buffer, warm, cold int) *Runner {
	return &Runner{
		Lambda: s.Client(), Bucket: "b", Out: out,
		Header: Header{Run: "r", Backend: Endpoint, Corpus: corpus.Default(), Plan: Plan{
			Clients: []string{"lean"}, Concurrencies: []int{8}, Invocations: warm, Cold: cold, Seed: 1,
		}},
		Targets: []Target{
			{Function: "a", Contender: "go", MemoryMB: 512, Arch: lambda.X86},
			{Function: "b", Contender: "go", MemoryMB: 1024, Arch: lambda.X86},
		},
		pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

// lines are a file's results, in short: function, start, ok or error type, and
// the API's retries.
func lines(f File) []string {
	var all []string
	for _, r := range f.Results {
		text := r.Function + " " + r.Start
		if r.OK {
			text += " ok"
		} else {
			text += " " + r.ErrorType
		}
		if r.APIRetries > 0 {
			text += fmt.Sprintf(" after %d", r.APIRetries)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// Trouble of one call or one function costs what it must, and no other line.
func TestRunThroughTrouble(t *testing.T) {
	fault := func(status int) lambdatest.Step { return lambdatest.Fault(status, fmt.Sprintf("Code%d", status)) }
	well := []string{"a warm ok", "a warm ok", "b warm ok", "b warm ok"}
	retried := func(n int) []string {
		return []string{"a warm ok", fmt.Sprintf("a warm ok after %d", n), "b warm ok", "b warm ok"}
	}
	without := func(kind string) []string {
		return []string{"a warm " + kind, "a warm " + kind, "b warm ok", "b warm ok"}
	}
	for _, tc := range []struct {
		name   string
		script func(*lambdatest.Service)
		want   []string
		warns  string
		end    string
	}{
		{"all well", func(*lambdatest.Service) {}, well, "", Complete},
		{"a passing 500", later(fault(500)), retried(1), "", Complete},
		{"a passing 502 of a proxy", later(lambdatest.HTML(502)), retried(1), "", Complete},
		{"a passing 503", later(fault(503)), retried(1), "", Complete},
		{"a passing 504", later(lambdatest.HTML(504)), retried(1), "", Complete},
		{"a dropped connection", later(lambdatest.Drop), retried(1), "", Complete},
		{"an answer that breaks off", later(lambdatest.BreakOff), retried(1), "", Complete},
		{"one after the other", later(fault(500), lambdatest.Drop, fault(503), lambdatest.BreakOff), retried(4), "", Complete},
		{"throttled for a while", later(slices.Repeat([]lambdatest.Step{lambdatest.Fault(429, "TooManyRequestsException")}, 6)...),
			retried(6), "", Complete},
		{"throttled without a code", later(lambdatest.HTML(429)), retried(1), "", Complete},
		{"an update under way", later(lambdatest.Fault(409, "ResourceConflictException")), retried(1), "", Complete},
		{"trouble in the probe", func(s *lambdatest.Service) { s.Script(lambdatest.Invoke, "b", fault(500)) }, well, "", Complete},
		{"500 for good", always("a", fault(500)), without("Code500 after 5"), "", Complete},
		{"throttled for good", always("a", lambdatest.Fault(429, "TooManyRequestsException")),
			without("TooManyRequestsException after 7"), "", Complete},
		{"not allowed", always("a", lambdatest.Fault(403, "AccessDeniedException")), without("AccessDeniedException"), "", Complete},
		{"gone", always("a", lambdatest.Fault(404, "ResourceNotFoundException")), without("ResourceNotFoundException"), "", Complete},
		{"no connection", always("a", lambdatest.Drop), without(InvokeFailed + " after 5"), "", Complete},
		{"the largest is not well, and is the one to probe", always("b", fault(500)),
			[]string{"a warm ok", "a warm ok", "b warm Code500 after 5", "b warm Code500 after 5"},
			"b was left out after 3 invocations in a row", Complete},
		{"credentials that have expired", always("a", lambdatest.Fault(403, "ExpiredTokenException")), nil, "", Failed},
		{"a key that is not known", always("", lambdatest.Fault(403, "UnrecognizedClientException")), nil, "", Failed},
	} {
		s := cloud(t, lambdatest.Function{})
		tc.script(s)
		var out bytes.Buffer
		err := runnerOf(s, &out, 2, 0).Run(t.Context())
		f, readErr := Read(&out)
		if readErr != nil || len(f.Skipped) > 0 {
			t.Fatalf("%s: %v, %v", tc.name, readErr, f.Skipped)
		}
		if (err != nil) != (tc.end == Failed) || tc.end == Failed && !errors.Is(err, ErrCredentials) || f.End.Reason != tc.end {
			t.Errorf("%s: ended with %v, %+v", tc.name, err, f.End)
		}
		if got := lines(f); tc.want != nil && !slices.Equal(got, tc.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", tc.name, got, tc.want)
		}
		if got := strings.Join(f.End.Warnings, "\n"); !strings.HasPrefix(got, tc.warns) || tc.warns == "" && got != "" {
			t.Errorf("%s: warned %q, want %q", tc.name, got, tc.warns)
		}
	}
}

// later has the calls on a take steps, after the warm-up and one that was
// measured.
func later(steps ...lambdatest.Step) func(*lambdatest.Service) {
	return func(s *lambdatest.Service) {
		s.Script(lambdatest.Invoke, "a", append(make([]lambdatest.Step, 2), steps...)...)
	}
}

func always(function string, step lambdatest.Step) func(*lambdatest.Service) {
	return func(s *lambdatest.Service) { s.Always(lambdatest.Invoke, function, step) }
}

// A function that fails again and again is left out, so that a long run does
// not wait for it at every step.
func TestRunGivesUp(t *testing.T) {
	s := cloud(t, lambdatest.Function{})
	s.Always(lambdatest.Invoke, "a", lambdatest.Fault(403, "AccessDeniedException"))
	var out bytes.Buffer
	if err := runnerOf(s, &out, 20, 0).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&out)
	if err != nil || len(f.Results) != giveUpAfter+20 || s.Calls(lambdatest.Invoke, "a") != giveUpAfter {
		t.Errorf("%d lines of %d calls, %v", len(f.Results), s.Calls(lambdatest.Invoke, "a"), err)
	}
	if len(f.End.Warnings) != 1 || !strings.Contains(f.End.Warnings[0], "a was left out after 3 invocations") {
		t.Errorf("warned %q", f.End.Warnings)
	}
}

// One that fails now and then is not left out.
func TestRunDoesNotGiveUp(t *testing.T) {
	s := cloud(t, lambdatest.Function{})
	denied := lambdatest.Fault(403, "AccessDeniedException")
	s.Script(lambdatest.Invoke, "a", denied, denied, nil, denied, denied, nil, nil, denied, denied)
	var out bytes.Buffer
	if err := runnerOf(s, &out, 12, 0).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&out)
	if err != nil || len(f.Results) != 24 || len(f.End.Warnings) != 0 {
		t.Errorf("%d lines, %v, %v", len(f.Results), f.End.Warnings, err)
	}
}

// Where a contender's largest function cannot be reached, another tells what it
// knows.
func TestProbeAsksAnother(t *testing.T) {
	s := cloud(t, lambdatest.Function{Answer: lambdatest.Published})
	s.Always(lambdatest.Invoke, "b", lambdatest.Fault(403, "AccessDeniedException"))
	r := runnerOf(s, new(bytes.Buffer), 1, 0)
	if err := r.Probe(t.Context()); err != nil || !r.Targets[0].Published || !r.Targets[1].Published {
		t.Errorf("%+v, %v", r.Targets, err)
	}
}

// What must be warmed up: a process that is new, or may be gone.
func TestMeasureWarmsUp(t *testing.T) {
	s := cloud(t, lambdatest.Function{})
	r := runnerOf(s, new(bytes.Buffer), 0, 0)
	many := Setting{Target: r.Targets[0], Client: "lean", Concurrency: 64}
	few := Setting{Target: r.Targets[0], Client: "lean", Concurrency: 8}
	for i, step := range []struct {
		name    string
		setting Setting
		start   string
		fails   bool
		calls   int
	}{
		{"the first", many, Warm, false, 2},
		{"the second", many, Warm, false, 1},
		{"with fewer workers", few, Warm, false, 1},
		{"a cold start", few, Cold, false, 1},
		{"with as many workers as the cold start", few, Warm, false, 1},
		{"with more", many, Warm, false, 2},
		{"one that fails", many, Warm, true, 1},
		{"after one that failed", many, Warm, false, 2},
	} {
		before := s.Calls(lambdatest.Invoke, "a")
		if step.fails {
			s.Script(lambdatest.Invoke, "a", lambdatest.Fault(403, "AccessDeniedException"))
		}
		got, err := r.Measure(t.Context(), step.setting, step.start, i)
		if calls := s.Calls(lambdatest.Invoke, "a") - before; err != nil || len(got) != 1 || got[0].OK == step.fails || calls != step.calls {
			t.Errorf("%s: %d calls, want %d; %+v, %v", step.name, calls, step.calls, got, err)
		}
	}
}

// The probe and the warm-ups read the sample, and what is measured everything;
// the answers of each are held against its own truth.
func TestSample(t *testing.T) {
	var folders []string
	s := cloud(t, lambdatest.Function{Answer: func(e fetch.Event, _ bool) (string, string) {
		folders = append(folders, e.Folder)
		if e.Folder == "seed/one" {
			return `{"result":"1"}`, ""
		}
		return `{"result":"3"}`, ""
	}})
	r := runnerOf(s, new(bytes.Buffer), 1, 0)
	r.Targets = r.Targets[:1]
	r.Header.Corpus.Prefix, r.Expected = "seed/", Expected{Result: "3"}
	r.Sample = &Sample{Prefix: "seed/one", Expected: Expected{Result: "1"}}
	if err := r.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := r.Measure(t.Context(), Setting{Target: r.Targets[0], Client: "lean", Concurrency: 8}, Warm, 0)
	if err != nil || len(got) != 1 || !got[0].OK {
		t.Errorf("%+v, %v", got, err)
	}
	if want := []string{"seed/one", "seed/one", "seed/"}; !slices.Equal(folders, want) {
		t.Errorf("read %q, want %q: the probe, the warm-up, the measurement", folders, want)
	}
}

// The tries come at growing distances, and the time that a function may have
// run for is known, since it is billed.
func TestInvokeTries(t *testing.T) {
	for _, tc := range []struct {
		name  string
		step  lambdatest.Step
		tries int
		lost  bool
	}{
		{"throttled: the function did not run", lambdatest.Fault(429, "TooManyRequestsException"), throttledTries, false},
		{"dropped: it may have", lambdatest.Drop, faultTries, true},
		{"500: it may have", lambdatest.Fault(500, "ServiceException"), faultTries, true},
		{"denied: once", lambdatest.Fault(403, "AccessDeniedException"), 1, false},
	} {
		s := cloud(t, lambdatest.Function{})
		s.Always(lambdatest.Invoke, "a", tc.step)
		var pauses []time.Duration
		got, err := invoke(t.Context(), s.Client(), "a", []byte("{}"), func(_ context.Context, d time.Duration) error {
			pauses = append(pauses, d)
			return nil
		})
		if err != nil || !got.FromAPI || got.Retries != tc.tries-1 || s.Calls(lambdatest.Invoke, "a") != tc.tries || (got.Lost > 0) != tc.lost {
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
		most := leastBackoff
		for i, d := range pauses {
			if d < most/2 || d > most {
				t.Errorf("%s: pause %d is %v, want %v to %v", tc.name, i, d, most/2, most)
			}
			most = min(2*most, mostBackoff)
		}
	}
}

// Credentials that nobody can renew end a run, before and after a call was
// answered; a network that is down does not.
func TestInvokeCredentials(t *testing.T) {
	s := cloud(t, lambdatest.Function{})
	with := func(provide func(context.Context) (aws.Credentials, error), url string) *awslambda.Client {
		return awslambda.New(awslambda.Options{
			BaseEndpoint: &url, Region: "us-east-1", Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(provide)),
		})
	}
	valid := func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "B"}, nil
	}
	for _, tc := range []struct {
		name   string
		client *awslambda.Client
		step   lambdatest.Step
		want   error
	}{
		{"as ever", with(valid, s.URL), nil, nil},
		{"a provider that has none", with(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("the SSO session has expired")
		}, s.URL), nil, ErrCredentials},
		{"expired", with(valid, s.URL), lambdatest.Fault(403, "ExpiredTokenException"), ErrCredentials},
		{"a wrong secret", with(valid, s.URL), lambdatest.Fault(403, "InvalidSignatureException"), ErrCredentials},
		{"a key that was deleted", with(valid, s.URL), lambdatest.Fault(403, "UnrecognizedClientException"), ErrCredentials},
		{"no right to this function", with(valid, s.URL), lambdatest.Fault(403, "AccessDeniedException"), nil},
		{"nobody listens", with(valid, "http://127.0.0.1:1"), nil, nil},
	} {
		s.Always(lambdatest.Invoke, "a", tc.step)
		_, err := invoke(t.Context(), tc.client, "a", []byte("{}"), func(context.Context, time.Duration) error { return nil })
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// A function whose configuration cannot be changed loses its cold starts only.
func TestRunWithoutColdStarts(t *testing.T) {
	for _, tc := range []struct {
		name, operation string
		step            lambdatest.Step
	}{
		{"PUT denied", lambdatest.Update, lambdatest.Fault(403, "AccessDeniedException")},
		{"GET denied", lambdatest.Get, lambdatest.Fault(403, "AccessDeniedException")},
		{"PUT is nothing that an emulator knows", lambdatest.Update, lambdatest.Fault(404, "UnknownOperationException")},
		{"a function managed by others", lambdatest.Update, lambdatest.Fault(400, "InvalidParameterValueException")},
	} {
		s := cloud(t, lambdatest.Function{Description: "mine"})
		s.Always(tc.operation, "a", tc.step)
		var out bytes.Buffer
		if err := runnerOf(s, &out, 2, 3).Run(t.Context()); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		f, err := Read(&out)
		want := []string{"a warm ok", "a warm ok", "b cold ok", "b cold ok", "b cold ok", "b warm ok", "b warm ok"}
		if got := lines(f); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", tc.name, got, err)
		}
		if w := f.End.Warnings; len(w) != 1 || !strings.Contains(w[0], "no cold starts of a (--cold 0 does without): force a cold start of a: ") {
			t.Errorf("%s: warned %q", tc.name, w)
		}
		if s.Calls(tc.operation, "a") != 1 || s.Description("a") != "mine" || s.Description("b") != "" {
			t.Errorf("%s: %d calls, descriptions %q and %q", tc.name, s.Calls(tc.operation, "a"), s.Description("a"), s.Description("b"))
		}
	}
}

// A cold start is told by all that tells: what was asked for, the log, the
// function's own word.
func TestStartOf(t *testing.T) {
	const (
		text      = "START RequestId: 1 Version: $LATEST\nREPORT RequestId: 1\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMax Memory Used: 9 MB\t"
		init      = "Init Duration: 5.00 ms\t\n"
		cutOff    = "REPORT RequestId: 1\tDuration: 1.00 ms\tBilled Duration: 1 ms\t\n"
		redone    = "INIT_REPORT Init Duration: 10008.00 ms\tPhase: init\tStatus: timeout\n"
		restored  = "RESTORE_REPORT Restore Duration: 300.00 ms\n"
		jsonStart = `{"type":"platform.start","record":{"requestId":"1"}}` + "\n"
		jsonInit  = `{"type":"platform.initStart","record":{"phase":"init"}}` + "\n"
		jsonEnd   = `{"type":"platform.report","record":{"requestId":"1","metrics":{"durationMs":1,"billedDurationMs":1}}}` + "\n"
	)
	own := func(cold bool) *fetch.Stats { return &fetch.Stats{Client: "lean", Cold: cold} }
	stranger := &fetch.Stats{Client: "foreign"}
	for _, tc := range []struct {
		name  string
		asked string
		log   string
		stats *fetch.Stats
		want  string
	}{
		{"Init Duration", Warm, text + init, nil, Cold},
		{"no Init Duration", Warm, text + "\n", nil, Warm},
		{"a report in text, without its start", Warm, cutOff, nil, Warm},
		{"INIT of over 10 s, redone inside", Warm, redone + text + "\n", nil, Cold},
		{"the same, its record cut off", Cold, text + "\n", nil, Cold},
		{"the same, its record cut off, with our stats", Warm, text + "\n", own(true), Cold},
		{"SnapStart", Warm, restored + text + "\n", nil, Cold},
		{"SnapStart in the report", Warm, text + "Restore Duration: 300.00 ms\t\n", nil, Cold},
		{"JSON, cold, without initDurationMs", Warm, jsonInit + jsonStart + jsonEnd, nil, Cold},
		{"JSON, warm", Warm, jsonStart + jsonEnd, nil, Warm},
		{"JSON, a report alone", Warm, jsonEnd, nil, Unknown},
		{"JSON, a report alone, asked for cold", Cold, jsonEnd, nil, Cold},
		{"JSON, a report alone, with our stats", Warm, jsonEnd, own(false), Warm},
		{"system logs at WARN", Warm, "", nil, Unknown},
		{"system logs at WARN, asked for cold", Cold, "", nil, Cold},
		{"system logs at WARN, with our stats, cold", Warm, "", own(true), Cold},
		{"system logs at WARN, with our stats, warm", Warm, "", own(false), Warm},
		{"asked for cold, but the process had read before", Cold, text + "\n", own(false), Warm},
		{"asked for cold, and a stranger says nothing of it", Cold, text + "\n", stranger, Unknown},
		{"a stranger's warm one", Warm, text + "\n", stranger, Warm},
		{"a stranger's cold one", Cold, text + init, stranger, Cold},
	} {
		var got Invocation
		got.take(&awslambda.InvokeOutput{LogResult: aws.String(base64Of(tc.log))})
		if start := startOf(tc.asked, got, tc.stats); start != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, start, tc.want)
		}
	}
}

// Logs that say nothing leave no cold start among the warm ones: through a whole
// run, whatever the format.
func TestRunWithOddLogs(t *testing.T) {
	for _, tc := range []struct {
		name   string
		log    func(cold bool) string
		answer func(fetch.Event, bool) (string, string)
		want   map[string]int // starts on a
	}{
		{"as Lambda writes them", nil, nil, map[string]int{Cold: 2, Warm: 3}},
		{"none, with stats", func(bool) string { return "" }, nil, map[string]int{Cold: 2, Warm: 3}},
		{"none, without stats", func(bool) string { return "" }, lambdatest.Published, map[string]int{Cold: 2, Unknown: 3}},
		{"never an Init Duration", func(bool) string { return lambdatest.TextLog(false) }, nil, map[string]int{Cold: 2, Warm: 3}},
		{"fields that are new, and none of the old", func(bool) string { return "REPORT RequestId: 1\tVibe: good\t\n" }, nil,
			map[string]int{Cold: 2, Warm: 3}},
		{"not base64", func(bool) string { return "\x00\xff" }, nil, map[string]int{Cold: 2, Warm: 3}},
	} {
		s := cloud(t, lambdatest.Function{Log: tc.log, Answer: tc.answer})
		var out bytes.Buffer
		r := runnerOf(s, &out, 3, 2)
		r.Targets = r.Targets[:1]
		if err := r.Run(t.Context()); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		f, err := Read(&out)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, line := range f.Results {
			got[line.Start]++
			if line.DurationMS <= 0 || line.DurationMS != 100 && line.Note == "" {
				t.Errorf("%s: duration %v, note %q", tc.name, line.DurationMS, line.Note)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// A warm invocation that meets a cold process, as AWS is free to give it, is a
// line of its own, and tried again.
func TestRunMeetsColdProcess(t *testing.T) {
	s := cloud(t, lambdatest.Function{})
	var out bytes.Buffer
	r := runnerOf(s, &out, 1, 0)
	r.Targets = r.Targets[:1]
	// After the probe and the warm-up somebody's update ends the process.
	s.Script(lambdatest.Invoke, "a", nil, nil, lambdatest.Then(func() { s.Add("a", lambdatest.Function{}) }))
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&out)
	if got := lines(f); err != nil || !slices.Equal(got, []string{"a cold ok", "a warm ok"}) {
		t.Errorf("%q, %v", got, err)
	}
	// Always cold: it is tried no more than coldTries times.
	s = cloud(t, lambdatest.Function{Log: func(bool) string { return lambdatest.TextLog(true) }})
	out.Reset()
	r = runnerOf(s, &out, 1, 0)
	r.Targets = r.Targets[:1]
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err = Read(&out); err != nil || len(f.Results) != coldTries {
		t.Errorf("%q, %v", lines(f), err)
	}
}

// An answer is right in every figure, or it is none.
func TestRunChecksAnswers(t *testing.T) {
	right := fetch.Stats{Objects: 3, Bytes: 30, Digest: "d", Client: "lean"}
	for _, tc := range []struct {
		name    string
		payload string
		message string
	}{
		{"right", payloadOf("k", right), ""},
		{"another key", payloadOf("q", right), "result q, want k"},
		{"one object too few", payloadOf("k", change(right, func(s *fetch.Stats) { s.Objects = 2 })), "objects 2, want 3"},
		{"a byte too many", payloadOf("k", change(right, func(s *fetch.Stats) { s.Bytes++ })), "bytes 31, want 30"},
		{"another digest", payloadOf("k", change(right, func(s *fetch.Stats) { s.Digest = "e" })), "digest e, want d"},
		{"objects that could not be read", payloadOf("k", change(right, func(s *fetch.Stats) { s.Errors = 1 })), "errors 1, want 0"},
		{"negative figures", payloadOf("k", change(right, func(s *fetch.Stats) { s.Retries = -1 })), "not an answer: stats.retries -1"},
		{"figures that are none", `{"result":"k","stats":{"objects":1e99}}`, "not an answer: json"},
		{"a result that is a number", `{"result":3}`, "not an answer: json"},
		{"no result", `{"stats":null}`, "not an answer: it has no result"},
		{"null", `null`, "not an answer: it has no result"},
		{"not JSON", `<html>`, "not an answer: invalid character"},
		{"nothing", ``, "not an answer: unexpected end"},
	} {
		s := cloud(t, lambdatest.Function{Answer: func(fetch.Event, bool) (string, string) { return tc.payload, "" }})
		var out bytes.Buffer
		r := runnerOf(s, &out, 1, 0)
		r.Targets, r.Expected = r.Targets[:1], Expected{"k", 3, 30, "d"}
		r.KeepGoing = true
		err := r.Run(t.Context())
		f, readErr := Read(&out)
		if readErr != nil || len(f.Results) != 1 || len(f.Skipped) > 0 {
			t.Errorf("%s: %+v, %v", tc.name, f, readErr)
			continue
		}
		line := f.Results[0]
		wrong := tc.message != ""
		if line.OK == wrong || errors.Is(err, ErrWrongAnswer) != wrong || !strings.HasPrefix(line.Error, tc.message) ||
			wrong && (line.ErrorType != WrongAnswer || f.End.Reason != WrongAnswers) {
			t.Errorf("%s: %+v, %v, end %+v", tc.name, line, err, f.End)
		}

		// The probe tells as much, and ends the run there.
		out.Reset()
		r = runnerOf(s, &out, 1, 0)
		r.Targets, r.Expected = r.Targets[:1], Expected{"k", 3, 30, "d"}
		err = r.Run(t.Context())
		var contender *WrongContender
		if errors.As(err, &contender) != wrong || errors.Is(err, ErrWrongAnswer) != wrong {
			t.Errorf("%s: the run ended with %v", tc.name, err)
			continue
		}
		f, readErr = Read(&out)
		if wrong && (readErr != nil || len(f.Results) != 0 || f.End.Reason != WrongAnswers || contender.Contender != "go" ||
			!strings.HasPrefix(contender.Answered, tc.message)) {
			t.Errorf("%s: %v, %d results, end %+v, %v", tc.name, err, len(f.Results), f.End, readErr)
		}
	}
}

// Whatever a function answers, its line can be read, and so can all others.
func TestRunWritesWhatItReads(t *testing.T) {
	huge := strings.Repeat("\x1b[2J panic \xff", 200_000)
	for _, tc := range []struct {
		name   string
		answer func(fetch.Event, bool) (string, string)
	}{
		{"2 MB of error text", func(fetch.Event, bool) (string, string) {
			return fmt.Sprintf(`{"errorType":"E","errorMessage":%q}`, strings.Repeat("x", 2<<20)), "Unhandled"
		}},
		{"2 MB that are no error object", func(fetch.Event, bool) (string, string) { return huge, "Unhandled" }},
		{"2 MB of error type", func(fetch.Event, bool) (string, string) {
			return fmt.Sprintf(`{"errorType":%q}`, strings.Repeat("x", 2<<20)), "Unhandled"
		}},
		{"a result of 2 MB", func(fetch.Event, bool) (string, string) {
			return fmt.Sprintf(`{"result":%q}`, strings.Repeat("x", 2<<20)), ""
		}},
		{"a client's name of 2 MB", func(fetch.Event, bool) (string, string) {
			return payloadOf("k", fetch.Stats{Client: strings.Repeat("x", 2<<20)}), ""
		}},
	} {
		s := cloud(t, lambdatest.Function{Answer: tc.answer, Log: func(bool) string { return huge[:4096] }})
		var out bytes.Buffer
		r := runnerOf(s, &out, 2, 0)
		r.Expected.Result, r.KeepGoing = "k", true
		_ = r.Run(t.Context()) // a wrong answer, in most
		f, err := Read(&out)
		if err != nil || len(f.Results) != 4 || len(f.Skipped) > 0 {
			t.Errorf("%s: %d results, %v, skipped %v", tc.name, len(f.Results), err, f.Skipped)
		}
	}
}

// A failed line keeps the end of what the function logged.
func TestRunKeepsFailedLog(t *testing.T) {
	s := cloud(t, lambdatest.Function{
		Answer: func(fetch.Event, bool) (string, string) {
			return `{"errorType":"Runtime.ExitError","errorMessage":"m"}`, "Unhandled"
		},
		Log: func(bool) string { return "panic: index out of range\ngoroutine 1 [running]:\n" },
	})
	var out bytes.Buffer
	if err := runnerOf(s, &out, 1, 0).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range f.Results {
		if strings.Contains(line.Log, "panic: index out of range") == line.OK {
			t.Errorf("%s, ok %v: log %q", line.Function, line.OK, line.Log)
		}
	}
}

// Every ending is a closing line.
func TestRunEnds(t *testing.T) {
	s := cloud(t, lambdatest.Function{Description: "mine"})
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	r := runnerOf(s, &out, 9, 9)
	r.Progress = func(step Step) {
		if step.Done == 3 {
			cancel() // Ctrl-C
		}
	}
	err := r.Run(ctx)
	f, readErr := Read(&out)
	if !errors.Is(err, errInterrupted) || err.Error() != "interrupted" || readErr != nil ||
		f.End.Reason != Interrupted || len(f.Results) != 3 {
		t.Errorf("interrupted: %v; %d results, %+v, %v", err, len(f.Results), f.End, readErr)
	}
	if s.Description("a") != "mine" || s.Description("b") != "" {
		t.Errorf("interrupted: descriptions %q and %q", s.Description("a"), s.Description("b"))
	}

	// Before anything was measured.
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	out.Reset()
	err = runnerOf(s, &out, 1, 0).Run(ctx)
	if f, readErr = Read(&out); err == nil || readErr != nil || f.End.Reason != Interrupted {
		t.Errorf("interrupted in the probe: %v, %+v, %v", err, f.End, readErr)
	}

	// While a call hangs, and while Lambda has no room.
	for name, step := range map[string]lambdatest.Step{
		"hanging": lambdatest.Hang, "throttled": lambdatest.Fault(429, "TooManyRequestsException"),
	} {
		ctx, cancel = context.WithCancel(t.Context())
		out.Reset()
		r = runnerOf(s, &out, 1, 0)
		s.Script(lambdatest.Invoke, "", nil, lambdatest.Then(cancel))
		s.Always(lambdatest.Invoke, "a", step)
		r.pause = wait
		err = r.Run(ctx)
		if f, readErr = Read(&out); err == nil || readErr != nil || f.End.Reason != Interrupted {
			t.Errorf("interrupted, %s: %v, %+v, %v", name, err, f.End, readErr)
		}
		s.Always(lambdatest.Invoke, "a", nil)
	}

	// A disk that is full takes no closing line either, and the error says so.
	r = runnerOf(s, &out, 1, 1)
	r.Out = &full{left: 2}
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "write results: no space left") {
		t.Errorf("a full disk: %v", err)
	}
	if s.Description("a") != "mine" {
		t.Errorf("a full disk: description %q", s.Description("a"))
	}
}

// full is a disk with room for some lines.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

// Whatever a payload holds: no panic, and what passes for an answer can be
// written and read again.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(payloadOf("k", fetch.Stats{Objects: 3, Client: "lean"})))
	f.Add([]byte(`{"result":"","stats":{"list_ms":1e308,"ttfb_p50_ms":-1}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		a, err := ParseAnswer(payload)
		if err != nil {
			return
		}
		line := Result{Start: Warm, MemoryMB: 128, OK: true, Stats: a.Stats}
		if err := line.Validate(); err != nil || a.Result == nil {
			t.Errorf("%q: %+v, %v", payload, a, err)
		}
		var b bytes.Buffer
		if err := errors.Join(writeLine(&b, Header{Schema: schema}), writeLine(&b, line)); err != nil {
			t.Fatal(err)
		}
		if f, err := Read(&b); err != nil || len(f.Results) != 1 {
			t.Errorf("%q: %+v, %v", payload, f, err)
		}
	})
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func payloadOf(result string, s fetch.Stats) string {
	text, err := json.Marshal(fetch.Response{Result: result, Stats: s})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func change(s fetch.Stats, do func(*fetch.Stats)) fetch.Stats {
	do(&s)
	return s
}
