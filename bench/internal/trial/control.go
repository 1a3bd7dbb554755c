package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"golang.org/x/time/rate"
)

// control changes the functions' configuration to make cold starts, and
// changes it back.
type control struct {
	lambda *awslambda.Client
	pace   *rate.Limiter
	poll   time.Duration // between looks at an update under way

	original map[string]*string // by function: the description before the first change; nil: none
	revision map[string]string  // by function: after our last change
}

// callsPerSecond keeps control-plane calls under Lambda's 15 a second
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), with room
// for others in the account.
const callsPerSecond = 10

func newControl(client *awslambda.Client) *control {
	return &control{
		lambda: client, pace: rate.NewLimiter(callsPerSecond, 1), poll: 250 * time.Millisecond,
		original: map[string]*string{}, revision: map[string]string{},
	}
}

// patient makes a control-plane call be tried again for as long as throttling
// or an update under way can take.
func patient(o *awslambda.Options) {
	o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
		so.MaxAttempts = 10
		so.MaxBackoff = 20 * time.Second
		so.Retryables = append(so.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{"ResourceConflictException": {}}})
	})
}

// onlyThrottled makes an invocation be tried again when Lambda had no room for
// it, and for nothing else: a second try would hide the first.
func onlyThrottled(o *awslambda.Options) {
	o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
		so.MaxAttempts = 8
		so.MaxBackoff = 20 * time.Second
		so.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: map[string]struct{}{
			"TooManyRequestsException": {}, "ResourceConflictException": {}, "EC2ThrottledException": {},
		}}}
	})
}

// forceCold makes the function's next invocation a cold start: any update of
// the configuration does. The description is the one part of it that changes
// nothing else.
func (c *control) forceCold(ctx context.Context, function string) error {
	now, err := c.configuration(ctx, function)
	if err != nil {
		return fmt.Errorf("force a cold start of %s: %w", function, err)
	}
	if _, ok := c.original[function]; !ok {
		c.original[function] = now.Description
	}
	description := "cold start forced by fanout at " + time.Now().UTC().Format(time.RFC3339Nano)
	if err := c.describe(ctx, function, &description, now.RevisionId); err != nil {
		return fmt.Errorf("force a cold start of %s: %w", function, err)
	}
	return nil
}

// describe sets the description of a function that still has this revision,
// and waits until the update is through.
func (c *control) describe(ctx context.Context, function string, description, revision *string) error {
	if err := c.pace.Wait(ctx); err != nil {
		return err
	}
	// subtle: the change is noted before the call, since it may be made though
	// the answer never comes.
	c.revision[function] = ""
	if _, err := c.lambda.UpdateFunctionConfiguration(ctx, &awslambda.UpdateFunctionConfigurationInput{
		FunctionName: &function, Description: description, RevisionId: revision,
	}, patient); err != nil {
		return err
	}
	for {
		now, err := c.configuration(ctx, function)
		if err != nil {
			return err
		}
		switch now.LastUpdateStatus {
		case types.LastUpdateStatusFailed:
			return fmt.Errorf("the update failed: %s", aws.ToString(now.LastUpdateStatusReason))
		case types.LastUpdateStatusInProgress:
		default:
			// An emulator may know no revisions.
			if revision == nil || aws.ToString(now.RevisionId) != *revision {
				c.revision[function] = aws.ToString(now.RevisionId)
				return nil
			}
		}
		if err := wait(ctx, c.poll); err != nil {
			return err
		}
	}
}

func (c *control) configuration(ctx context.Context, function string) (*awslambda.GetFunctionConfigurationOutput, error) {
	if err := c.pace.Wait(ctx); err != nil {
		return nil, err
	}
	return c.lambda.GetFunctionConfiguration(ctx, &awslambda.GetFunctionConfigurationInput{FunctionName: &function}, patient)
}

// restore undoes every change, but leaves a function alone that somebody else
// has changed since.
func (c *control) restore(ctx context.Context) error {
	var errs []error
	for function, description := range c.original {
		now, err := c.configuration(ctx, function)
		if err == nil {
			if r := c.revision[function]; r != "" && r != aws.ToString(now.RevisionId) {
				err = errors.New("somebody else has changed it meanwhile")
			}
		}
		if err == nil {
			original := aws.ToString(description) // an empty one removes it
			err = c.describe(ctx, function, &original, now.RevisionId)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("put back the description of %s: %w", function, err))
			continue
		}
		delete(c.original, function)
	}
	return errors.Join(errs...)
}

// wait returns after d, or with an error when ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
