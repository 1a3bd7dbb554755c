package scan

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/bench/internal/hint"
)

func TestCheckName(t *testing.T) {
	for _, tc := range []struct {
		name string
		ok   bool
	}{
		{"a", true}, {"scan-2026_1", true}, {strings.Repeat("x", 80), true},
		{"", false}, {strings.Repeat("x", 81), false}, {"a b", false}, {"a/b", false}, {"é", false},
		{"a.b", false}, {"a\n", false}, {"a:b", false},
	} {
		if err := CheckName(tc.name); (err == nil) != tc.ok {
			t.Errorf("%q: %v", tc.name, err)
		}
	}
	now := time.Date(2026, 11, 25, 21, 45, 0, 0, time.UTC)
	a, b := NewName(now), NewName(now)
	if !regexp.MustCompile(`^scan-20261125-214500-[0-9a-f]{4}$`).MatchString(a) || CheckName(a) != nil {
		t.Errorf("a new name is %q", a)
	}
	for range 100 { // two of 65,536 may be the same
		if b != a {
			break
		}
		b = NewName(now)
	}
	if a == b {
		t.Errorf("every name is %q", a)
	}
}

const machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:Scan-1"

func TestExecution(t *testing.T) {
	const job = "arn:aws:states:eu-west-1:123456789012:execution:Scan-1:j"
	for _, tc := range []struct{ name, machine, job, want, refused string }{
		{"a name", machine, "j", job, ""},
		{"an ARN", machine, job, job, ""},
		{"an ARN without a stack", "", job, job, ""},
		{"China", strings.Replace(machine, "aws", "aws-cn", 1), "j", strings.Replace(job, "aws", "aws-cn", 1), ""},
		{"a name without a stack", "", "j", "", "nobody said of which state machine"},
		{"another stack's", strings.Replace(machine, "Scan-1", "Scan-2", 1), job, "", "is one of state machine " + machine},
		{"another account's", strings.Replace(machine, "123", "999", 1), job, "", "is one of state machine"},
		{"a Map Run's ARN", machine, "arn:aws:states:eu-west-1:123456789012:mapRun:Scan-1/L:id", "", "is not the ARN of an execution"},
		{"a state machine's", machine, machine, "", "is not the ARN of an execution"},
		{"a function's", machine, "arn:aws:lambda:eu-west-1:123456789012:function:f", "", "is not the ARN"},
		{"an impossible name", machine, "a b", "", "must be 1 to 80"},
	} {
		got, err := Execution(tc.machine, tc.job)
		if got != tc.want || (err == nil) != (tc.refused == "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
			t.Errorf("%s: %q, %v", tc.name, got, err)
		}
		if _, status := hint.Of(err, ""); err != nil && status != hint.StatusUsage {
			t.Errorf("%s: status %d", tc.name, status)
		}
	}
}

// fake is a Step Functions whose answers a test sets.
type fake struct {
	StepFunctions
	describe func() (*sfn.DescribeExecutionOutput, error)
	mapRun   func() (*sfn.DescribeMapRunOutput, error)
	redrive  error
	redriven int
	stopped  string

	stopFails int // so many calls to stop break off
}

func (f *fake) DescribeExecution(
	context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options),
) (*sfn.DescribeExecutionOutput, error) {
	return f.describe()
}

func (f *fake) ListMapRuns(context.Context, *sfn.ListMapRunsInput, ...func(*sfn.Options)) (*sfn.ListMapRunsOutput, error) {
	if f.mapRun == nil {
		return &sfn.ListMapRunsOutput{}, nil
	}
	return &sfn.ListMapRunsOutput{MapRuns: []types.MapRunListItem{{MapRunArn: aws.String("run")}}}, nil
}

func (f *fake) DescribeMapRun(context.Context, *sfn.DescribeMapRunInput, ...func(*sfn.Options)) (*sfn.DescribeMapRunOutput, error) {
	return f.mapRun()
}

func (f *fake) RedriveExecution(context.Context, *sfn.RedriveExecutionInput, ...func(*sfn.Options)) (*sfn.RedriveExecutionOutput, error) {
	f.redriven++
	return &sfn.RedriveExecutionOutput{}, f.redrive
}

func (f *fake) StopExecution(_ context.Context, in *sfn.StopExecutionInput, _ ...func(*sfn.Options)) (*sfn.StopExecutionOutput, error) {
	if f.stopFails--; f.stopFails >= 0 {
		return nil, errors.New("connection reset")
	}
	f.stopped = *in.Cause
	return &sfn.StopExecutionOutput{}, nil
}

func execution(status types.ExecutionStatus) *sfn.DescribeExecutionOutput {
	return &sfn.DescribeExecutionOutput{
		Status: status, Input: aws.String(`{"results":{"bucket":"b"}}`), RedriveStatus: types.ExecutionRedriveStatusRedrivable,
	}
}

