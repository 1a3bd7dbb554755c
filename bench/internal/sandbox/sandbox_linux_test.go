package sandbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	// testdata/probe is built with it, which go mod tidy does not see.
	_ "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/bench/internal/sandbox/cgroup"
	"fanout/functions/lambda"
)

// binDir holds what the tests build, each when it is first asked for.
var binDir string

func TestMain(m *testing.M) {
	if kind := os.Getenv(helperEnv); kind != "" {
		fmt.Fprintln(os.Stderr, help(kind))
		os.Exit(1)
	}
	cgroup.ReexecInScope(os.Args)
	os.Exit(func() int {
		var err error
		if binDir, err = os.MkdirTemp("", "fanout-probe-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(binDir) }()
		return m.Run()
	}())
}

// probes build testdata/probe.
var probes = map[string]func() (string, error){
	lambda.X86: sync.OnceValues(func() (string, error) { return buildProbe(lambda.X86) }),
	lambda.ARM: sync.OnceValues(func() (string, error) { return buildProbe(lambda.ARM) }),
}

func buildProbe(arch string) (string, error) {
	m, err := lambda.MachineOf(arch)
	if err != nil {
		return "", err
	}
	path := filepath.Join(binDir, arch)
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+m.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the probe: %w\n%s", err, out)
	}
	return path, nil
}

// probe is the bootstrap of testdata/probe.
func probe(t testing.TB, arch string) string {
	t.Helper()
	path, err := probes[arch]()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	testRegion  = "eu-west-1"
	testAccount = "123456789012"
)

var testCredentials = aws.Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "secret", SessionToken: "token"}

// fixture is a sandbox and a client for it.
type fixture struct {
	*Sandbox
	*awslambda.Client
	t testing.TB
}

