package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/lambdatest"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
)

// cloud is a fanout sandbox with a CloudFormation beside it that knows one
// stack: what the CDK app would have deployed.
type cloud struct {
	env       map[string]string
	lambda    *awslambda.Client
	functions []string // ARNs
}

func startCloud(t *testing.T, outputs map[string]string, sandboxArgs ...string) *cloud {
	t.Helper()
	args := append([]string{"sandbox", "--memory", "256,512", "--objects", "40", "--network", "none"}, sandboxArgs...)
	cmd, stdout, stderr := command(t, args...)
	until(t, stderr, `^serving until interrupted`)
	c := &cloud{env: exports(t, until(t, stdout, `^export AWS_SECRET_ACCESS_KEY=`))}
	t.Cleanup(func() { interrupt(t, cmd, stderr) })
	for _, mb := range []int{256, 512} {
		arn := fmt.Sprintf("arn:aws:lambda:%s:%s:function:fanout-go-%s-%d", lab.Region, lab.Account, lambda.HostArchitecture(), mb)
		c.functions = append(c.functions, arn)
		outputs[fmt.Sprintf("Fetch%dArn", mb)] = arn
	}
	c.formation(t, outputs)
	c.lambda = lambdaOf(c.env)
	return c
}

// formation adds a CloudFormation that knows a stack with these outputs.
func (c *cloud) formation(t *testing.T, outputs map[string]string) {
	t.Helper()
	formation := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "DescribeStacks" || r.FormValue("StackName") != "Fanout" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>`+
				`<Message>Stack does not exist</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprint(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>Fanout</StackName>`+
			`<StackStatus>CREATE_COMPLETE</StackStatus>`+
			`<CreationTime>2026-01-01T00:00:00Z</CreationTime><Outputs>`)
		for _, key := range slices.Sorted(maps.Keys(outputs)) {
			fmt.Fprintf(w, `<member><OutputKey>%s</OutputKey><OutputValue>`, key)
			_ = xml.EscapeText(w, []byte(outputs[key]))
			fmt.Fprint(w, `</OutputValue></member>`)
		}
		fmt.Fprint(w, `</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`)
	}))
	t.Cleanup(formation.Close)
	c.env["AWS_ENDPOINT_URL_CLOUDFORMATION"] = formation.URL
	c.env["AWS_CONFIG_FILE"], c.env["AWS_SHARED_CREDENTIALS_FILE"] = os.DevNull, os.DevNull
}

// fanout prepares the command in the cloud's environment.
func (c *cloud) fanout(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bins, "bin", "fanout"), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	for name, value := range c.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// describe gives a function its description.
func (c *cloud) describe(t *testing.T, function, description string) {
	t.Helper()
	if _, err := c.lambda.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{
		FunctionName: &function, Description: &description,
	}); err != nil {
		t.Fatal(err)
	}
}

func (c *cloud) description(t *testing.T, function string) string {
	t.Helper()
	f, err := c.lambda.GetFunctionConfiguration(t.Context(), &awslambda.GetFunctionConfigurationInput{FunctionName: &function})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(f.Description)
}

func objectsOutput(t *testing.T) string {
	t.Helper()
	spec := corpus.Default()
	spec.Count = 40
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fanout run --stack: finds the functions, measures them, and leaves their
// configuration as it was.
func TestRunStack(t *testing.T) {
	outputs := map[string]string{"Bucket": lab.Bucket, "Prefix": corpus.DefaultPrefix, "Region": lab.Region, "Objects": objectsOutput(t)}
	c := startCloud(t, outputs)
	c.describe(t, c.functions[1], "mine")
	cmd := c.fanout(t, "run", "--stack", "Fanout", "--concurrency", "1,8", "--invocations", "2", "--cold", "2", "--out", "r")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The sandbox is not AWS, however it is reached.
	if !bytes.Contains(out, []byte("These are times of a custom endpoint, not AWS times")) {
		t.Errorf("said:\n%s", out)
	}
	f, err := trial.ReadPath(filepath.Join(cmd.Dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Header.Backend != trial.Endpoint || f.Header.Corpus.Count != 40 || !slices.Equal(f.Header.Plan.MemoriesMB, []int{256, 512}) {
		t.Errorf("header %+v", f.Header)
	}
	cold := 0
	for _, r := range f.Results {
		if !r.OK || !slices.Contains(c.functions, r.Function) || r.Arch != lambda.HostArchitecture() {
			t.Errorf("result %+v", r)
		}
		if r.Start == trial.Cold {
			cold++
		}
	}
	if cold != 4 || len(f.Results) != 10 { // per function 1 sequential, 2 warm, 2 cold
		t.Errorf("%d cold ones of %d", cold, len(f.Results))
	}
	for i, want := range []string{"", "mine"} {
		if got := c.description(t, c.functions[i]); got != want {
			t.Errorf("description of %s is %q, was %q", c.functions[i], got, want)
		}
	}
}

// A stack's other contenders are told by their outputs' names, and measured
// with their own clients.
func TestRunStackContenders(t *testing.T) {
	build(t, "foreign")
	outputs := map[string]string{"Bucket": lab.Bucket, "Prefix": corpus.DefaultPrefix, "Objects": objectsOutput(t)}
	for _, mb := range []string{"256", "512"} {
		outputs["Fetch"+mb+"X86OtherArn"] = fmt.Sprintf("arn:aws:lambda:%s:%s:function:fanout-other-%s-%s",
			lab.Region, lab.Account, lambda.HostArchitecture(), mb)
	}
	c := startCloud(t, outputs, "--contender", "other="+filepath.Join(bins, "foreign"))
	cmd := c.fanout(t, "run", "--stack", "Fanout", "--concurrency", "8", "--invocations", "1", "--cold", "0", "--out", "r")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := trial.ReadPath(filepath.Join(cmd.Dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, r := range f.Results {
		got[fmt.Sprint(r.Contender, " ", r.MemoryMB, " ", r.Client, " ", r.OK)] = true
	}
	want := map[string]bool{"go 256 lean true": true, "go 512 lean true": true, "other 256 foreign true": true, "other 512 foreign true": true}
	if !maps.Equal(got, want) || !slices.Equal(f.Header.Plan.Contenders, []string{"go", "other"}) {
		t.Errorf("measured %v, plan %v", got, f.Header.Plan.Contenders)
	}
}

// Ctrl-C puts the configuration back, too.
func TestRunStackInterrupted(t *testing.T) {
	c := startCloud(t, map[string]string{outputs.Bucket: lab.Bucket, outputs.Prefix: corpus.DefaultPrefix, outputs.Objects: objectsOutput(t)})
	for _, f := range c.functions {
		c.describe(t, f, "mine")
	}
	cmd := c.fanout(t, "run", "--stack", "Fanout", "--concurrency", "8", "--invocations", "0", "--cold", "500", "--out", "r")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	until(t, lines, `^\[ *4/`)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	err = cmd.Wait()
	if !errors.As(err, &exit) || exit.ExitCode() != hint.StatusFailed || !bytes.Contains(rest, []byte("error: interrupted")) {
		t.Errorf("ended with %v, said %s", err, rest)
	}
	for _, f := range c.functions {
		if got := c.description(t, f); got != "mine" {
			t.Errorf("description of %s is %q", f, got)
		}
	}
}

// --function works for functions that no stack made: what they read is unknown,
// so they count, and all answers must agree.
func TestRunFunction(t *testing.T) {
	c := startCloud(t, map[string]string{})
	cmd := c.fanout(t, "run", "--function", c.functions[0], "--bucket", lab.Bucket, "--concurrency", "8", "--invocations", "2", "--out", "r")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := trial.ReadPath(filepath.Join(cmd.Dir, "r"))
	if err != nil || len(f.Results) != 3 || !f.Header.Plan.Count || f.Results[0].Stats.Objects != 40 {
		t.Errorf("%v, %d results, header %+v", err, len(f.Results), f.Header)
	}
}

// A bucket that has nothing under the stack's prefix is no result.
func TestRunNothing(t *testing.T) {
	c := startCloud(t, map[string]string{"Bucket": lab.Bucket, "Prefix": "nothing/"})
	cmd := c.fanout(t, "run", "--stack", "Fanout", "--concurrency", "8", "--invocations", "2", "--out", "r")
	out, err := cmd.CombinedOutput()
	want := "error: no object read: bucket " + lab.Bucket + ", prefix \"nothing/\"\nhint: name a prefix that has objects"
	if cmd.ProcessState.ExitCode() != hint.StatusFailed || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s\nwant %s", err, out, want)
	}
}

func TestRunDeployedRefusals(t *testing.T) {
	c := startCloud(t, map[string]string{"Bucket": lab.Bucket, "Objects": `{"objects":-1}`})
	arn := c.functions[0]
	for _, tc := range []struct {
		args    []string
		status  int
		message string
	}{
		{[]string{"--stack", "Nope"}, hint.StatusFailed, "error: describe stack Nope: "},
		{[]string{"--stack", "Fanout"}, hint.StatusFailed, "error: stack Fanout: output Objects: objects -1: "},
		{[]string{"--stack", "Fanout", "--function", arn, "--bucket", "b"}, hint.StatusUsage,
			"error: --stack and --function are mutually exclusive"},
		{[]string{"--stack", "Fanout", "--bucket", "b"}, hint.StatusUsage, "error: --bucket requires --function"},
		{[]string{"--stack", "Fanout", "--network", "none"}, hint.StatusUsage, "error: --network is the sandbox's"},
		{[]string{"--stack", "Fanout", "--contender", "x=y"}, hint.StatusUsage, "error: --contender runs in the sandbox"},
		{[]string{"--bucket", "b"}, hint.StatusUsage, "error: --bucket requires --function"},
		{[]string{"--function", arn}, hint.StatusUsage, "error: --function needs --bucket"},
		{[]string{"--function", arn + ":1", "--bucket", "b"}, hint.StatusUsage, "must be a function's ARN, without a version"},
		{[]string{"--function", arn + "x", "--bucket", "b"}, hint.StatusFailed, "error: look at function " + arn + "x: "},
		{[]string{"--function", arn, "--bucket", "b", "--memory", "128"}, hint.StatusFailed, "error: none of the 1 functions has"},
	} {
		cmd := c.fanout(t, append([]string{"run"}, tc.args...)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != tc.status || !strings.Contains(string(out), tc.message) ||
			!strings.Contains(string(out), "\nhint: ") {
			t.Errorf("%v: %v, want %d and %q; said:\n%s", tc.args, err, tc.status, tc.message, out)
		}
		if _, err := os.Stat(filepath.Join(cmd.Dir, "results")); err == nil {
			t.Errorf("%v: results were begun", tc.args)
		}
	}
}

// Killed outright at any moment, a run leaves descriptions that the next run
// puts right.
func TestRunStackKilled(t *testing.T) {
	c := startCloud(t, map[string]string{outputs.Bucket: lab.Bucket, outputs.Prefix: corpus.DefaultPrefix, outputs.Objects: objectsOutput(t)})
	before := map[string]string{c.functions[0]: "", c.functions[1]: "mine, and [of some] length: " + strings.Repeat("x", 200)}
	for f, description := range before {
		c.describe(t, f, description)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	changed := 0
	for i := 0; i < 20 || changed == 0 && i < 100; i++ { // a busy machine may need longer to begin: the later, the later
		cmd := c.fanout(t, "run", "--stack", "Fanout", "--concurrency", "8", "--invocations", "0", "--cold", "500", "--out", "r")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(rng.IntN(1500*(1+i/20)))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil {
			t.Error("it came to its end before it was killed")
		}
		timer.Stop()
		for f, description := range before {
			if got := c.description(t, f); got != description {
				changed++
				if !strings.HasPrefix(got, description) {
					t.Fatalf("description %q became %q: what it was is lost", description, got)
				}
			}
		}
	}
	if changed == 0 {
		t.Error("no kill met a changed description")
	}
	cmd := c.fanout(t, "run", "--stack", "Fanout", "--concurrency", "8", "--invocations", "1", "--cold", "1", "--out", "r")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for f, description := range before {
		if got := c.description(t, f); got != description {
			t.Errorf("description %q became %q", description, got)
		}
	}

	// What an older version left cannot be put right, and that is said.
	const lost = "cold start forced by fanout at 2026-11-25T18:39:31.123456789Z"
	c.describe(t, c.functions[0], lost)
	cmd = c.fanout(t, "run", "--stack", "Fanout", "--concurrency", "8", "--invocations", "1", "--cold", "0", "--out", "r")
	out, err := cmd.CombinedOutput()
	want := "warning: the description of " + c.functions[0] + ", \"" + lost +
		"\", was left by an earlier run: what it was before is not known: set it by hand\n"
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s", err, out)
	}
}

// fanout run against a Lambda that misbehaves: no line is lost, and what could
// not be done is said, with what to do.
func TestRunFunctionsInTrouble(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:"
	for _, tc := range []struct {
		name   string
		script func(*lambdatest.Service)
		status int
		said   string
		want   map[string]int // lines by function, start and error type
	}{
		{"all well", func(*lambdatest.Service) {}, 0, "", map[string]int{"a warm ": 6, "a cold ": 1, "b warm ": 6, "b cold ": 1}},
		{"trouble that passes", func(s *lambdatest.Service) {
			s.Script(lambdatest.Invoke, "", lambdatest.Fault(500, "ServiceException"), nil, lambdatest.Drop, nil, lambdatest.HTML(502), nil,
				lambdatest.Fault(429, "TooManyRequestsException"), nil, nil, lambdatest.BreakOff)
			s.Script(lambdatest.Update, "", lambdatest.Fault(503, "ServiceUnavailableException"), nil, lambdatest.Drop)
			s.Script(lambdatest.Get, "", lambdatest.Fault(500, "ServiceException"), nil, lambdatest.Drop)
		}, 0, "", map[string]int{"a warm ": 6, "a cold ": 1, "b warm ": 6, "b cold ": 1}},
		{"a function that fails for good", func(s *lambdatest.Service) {
			s.Always(lambdatest.Invoke, "a", lambdatest.Fault(403, "AccessDeniedException"))
		}, 0, "warning: arn:aws:lambda:us-east-1:123456789012:function:a was left out after 3 invocations in a row",
			map[string]int{"a AccessDeniedException": 2 /* and the probe, which is no line */, "b warm ": 6, "b cold ": 1}},
		{"updates that are denied", func(s *lambdatest.Service) {
			s.Always(lambdatest.Update, "", lambdatest.Fault(403, "AccessDeniedException"))
		}, 0, "(--cold 0 does without): force a cold start of ", map[string]int{"a warm ": 6, "b warm ": 6}},
		{"credentials that have expired", func(s *lambdatest.Service) {
			s.Script(lambdatest.Invoke, "", slices.Repeat([]lambdatest.Step{nil}, 5)...)
			s.Always(lambdatest.Invoke, "", lambdatest.Fault(403, "ExpiredTokenException"))
		}, 1, "hint: your credentials have expired: ", nil},
	} {
		s := lambdatest.Start(t)
		for _, name := range []string{"a", "b"} {
			s.Add(name, lambdatest.Function{MemoryMB: 512, Arch: lambda.ARM, Description: "mine"})
		}
		tc.script(s)
		for name, value := range map[string]string{
			"AWS_ENDPOINT_URL_LAMBDA": s.URL, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_REGION": "us-east-1",
			"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		} {
			t.Setenv(name, value)
		}
		dir := filepath.Join(t.TempDir(), "r")
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"run", "--function", arn + "a", "--function", arn + "b", "--bucket", "b",
			"--concurrency", "8", "--out", dir}, &stdout, &stderr)
		said := strings.Join(strings.Fields(stdout.String()+stderr.String()), " ") // the report is wrapped
		if status != tc.status || !strings.Contains(said, tc.said) {
			t.Errorf("%s: status %d, want %d and %q; said:\n%s%s", tc.name, status, tc.status, tc.said, &stdout, &stderr)
		}
		f, err := trial.ReadPath(dir)
		if err != nil || f.End.Reason == "" || len(f.Skipped) > 0 {
			t.Fatalf("%s: end %+v, skipped %v, %v", tc.name, f.End, f.Skipped, err)
		}
		got := map[string]int{}
		for _, r := range f.Results {
			kind := r.Start + " "
			if !r.OK {
				kind = r.ErrorType
			}
			got[strings.TrimPrefix(r.Function, arn)+" "+kind]++
		}
		if tc.want != nil && !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		if _, err := os.Stat(filepath.Join(dir, pageName)); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		for _, name := range []string{"a", "b"} {
			if d := s.Description(name); d != "mine" {
				t.Errorf("%s: description of %s is %q", tc.name, name, d)
			}
		}
	}
}

// Which bandwidth a function was deployed with is in its result file, and its
// verdicts; a flag that says something else is refused before anything is begun.
func TestRunFunctionsBandwidth(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:"
	s := lambdatest.Start(t)
	s.Add("quota", lambdatest.Function{MemoryMB: 6144, Arch: lambda.ARM, Env: map[string]string{"BANDWIDTH": lambda.QuotaBandwidth}})
	s.Add("silent", lambdatest.Function{MemoryMB: 3008, Arch: lambda.ARM})
	s.Add("inside", lambdatest.Function{MemoryMB: 3008, Arch: lambda.ARM, VPC: "vpc-1"})
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_LAMBDA": s.URL, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	for _, tc := range []struct {
		name  string
		args  string
		want  string // the header's bandwidth
		error string
	}{
		{"it says so", "--function quota", lambda.QuotaBandwidth, ""},
		{"the flag repeats it", "--function quota --bandwidth quota", lambda.QuotaBandwidth, ""},
		{"the flag contradicts it", "--function quota --bandwidth flat", "",
			"error: bandwidth flat: function " + arn + "quota is deployed with BANDWIDTH=quota\nhint: leave out --bandwidth"},
		{"it says nothing", "--function silent", "", ""},
		{"the flag says it", "--function silent --bandwidth quota", lambda.QuotaBandwidth, ""},
		{"two that may differ", "--function silent --function quota", "", "error: bandwidth: function " + arn + "quota is"},
		{"of which one is measured", "--function silent --function quota --memory 6144", lambda.QuotaBandwidth, ""},
		{"in a VPC", "--function inside --bandwidth quota", "", "error: bandwidth quota: function " + arn + "inside is in a VPC"},
	} {
		dir := filepath.Join(t.TempDir(), "r")
		functions := strings.ReplaceAll(tc.args, "--function ", "--function "+arn)
		args := strings.Fields("run --bucket b --concurrency 8 --invocations 1 --cold 0 " + functions)
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), append(args, "--out", dir), &stdout, &stderr)
		f, err := trial.ReadPath(dir)
		switch {
		case tc.error != "" && (status != hint.StatusUsage || !strings.Contains(stderr.String(), tc.error) || err == nil):
			t.Errorf("%s: status %d, results %v, said:\n%s", tc.name, status, err, &stderr)
		case tc.error == "" && (status != 0 || err != nil || f.Header.Bandwidth != tc.want ||
			f.Header.BandwidthOf(6144) != lambda.Bandwidth(6144, tc.want != "")):
			t.Errorf("%s: status %d, %v, header %+v, said:\n%s", tc.name, status, err, f.Header, &stderr)
		}
	}
}

// A function of somebody's own needs no bucket, and is measured with the event
// alone. An alias or a version is measured as it is: nothing of it is changed.
func TestRunOwnDeployed(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:"
	s := lambdatest.Start(t)
	for _, name := range []string{"orders", "live", "7"} {
		s.Add(name, lambdatest.Function{
			MemoryMB: 512, Arch: lambda.ARM, Answer: func(fetch.Event, bool) (string, string) { return `{"ok":true}`, "" },
		})
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_LAMBDA": s.URL, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	event := filepath.Join(dir, "order.json")
	if err := os.WriteFile(event, []byte(`{"order":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	args := []string{"run", "--event", event, "--invocations", "2", "--cold", "1", "--out", filepath.Join(dir, "r")}
	for _, name := range []string{"orders", "orders:live", "orders:7"} {
		args = append(args, "--function", arn+name)
	}
	if status := run(t.Context(), args, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &stdout, &stderr)
	}
	f, err := trial.ReadPath(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, r := range f.Results {
		got[r.Contender+" "+r.Start]++
	}
	want := map[string]int{"orders warm": 2, "orders cold": 1, "orders:live warm": 2, "orders:7 warm": 2}
	if !maps.Equal(got, want) || s.Calls(lambdatest.Update, "live")+s.Calls(lambdatest.Update, "7") != 0 {
		t.Errorf("%v, want %v", got, want)
	}
	said := strings.Join(strings.Fields(stdout.String()), " ")
	for _, want := range []string{
		"event order.json, a custom endpoint", "no cold starts of " + arn + "orders:live were forced: it is an alias or a published version",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
	for args, want := range map[string]string{
		"--function " + arn + "orders:live --bucket b":                            "must be a function's ARN, without a version",
		"--function " + arn + "orders:a:b --event " + event:                       "or that of an alias or a published version",
		"--function " + arn + "orders:live --event " + event + " --bucket b":      "--bucket is of this repository's workload",
		"--function " + arn + "orders:live --event " + event + " --env NAME=B":    "--env is the sandbox's",
		"--function " + arn + "orders:live --event " + event + " --contender a=b": "--contender runs in the sandbox",
	} {
		stderr.Reset()
		if status := run(t.Context(), append([]string{"run"}, strings.Fields(args)...), &stdout, &stderr); status != 2 ||
			!strings.Contains(stderr.String(), want) {
			t.Errorf("%s: status %d, %s", args, status, &stderr)
		}
	}
}
