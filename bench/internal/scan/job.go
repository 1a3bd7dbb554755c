package scan

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"fanout/bench/internal/hint"
	fn "fanout/functions/scan"
)

// StepFunctions is what of the Step Functions API a job needs.
type StepFunctions interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	StopExecution(context.Context, *sfn.StopExecutionInput, ...func(*sfn.Options)) (*sfn.StopExecutionOutput, error)
	RedriveExecution(context.Context, *sfn.RedriveExecutionInput, ...func(*sfn.Options)) (*sfn.RedriveExecutionOutput, error)
	ListMapRuns(context.Context, *sfn.ListMapRunsInput, ...func(*sfn.Options)) (*sfn.ListMapRunsOutput, error)
	DescribeMapRun(context.Context, *sfn.DescribeMapRunInput, ...func(*sfn.Options)) (*sfn.DescribeMapRunOutput, error)
}

// MaxName is how long the name of a job may be: as that of an execution.
const MaxName = 80

var jobName = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)

// CheckName says what is wrong with the name of a job. It becomes the name of
// an execution and a part of keys.
func CheckName(name string) error {
	if len(name) < 1 || len(name) > MaxName || !jobName.MatchString(name) {
		return fmt.Errorf("job %q: must be 1 to %d of the letters a to z, digits, - and _", name, MaxName)
	}
	return nil
}

// NewName makes a name that tells when the job was started, and that no other
// job has: "scan-20261125-214500-3f9a".
func NewName(now time.Time) string {
	var unique [2]byte
	_, _ = rand.Read(unique[:]) // never fails
	return now.UTC().Format("scan-20060102-150405-") + hex.EncodeToString(unique[:])
}

// ARN is an execution's, in its parts.
type ARN struct{ Partition, Region, Account, Machine, Name string }

var (
	executionARN = regexp.MustCompile(`^arn:(aws[a-z-]*):states:([a-z0-9-]+):([0-9]{12}):execution:([^:]{1,80}):([^:]{1,80})$`)
	machineARN   = regexp.MustCompile(`^arn:(aws[a-z-]*):states:([a-z0-9-]+):([0-9]{12}):stateMachine:([^:]{1,80})$`)
)

// ParseARN reads an execution's ARN.
func ParseARN(text string) (ARN, error) {
	m := executionARN.FindStringSubmatch(text)
	if m == nil {
		return ARN{}, fmt.Errorf("%q is not the ARN of an execution: arn:aws:states:REGION:ACCOUNT:execution:STATE-MACHINE:JOB", text)
	}
	return ARN{m[1], m[2], m[3], m[4], m[5]}, nil
}

// StateMachine gives the ARN of the execution's state machine.
func (a ARN) StateMachine() string {
	return fmt.Sprintf("arn:%s:states:%s:%s:stateMachine:%s", a.Partition, a.Region, a.Account, a.Machine)
}

func (a ARN) String() string {
	return fmt.Sprintf("arn:%s:states:%s:%s:execution:%s:%s", a.Partition, a.Region, a.Account, a.Machine, a.Name)
}

// Execution gives the ARN of a job by the state machine's ARN and the job's
// name or ARN. The error, which has a hint, says that it is none, or another
// state machine's.
func Execution(machine, job string) (string, error) {
	if strings.HasPrefix(job, "arn:") {
		a, err := ParseARN(job)
		switch {
		case err != nil:
			return "", hint.Usage("give the job's name, or the ARN of its execution", "%w", err)
		case machine != "" && a.StateMachine() != machine:
			return "", hint.Usage("give the stack that the job belongs to, or the ARN without --stack",
				"job %s is one of state machine %s, not of %s", a.Name, a.StateMachine(), machine)
		}
		return job, nil
	}
	if err := CheckName(job); err != nil {
		return "", hint.Usage("give the job's name, or the ARN of its execution", "%w", err)
	}
	m := machineARN.FindStringSubmatch(machine)
	if m == nil {
		return "", hint.Usage("give --stack NAME, or the ARN of the job's execution", "job %s: nobody said of which state machine", job)
	}
	return ARN{m[1], m[2], m[3], m[4], job}.String(), nil
}

// Job is an execution of the state machine.
type Job struct {
	Client StepFunctions
	ARN    string // of the execution

	// Command words another fanout scan command for the job, for hints; nil: it is
	// named by its ARN.
	Command func(name string) string

	mapRun string // ARN; empty: not known yet
	total  int64  // of items, at the last look: it grows while the service lists

	redrives int // that there were at least, by what this process knows
}

// Name is the job's.
func (j *Job) Name() string { return j.ARN[strings.LastIndexByte(j.ARN, ':')+1:] }

// Start starts a job under a name. The error has a hint.
func Start(ctx context.Context, client StepFunctions, machine, name string, in fn.Input) (*Job, error) {
	input, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	text := string(input)
	out, err := client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &text})
	if err != nil {
		var exists *types.ExecutionAlreadyExists
		if errors.As(err, &exists) {
			return nil, hint.Usage("give another --job, or none", "job %s: there is one of that name already", name)
		}
		return nil, hint.Failed(hint.AWS(err, "see that the stack was deployed with -c scan=true"), "start job %s: %w", name, err)
	}
	return &Job{Client: client, ARN: aws.ToString(out.ExecutionArn)}, nil
}

// Status is what an execution says of itself.
type Status struct {
	Status  types.ExecutionStatus
	Input   fn.Input
	Started time.Time
	Stopped time.Time // zero: it runs
	Error   string    // of one that failed: the error's name
	Cause   string
	Output  string // of one that succeeded

	Redrives   int
	Redrivable bool
	Reason     string // why it is not redrivable
	Machine    string // ARN
}