func testConfig(t testing.TB) Config {
	return Config{
		Functions: []Function{{
			Name: "probe", Code: probe(t, lambda.X86), Arch: lambda.X86, MemoryMB: 512, Timeout: 30 * time.Second,
			Env: map[string]string{"AWS_EC2_METADATA_DISABLED": "true"},
		}},
		Credentials: testCredentials, Region: testRegion, AccountID: testAccount,
		Dir: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func startTest(t testing.TB, change func(*Config)) *fixture {
	return startTestInit(t, initLimit, change)
}

func startTestInit(t testing.TB, init time.Duration, change func(*Config)) *fixture {
	t.Helper()
	cfg := testConfig(t)
	if change != nil {
		change(&cfg)
	}
	s, err := start(cfg, init)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{s, client(s, testCredentials), t}
}

func client(s *Sandbox, creds aws.Credentials) *awslambda.Client {
	return awslambda.New(awslambda.Options{
		Region: testRegion, BaseEndpoint: aws.String(s.URL()), Retryer: aws.NopRetryer{},
		Credentials: credentials.StaticCredentialsProvider{Value: creds},
	})
}

// needLimits fails the test where there are no cgroups to use.
func (f *fixture) needLimits() {
	f.t.Helper()
	if l := f.Limits(); l.None() {
		f.t.Fatalf("this test needs cgroups: run it as root, or on cgroup v2 with systemd-run and a user bus: %s", l.Reason)
	}
}

// reply is what came of an invocation.
type reply struct {
	probeResult
	raw     []byte
	failed  string
	kind    string // errorType
	message string // errorMessage
	tail    string
	report  lambda.Report
	header  http.Header
}

type probeResult struct {
	PID      int
	Text     string
	Env      map[string]string
	CPU      float64 `json:"cpu_seconds"`
	Wall     float64 `json:"wall_seconds"`
	Deadline int64   `json:"deadline_ms"`
	ARN      string
	Request  string
	Trace    string
	Client   string
	Child    int
}

// invoke invokes the function called probe and reads all there is to the answer.
func (f *fixture) invoke(event string) reply {
	f.t.Helper()
	r, err := f.try(f.t.Context(), event)
	if err != nil {
		f.t.Fatalf("invoke with %s: %v", event, err)
	}
	return r
}

func (f *fixture) try(ctx context.Context, event string) (reply, error) {
	var r reply
	out, err := f.Invoke(ctx, &awslambda.InvokeInput{
		FunctionName: aws.String("probe"), Payload: []byte(event), LogType: types.LogTypeTail,
	})
	if err != nil {
		return r, err
	}
	r.raw, r.failed = out.Payload, aws.ToString(out.FunctionError)
	if resp, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
		r.header = resp.Header
	}
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return r, err
	}
	r.tail = string(tail)
	if r.report, err = lambda.ParseReport(r.tail); err != nil {
		return r, fmt.Errorf("%w: %q", err, r.tail)
	}
	if r.failed == "" {
		return r, json.Unmarshal(r.raw, &r.probeResult)
	}
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(r.raw, &e); err != nil {
		return r, fmt.Errorf("%w: %q", err, r.raw)
	}
	r.kind, r.message = e.ErrorType, e.ErrorMessage
	return r, nil
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// wait polls, on a timer, for something that another process is about to do.
func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute) // this machine may be busy
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	for _, mode := range []LimitMode{LimitsAuto, LimitsNone} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			f := startTest(t, func(c *Config) { c.Limits = mode })
			if mode == LimitsAuto {
				f.needLimits()
			} else if l := f.Limits(); !l.None() || l.Reason == "" {
				t.Errorf("limits %+v: want none, with a reason", l)
			}
			r := f.invoke(`{"mode":"echo","text":"hello"}`)
			if r.Text != "hello" || r.failed != "" {
				t.Errorf("got %s, failed %q", r.raw, r.failed)
			}
			if r.report.InitMS <= 0 || r.report.DurationMS <= 0 || r.report.MaxMemoryMB <= 1 || r.report.MemoryMB != 512 {
				t.Errorf("report of a cold start: %+v", r.report)
			}
			// INIT is paid for.
			if used := r.report.InitMS + r.report.DurationMS; r.report.BilledMS < used-0.01 || r.report.BilledMS > used+1.01 {
				t.Errorf("billed %v ms for %v", r.report.BilledMS, used)
			}
			if ms, err := strconv.ParseFloat(r.header.Get("X-Fanout-Cpu-Ms"), 64); err != nil || ms < 0 {
				t.Errorf("X-Fanout-Cpu-Ms %q", r.header.Get("X-Fanout-Cpu-Ms"))
			}
			wantLimit := "0.289"
			if mode == LimitsNone {
				wantLimit = "none"
			}
			if got := r.header.Get("X-Fanout-Cpu-Limit"); got != wantLimit {
				t.Errorf("X-Fanout-Cpu-Limit %q, want %q", got, wantLimit)
			}
			if got := r.header.Get("X-Fanout-Limits"); got != f.Limits().By {
				t.Errorf("X-Fanout-Limits %q, want %q", got, f.Limits().By)
			}

			again := f.invoke(`{"mode":"echo"}`)
			if again.PID != r.PID || again.report.Cold() {
				t.Errorf("second start: pid %d after %d, report %+v", again.PID, r.PID, again.report)
			}
			if _, err := f.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{
				FunctionName: aws.String("probe"), Description: aws.String("now cold"),
			}); err != nil {
				t.Fatal(err)
			}
			fresh := f.invoke(`{"mode":"echo"}`)
			if fresh.PID == r.PID || !fresh.report.Cold() {
				t.Errorf("after an update: pid %d after %d, report %+v", fresh.PID, r.PID, fresh.report)
			}
			wait(t, "the old process ends", func() bool { return gone(r.PID) })
		})
	}
}

func TestConcurrentInvocations(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 3 { // each keeps its process, until it is cancelled
		wg.Go(func() { _, _ = f.try(ctx, `{"mode":"sleep"}`) })
	}
	wait(t, "each has a process of its own", func() bool { return len(strays(t, f.dir)) == 3 })
	cancel()
	wg.Wait()
}

