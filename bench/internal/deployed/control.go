package deployed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"golang.org/x/time/rate"
)

// Configurer is what of the Lambda API reads and changes a function's
// configuration; *lambda.Client of the SDK is one.
type Configurer interface {
	GetFunctionConfiguration(context.Context, *awslambda.GetFunctionConfigurationInput, ...func(*awslambda.Options)) (
		*awslambda.GetFunctionConfigurationOutput, error)
	UpdateFunctionConfiguration(context.Context, *awslambda.UpdateFunctionConfigurationInput, ...func(*awslambda.Options)) (
		*awslambda.UpdateFunctionConfigurationOutput, error)
}

// Control changes the functions' configuration to make cold starts, and
// changes it back.
//
// What a description was stands in the changed one, before a mark. So whoever
// comes after a run that was killed can put it right: see [Control.PutRight].
type Control struct {
	lambda Configurer
	pace   *rate.Limiter
	poll   time.Duration // between looks at an update under way
	wait   func(context.Context, time.Duration) error

	changed map[string]bool // functions whose description may have our mark; true: it had
	count   int             // of changes
}

// CallsPerSecond keeps control-plane calls under Lambda's 15 a second
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), with room
// for others in the account. 0 stands for no limit: it is AWS's alone.
const CallsPerSecond = 10

// NewControl makes one that has changed nothing yet, and makes so many calls a
// second at most.
func NewControl(client Configurer, callsPerSecond float64) *Control {
	limit := rate.Limit(callsPerSecond)
	if callsPerSecond == 0 {
		limit = rate.Inf
	}
	return &Control{
		lambda: client, pace: rate.NewLimiter(limit, 1), poll: 250 * time.Millisecond, wait: wait, changed: map[string]bool{},
	}
}

// patient makes a control-plane call be tried again for as long as throttling
// or an update under way can take.
func patient(o *awslambda.Options) {
	o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
		so.MaxAttempts = 10
		so.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			most := min(200*time.Millisecond<<attempt, 20*time.Second)
			return most/2 + rand.N(most/2), nil
		})
		so.Retryables = append(so.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{"ResourceConflictException": {}}},
			retry.IsErrorRetryableFunc(func(err error) aws.Ternary { // an answer that breaks off
				if errors.Is(err, io.ErrUnexpectedEOF) {
					return aws.TrueTernary
				}
				return aws.UnknownTernary
			}))
	})
}

// maxDescription is how long a description may be
// (docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html).
const maxDescription = 256

// The mark follows what a description was: in words or, where these have no
// room, as an invisible separator and a number.
const (
	longMark  = " [cold start forced by fanout at "
	shortMark = "\u2063fanout"
)

var (
	marked = regexp.MustCompile(`(?s)^(.*?)(?: ?\[cold start forced by fanout at [0-9TZ:.-]+\]|` + shortMark + `[0-9]+)$`)
	// lost is what versions before the mark wrote, over what there was.
	lost = regexp.MustCompile(`^cold start forced by fanout at \S+$`)
)

// mark gives the description that stands for a cold start, the n-th; ok is
// false where original leaves no room.
func mark(original string, n int, now time.Time) (text string, ok bool) {
	length := func(s string) int { return len(utf16.Encode([]rune(s))) }
	text = original + longMark + now.UTC().Format("2006-01-02T15:04:05.000000000Z") + "]"
	if length(text) > maxDescription {
		text = original + shortMark + strconv.Itoa(n)
	}
	return text, length(text) <= maxDescription
}

// unmark gives what a description was before it was marked; ok is false where
// it has no mark.
func unmark(description string) (original string, ok bool) {
	m := marked.FindStringSubmatch(description)
	if m == nil {
		return description, false
	}
	return m[1], true
}