// Running says whether the job goes on.
func (s Status) Running() bool {
	return s.Status == types.ExecutionStatusRunning || s.Status == types.ExecutionStatusPendingRedrive
}

// Describe asks for the execution's status. The error has a hint.
func (j *Job) Describe(ctx context.Context) (Status, error) {
	out, err := j.Client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &j.ARN})
	if err != nil {
		return Status{}, j.failed("describe", err)
	}
	s := Status{
		Status: out.Status, Started: aws.ToTime(out.StartDate), Stopped: aws.ToTime(out.StopDate),
		Error: aws.ToString(out.Error), Cause: aws.ToString(out.Cause), Output: aws.ToString(out.Output),
		Redrives: int(aws.ToInt32(out.RedriveCount)), Redrivable: out.RedriveStatus == types.ExecutionRedriveStatusRedrivable,
		Reason: aws.ToString(out.RedriveStatusReason), Machine: aws.ToString(out.StateMachineArn),
	}
	if err := json.Unmarshal([]byte(aws.ToString(out.Input)), &s.Input); err != nil || s.Input.Results.Bucket == "" {
		return Status{}, hint.Usage("give a job that fanout scan started", "job %s: its input is not that of a scan", j.Name())
	}
	return s, nil
}

// failed is the error of a call about the job.
func (j *Job) failed(what string, err error) error {
	var unknown *types.ExecutionDoesNotExist
	if errors.As(err, &unknown) {
		return hint.Usage("aws stepfunctions list-executions lists a state machine's jobs; see --stack, AWS_PROFILE and AWS_REGION, too",
			"there is no job %s (%s)", j.Name(), j.ARN)
	}
	return hint.Failed(hint.AWS(err, "try again: the job goes on without this command"), "%s job %s: %w", what, j.Name(), err)
}

// Stop ends the execution. The error has a hint.
func (j *Job) Stop(ctx context.Context, why string) error {
	const name = "Scan.Stopped"
	if _, err := j.Client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &j.ARN, Error: aws.String(name), Cause: &why}); err != nil {
		return j.failed("stop", err)
	}
	return nil
}

// Redrive starts the execution again where it failed. The error has a hint: it
// says why a job is not redrivable, and what to do.
func (j *Job) Redrive(ctx context.Context) error {
	s, err := j.Describe(ctx)
	if err != nil {
		return err
	}
	if err := j.redrivable(s); err != nil {
		return err
	}
	_, err = j.Client.RedriveExecution(ctx, &sfn.RedriveExecutionInput{ExecutionArn: &j.ARN, ClientToken: aws.String(rand.Text())})
	var not *types.ExecutionNotRedrivable
	if errors.As(err, &not) {
		return hint.Failed(j.again(), "job %s cannot be redriven: %s", j.Name(), not.ErrorMessage())
	}
	if err != nil {
		return j.failed("redrive", err)
	}
	j.redrives = s.Redrives + 1
	return nil
}

// again is what to do where redriving is no more possible.
func (j *Job) again() string {
	return "start a new job with fanout scan; what this one has read stays: " + j.command("result")
}

func (j *Job) command(name string) string {
	if j.Command != nil {
		return j.Command(name)
	}
	return "fanout scan " + name + " " + j.ARN
}

func (j *Job) redrivable(s Status) error {
	switch {
	case s.Status == types.ExecutionStatusSucceeded:
		return hint.Usage(j.command("result")+" shows what it found", "job %s read everything: there is nothing to redrive", j.Name())
	case s.Running():
		return hint.Usage(j.command("status --follow")+" shows it until it ends",
			"job %s is running: only a job that ended can be redriven", j.Name())
	case !s.Redrivable && s.Reason != "":
		return hint.Failed(j.again(), "job %s cannot be redriven: %s", j.Name(), s.Reason)
	}
	return nil
}

// Look asks for the Map Run's counts, of a job whose status is known.
func (j *Job) Look(ctx context.Context, status Status) (Sample, error) {
	s := Sample{At: time.Now().UTC(), Phase: Listing}
	if j.mapRun == "" {
		out, err := j.Client.ListMapRuns(ctx, &sfn.ListMapRunsInput{ExecutionArn: &j.ARN})
		if err != nil {
			return s, j.failed("list the Map Runs of", err)
		}
		if len(out.MapRuns) == 0 { // the execution has just begun, or never got so far
			if !status.Running() {
				s.Phase = Ended
			}
			return s, nil
		}
		j.mapRun = aws.ToString(out.MapRuns[0].MapRunArn) // the state machine starts one
	}
	out, err := j.Client.DescribeMapRun(ctx, &sfn.DescribeMapRunInput{MapRunArn: &j.mapRun})
	if err != nil {
		return s, j.failed("describe the Map Run of", err)
	}
	if i := out.ItemCounts; i != nil {
		s.Items = Counts{i.Total, i.Pending, i.Running, i.Succeeded, i.Failed, i.TimedOut, i.Aborted, i.ResultsWritten}
	}
	if e := out.ExecutionCounts; e != nil {
		s.Batches = Counts{e.Total, e.Pending, e.Running, e.Succeeded, e.Failed, e.TimedOut, e.Aborted, e.ResultsWritten}
	}
	switch {
	case !status.Running():
		s.Phase = Ended
	case out.Status == types.MapRunStatusSucceeded:
		s.Phase = Merging
	case s.Items.Total != j.total:
		j.total = s.Items.Total
	case s.Items.Total > 0:
		s.Phase = Reading
	}
	return s, nil
}