func TestEnds(t *testing.T) {
	t.Parallel()
	const id = `[0-9a-f-]{36}`
	for _, tt := range []struct {
		name    string
		memory  int
		timeout time.Duration
		env     string // PROBE_INIT
		init    time.Duration
		event   string
		kind    string
		message string // pattern
		log     string // pattern of the tail
		status  string
		kindLog string // Error Type of the REPORT line
	}{
		// The time-out kills, with Lambda's words and the configured duration.
		{"timeout", 512, time.Second, "", initLimit, `{"mode":"sleep"}`, "Sandbox.Timedout",
			`^RequestId: ` + id + ` Error: Task timed out after 1\.00 seconds$`,
			`START RequestId: ` + id + ` Version: \$LATEST\n\S+Z ` + id + ` Task timed out after 1\.00 seconds\n\nEND`, "timeout", ""},
		// The memory limit kills, as on Lambda.
		{"oom", 128, 30 * time.Second, "", initLimit, `{"mode":"alloc","n":300}`, "Runtime.ExitError",
			`^RequestId: ` + id + ` Error: Runtime exited with error: signal: killed$`,
			`Error: Runtime exited with error: signal: killed\nRuntime.ExitError\nEND`, "error", "Runtime.OutOfMemory"},
		// In INIT, too.
		{"oom in INIT", 128, 30 * time.Second, "alloc first", initLimit, `{}`, "Runtime.ExitError", `signal: killed$`,
			`probe: in INIT\n`, "error", "Runtime.OutOfMemory"},
		// A SIGKILL from elsewhere is not the memory limit's.
		{"killed", 512, 30 * time.Second, "", initLimit, `{"mode":"kill"}`, "Runtime.ExitError", `signal: killed$`,
			`probe: about to be killed\n`, "error", "Runtime.ExitError"},
		// Nor is an exit because a child was killed for memory.
		{"child oom, then exit", 128, 30 * time.Second, "", initLimit, `{"mode":"child alloc","n":300,"text":"exit"}`, "Runtime.ExitError",
			`exit status 1$`, `END`, "error", "Runtime.ExitError"},
		// What a crash writes is in the tail, whatever it is.
		{"crash", 512, 30 * time.Second, "", initLimit, `{"mode":"crash"}`, "Runtime.ExitError", `exit status 2$`,
			`(?s)panic: probe crashes\n\ngoroutine \d+.*main\.go:\d+.*\nRequestId: ` + id + ` Error: Runtime exited`, "error", "Runtime.ExitError"},
		{"crash in INIT", 512, 30 * time.Second, "panic", initLimit, `{}`, "Runtime.ExitError", `exit status 2$`,
			`(?s)probe: in INIT\npanic: probe panics in INIT\n\ngoroutine 1.*main\.go:\d+`, "error", "Runtime.ExitError"},
		// Of more than 4 KB, the end.
		{"segmentation fault", 512, 30 * time.Second, "", initLimit, `{"mode":"segv"}`, "Runtime.ExitError", `exit status 2$`,
			`(?s)goroutine \d+.*rflags 0x.*\nRequestId: ` + id + ` Error`, "error", "Runtime.ExitError"},
		// What was written just before an exit is in the tail.
		{"exit 1", 512, 30 * time.Second, "", initLimit, `{"mode":"exit","n":1}`, "Runtime.ExitError",
			`Error: Runtime exited with error: exit status 1$`,
			`probe: about to exit\nRequestId: ` + id + ` Error: Runtime exited`, "error", "Runtime.ExitError"},
		// An exit without an error is one all the same.
		{"exit 0", 512, 30 * time.Second, "", initLimit, `{"mode":"exit","n":0}`, "Runtime.ExitError",
			`Error: Runtime exited without providing a reason$`,
			`probe: about to exit`, "error", "Runtime.ExitError"},
		// aws-lambda-go reports a panic, then exits: the report is the answer.
		{"panic", 512, 30 * time.Second, "", initLimit, `{"mode":"panic"}`, "string", `^probe panics$`, `END`, "", ""},
		// The function's own error goes through as it is.
		{"error", 512, 30 * time.Second, "", initLimit, `{"mode":"error","text":"no such bucket"}`, "errorString", `^no such bucket$`, `END`,
			"", ""},
		// The answer has a limit of its own; aws-lambda-go ends when it is told.
		{"too big", 512, 30 * time.Second, "", initLimit, `{"mode":"big","n":7000000}`, "Function.ResponseSizeTooLarge", `6291456 bytes`,
			`END`, "", ""},
		// INIT that does not come to an end.
		{"init too long", 512, 30 * time.Second, "never", 2 * time.Second, `{}`, "Sandbox.Timedout",
			`Error: Init phase timed out after 2\.00 seconds$`,
			`probe: in INIT\n`, "timeout", ""},
		// INIT that ends too early.
		{"init exits", 512, 30 * time.Second, "exit", initLimit, `{}`, "Runtime.ExitError", `Error: Runtime exited with error: exit status 3$`,
			`probe: in INIT\n`, "error", "Runtime.ExitError"},
		// INIT that says what is wrong.
		{"init error", 512, 30 * time.Second, "error", initLimit, `{}`, "Probe.InitError", `^no config$`,
			`probe: in INIT\n`, "error", "Probe.InitError"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := startTestInit(t, tt.init, func(c *Config) {
				c.Functions[0].MemoryMB, c.Functions[0].Timeout = tt.memory, tt.timeout
				c.Functions[0].Env = map[string]string{"PROBE_INIT": tt.env}
			})
			if strings.Contains(tt.name, "oom") {
				f.needLimits()
			}
			r := f.invoke(tt.event)
			if r.failed != "Unhandled" || r.kind != tt.kind || !regexp.MustCompile(tt.message).MatchString(r.message) {
				t.Errorf("got %s, failed %q; want %s, %s", r.raw, r.failed, tt.kind, tt.message)
			}
			if !regexp.MustCompile(tt.log).MatchString(r.tail) {
				t.Errorf("tail %q: want %s", r.tail, tt.log)
			}
			if r.report.Status != tt.status || r.report.ErrorType != tt.kindLog {
				t.Errorf("report %+v: want status %q, type %q", r.report, tt.status, tt.kindLog)
			}
			switch limit := float64(tt.memory); {
			case tt.kindLog == lambda.OutOfMemory && r.report.MaxMemoryMB != limit:
				t.Errorf("max memory %v MB: want the limit", r.report.MaxMemoryMB)
			case !strings.Contains(tt.name, "oom") && r.report.MaxMemoryMB >= limit:
				t.Errorf("max memory %v MB of %v", r.report.MaxMemoryMB, limit)
			}
			if tt.name == "timeout" && r.report.DurationMS != 1000 {
				t.Errorf("duration %v ms: want the time-out", r.report.DurationMS)
			}
			if tt.env != "" {
				if got := r.header.Get("X-Fanout-Cpu-Ms"); got != "0.00" {
					t.Errorf("CPU of an invocation that ended in INIT: %s ms", got)
				}
				return
			}
			// The next one works, in a process of its own where the first ended.
			if next := f.invoke(`{"mode":"echo","text":"x"}`); next.Text != "x" || next.report.Cold() != (r.kind != "errorString") {
				t.Errorf("next: %s, report %+v", next.raw, next.report)
			}
		})
	}
}

