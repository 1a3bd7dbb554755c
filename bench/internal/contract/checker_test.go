package contract

import (
	"errors"
	"strings"
	"testing"

	"fanout/bench/internal/trial"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

func answered(result string, s *fetch.Stats) reply {
	return reply{answer: trial.Answer{Result: &result, Stats: s}}
}

func failed(kind string) reply {
	return reply{Invocation: trial.Invocation{Failure: &lambda.Error{Type: kind, Message: "m"}}}
}

// An answer is right in every figure, or it is a violation that says what was
// wanted and what came.
func TestReplyIs(t *testing.T) {
	want := trial.Expected{Result: "k", Objects: 3, Bytes: 30, Digest: "d"}
	right := fetch.Stats{Objects: 3, Bytes: 30, Digest: "d"}
	impossible, wrong := trial.ParseAnswer([]byte(`{"result":"k","stats":{"retries":-1}}`)) // as send reads it
	bare := answered("k", nil)
	bare.stats = true
	with := func(change func(*fetch.Stats)) *fetch.Stats {
		s := right
		change(&s)
		return &s
	}
	for _, tc := range []struct {
		name    string
		got     reply
		message string
	}{
		{"right", answered("k", &right), ""},
		{"right, without stats", answered("k", nil), ""},
		{"another key", answered("q", &right), `wanted result "k", got "q"`},
		{"one object too few", answered("k", with(func(s *fetch.Stats) { s.Objects = 2 })), "wanted 3 objects of 30 bytes, got 2 of 30"},
		{"a byte too many", answered("k", with(func(s *fetch.Stats) { s.Bytes = 31 })), "wanted 3 objects of 30 bytes, got 3 of 31"},
		{"another digest", answered("k", with(func(s *fetch.Stats) { s.Digest = "e" })), "wanted digest d, got e"},
		{"objects that could not be read", answered("k", with(func(s *fetch.Stats) { s.Errors = 1 })), "wanted stats.errors 0, got 1"},
		{"stats that nobody can have counted", reply{answer: impossible, wrong: wrong}, "got not an answer: stats.retries -1: must be"},
		{"no stats, where the first answer had some", bare, "wanted stats, as in the first answer, got none"},
		{"an error", failed("ObjectReadFailed"), `wanted result "k", got the error ObjectReadFailed: "m"`},
		{"no answer", reply{Invocation: trial.Invocation{Payload: []byte("[]")}}, `wanted result "k", got "[]"`},
	} {
		err := tc.got.is(want)
		var broken *violation
		if (err == nil) != (tc.message == "") || err != nil && (!errors.As(err, &broken) || !strings.Contains(err.Error(), tc.message)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.message)
		}
	}
}

// An error must be the function's own, and where it answers with stats, of the
// contract's name.
func TestReplyFails(t *testing.T) {
	for _, tc := range []struct {
		name  string
		got   reply
		stats bool
		ok    bool
	}{
		{"the contract's name", failed(fetch.NoSuchBucket), true, true},
		{"the name of a Java class, with its package", failed("fetch." + fetch.NoSuchBucket), true, true},
		{"a name that only ends like it", failed("Not" + fetch.NoSuchBucket), true, false},
		{"another name", failed("Oops"), true, false},
		{"another name, of one that knows the published event only", failed("Oops"), false, true},
		{"the end of the process", failed("Runtime.ExitError"), false, false},
		{"a time-out", failed("Sandbox.Timedout"), false, false},
		{"an answer", answered("None", nil), false, false},
	} {
		if err := tc.got.fails(&checker{stats: tc.stats}, fetch.NoSuchBucket); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
