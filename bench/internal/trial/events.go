package trial

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Event is one of the caller's own, in place of the published one: the function
// may do anything with it, and answer anything.
type Event struct {
	Name    string          // of its file, or its place in one: "order.json", "line 3"
	Weight  float64         // how often it is sent, among others; above 0
	Payload json.RawMessage // any JSON
	Expect  json.RawMessage // the answer that is right; nil: as [Expectation] has it
}

// EventInfo is what a plan says of an event. The payload may hold secrets, and
// is in no result file.
type EventInfo struct {
	Name   string  `json:"name"`
	Weight float64 `json:"weight"`
	Bytes  int     `json:"bytes"`
}

// Expectation is how an answer to an event of the caller's own is checked.
type Expectation string

// The expectations.
const (
	ExpectFirst Expectation = "first" // as the first answer to the same event, whoever gave it
	ExpectNone  Expectation = "none"  // not at all
	ExpectGiven Expectation = "given" // as the caller says
)

// Bounds of events.
const (
	maxEventBytes = 6 << 20 // of one: what Lambda takes of a synchronous invocation
	maxEvents     = 1000
	maxWeight     = 1e6
)

// Info lists what a plan says of events.
func Info(events []Event) []EventInfo {
	var all []EventInfo
	for _, e := range events {
		all = append(all, EventInfo{e.Name, e.Weight, len(e.Payload)})
	}
	return all
}

// ReadEvent reads a file that holds one event: any JSON value.
func ReadEvent(r io.Reader, name string) (Event, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxEventBytes+1))
	if err != nil {
		return Event{}, err
	}
	payload, err := oneValue(text)
	return Event{Name: cut(name, maxNameBytes), Weight: 1, Payload: payload}, err
}

// oneValue checks that a text is one JSON value, of a size that Lambda takes.
func oneValue(text []byte) (json.RawMessage, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
	if len(text) > maxEventBytes {
		return nil, fmt.Errorf("an event of more than the %d MB that Lambda takes", maxEventBytes>>20)
	}
	if len(text) == 0 {
		return nil, errors.New("empty: an event is a JSON value, such as {}")
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return text, nil
}

// ReadEvents reads events with their weights, one a line:
//
//	{"event": {"id": 7}, "weight": 3, "name": "small", "expect": {"ok": true}}
//
// All but the event may be left out. The error says which line is wrong.
func ReadEvents(r io.Reader) ([]Event, error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	var all []Event
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if text := bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\uFEFF"))); len(text) > 0 {
			e, err := parseEvent(text, n)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			if all = append(all, e); len(all) > maxEvents {
				return nil, fmt.Errorf("line %d: more than %d events", n, maxEvents)
			}
		}
		if err != nil {
			break
		}
	}
	if len(all) == 0 {
		return nil, errors.New(`no events: each line is like {"event": {}, "weight": 1}`)
	}
	return all, nil
}

// readLine gives a line, of no more than an event can have.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxEventBytes+maxTextBytes {
			return nil, fmt.Errorf("more than the %d MB that Lambda takes", maxEventBytes>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func parseEvent(text []byte, n int) (Event, error) {
	in := struct {
		Event  json.RawMessage
		Weight *float64
		Name   string
		Expect json.RawMessage
	}{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Event{}, fmt.Errorf(`%w: each line is like {"event": {}, "weight": 1}`, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Event{}, errors.New("more than one value")
	}
	if in.Event == nil {
		return Event{}, errors.New(`no "event" in it`)
	}
	payload, err := oneValue(in.Event)
	if err != nil {
		return Event{}, err
	}
	e := Event{Name: cut(in.Name, maxNameBytes), Weight: 1, Payload: payload, Expect: in.Expect}
	if e.Name == "" {
		e.Name = fmt.Sprintf("line %d", n)
	}
	if in.Weight != nil {
		e.Weight = *in.Weight
	}
	if !(e.Weight > 0 && e.Weight <= maxWeight) {
		return Event{}, fmt.Errorf("weight %g: must be above 0, and %g at most", e.Weight, float64(maxWeight))
	}
	return e, nil
}

// eventOf gives the index of the event that the n-th invocation of a setting
// sends, from 0. It is the same for all settings, so that they are compared by
// the same events, and after any number of them each has had its share, to less
// than one.
func eventOf(events []Event, n int) int {
	var sum float64
	for _, e := range events {
		sum += e.Weight
	}
	sent := make([]float64, len(events))
	best := 0
	for i := range n + 1 {
		best = 0
		behind := math.Inf(-1)
		for k, e := range events {
			if b := e.Weight/sum*float64(i+1) - sent[k]; b > behind {
				best, behind = k, b
			}
		}
		sent[best]++
	}
	return best
}

// sameJSON says whether two texts are the same JSON value: whatever the order
// of fields, the space, and how a number or a letter is written. What is no
// JSON is the same only byte for byte.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	decode := func(text []byte) (v any, ok bool) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return nil, false
		}
		_, err := d.Token()
		return v, errors.Is(err, io.EOF)
	}
	x, ok := decode(a)
	y, ok2 := decode(b)
	return ok && ok2 && sameValue(x, y)
}

func sameValue(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			if w, ok := y[k]; !ok || !sameValue(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !sameValue(x[i], y[i]) {
				return false
			}
		}
		return true
	case json.Number:
		y, ok := b.(json.Number)
		return ok && sameNumber(x, y)
	}
	return a == b
}

// sameNumber compares 1, 1.0 and 1e0 as equal. Beyond 2^53 not every whole
// number has a float of its own: there only what is written alike is equal.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, err := a.Float64()
	y, err2 := b.Float64()
	return err == nil && err2 == nil && x == y && (math.Abs(x) < 1<<53 || strings.ContainsAny(string(a)+string(b), ".eE"))
}

// checkOwn compares an answer to an event of the caller's own, and keeps the
// first one where that is the measure; nil: right, or nobody knows.
func (r *Runner) checkOwn(event int, payload []byte) error {
	want := r.Events[event].Expect
	if want == nil && r.Header.Plan.Expect == ExpectFirst {
		if r.first == nil {
			r.first = map[int][]byte{}
		}
		if _, known := r.first[event]; !known {
			r.first[event] = bytes.Clone(payload)
		}
		want = r.first[event]
	}
	if want == nil || sameJSON(payload, want) {
		return nil
	}
	of := "the first answer was"
	if r.Events[event].Expect != nil {
		of = "want"
	}
	return fmt.Errorf("event %s: answered %s, %s %s", r.Events[event].Name, cut(string(payload), maxTextBytes/4), of,
		cut(string(want), maxTextBytes/4))
}