// That a child was killed for memory in an earlier invocation does not make a
// later SIGKILL one.
func TestOutOfMemoryThen(t *testing.T) {
	t.Parallel()
	f := startTest(t, func(c *Config) { c.Functions[0].MemoryMB = 128 })
	f.needLimits()
	if r := f.invoke(`{"mode":"child alloc","n":300}`); r.Text != "signal: killed" || r.report.Status != "" {
		t.Fatalf("the child ended by %q; report %+v", r.Text, r.report)
	}
	if r := f.invoke(`{"mode":"kill"}`); r.report.ErrorType != lambda.ExitError || r.report.Cold() {
		t.Errorf("report %+v: want %s", r.report, lambda.ExitError)
	}
}

// Memory that processes share is there once.
func TestSharedMemory(t *testing.T) {
	t.Parallel()
	f := startTest(t, func(c *Config) { c.Functions[0].MemoryMB = 256 })
	f.needLimits()
	if r := f.invoke(`{"mode":"map","n":80}`); r.report.MaxMemoryMB < 80 || r.report.MaxMemoryMB > 200 {
		t.Errorf("five processes and 80 MB that they share: max memory %v MB", r.report.MaxMemoryMB)
	}
	for _, tt := range []struct {
		name    string
		peaks   []int64
		charged int64
		want    int64
	}{
		{"one", []int64{40}, 60, 40}, // page cache is charged, and not resident
		{"its text is charged to others", []int64{40}, 30, 40},
		{"two", []int64{40, 20}, 100, 60},
		{"two at different times", []int64{40, 20}, 50, 50},
		{"no group", []int64{40}, 0, 40},
		{"ended meanwhile", nil, 60, 0},
	} {
		if got := jointPeak(tt.peaks, tt.charged); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestLogTail(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	r := f.invoke(`{"mode":"log","n":2,"text":"of the first"}`)
	id := r.report.RequestID
	want := "probe: in INIT\nSTART RequestId: " + id + " Version: $LATEST\nline 0 of the first\nline 1 of the first\n" +
		"END RequestId: " + id + "\n" + r.report.String() + "\n"
	if r.tail != want {
		t.Errorf("cold tail %q,\nwant %q", r.tail, want)
	}
	// A warm one has its own lines only, and a line without an end gets one.
	r = f.invoke(`{"mode":"partial","text":"no newline"}`)
	id = r.report.RequestID
	want = "START RequestId: " + id + " Version: $LATEST\nno newline\nEND RequestId: " + id + "\n" + r.report.String() + "\n"
	if r.tail != want {
		t.Errorf("warm tail %q,\nwant %q", r.tail, want)
	}
	// Of a long one, the last 4 KB.
	r = f.invoke(`{"mode":"log","n":1000,"text":"of many"}`)
	if len(r.tail) != 4096 || !strings.Contains(r.tail, "line 999 of many\nEND") {
		t.Errorf("long tail of %d bytes: %q", len(r.tail), r.tail)
	}
	// Nothing of it is left over for the next.
	r = f.invoke(`{"mode":"echo"}`)
	if strings.Contains(r.tail, "line") {
		t.Errorf("tail after a long one: %q", r.tail)
	}
}

// What a function writes is bounded: it takes no disk, and is no memory of the
// function's; its end is there, whoever wrote it and when.
func TestLogFlood(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, init, event, end string }{
		{"itself", "", `{"mode":"flood","n":40,"text":"the end"}`, "xxx\nthe end\nEND"},
		{"a child", "", `{"mode":"child flood","n":40,"text":"the end"}`, "xxx\nthe end\nEND"},
		{"in INIT", "flood first", `{"mode":"echo"}`, "xxx\nSTART"},
		{"before it ends", "", `{"mode":"flood and exit","n":40,"text":"the end"}`, "xxx\nthe end\nRequestId"},
		{"before it is killed", "", `{"mode":"flood for ever"}`, "xxx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := startTest(t, func(c *Config) {
				c.Functions[0].Env = map[string]string{"PROBE_INIT": tt.init}
				c.Functions[0].MemoryMB = 1769
				if strings.Contains(tt.event, "for ever") {
					c.Functions[0].Timeout = time.Second
				}
			})
			r := f.invoke(tt.event)
			if len(r.tail) > 4096 || !strings.Contains(r.tail, tt.end) {
				t.Errorf("tail of %d bytes, %q: want %q in it", len(r.tail), r.tail, tt.end)
			}
			var size int64
			err := filepath.WalkDir(f.dir, func(_ string, d os.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := d.Info()
				if err == nil && !d.IsDir() {
					size += info.Size()
				}
				return err
			})
			if err != nil && !errors.Is(err, os.ErrNotExist) || size > 1<<20 {
				t.Errorf("%d bytes of files, %v", size, err)
			}
			if tt.init == "" && r.failed == "" {
				if next := f.invoke(`{"mode":"echo"}`); strings.Contains(next.tail, "xxx") {
					t.Errorf("the next one has %q", next.tail)
				}
			}
		})
	}
}

func FuzzParseHWM(f *testing.F) {
	f.Add([]byte("Name:\tprobe\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if parseHWM(data) < 0 {
			t.Errorf("%q: negative memory", data)
		}
	})
}