// ForceCold makes the function's next invocation a cold start: any update of
// the configuration does. The description is the one part of it that changes
// nothing else.
func (c *Control) ForceCold(ctx context.Context, function string) error {
	var err error
	for range meanwhileTries {
		if err = c.forceCold(ctx, function); !changedMeanwhile(err) {
			break // also by our own call, if its answer was lost and it was made again
		}
	}
	if err != nil {
		return fmt.Errorf("force a cold start of %s: %w", function, err)
	}
	c.changed[function] = true
	return nil
}

func (c *Control) forceCold(ctx context.Context, function string) error {
	now, err := c.configuration(ctx, function)
	if err != nil {
		return err
	}
	original, _ := unmark(aws.ToString(now.Description))
	c.count++
	text, ok := mark(original, c.count, time.Now())
	if !ok {
		return errors.New("its description leaves no room for a mark: shorten it to 240 characters")
	}
	// subtle: the change is noted before the call, since it may be made though
	// the answer never comes.
	if _, ok := c.changed[function]; !ok {
		c.changed[function] = false
	}
	return c.describe(ctx, function, text, now.RevisionId)
}

// describe sets the description of a function that still has this revision,
// and waits until the update is through.
func (c *Control) describe(ctx context.Context, function, description string, revision *string) error {
	if err := c.pace.Wait(ctx); err != nil {
		return err
	}
	if _, err := c.lambda.UpdateFunctionConfiguration(ctx, &awslambda.UpdateFunctionConfigurationInput{
		FunctionName: &function, Description: &description, RevisionId: revision, // an empty description removes it
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
				return nil
			}
		}
		if err := c.wait(ctx, c.poll); err != nil {
			return err
		}
	}
}

func (c *Control) configuration(ctx context.Context, function string) (*awslambda.GetFunctionConfigurationOutput, error) {
	if err := c.pace.Wait(ctx); err != nil {
		return nil, err
	}
	return c.lambda.GetFunctionConfiguration(ctx, &awslambda.GetFunctionConfigurationInput{FunctionName: &function}, patient)
}

// Restore undoes every change, but leaves a description alone that somebody
// else has changed since.
func (c *Control) Restore(ctx context.Context) error {
	var errs []error
	for _, function := range slices.Sorted(maps.Keys(c.changed)) {
		found, err := c.PutRight(ctx, function)
		if err == nil && !found && c.changed[function] {
			err = fmt.Errorf("put back the description of %s: somebody else has changed it meanwhile", function)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		delete(c.changed, function)
	}
	return errors.Join(errs...)
}

// ErrLost is that an earlier run left a description that does not say what it
// was before.
var ErrLost = errors.New("what it was before is not known: set it by hand")

// PutRight takes the mark off a function's description, and says whether there
// was one: ours, or that of a run that was killed before it could. It changes
// nothing else, nor anything that somebody else changes at the same time. The
// error is [ErrLost] where there is nothing to put back.
func (c *Control) PutRight(ctx context.Context, function string) (found bool, err error) {
	for range meanwhileTries {
		now, err := c.configuration(ctx, function)
		if err != nil {
			return false, fmt.Errorf("put back the description of %s: %w", function, err)
		}
		description := aws.ToString(now.Description)
		original, ok := unmark(description)
		switch {
		case !ok && lost.MatchString(description):
			return false, fmt.Errorf("the description of %s, %q, was left by an earlier run: %w", function, description, ErrLost)
		case !ok:
			return false, nil
		}
		switch err = c.describe(ctx, function, original, now.RevisionId); {
		case err == nil:
			return true, nil
		case !changedMeanwhile(err):
			return true, fmt.Errorf("put back the description of %s: %w", function, err)
		}
	}
	return true, fmt.Errorf("put back the description of %s: somebody else keeps changing the function", function)
}

// meanwhileTries is how often a change is tried that meets somebody else's.
const meanwhileTries = 5

// changedMeanwhile says whether an update was refused because the function's
// revision was no longer the one looked at.
func changedMeanwhile(err error) bool {
	var stale *types.PreconditionFailedException
	return errors.As(err, &stale)
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
