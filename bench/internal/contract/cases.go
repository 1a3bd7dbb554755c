package contract

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/trial"
	"fanout/functions/fetch"
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
			k.client = cmp.Or(k.asked, got.answer.Stats.Client)
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
		want := k.fixtures.expect(pagesPrefix, fmt.Sprintf("%s%04d", pagesPrefix, last))
		return where(k.want(ctx, event(pagesPrefix, word("page", last)), want), "find on the last page")
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
		if err := k.setTimeout(ctx, int32(timeoutSeconds)); err != nil { // any change makes a cold start
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
			if got.answer.Stats.Cold != want || got.Report.Cold() != want {
				return violated("invocation %d of a process: wanted stats.cold %v, got %v", i+1, want, got.answer.Stats.Cold)
			}
		}
		return nil
	}},
	{name: "the time limit", stats: true, run: timeLimit},
}

// timeoutSeconds is a function's time limit, but in the case about it.
const timeoutSeconds = 120

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
			if got.Failure != nil {
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
	bad := []string{
		`[]`, `"text"`, `7`, `{}`, `{"s3_bucket_name":""}`, `{"s3_bucket_name":7}`,
		`{"s3_bucket_name":"` + lab.Bucket + `","find":{}}`,
	}
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
		if got.Report.Cold() {
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
	if setErr := k.setTimeout(ctx, timeoutSeconds); setErr != nil {
		return setErr
	}
	if err != nil {
		return err
	}
	return where(k.want(ctx, event(orderPrefix, ""), k.fixtures.expect(orderPrefix, "40")), "afterwards")
}
