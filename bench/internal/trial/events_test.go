package trial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fanout/bench/internal/lambdatest"
	"fanout/functions/fetch"
)

// Events are lines of JSON, each with its weight.
func TestReadEvents(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       string // names, weights and payloads
		err        string
	}{
		{"one", `{"event":{}}`, `line 1 1 {}`, ""},
		{"all fields", `{"event":[1],"weight":2.5,"name":"n","expect":null}`, `n 2.5 [1]`, ""},
		{"blank lines, a byte order mark, CR LF", "\uFEFF{\"event\":1}\r\n\r\n{\"event\":2}\r\n", `line 1 1 1; line 3 1 2`, ""},
		{"an event that is null", `{"event":null,"expect":null}`, `line 1 1 null`, ""}, // as Lambda takes it
		{"nothing", "\n", "", "no events"},
		{"no event", `{"weight":1}`, "", `line 1: no "event" in it`},
		{"an event without its envelope", `{"name":"Ada","id":7}`, "", `line 1: json: unknown field "id"`},
		{"not JSON", "{\"event\":1}\n{", "", "line 2: "},
		{"two values in a line", `{"event":1}{"event":2}`, "", "line 1: more than one value"},
		{"weight 0", `{"event":1,"weight":0}`, "", "weight 0: must be above 0"},
		{"a negative weight", `{"event":1,"weight":-1}`, "", "weight -1: must be above 0"},
		{"too many", strings.Repeat("{\"event\":1}\n", maxEvents+1), "", "more than 1000 events"},
		{"too large", `{"event":"` + strings.Repeat("x", maxEventBytes) + `"}`, "", "more than the 6 MB"},
	} {
		events, err := ReadEvents(strings.NewReader(tc.text))
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprintf("%s %g %s", e.Name, e.Weight, e.Payload))
		}
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v, want %q", tc.name, err, tc.err)
			}
		} else if err != nil || strings.Join(got, "; ") != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.name, got, err, tc.want)
		}
	}
	for text, want := range map[string]string{"": "empty", " \n": "empty", "{": "not JSON", `{} {}`: "not JSON"} {
		if _, err := ReadEvent(strings.NewReader(text), "f"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// After any number of invocations each event has had its share, to less than
// one, and the order is the same each time.
func TestEventOf(t *testing.T) {
	for _, weights := range [][]float64{{1}, {1, 1}, {9, 1}, {3, 2, 1}, {0.5, 0.25}} {
		var events []Event
		var sum float64
		for _, w := range weights {
			events, sum = append(events, Event{Weight: w}), sum+w
		}
		sent := make([]float64, len(weights))
		for n := range 50 {
			sent[eventOf(events, n)]++
			for i, w := range weights {
				if off := sent[i] - w/sum*float64(n+1); off >= 1 || off <= -1 {
					t.Errorf("%v: after %d, event %d was sent %v times", weights, n+1, i, sent[i])
				}
			}
		}
	}
	var order []int
	for n := range 5 {
		order = append(order, eventOf([]Event{{Weight: 3}, {Weight: 1}}, n))
	}
	if !slices.Equal(order, []int{0, 0, 1, 0, 0}) {
		t.Errorf("order %v", order)
	}
}

// Answers are compared as values, not as texts.
func TestSameJSON(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[true,null]}`, ` { "b" : [ true , null ] , "a" : 1.0 } `, true},
		{`"é"`, `"\u00e9"`, true},
		{`1e2`, `100`, true},
		{`[1,2]`, `[2,1]`, false},
		{`{"a":null}`, `{}`, false},
		{`{"a":1}`, `{"b":1}`, false},
		{`1`, `"1"`, false},
		{`0`, `false`, false},
		{`9007199254740993`, `9007199254740992`, false}, // one float for both
		{`not JSON`, `not JSON`, true},
		{`not JSON`, `"not JSON"`, false},
		{`{}`, `{} {}`, false},
	} {
		if got := sameJSON([]byte(tc.a), []byte(tc.b)); got != tc.same {
			t.Errorf("%s and %s: %v", tc.a, tc.b, got)
		}
		if sameJSON([]byte(tc.a), []byte(tc.b)) != sameJSON([]byte(tc.b), []byte(tc.a)) {
			t.Errorf("%s and %s: not the same both ways", tc.a, tc.b)
		}
	}
}

// ownRunner measures one function with these events.
func ownRunner(t *testing.T, out *bytes.Buffer, expect Expectation, f lambdatest.Function, events ...Event) *Runner {
	t.Helper()
	r := runnerOf(cloud(t, f), out, 3, 1)
	r.Targets = r.Targets[:1]
	r.Targets[0].Published = true
	r.Events, r.Expected = events, Expected{}
	p := &r.Header.Plan
	p.Events, p.Expect, p.Clients, p.Concurrencies = Info(events), expect, nil, nil
	return r
}

// An event of the caller's own is sent as it is, and whatever is answered is an
// answer.
func TestRunOwn(t *testing.T) {
	echo := func(text string) lambdatest.Function {
		return lambdatest.Function{Answer: func(fetch.Event, bool) (string, string) { return text, "" }}
	}
	event := Event{Name: "e", Weight: 1, Payload: json.RawMessage(`{"mine":1}`)}
	with := func(e Event, expect string) Event {
		e.Expect = json.RawMessage(expect)
		return e
	}
	n := 0
	counting := lambdatest.Function{Answer: func(fetch.Event, bool) (string, string) { n++; return fmt.Sprint(n), "" }}
	for _, tc := range []struct {
		name   string
		expect Expectation
		f      lambdatest.Function
		event  Event
		err    string
	}{
		{"the first one", ExpectFirst, echo(`{"a":1}`), event, ""},
		{"no JSON", ExpectFirst, echo(`<html>`), event, ""},
		{"nothing", ExpectFirst, echo(``), event, ""},
		{"the given one", ExpectGiven, echo(`{"a":1}`), with(event, `{"a": 1.0}`), ""},
		{"another than the given one", ExpectGiven, echo(`{"a":1}`), with(event, `{"a":2}`), `answered {"a":1}, want {"a":2}`},
		{"another each time", ExpectFirst, counting, event, "the first answer was 1"},
		{"another each time, and nobody minds", ExpectNone, counting, event, ""},
	} {
		var out bytes.Buffer
		err := ownRunner(t, &out, tc.expect, tc.f, tc.event).Run(t.Context())
		if tc.err != "" {
			if !errors.Is(err, ErrWrongAnswer) || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		f, readErr := Read(&out)
		if err != nil || readErr != nil || f.End.Reason != Complete || len(f.Results) != 4 {
			t.Errorf("%s: %v, %v, %d results, %+v", tc.name, err, readErr, len(f.Results), f.End)
			continue
		}
		for _, line := range f.Results {
			if !line.OK || line.Event != "" || line.Stats != nil || line.Client != "" {
				t.Errorf("%s: %+v", tc.name, line)
			}
		}
		if !f.Header.Plan.Own() || strings.Contains(out.String(), "mine") {
			t.Errorf("%s: header %+v", tc.name, f.Header.Plan)
		}
	}
}

// Of several events each line says which it was, and each has its own answer.
func TestRunSeveralEvents(t *testing.T) {
	var out bytes.Buffer
	a := Event{Name: "a", Weight: 2, Payload: json.RawMessage(`{"folder":"a"}`)}
	b := Event{Name: "b", Weight: 1, Payload: json.RawMessage(`{"folder":"b"}`)}
	r := ownRunner(t, &out, ExpectFirst, lambdatest.Function{
		Answer: func(e fetch.Event, _ bool) (string, string) { return `"` + e.Folder + `"`, "" },
	}, a, b)
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]int{}
	for _, line := range f.Results {
		if line.Start == Warm {
			sent[line.Event]++
		}
	}
	if sent["a"] != 2 || sent["b"] != 1 {
		t.Errorf("sent %v", sent)
	}
}

// An alias, or a published version, is measured as it is.
func TestRunFixed(t *testing.T) {
	var out bytes.Buffer
	r := ownRunner(t, &out, ExpectNone, lambdatest.Function{}, Event{Name: "e", Weight: 1, Payload: json.RawMessage(`{}`)})
	r.Targets[0].Fixed = true
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&out)
	if err != nil || len(f.Results) != 3 || len(f.End.Warnings) != 1 ||
		!strings.Contains(f.End.Warnings[0], "an alias or a published version") {
		t.Errorf("%d results, %q, %v", len(f.Results), f.End.Warnings, err)
	}
}

// Whatever a file of events holds: no panic, and what is taken can be sent.
func FuzzReadEvents(f *testing.F) {
	f.Add([]byte(`{"event":{"a":[1,2]},"weight":0.5,"name":"n","expect":"x"}`))
	f.Add([]byte("{\"event\":1}\n\n{\"event\":2}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		events, err := ReadEvents(bytes.NewReader(text))
		if err == nil && len(events) == 0 {
			t.Error("no events, and no error")
		}
		for _, e := range events {
			if !json.Valid(e.Payload) || !(e.Weight > 0) || e.Name == "" {
				t.Errorf("%q: %+v", text, e)
			}
			if e.Expect != nil && !sameJSON(e.Expect, e.Expect) {
				t.Errorf("%q: not the same as itself", e.Expect)
			}
		}
	})
}
