package trial

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// Invoker is what of the Lambda API invokes a function; *lambda.Client of the
// SDK is one.
type Invoker interface {
	Invoke(context.Context, *awslambda.InvokeInput, ...func(*awslambda.Options)) (*awslambda.InvokeOutput, error)
}

// Invocation is what came back of an invocation.
type Invocation struct {
	At        time.Time     // when the last call was sent
	Roundtrip time.Duration // of the last call
	Retries   int           // calls before it, which Lambda throttled or which failed in passing
	Lost      time.Duration // of those calls that the function may have run for
	Payload   []byte        // the answer, or the error object
	Failure   *lambda.Error // nil: the function answered
	FromAPI   bool          // Failure is the Lambda API's: the function may not have run
	Report    lambda.Report // DurationMS is the round trip where the log tells none
	Log       string        // its tail, 4 KB at most
	Note      string        // what is unusual about the figures

	ProcessMS *float64      // sandbox: CPU time of the process during the invocation
	Limits    lambda.Limits // sandbox: what the process was held to

	Runtime, RanBy string // sandbox: see Result
}

// Answer is what any contender answers; this repository's own add stats.
type Answer struct {
	Result *string      `json:"result"`
	Stats  *fetch.Stats `json:"stats"`
}

// ParseAnswer reads a payload. The error says that it is no answer, or that its
// stats have figures that nobody can have counted.
func ParseAnswer(payload []byte) (Answer, error) {
	var a Answer
	if err := json.Unmarshal(payload, &a); err != nil {
		return Answer{}, fmt.Errorf("not an answer: %w", err)
	}
	if a.Result == nil {
		return a, errors.New("not an answer: it has no result")
	}
	if a.Stats != nil {
		if err := checkStats(*a.Stats); err != nil {
			return Answer{Result: a.Result}, fmt.Errorf("not an answer: %w", err)
		}
	}
	return a, nil
}

// ErrCredentials ends a run: the calls are not, or no longer, signed with
// credentials that AWS takes.
var ErrCredentials = errors.New("no valid credentials")

// How often an invocation is tried: one that Lambda has no room for, and one
// that failed in passing.
const (
	throttledTries = 8
	faultTries     = 6
)

// Bounds of the time between two tries; each is up to twice as long as the one
// before.
const (
	leastBackoff = 200 * time.Millisecond
	mostBackoff  = 20 * time.Second
)

// invokeWithin is how long a call may take: a function's 15 minutes, and INIT.
const invokeWithin = 16 * time.Minute

// Invoke invokes a function and waits for its answer. What Lambda has no room
// for, and what fails in passing (500, 502, 503, a dropped connection), is tried
// again within bounds, and counted; what fails for good is a Failure. The error
// is ctx's, or [ErrCredentials].
func Invoke(ctx context.Context, api Invoker, function string, payload []byte) (Invocation, error) {
	return invoke(ctx, api, function, payload, wait)
}

func invoke(
	ctx context.Context, api Invoker, function string, payload []byte, pause func(context.Context, time.Duration) error,
) (Invocation, error) {
	var got Invocation
	backoff := leastBackoff
	for try := 1; ; try++ {
		got.At = time.Now()
		out, err := call(ctx, api, function, payload)
		got.Roundtrip = time.Since(got.At)
		if err == nil {
			got.take(out)
			return got, nil
		}
		if ctx.Err() != nil {
			return got, fmt.Errorf("invoke %s: %w", function, context.Cause(ctx))
		}
		kind := faultOf(err)
		switch {
		case kind == refused:
			return got, fmt.Errorf("invoke %s: %w: %w", function, ErrCredentials, err)
		case kind == throttled && try < throttledTries, kind == passing && try < faultTries:
			got.Retries++
			if kind == passing {
				got.Lost += got.Roundtrip
			}
			if err := pause(ctx, time.Duration((0.5+rand.Float64()/2)*float64(backoff))); err != nil {
				return got, fmt.Errorf("invoke %s: %w", function, err)
			}
			backoff = min(2*backoff, mostBackoff)
		default:
			got.FromAPI, got.Failure = true, &lambda.Error{Type: errorCode(err), Message: err.Error()}
			return got, nil
		}
	}
}

// call invokes once.
func call(ctx context.Context, api Invoker, function string, payload []byte) (*awslambda.InvokeOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, invokeWithin)
	defer cancel()
	return api.Invoke(ctx, &awslambda.InvokeInput{
		FunctionName: &function, Payload: payload, LogType: types.LogTypeTail,
	}, func(o *awslambda.Options) { o.Retryer = aws.NopRetryer{} }) // the tries are counted: see invoke
}