const arn = "arn:aws:states:eu-west-1:123456789012:execution:Scan-1:j"

// A job that cannot be redriven says why, and what to do instead.
func TestRedrive(t *testing.T) {
	not := func(status types.ExecutionStatus, reason string) *sfn.DescribeExecutionOutput {
		out := execution(status)
		out.RedriveStatus, out.RedriveStatusReason = types.ExecutionRedriveStatusNotRedrivable, &reason
		return out
	}
	for _, tc := range []struct {
		name     string
		out      *sfn.DescribeExecutionOutput
		redrive  error
		want     string // "": it is redriven
		hint     string
		status   int
		redriven int
	}{
		{"failed", execution(types.ExecutionStatusFailed), nil, "", "", 0, 1},
		{"stopped", execution(types.ExecutionStatusAborted), nil, "", "", 0, 1},
		{"complete", not(types.ExecutionStatusSucceeded, "Execution is SUCCEEDED and cannot be redriven"), nil,
			"job j read everything: there is nothing to redrive", "fanout scan result", hint.StatusUsage, 0},
		{"running", not(types.ExecutionStatusRunning, "Execution is RUNNING and cannot be redriven"), nil,
			"job j is running", "fanout scan status", hint.StatusUsage, 0},
		{"too old", not(types.ExecutionStatusFailed, "Execution's redrivable period exceeded"), nil,
			"job j cannot be redriven: Execution's redrivable period exceeded", "start a new job", hint.StatusFailed, 0},
		{"refused in between", execution(types.ExecutionStatusFailed), &types.ExecutionNotRedrivable{Message: aws.String("1000 redrives")},
			"job j cannot be redriven: 1000 redrives", "start a new job", hint.StatusFailed, 1},
		{"another tool's", &sfn.DescribeExecutionOutput{Status: types.ExecutionStatusFailed, Input: aws.String(`{}`)}, nil,
			"its input is not that of a scan", "that fanout scan started", hint.StatusUsage, 0},
	} {
		f := &fake{describe: func() (*sfn.DescribeExecutionOutput, error) { return tc.out, nil }, redrive: tc.redrive}
		err := (&Job{Client: f, ARN: arn}).Redrive(t.Context())
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) || f.redriven != tc.redriven {
			t.Errorf("%s: %v, redriven %d times", tc.name, err, f.redriven)
		}
		if next, status := hint.Of(err, ""); err != nil && (!strings.Contains(next, tc.hint) || status != tc.status) {
			t.Errorf("%s: hint %q, status %d", tc.name, next, status)
		}
	}
}

func TestUnknownJob(t *testing.T) {
	f := &fake{describe: func() (*sfn.DescribeExecutionOutput, error) { return nil, &types.ExecutionDoesNotExist{} }}
	_, err := (&Job{Client: f, ARN: arn}).Describe(t.Context())
	if next, status := hint.Of(err, ""); status != hint.StatusUsage || !strings.Contains(err.Error(), "there is no job j") ||
		!strings.Contains(next, "list-executions") {
		t.Errorf("%v; %s; %d", err, next, status)
	}
}

