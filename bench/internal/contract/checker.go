package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/trial"
	"fanout/functions/fetch"
)

// checker puts one contender through the cases.
type checker struct {
	lab             *lab.Lab
	lambda          *awslambda.Client
	fixtures        *Fixtures
	function, small string // at memoryMB and smallMB
	limited         bool
	stats           bool   // it answers with them
	client          string // as it calls its own, or asked
	asked           string // the client to name in events; empty: none
}

// event is the published one; an empty find counts.
func event(prefix, find string) fetch.Event {
	ev := fetch.Event{Bucket: lab.Bucket, Folder: prefix}
	if find != "" {
		ev.Find = &find
	}
	return ev
}

// reply is what came back of one invocation.
type reply struct {
	trial.Invocation
	answer trial.Answer // what is not an answer has no result, and that is told
	wrong  error        // of an answer with stats that nobody can have counted, which it then has not
	stats  bool         // an answer must have them: the first one had
}

func (k *checker) invoke(ctx context.Context, function string, ev fetch.Event) (reply, error) {
	if k.stats && ev.Client == "" {
		ev.Client = k.asked
	}
	payload, err := json.Marshal(ev)
	if err != nil {
		return reply{}, err
	}
	got, err := k.send(ctx, function, payload)
	if s := got.answer.Stats; err == nil && s != nil && ev.Client != "" && s.Client != ev.Client {
		return reply{}, violated("wanted stats.client %q, got %q", ev.Client, s.Client)
	}
	return got, err
}

func (k *checker) send(ctx context.Context, function string, payload []byte) (reply, error) {
	got, err := trial.Invoke(ctx, k.lambda, function, payload)
	switch {
	case err != nil:
		return reply{}, err
	case got.FromAPI:
		return reply{}, fmt.Errorf("invoke %s: %s: %s", function, got.Failure.Type, got.Failure.Message)
	}
	r := reply{Invocation: got, stats: k.stats}
	if got.Failure == nil {
		r.answer, r.wrong = trial.ParseAnswer(got.Payload)
	}
	return r, nil
}

// want asks for an answer, and for nothing to have failed on the way to it.
func (k *checker) want(ctx context.Context, ev fetch.Event, want trial.Expected) error {
	got, err := k.invoke(ctx, k.function, ev)
	if err != nil {
		return err
	}
	return got.is(want)
}

// is compares an answer with the truth: nothing may have failed.
func (got reply) is(want trial.Expected) error {
	if err := got.reads(want); err != nil {
		return err
	}
	if s := got.answer.Stats; s != nil && s.Errors != 0 {
		return violated("wanted stats.errors 0, got %d", s.Errors)
	}
	return nil
}

// reads compares what was read with the truth.
func (got reply) reads(want trial.Expected) error {
	switch s := got.answer.Stats; {
	case got.Failure != nil:
		return violated("wanted result %q, got the error %s: %s", want.Result, got.Failure.Type, clipText(got.Failure.Message))
	case got.answer.Result == nil:
		return violated("wanted result %q, got %s", want.Result, clipText(string(got.Payload)))
	case got.wrong != nil:
		return violated("wanted stats that can be, got %v", got.wrong)
	case *got.answer.Result != want.Result:
		return violated("wanted result %q, got %q", want.Result, *got.answer.Result)
	case s == nil && got.stats:
		return violated("wanted stats, as in the first answer, got none")
	case s == nil:
		return nil
	case s.Objects != want.Objects || s.Bytes != want.Bytes:
		return violated("wanted %d objects of %d bytes, got %d of %d", want.Objects, want.Bytes, s.Objects, s.Bytes)
	case s.Digest != want.Digest:
		return violated("wanted digest %s, got %s", want.Digest, s.Digest)
	}
	return nil
}

// refused asks for an error instead of an answer.
func (k *checker) refused(ctx context.Context, ev fetch.Event, kind string) error {
	got, err := k.invoke(ctx, k.function, ev)
	if err != nil {
		return err
	}
	return got.fails(k, kind)
}

// fails says whether got is an error that the function itself gave: of this
// name, where it answers with stats.
func (got reply) fails(k *checker, kind string) error {
	switch {
	case got.Failure == nil:
		return violated("wanted an error, got the answer %s", clipText(string(got.Payload)))
	case strings.HasPrefix(got.Failure.Type, "Runtime.") || strings.HasPrefix(got.Failure.Type, "Sandbox."):
		return violated("wanted an error, got the end of the process: %s: %s", got.Failure.Type, clipText(got.Failure.Message))
	case k.stats && got.Failure.Type != kind && !strings.HasSuffix(got.Failure.Type, "."+kind): // a Java class comes with its package
		return violated("wanted the error %s, got %s: %s", kind, got.Failure.Type, clipText(got.Failure.Message))
	}
	return nil
}

// withFaults has things go wrong in these shares while do runs.
func (k *checker) withFaults(f objects.Faults, do func() error) error {
	before := k.lab.S3.Counts().Faults
	if err := k.lab.S3.SetFaults(f); err != nil {
		return err
	}
	err := do()
	// Also after a violation: the next case wants none.
	if offErr := k.lab.S3.SetFaults(objects.Faults{}); offErr != nil {
		return offErr
	}
	if err == nil && k.lab.S3.Counts().Faults == before {
		return violated("wanted reads, got none: no request failed")
	}
	return err
}

// setTimeout changes the function's time limit; its next start is cold.
func (k *checker) setTimeout(ctx context.Context, seconds int32) error {
	_, err := k.lambda.UpdateFunctionConfiguration(ctx, &awslambda.UpdateFunctionConfigurationInput{
		FunctionName: &k.function, Timeout: &seconds,
	})
	if err != nil {
		return fmt.Errorf("set the time limit of %s: %w", k.function, err)
	}
	return nil
}

// where says where in a case a contender was wrong.
func where(err error, format string, args ...any) error {
	var broken *violation
	if errors.As(err, &broken) {
		return violated("%s: %s", fmt.Sprintf(format, args...), broken.text)
	}
	return err
}

// clipText keeps what a function said to a line's length.
func clipText(s string) string {
	s = strconv.Quote(s)
	if runes := []rune(s); len(runes) > 300 {
		return string(runes[:299]) + "…"
	}
	return s
}
