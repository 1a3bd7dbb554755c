package scan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http"

	"fanout/bench/internal/hint"
)

// Follower follows a job to its end.
type Follower struct {
	Job     *Job
	Sampler *Sampler
	Price   func(Sample) float64 // dollars so far; nil: nobody knows the prices
	Every   func(elapsed time.Duration) time.Duration
	Dollars float64       // the job is stopped once it has cost so much; 0: no bound
	Within  time.Duration // the same for the time since the follower began; 0: no bound

	Sample func(Sample) error // gets each sample
	Warn   func(error)        // hears of a call that failed and is tried again
}

// BudgetError says that the job was stopped since it passed a bound.
type BudgetError struct{ Why string }

func (e *BudgetError) Error() string { return "stopped: " + e.Why }

// patience is how long calls may fail, one after the other, before a follower
// gives up: long enough for a network that comes back, or a laptop that wakes.
const patience = 15 * time.Minute

// settles is how long AWS may not know yet that an execution was started or redriven:
// what it tells is eventually consistent
// (docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html).
const settles = 30 * time.Second

// PollAWS is how often to ask AWS: DescribeMapRun may be called once a second
// in the long run (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html),
// by everybody in the account and region together.
func PollAWS(elapsed time.Duration) time.Duration {
	switch {
	case elapsed < time.Minute:
		return 2 * time.Second
	case elapsed < 10*time.Minute:
		return 5 * time.Second
	}
	return 15 * time.Second
}

// PollHere is how often to ask this machine.
func PollHere(time.Duration) time.Duration { return 500 * time.Millisecond }

// Run follows the job until it ends, ctx ends, or a bound is passed, which is
// a [BudgetError]: the job is then stopped. The status is the last one known.
func (f *Follower) Run(ctx context.Context) (Status, error) {
	began, answered := time.Now(), time.Now()
	var last Status
	for {
		status, sample, err := f.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return last, ctx.Err()
		case time.Since(began) < settles && f.late(last, status, err): // then it is asked again
		case err != nil && (!passing(err) || time.Since(answered) > patience):
			return last, err
		case err != nil:
			f.Warn(err)
		default:
			answered, last = time.Now(), status
			if err := f.Sample(sample); err != nil {
				return last, err
			}
			if !status.Running() {
				return status, nil
			}
			if why := f.passed(sample, time.Since(began)); why != "" {
				err := f.Job.Stop(ctx, "fanout scan --budget: "+why)
				switch {
				case err == nil:
					return status, &BudgetError{why}
				case ctx.Err() != nil:
					return status, ctx.Err()
				case !passing(err):
					return status, err
				}
				f.Warn(err) // the job spends on, so it is stopped after the next look
			}
		}
		wait := time.NewTimer(f.Every(time.Since(began)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return last, ctx.Err()
		case <-wait.C:
		}
	}
}

// late says that the service does not know yet what was just done to the job.
func (f *Follower) late(last, status Status, err error) bool {
	if err != nil {
		return last.Status == "" && isUsage(err)
	}
	return !status.Running() && status.Redrives < f.Job.redrives
}

// poll asks once.
func (f *Follower) poll(ctx context.Context) (Status, Sample, error) {
	status, err := f.Job.Describe(ctx)
	if err != nil {
		return status, Sample{}, err
	}
	sample, err := f.Job.Look(ctx, status)
	if err != nil {
		return status, sample, err
	}
	if f.Sampler != nil {
		f.Sampler.Estimate(ctx, &sample)
	}
	if f.Price != nil {
		sample.USD = f.Price(sample)
	}
	return status, sample, nil
}

// passed says which bound is passed; empty: none.
func (f *Follower) passed(s Sample, elapsed time.Duration) string {
	switch {
	case f.Dollars > 0 && s.USD >= f.Dollars:
		return fmt.Sprintf("$%.2f so far, of $%g", s.USD, f.Dollars)
	case f.Within > 0 && elapsed >= f.Within:
		return fmt.Sprintf("%v have passed", f.Within)
	}
	return ""
}

// passing says whether a call that failed is worth another try: a network that
// is down, a service that is, throttling. What AWS refuses it refuses again.
func passing(err error) bool {
	if isUsage(err) {
		return false
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return true
	}
	var answer *http.ResponseError
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return throttled || errors.As(err, &answer) && answer.HTTPStatusCode() >= 500
}

// isUsage says whether a call failed since there is no such job, or it is none of
// a scan.
func isUsage(err error) bool {
	var usage *hint.Error
	return errors.As(err, &usage) && usage.Status == hint.StatusUsage
}
