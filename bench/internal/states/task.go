package states

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
)

// task runs a Task once.
func (w *workflow) task(ctx context.Context, st *state, sc scope) (any, error) {
	limit := st.timeout
	if st.timeoutPath != nil {
		v, err := sc.follow(*st.timeoutPath)
		if err != nil {
			return nil, err
		}
		n, err := integer(v)
		if err != nil || n < 1 || n > maxSeconds {
			return nil, fail(errRuntime, "The TimeoutSecondsPath field refers to value \"%s\": it must be a positive integer", excerpt(v))
		}
		limit = &n
	}
	if limit != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w.s.seconds(float64(*limit)), &Failure{Name: errTimeout})
		defer cancel()
	}
	var out any
	var err error
	if st.task == describeMapRunTask {
		out, err = w.describeMapRun(st, sc)
	} else {
		out, err = w.invoke(ctx, st, sc)
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, err
}

// parameter gives the string that one of a Task's parameters must be.
func parameter(parameters template, name string, sc scope) (string, error) {
	o, _ := parameters.(object)
	v, err := fill(o.field(name), sc, nil)
	if err == nil {
		v, err = plain(v)
	}
	if err != nil {
		return "", err
	}
	text, ok := v.(string)
	if !ok {
		return "", fail(errRuntime, "The value of the parameter %s must be a string, not %s", name, kindOf(v))
	}
	return text, nil
}

// invoke is lambda:invoke:
// docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html.
func (w *workflow) invoke(ctx context.Context, st *state, sc scope) (any, error) {
	function, err := parameter(st.parameters, "FunctionName", sc)
	if err != nil {
		return nil, err
	}
	payload, err := fill(st.parameters.(object).field("Payload"), sc, json.RawMessage("{}"))
	if err != nil {
		return nil, err
	}
	body := encodeValue(payload)
	// What is limited is all of what Parameters came to, in its shortest form.
	if size := len(`{"FunctionName":"","Payload":}`) + len(function) + len(body); size > MaxData {
		return nil, fail(errDataLimit, "The state/task '%s' has an input of %d bytes after its Parameters: at most %d", st.name, size, MaxData)
	}
	out, err := w.s.cfg.Lambda.Invoke(ctx, &awslambda.InvokeInput{FunctionName: aws.String(function), Payload: body})
	if err != nil {
		return nil, invokeFailure(err)
	}
	if out.FunctionError != nil {
		return nil, functionFailure(out.Payload)
	}
	if len(out.Payload) > MaxData {
		return nil, fail(errDataLimit, "The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.",
			st.name)
	}
	if len(out.Payload) == 0 {
		out.Payload = []byte("null")
	}
	var answer bytes.Buffer
	if err := json.Compact(&answer, out.Payload); err != nil {
		return nil, fail(errRuntime, "The function's answer is not JSON: %v", err)
	}
	id, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	return map[string]any{
		"ExecutedVersion":     aws.ToString(out.ExecutedVersion),
		"Payload":             json.RawMessage(answer.Bytes()),
		"SdkHttpMetadata":     map[string]any{"HttpStatusCode": int(out.StatusCode)},
		"SdkResponseMetadata": map[string]any{"RequestId": id},
		"StatusCode":          int(out.StatusCode),
	}, nil
}

// functionFailure names what a function's own error is for Retry and Catch: the
// type that Lambda's answer has, and where it has none Lambda.Unknown, as of
// runtimes that are older than Sandbox.Timedout.
func functionFailure(payload []byte) *Failure {
	var e struct{ ErrorType string }
	if json.Unmarshal(payload, &e) == nil && e.ErrorType != "" {
		return &Failure{e.ErrorType, string(payload)}
	}
	return fail("Lambda.Unknown", "The cause could not be determined because Lambda did not return an error type. Returned payload: %s",
		payload)
}

// invokeFailure names an error of the Lambda API itself.
func invokeFailure(err error) error {
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case !errors.As(err, &api):
		return &Failure{"Lambda.SdkClientException", err.Error()} // no answer, or none that can be read
	}
	switch code := api.ErrorCode(); code {
	case "UnknownError", "AccessDeniedException":
		return &Failure{"Lambda.AWSLambdaException", api.ErrorMessage()}
	default:
		return &Failure{"Lambda." + code, api.ErrorMessage()}
	}
}

// describeMapRun is the SDK's call, whose fields begin with capitals here:
// docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html.
func (w *workflow) describeMapRun(st *state, sc scope) (any, error) {
	arn, err := parameter(st.parameters, "MapRunArn", sc)
	if err != nil {
		return nil, err
	}
	w.s.mu.Lock()
	r := w.s.mapRuns[arn]
	w.s.mu.Unlock()
	if r == nil {
		return nil, &Failure{"Sfn.ResourceNotFoundException", "Resource not found: '" + arn + "'"}
	}
	return capitals(r.describe()), nil
}

// capitals gives an answer of the API as an AWS SDK integration has it: names
// with capitals, times as text.
func capitals(m map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range m {
		switch typed := v.(type) {
		case map[string]any:
			v = capitals(typed)
		case epoch:
			v = stamp(typed.time)
		}
		out[string(name[0]-'a'+'A')+name[1:]] = v
	}
	return out
}