// A connection that breaks ends nothing; what AWS refuses does.
func TestPassing(t *testing.T) {
	with := func(status int, code string) error {
		return &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: &smithy.GenericAPIError{Code: code},
		}
	}
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"nobody answers", errors.New("dial tcp: connection refused"), true},
		{"the service is down", with(503, "ServiceUnavailable"), true},
		{"an internal error", with(500, "InternalFailure"), true},
		{"throttled", with(400, "ThrottlingException"), true},
		{"a login that has expired", with(400, "ExpiredTokenException"), false},
		{"no right", with(400, "AccessDeniedException"), false},
		{"no such job", hint.Usage("x", "there is no job"), false},
		{"wrapped", hint.Failed("x", "describe: %w", with(400, "ExpiredTokenException")), false},
		{"wrapped, passing", hint.Failed("x", "describe: %w", with(502, "")), true},
	} {
		if got := passing(tc.err); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// A follower goes on through a broken connection to the job's end, and tells
// each sample once.
func TestFollow(t *testing.T) {
	polls := 0
	f := &fake{
		describe: func() (*sfn.DescribeExecutionOutput, error) {
			polls++
			switch polls {
			case 2, 3:
				return nil, errors.New("connection reset")
			case 6:
				return execution(types.ExecutionStatusSucceeded), nil
			}
			return execution(types.ExecutionStatusRunning), nil
		},
		mapRun: func() (*sfn.DescribeMapRunOutput, error) {
			counts := &types.MapRunItemCounts{Total: int64(min(polls, 4)), Succeeded: 1}
			out := &sfn.DescribeMapRunOutput{Status: types.MapRunStatusRunning, ItemCounts: counts}
			if polls == 5 {
				out.Status = types.MapRunStatusSucceeded
			}
			return out, nil
		},
	}
	var phases []string
	warned := 0
	follower := Follower{
		Job: &Job{Client: f, ARN: arn}, Every: func(time.Duration) time.Duration { return 0 },
		Sample: func(s Sample) error { phases = append(phases, s.Phase); return nil },
		Warn:   func(error) { warned++ },
	}
	status, err := follower.Run(t.Context())
	if err != nil || status.Status != types.ExecutionStatusSucceeded || warned != 2 {
		t.Errorf("%+v, %v, warned %d times", status, err, warned)
	}
	if got := strings.Join(phases, " "); got != "listing listing merging ended" {
		t.Errorf("phases %s", got)
	}
}

// AWS may not know yet what was just done to a job: that it was started, or that it
// was redriven. That is not its end.
func TestFollowLate(t *testing.T) {
	redriven := func(status types.ExecutionStatus, redrives int32) *sfn.DescribeExecutionOutput {
		out := execution(status)
		out.RedriveCount = &redrives
		return out
	}
	f := &fake{describe: func() (*sfn.DescribeExecutionOutput, error) { return redriven(types.ExecutionStatusFailed, 2), nil }}
	again := &Job{Client: f, ARN: arn}
	if err := again.Redrive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		job     *Job
		answers []*sfn.DescribeExecutionOutput // nil: there is no such execution
	}{
		{"started", &Job{Client: f, ARN: arn}, []*sfn.DescribeExecutionOutput{nil, nil, execution(types.ExecutionStatusSucceeded)}},
		{"redriven", again, []*sfn.DescribeExecutionOutput{
			redriven(types.ExecutionStatusFailed, 2), redriven(types.ExecutionStatusRunning, 3), redriven(types.ExecutionStatusSucceeded, 3),
		}},
	} {
		answers := tc.answers
		f.describe = func() (*sfn.DescribeExecutionOutput, error) {
			out := answers[0]
			if answers = answers[1:]; out == nil {
				return nil, &types.ExecutionDoesNotExist{}
			}
			return out, nil
		}
		follower := Follower{
			Job: tc.job, Every: func(time.Duration) time.Duration { return 0 },
			Sample: func(Sample) error { return nil }, Warn: func(err error) { t.Error(err) },
		}
		status, err := follower.Run(t.Context())
		if err != nil || status.Status != types.ExecutionStatusSucceeded || len(answers) > 0 {
			t.Errorf("%s: %s, %v, %d answers left", tc.name, status.Status, err, len(answers))
		}
	}
}

// The job is stopped once it has cost what it may, also where the connection breaks
// just then.
func TestFollowBudget(t *testing.T) {
	for fails, want := range map[int]string{0: "$0.60 so far, of $0.5", 2: "$1.00 so far, of $0.5"} {
		f := &fake{
			describe: func() (*sfn.DescribeExecutionOutput, error) { return execution(types.ExecutionStatusRunning), nil },
			mapRun: func() (*sfn.DescribeMapRunOutput, error) {
				return &sfn.DescribeMapRunOutput{Status: types.MapRunStatusRunning}, nil
			},
			stopFails: fails,
		}
		spent, warned := 0.0, 0
		follower := Follower{
			Job: &Job{Client: f, ARN: arn}, Every: func(time.Duration) time.Duration { return 0 }, Dollars: 0.5,
			Price:  func(Sample) float64 { spent += 0.2; return spent },
			Sample: func(Sample) error { return nil }, Warn: func(error) { warned++ },
		}
		_, err := follower.Run(t.Context())
		var passed *BudgetError
		if !errors.As(err, &passed) || !strings.Contains(err.Error(), want) || !strings.Contains(f.stopped, "budget") || warned != fails {
			t.Errorf("%d calls fail: %v, stopped %q, warned %d times", fails, err, f.stopped, warned)
		}
	}
}

// What is refused ends following at once; so does the caller.
func TestFollowEnds(t *testing.T) {
	refused := hint.Failed("log in", "describe: %w", &smithy.GenericAPIError{Code: "ExpiredTokenException"})
	f := &fake{describe: func() (*sfn.DescribeExecutionOutput, error) { return nil, refused }}
	follower := Follower{Job: &Job{Client: f, ARN: arn}, Every: PollAWS, Warn: func(err error) { t.Error(err) }}
	if _, err := follower.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "describe job j") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.describe = func() (*sfn.DescribeExecutionOutput, error) {
		cancel()
		return execution(types.ExecutionStatusRunning), nil
	}
	if _, err := follower.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
