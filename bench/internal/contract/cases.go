package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/trial"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// contractCase is one thing that a contender must do.
type contractCase struct {
	name   string
	stats  bool // asks for more than the published event and answer
	limits bool // means nothing where memory is not limited

	// run's error is a *violation where the contender is wrong; any other is
	// the sandbox's.
	run func(ctx context.Context, k *checker) error
}

// violation says what was wanted of a contender, and what came.
type violation struct{ text string }

func (v *violation) Error() string { return v.text }

func violated(format string, args ...any) error {
	return &violation{fmt.Sprintf(format, args...)}
}

// contract is every case, in order: the first finds out whether the contender
// answers with stats.
var contract = []contractCase{
	{name: "published event, find", run: func(ctx context.Context, k *checker) error {
		spec := k.fixtures.corpus
		got, err := k.invoke(ctx, k.function, event(spec.Prefix, spec.Needle))
		if err != nil {
			return err
		}
		k.stats = got.answer.Stats != nil
		if k.stats {
			k.client = got.answer.Stats.Client
		}
		return got.is(trial.Expect(spec, false))
	}},
	{name: "published event, count", run: func(ctx context.Context, k *checker) error {
		spec := k.fixtures.corpus
		return k.want(ctx, event(spec.Prefix, ""), trial.Expect(spec, true))
	}},
	{name: "first match in list order", run: func(ctx context.Context, k *checker) error {
		return k.want(ctx, event(orderPrefix, word("order", 0)), k.fixtures.expect(orderPrefix, orderPrefix+"07"))
	}},
	{name: "no match", run: func(ctx context.Context, k *checker) error {
		return k.want(ctx, event(orderPrefix, word("order", 1)), k.fixtures.expect(orderPrefix, fetch.NotFound))
	}},
	{name: "a match over every border between chunks", run: func(ctx context.Context, k *checker) error {
		body := string(k.fixtures.bodies[borderPrefix][borderPrefix+"body"])
		for at := blockBytes / 2; at+blockBytes <= len(body); at += blockBytes {
			err := k.want(ctx, event(borderPrefix, body[at:at+blockBytes]), k.fixtures.expect(borderPrefix, borderPrefix+"body"))
			if err != nil {
				return where(err, "a string at byte %d", at)
			}
		}
		return nil
	}},
	{name: "an empty prefix", run: func(ctx context.Context, k *checker) error {
		if err := k.want(ctx, event(emptyPrefix, ""), k.fixtures.expect(emptyPrefix, "0")); err != nil {
			return where(err, "count")
		}
		return where(k.want(ctx, event(emptyPrefix, "x"), k.fixtures.expect(emptyPrefix, fetch.NotFound)), "find")
	}},
	{name: "2,500 objects, three pages", run: func(ctx context.Context, k *checker) error {
		if err := k.want(ctx, event(pagesPrefix, ""), k.fixtures.expect(pagesPrefix, strconv.Itoa(pageObjects))); err != nil {
			return where(err, "count")
		}
		last := pageObjects - 1
		return where(k.want(ctx, event(pagesPrefix, word("page", last)), k.fixtures.expect(pagesPrefix, fmt.Sprintf("%s%04d", pagesPrefix, last))), "find on the last page")
	}},
	{name: "odd keys", run: func(ctx context.Context, k *checker) error {
		if err := k.want(ctx, event(oddPrefix, ""), k.fixtures.expect(oddPrefix, strconv.Itoa(len(oddNames)+1))); err != nil {
			return where(err, "count")
		}
		for i, name := range oddNames {
			if err := k.want(ctx, event(oddPrefix, word("odd", i)), k.fixtures.expect(oddPrefix, oddPrefix+name)); err != nil {
				return where(err, "find %q", name)
			}
		}
		return nil
	}},
	{name: "requests that fail now and then", run: failingNowAndThen},
	{name: "requests that fail for good", run: failingForGood},
	{name: "bad events", run: badEvents},
	{name: "a missing bucket", run: func(ctx context.Context, k *checker) error {
		ev := event(k.fixtures.corpus.Prefix, "")
		ev.Bucket = "fanout-missing"
		return k.refused(ctx, ev, fetch.NoSuchBucket)
	}},
	{name: "128 MB", limits: true, run: func(ctx context.Context, k *checker) error {
		spec := k.fixtures.corpus
		for range 2 { // cold, and warm
			got, err := k.invoke(ctx, k.small, event(spec.Prefix, spec.Needle))
			if err != nil {
				return err
			}
			if err := got.is(trial.Expect(spec, false)); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "128 MB, and an object larger than that", stats: true, limits: true, run: func(ctx context.Context, k *checker) error {
		got, err := k.invoke(ctx, k.small, event(largePrefix, word("large", 0)))
		if err != nil {
			return err
		}
		return got.is(k.fixtures.expect(largePrefix, largePrefix+"body"))
	}},
	{name: "concurrency", stats: true, run: func(ctx context.Context, k *checker) error {
		for _, n := range []int{1, 7, fetch.MaxConcurrency} {
			ev := event(orderPrefix, "")
			ev.Concurrency, ev.Client = &n, k.client
			got, err := k.invoke(ctx, k.function, ev)
			if err != nil {
				return err
			}
			if err := got.is(k.fixtures.expect(orderPrefix, "40")); err != nil {
				return where(err, "concurrency %d", n)
			}
			if got.answer.Stats.Concurrency != n {
				return violated("wanted stats.concurrency %d, got %d", n, got.answer.Stats.Concurrency)
			}
		}
		return nil
	}},
	{name: "keys in place of a listing", stats: true, run: func(ctx context.Context, k *checker) error {
		keys := []string{pagesPrefix + "0009", orderPrefix + "30", orderPrefix + "07"}
		bodies := map[string][]byte{}
		for _, key := range keys {
			bodies[key] = k.fixtures.body(key)
		}
		ev := event("", word("order", 0))
		ev.Keys = &keys // whose order it is that counts
		return k.want(ctx, ev, expectBodies(bodies, orderPrefix+"30"))
	}},
	{name: "on_error", stats: true, run: func(ctx context.Context, k *checker) error {
		keys := []string{pagesPrefix + "0001", pagesPrefix + "gone"}
		ev := event("", "")
		ev.Keys = &keys
		if err := k.refused(ctx, ev, fetch.ObjectReadFailed); err != nil {
			return where(err, "fail")
		}
		ev.OnError = fetch.OnErrorContinue
		got, err := k.invoke(ctx, k.function, ev)
		if err != nil {
			return err
		}
		want := expectBodies(map[string][]byte{keys[0]: k.fixtures.body(keys[0])}, "1")
		if err := got.reads(want); err != nil {
			return where(err, "continue")
		}
		if got.answer.Stats.Errors != 1 {
			return violated("continue: wanted stats.errors 1, got %d", got.answer.Stats.Errors)
		}
		return nil
	}},
	{name: "cold, then warm", stats: true, run: func(ctx context.Context, k *checker) error {
		if err := k.setTimeout(ctx, int32(checkSeconds)); err != nil { // any change makes a cold start
			return err
		}
		for i, want := range []bool{true, false} {
			got, err := k.invoke(ctx, k.function, event(orderPrefix, ""))
			if err != nil {
				return err
			}
			if err := got.is(k.fixtures.expect(orderPrefix, "40")); err != nil {
				return err
			}
			if got.answer.Stats.Cold != want || got.report.Cold() != want {
				return violated("invocation %d of a process: wanted stats.cold %v, got %v", i+1, want, got.answer.Stats.Cold)
			}
		}
		return nil
	}},
	{name: "the time limit", stats: true, run: timeLimit},
}

// checkSeconds is a function's time limit, but in the case about it.
const checkSeconds = 120

// failingNowAndThen reads while requests fail: the answer is right, or there is
// none.
func failingNowAndThen(ctx context.Context, k *checker) error {
	spec := k.fixtures.faulty
	return k.withFaults(objects.Faults{SlowDown: 0.05, Reset: 0.02, Short: 0.02}, func() error {
		for i := range 4 {
			count := i%2 == 1
			needle := spec.Needle
			if count {
				needle = ""
			}
			got, err := k.invoke(ctx, k.function, event(spec.Prefix, needle))
			if err != nil {
				return err
			}
			if got.failure != nil {
				err = got.fails(k, fetch.ObjectReadFailed)
			} else {
				err = got.is(trial.Expect(spec, count))
			}
			if err != nil {
				return where(err, "invocation %d, where 503, reset and short body are 9%% of the answers", i+1)
			}
		}
		return nil
	})
}

// failingForGood reads where every body breaks off: no answer can be right.
func failingForGood(ctx context.Context, k *checker) error {
	err := k.withFaults(objects.Faults{Short: 1}, func() error {
		return where(k.refused(ctx, event(orderPrefix, word("order", 0)), fetch.ObjectReadFailed), "every body breaks off")
	})
	if err != nil {
		return err
	}
	return where(k.want(ctx, event(orderPrefix, ""), k.fixtures.expect(orderPrefix, "40")), "afterwards")
}

// badEvents are answered by an error, and do no harm to the next event.
func badEvents(ctx context.Context, k *checker) error {
	bad := []string{`[]`, `"text"`, `7`, `{}`, `{"s3_bucket_name":""}`, `{"s3_bucket_name":7}`, `{"s3_bucket_name":"` + lab.Bucket + `","find":{}}`}
	if k.stats {
		for _, more := range []string{
			`"buckets":1`, `"find":""`, `"find":"` + strings.Repeat("x", fetch.MaxFindBytes+1) + `"`, `"concurrency":0`, `"concurrency":1025`,
			`"concurrency":"64"`, `"concurrency":1.5`, `"client":"nobody's"`, `"on_error":"ignore"`, `"keys":[""]`, `"keys":["a"],"folder":"p/"`,
		} {
			bad = append(bad, `{"s3_bucket_name":"`+lab.Bucket+`",`+more+`}`)
		}
	}
	for _, payload := range bad {
		got, err := k.send(ctx, k.function, []byte(payload))
		if err != nil {
			return err
		}
		if err := got.fails(k, fetch.InvalidEvent); err != nil {
			return where(err, "%.80s", payload)
		}
		if got, err = k.invoke(ctx, k.function, event(emptyPrefix, "")); err != nil {
			return err
		}
		if err := got.is(k.fixtures.expect(emptyPrefix, "0")); err != nil {
			return where(err, "after %.80s", payload)
		}
		if got.report.Cold() {
			return violated("after %.80s: wanted the same process to go on, got a cold start", payload)
		}
	}
	return nil
}

// timeLimit gives a function too little time: it says so before Lambda does.
func timeLimit(ctx context.Context, k *checker) error {
	if err := k.setTimeout(ctx, 2); err != nil {
		return err
	}
	err := k.withFaults(objects.Faults{SlowDown: 1}, func() error { // each is tried again, later and later
		ev := event(k.fixtures.corpus.Prefix, "")
		ev.Concurrency = aws.Int(1)
		return k.refused(ctx, ev, fetch.DeadlineNear)
	})
	if setErr := k.setTimeout(ctx, checkSeconds); setErr != nil {
		return setErr
	}
	if err != nil {
		return err
	}
	return where(k.want(ctx, event(orderPrefix, ""), k.fixtures.expect(orderPrefix, "40")), "afterwards")
}

// checker puts one contender through the cases.
type checker struct {
	lab             *lab.Lab
	lambda          *awslambda.Client
	fixtures        *fixtures
	function, small string // at checkMemoryMB and checkSmallMB
	limited         bool
	stats           bool   // it answers with them
	client          string // as it calls its own
}

// event is the published one; an empty find counts.
func event(prefix, find string) fetch.Event {
	ev := fetch.Event{Bucket: lab.Bucket, Folder: prefix}
	if find != "" {
		ev.Find = &find
	}
	return ev
}

// expectBodies is the right answer for these objects.
func expectBodies(bodies map[string][]byte, result string) trial.Expected {
	want := trial.Expected{Result: result, Objects: len(bodies)}
	var digest fetch.Digest
	for key, body := range bodies {
		want.Bytes += int64(len(body))
		digest.Add(key, fetch.BodyCRC(0, body))
	}
	want.Digest = digest.String()
	return want
}

// body finds an object's, under whatever prefix.
func (f *fixtures) body(key string) []byte {
	for _, prefix := range slices.Sorted(maps.Keys(f.bodies)) {
		if body, ok := f.bodies[prefix][key]; ok {
			return body
		}
	}
	return nil
}

// reply is what came back of one invocation.
type reply struct {
	answer struct {
		Result *string
		Stats  *fetch.Stats
	}
	payload []byte
	failure *fetch.Error // the function's
	report  lambda.Report
}

func (k *checker) invoke(ctx context.Context, function string, ev fetch.Event) (reply, error) {
	payload, err := json.Marshal(ev)
	if err != nil {
		return reply{}, err
	}
	return k.send(ctx, function, payload)
}

func (k *checker) send(ctx context.Context, function string, payload []byte) (reply, error) {
	out, err := k.lambda.Invoke(ctx, &awslambda.InvokeInput{FunctionName: &function, Payload: payload, LogType: types.LogTypeTail})
	if err != nil {
		return reply{}, fmt.Errorf("invoke %s: %w", function, err)
	}
	got := reply{payload: out.Payload}
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err == nil {
		got.report, err = lambda.ParseReport(string(tail))
	}
	if err != nil {
		return reply{}, fmt.Errorf("invoke %s: log tail: %w", function, err)
	}
	if out.FunctionError != nil {
		var wire struct{ ErrorType, ErrorMessage string }
		if err := json.Unmarshal(out.Payload, &wire); err != nil {
			return reply{}, fmt.Errorf("invoke %s: error %q: %w", function, out.Payload, err)
		}
		got.failure = &fetch.Error{Type: wire.ErrorType, Message: wire.ErrorMessage}
		return got, nil
	}
	_ = json.Unmarshal(out.Payload, &got.answer) // what is not an answer has no result, and that is told
	return got, nil
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
	case got.failure != nil:
		return violated("wanted result %q, got the error %s: %s", want.Result, got.failure.Type, clipText(got.failure.Message))
	case got.answer.Result == nil:
		return violated("wanted result %q, got %s", want.Result, clipText(string(got.payload)))
	case *got.answer.Result != want.Result:
		return violated("wanted result %q, got %q", want.Result, *got.answer.Result)
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
	case got.failure == nil:
		return violated("wanted an error, got the answer %s", clipText(string(got.payload)))
	case strings.HasPrefix(got.failure.Type, "Runtime.") || strings.HasPrefix(got.failure.Type, "Sandbox."):
		return violated("wanted an error, got the end of the process: %s: %s", got.failure.Type, clipText(got.failure.Message))
	case k.stats && got.failure.Type != kind:
		return violated("wanted the error %s, got %s: %s", kind, got.failure.Type, clipText(got.failure.Message))
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
	_, err := k.lambda.UpdateFunctionConfiguration(ctx, &awslambda.UpdateFunctionConfigurationInput{FunctionName: &k.function, Timeout: &seconds})
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
