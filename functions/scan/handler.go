package scan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"fanout/functions/fetch"
)

// Handler answers fetch's event, a [Batch], and a [MergeRequest]. It is a
// lambda.Handler of aws-lambda-go.
type Handler struct {
	fetch       *fetch.Handler
	groupsAbove int64         // items
	pause       time.Duration // the first, where S3 asks for fewer requests
}

// New gives a handler that reads with f.
func New(f *fetch.Handler) *Handler { return &Handler{f, groupsAbove, throttlePause} }

// store is what a job needs of its client.
type store interface {
	fetch.Store
	fetch.Putter
}

// Invoke answers one event. What it is shows in its first name, so that fetch's
// own event is not parsed twice.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var answer any
	var err error
	switch firstName(payload) {
	case "BatchInput", "Items":
		answer, err = decoded(ctx, payload, DecodeBatch, h.Batch)
	case "merge":
		answer, err = decoded(ctx, payload, DecodeMerge, h.Merge)
	default:
		return h.fetch.Invoke(ctx, payload)
	}
	if err != nil {
		return nil, fetch.WireError(err)
	}
	return marshal(answer)
}

func decoded[Q any](ctx context.Context, payload []byte, decode func([]byte) (Q, error),
	do func(context.Context, Q) (any, error)) (any, error) {
	request, err := decode(payload)
	if err != nil {
		return nil, err
	}
	return do(ctx, request)
}

// firstName gives the first name in a JSON object, as it is written; empty: there
// is none.
func firstName(payload []byte) string {
	const space = " \t\r\n"
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(payload, space), []byte("{"))
	if !ok {
		return ""
	}
	if rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, space), []byte(`"`)); !ok {
		return ""
	}
	name, _, _ := bytes.Cut(rest[:min(len(rest), len("BatchInput")+1)], []byte(`"`))
	return string(name)
}

// marshal gives JSON as the service counts it: without <, > and & escaped for
// HTML, which would make them six bytes each.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func errorf(kind, format string, args ...any) *fetch.Error {
	return &fetch.Error{Type: kind, Message: fmt.Sprintf(format, args...)}
}

// decodeStrict parses one JSON value that has no names but v's.
func decodeStrict(payload []byte, what string, v any) error {
	if !utf8.Valid(payload) {
		return errorf(fetch.InvalidEvent, "%s: not UTF-8", what)
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return errorf(fetch.InvalidEvent, "%s: %s", what, strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errorf(fetch.InvalidEvent, "%s: more than one JSON value", what)
	}
	return nil
}

// DecodeBatch parses ItemBatcher's envelope. Every error is a *[fetch.Error] of type
// InvalidEvent.
func DecodeBatch(payload []byte) (Batch, error) {
	var b Batch
	if err := decodeStrict(payload, "batch", &b); err != nil {
		return Batch{}, err
	}
	in := b.Input
	if err := validJob("batch", in.Job, in.Results); err != nil {
		return Batch{}, err
	}
	if b.Items == nil {
		return Batch{}, errorf(fetch.InvalidEvent, "batch: Items is missing")
	}
	if err := completeEvent("batch", &b.Input.Event); err != nil {
		return Batch{}, err
	}
	return b, nil
}

// DecodeMerge parses {"merge": MergeRequest}. Every error is a *[fetch.Error] of type
// InvalidEvent.
func DecodeMerge(payload []byte) (MergeRequest, error) {
	var envelope struct {
		Merge MergeRequest `json:"merge"`
	}
	if err := decodeStrict(payload, "merge", &envelope); err != nil {
		return MergeRequest{}, err
	}
	m := envelope.Merge
	if err := validJob("merge", m.Job, m.Results); err != nil {
		return MergeRequest{}, err
	}
	if m.Group != "" {
		if len(m.Group) != 1 || !strings.Contains(digits, m.Group) {
			return MergeRequest{}, errorf(fetch.InvalidEvent, "merge: group %q: must be one of %s", m.Group, digits)
		}
		return m, nil
	}
	switch {
	case m.Total == nil || *m.Total < 0:
		return MergeRequest{}, errorf(fetch.InvalidEvent, "merge: total, the number of the Map Run's items, is missing or negative")
	case m.Event == nil:
		return MergeRequest{}, errorf(fetch.InvalidEvent, "merge: event is missing")
	}
	if err := completeEvent("merge", m.Event); err != nil {
		return MergeRequest{}, err
	}
	return m, nil
}

// completeEvent makes a job's event ask for all matches, and validates it.
func completeEvent(what string, ev *fetch.Event) error {
	if ev.Keys != nil || ev.Folder != "" {
		return errorf(fetch.InvalidEvent, "%s: the event has keys or folder: the items have the keys", what)
	}
	if ev.Find != nil {
		ev.Matches = fetch.MatchesAll
	}
	return ev.Validate()
}

// validJob says whether a job's name and bucket can be used: a name with a slash
// would be in another job's place.
func validJob(what, job string, results Results) error {
	switch {
	case job == "" || utf8.RuneCountInString(job) > 80 || strings.ContainsAny(job, "/\x00") || job == "." || job == "..":
		return errorf(fetch.InvalidEvent, "%s: job %q: must be an execution's name, 1 to 80 characters", what, job)
	case results.Bucket == "" || strings.Contains(results.Bucket, "/"):
		return errorf(fetch.InvalidEvent, "%s: results.bucket %q: must be a bucket's name", what, results.Bucket)
	}
	return nil
}

// open gives the client that an event is read with.
func (h *Handler) open(ctx context.Context, ev fetch.Event) (store, error) {
	name := h.fetch.Client(ev)
	s, err := h.fetch.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	both, ok := s.(store)
	if !ok {
		return nil, errorf(fetch.InvalidEvent, "client %q cannot write the parts of a scan", name)
	}
	return both, nil
}