// take reads what an invocation gave.
func (i *Invocation) take(out *awslambda.InvokeOutput) {
	i.Payload = out.Payload
	if raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
		i.fromSandbox(raw.Header)
	}
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		i.Note = "the log tail could not be decoded: duration is the round trip"
	}
	i.Log = string(tail)
	report, reportErr := lambda.ParseReport(i.Log)
	switch i.Report = report; {
	case err != nil:
	case errors.Is(reportErr, lambda.ErrNoReport):
		i.Note = "no REPORT line: duration is the round trip"
	case !report.Known.Has(lambda.Duration):
		i.Note = "no Duration in the REPORT line: it is the round trip"
	case report.RestoreMS > 0:
		i.Note = "init is the restore of a snapshot"
	case report.RedoneInitMS > 0:
		i.Note = fmt.Sprintf("duration has an INIT of %.0f ms in it", report.RedoneInitMS)
	}
	if !report.Known.Has(lambda.Duration) {
		i.Report.DurationMS = lambda.Milliseconds(i.Roundtrip)
	}
	if out.FunctionError != nil {
		failure := lambda.ParseError(out.Payload)
		if report.ErrorType == lambda.OutOfMemory {
			failure.Type = lambda.OutOfMemory // the payload says no more than that a signal killed it
		}
		i.Failure = &failure
	}
}

// fromSandbox takes what only the sandbox can tell.
func (i *Invocation) fromSandbox(h http.Header) {
	i.Limits = lambda.ParseLimits(h.Get("X-Fanout-Limits"))
	i.Runtime, i.RanBy = h.Get("X-Fanout-Runtime"), h.Get("X-Fanout-Ran-By")
	if ms, err := strconv.ParseFloat(h.Get("X-Fanout-Cpu-Ms"), 64); err == nil && ms >= 0 && ms <= maxFigure {
		i.ProcessMS = &ms
	}
}

// wholeLog says whether the log tail goes back to the invocation's start, and
// so to any INIT of its process.
func (i *Invocation) wholeLog() bool {
	return strings.Contains(i.Log, "START RequestId:") || strings.Contains(i.Log, `"platform.start"`)
}

// hasReportLine says whether the log has a report in text: unlike one in JSON,
// it has an Init Duration after every INIT of up to 10 s.
func (i *Invocation) hasReportLine() bool { return strings.Contains(i.Log, "REPORT RequestId:") }

// fault is what is to be done about a call that failed.
type fault int

const (
	permanent fault = iota // it would fail again
	passing                // the service, or the way to it, has trouble
	throttled              // Lambda has no room for it
	refused                // nothing will be let through any more
)

// faults are the error codes whose HTTP status does not tell
// (docs.aws.amazon.com/lambda/latest/api/API_Invoke.html,
// docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html).
var faults = map[string]fault{
	"TooManyRequestsException": throttled, "ThrottlingException": throttled, "Throttling": throttled, "RequestLimitExceeded": throttled,
	"EC2ThrottledException": throttled, "ResourceConflictException": throttled, "ResourceNotReadyException": throttled,
	"RequestTimeout": passing, "RequestTimeoutException": passing, "SnapStartNotReadyException": throttled,

	"ExpiredTokenException": refused, "ExpiredToken": refused, "UnrecognizedClientException": refused,
	"InvalidClientTokenId": refused, "InvalidAccessKeyId": refused, "InvalidSignatureException": refused, "SignatureDoesNotMatch": refused,
	"IncompleteSignature": refused, "IncompleteSignatureException": refused, "MissingAuthenticationToken": refused,
	"MissingAuthenticationTokenException": refused, "OptInRequired": refused,
}

// faultOf tells what a failed call means.
func faultOf(err error) fault {
	var api smithy.APIError
	if errors.As(err, &api) {
		if kind, ok := faults[api.ErrorCode()]; ok {
			return kind
		}
	}
	var response *smithyhttp.ResponseError
	switch {
	case errors.As(err, &response) && response.HTTPStatusCode() == http.StatusTooManyRequests:
		return throttled
	case errors.As(err, &response) && response.HTTPStatusCode() >= 500:
		return passing
	case errors.As(err, &response) && response.HTTPStatusCode() >= 400:
		return permanent
	case strings.Contains(err.Error(), "get identity: "): // the SDK has no type for it: no credentials, or none that can be renewed
		return refused
	case api != nil:
		return permanent
	}
	return passing // no answer, or one that broke off
}

// errorCode names a call's error: by the API's word for it, if there is one.
func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return cmp.Or(api.ErrorCode(), InvokeFailed)
	}
	return InvokeFailed
}

// wait returns after d, or with an error when ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
