package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/smithy-go"

	"fanout/functions/corpus"
)

const (
	// answerReserve is how long before the function's time limit the work is
	// given up, so that CloudFormation hears of it. It leaves room for every
	// try of [seeder.answer].
	answerReserve = 30 * time.Second

	// stopWithin is how long work may take to notice that it was given up.
	stopWithin = 2 * time.Second

	// rightsWithin is how long a refusal is put down to a role so new that its
	// rights have not arrived everywhere yet. IAM says seconds.
	rightsWithin = time.Minute
)

// store holds the objects.
type store interface {
	// replace brings bucket to exactly the objects of spec under its prefix,
	// and takes away what is left of the earlier specs.
	replace(ctx context.Context, bucket string, spec corpus.Spec, earlier []corpus.Spec, progress func(done, total int)) error
	// remove takes out every version of every seed object, if there is nothing
	// else; specs know those that carry no mark.
	remove(ctx context.Context, bucket string, specs []corpus.Spec, progress func(deleted int)) error
	// emptyOnly takes out every version of what is under prefix, if there is
	// nothing else.
	emptyOnly(ctx context.Context, bucket, prefix string, progress func(deleted int)) error
	// empty takes out every version of everything.
	empty(ctx context.Context, bucket string, progress func(deleted int)) error
}

// results is the type of the custom resource that stands for the results of
// scans: others put those, and the seeder only takes them away.
const results = "Custom::FanoutResults"

// seeder does what CloudFormation asks and answers it, whatever happens.
type seeder struct {
	store    store
	callback *http.Client
	log      *slog.Logger
}

// handle answers one request. Its error is that CloudFormation could not be
// told; Lambda then invokes it again with the same request, which does no
// harm: all of the work can be done twice.
func (s *seeder) handle(ctx context.Context, event cfn.Event) error {
	response := cfn.NewResponse(&event)
	response.PhysicalResourceID = physicalID(event)
	response.Status = cfn.StatusSuccess
	started := time.Now()
	data, err := s.guard(ctx, event)
	if err != nil {
		response.Status = cfn.StatusFailed
		response.Reason = reason(err)
	} else {
		response.Data = data
	}
	s.log.InfoContext(ctx, "request done", "type", event.RequestType, "id", response.PhysicalResourceID,
		"status", response.Status, "reason", response.Reason, "seconds", time.Since(started).Seconds())
	return s.answer(ctx, event.ResponseURL, response)
}

// physicalID names what the resource stands for: the objects in one bucket. It
// stays the same as long as the bucket does, and a new bucket's makes
// CloudFormation delete the old one's objects after the update.
func physicalID(event cfn.Event) string {
	if event.RequestType != cfn.RequestDelete {
		if bucket, ok := event.ResourceProperties["Bucket"].(string); ok && bucket != "" {
			return "s3://" + bucket
		}
	}
	if event.PhysicalResourceID != "" {
		return event.PhysicalResourceID
	}
	return event.RequestID // a create that names no bucket, and will be refused
}

// guard does the work and comes back in time to answer: after a panic, and
// when the work hangs, too.
func (s *seeder) guard(ctx context.Context, event cfn.Event) (map[string]any, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerReserve))
		defer cancel()
	}
	type outcome struct {
		data map[string]any
		err  error
	}
	var at progress
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				s.log.ErrorContext(ctx, "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
				o = outcome{err: fmt.Errorf("panic: %v", p)}
			}
			done <- o
		}()
		o.data, o.err = s.work(ctx, event, &at)
	}()

	o := outcome{err: ctx.Err()}
	select {
	case o = <-done:
	case <-ctx.Done():
		o.err = ctx.Err()
		select {
		case o = <-done:
		case <-time.After(stopWithin):
		}
	}
	if ctx.Err() != nil && errors.Is(o.err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("out of time %v before the function's limit, %s: ask for fewer or smaller objects", answerReserve, at.String())
	}
	return o.data, o.err
}

// progress says how far the work came.
type progress struct{ what, done, total atomic.Int64 }

const (
	putting = iota + 1
	deleting
)

func (p *progress) put(done, total int) {
	p.what.Store(putting)
	p.done.Store(int64(done))
	p.total.Store(int64(total))
}

func (p *progress) deleted(n int) {
	p.what.Store(deleting)
	p.done.Store(int64(n))
}

func (p *progress) String() string {
	switch p.what.Load() {
	case putting:
		return fmt.Sprintf("after %d of %d objects", p.done.Load(), p.total.Load())
	case deleting:
		return fmt.Sprintf("after deleting %d objects", p.done.Load())
	}
	return "before the first object"
}

func (s *seeder) work(ctx context.Context, event cfn.Event, at *progress) (map[string]any, error) {
	bucket, _ := event.ResourceProperties["Bucket"].(string)
	if bucket == "" {
		if event.RequestType == cfn.RequestDelete {
			return nil, nil // of a create that was refused for this
		}
		return nil, fmt.Errorf("resource property Bucket %v: must name a bucket", event.ResourceProperties["Bucket"])
	}
	switch event.RequestType {
	case cfn.RequestDelete:
		return nil, s.delete(ctx, bucket, event, at)

	case cfn.RequestCreate, cfn.RequestUpdate:
		if event.ResourceType == results {
			return nil, nil
		}
		spec, err := parseSpec(event.ResourceProperties)
		if err != nil {
			return nil, err
		}
		// A bucket of its own for the old objects gets a delete of its own.
		// Where the old properties are none that could be put, as when those of
		// a refused update are rolled back, there is nothing of theirs.
		var earlier []corpus.Spec
		if old, err := parseSpec(event.OldResourceProperties); err == nil && event.OldResourceProperties["Bucket"] == bucket {
			earlier = append(earlier, old)
		}
		err = s.patiently(ctx, func() error { return s.store.replace(ctx, bucket, spec, earlier, at.put) })
		var foreign *corpus.ForeignError
		if event.RequestType == cfn.RequestUpdate && errors.As(err, &foreign) && foreign.Idle {
			// The rollback of an update that was refused for these, or an update
			// of something else: it must not be refused for them, too.
			s.log.WarnContext(ctx, "nothing to do, and others' objects in the way", "objects", foreign.Named())
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("put %d objects into bucket %s: %w", spec.Count, bucket, err)
		}
		return map[string]any{"Objects": strconv.Itoa(spec.Count), "Bytes": strconv.FormatInt(spec.TotalBytes(), 10)}, nil
	}
	return nil, fmt.Errorf("request type %q: must be Create, Update or Delete", event.RequestType)
}

// specsOf gives the seed objects that properties speak of, if they do.
func specsOf(properties map[string]any) []corpus.Spec {
	spec, err := parseSpec(properties)
	if err != nil {
		return nil
	}
	return []corpus.Spec{spec}
}

// delete takes the objects away, so that CloudFormation can delete the bucket.
// Of the properties it needs the bucket alone: those of a create that was
// refused come along with its delete, which must work.
func (s *seeder) delete(ctx context.Context, bucket string, event cfn.Event, at *progress) error {
	properties := event.ResourceProperties
	if properties["EmptyBucket"] == "true" {
		if err := s.store.empty(ctx, bucket, at.deleted); err != nil {
			return fmt.Errorf("empty bucket %s: %w", bucket, err)
		}
		return nil
	}
	remove := func() error { return s.store.remove(ctx, bucket, specsOf(properties), at.deleted) }
	if event.ResourceType == results {
		prefix, _ := properties["Prefix"].(string)
		if prefix == "" { // every object of anybody is under that
			return fmt.Errorf("resource property Prefix %v: must be what the keys of results begin with; nothing was deleted", properties["Prefix"])
		}
		remove = func() error { return s.store.emptyOnly(ctx, bucket, prefix, at.deleted) }
	}
	err := s.patiently(ctx, remove)
	var foreign *corpus.ForeignError
	if errors.As(err, &foreign) {
		return fmt.Errorf("bucket %s contains objects that this stack did not create: %s. Nothing was deleted from it: move these "+
			"objects or delete them, then delete the stack again. (A stack deployed with emptyBucket=true empties its bucket, whatever "+
			"it contains.)", bucket, foreign.Named())
	}
	if err != nil {
		return fmt.Errorf("empty bucket %s: %w", bucket, err)
	}
	return nil
}

// patiently tries again for a while what is refused, since a stack's first
// request comes seconds after its role was made, and an update's seconds after
// its role was given more rights.
func (s *seeder) patiently(ctx context.Context, do func() error) error {
	started := time.Now()
	for pause := time.Second; ; pause *= 2 {
		err := do()
		if !refused(err) || time.Since(started)+pause > rightsWithin {
			return err
		}
		s.log.WarnContext(ctx, "refused; the role may be too new, trying again", "pause_ms", pause.Milliseconds(), "error", err.Error())
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// refused says whether the role lacks a right. A HEAD is answered without a
// body, and so without S3's own name for that.
func refused(err error) bool { return code(err) == "AccessDenied" || code(err) == "Forbidden" }

// code gives the name that S3 has for an error, or nothing.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// parseSpec reads the resource properties. CloudFormation hands on every
// number as text.
func parseSpec(properties map[string]any) (corpus.Spec, error) {
	p := propertyReader{properties: properties}
	spec := corpus.Spec{
		Count:    int(p.number("Objects", 31)),
		MinBytes: int64(p.number("MinBytes", 63)),
		MaxBytes: int64(p.number("MaxBytes", 63)),
		Seed:     p.number("Seed", 64),
		Needle:   p.needle(),
		Prefix:   p.text("Prefix"),
	}
	if p.err != nil {
		return corpus.Spec{}, p.err
	}
	if p.shape(&spec); p.err != nil {
		return corpus.Spec{}, p.err
	}
	if err := spec.Validate(); err != nil {
		return corpus.Spec{}, fmt.Errorf("resource properties: %w", err)
	}
	if spec.Count > maxObjects {
		return corpus.Spec{}, fmt.Errorf("resource properties: objects %d: must be 1 to %d", spec.Count, maxObjects)
	}
	return spec, nil
}

// maxObjects is the most that could be put within a Lambda function's 15
// minutes: by the corpus' 32 workers, at 20 ms each, 1,600 a second. Templates of
// this repository ask for far fewer. The corpus itself can be larger.
const maxObjects = 1_000_000

// propertyReader keeps the first error.
type propertyReader struct {
	properties map[string]any
	err        error
}

func (p *propertyReader) text(name string) string {
	text, ok := p.properties[name].(string)
	if !ok && p.err == nil {
		p.err = fmt.Errorf("resource property %s %v: must be text", name, p.properties[name])
	}
	return text
}

// needle reads it as JSON text, or as the plain text that earlier templates
// have. CloudFormation keeps what is not ASCII only in the former.
func (p *propertyReader) needle() (needle string) {
	if _, ok := p.properties["NeedleJSON"]; !ok {
		return p.text("Needle")
	}
	text := p.text("NeedleJSON")
	if err := json.Unmarshal([]byte(text), &needle); err != nil && p.err == nil {
		p.err = fmt.Errorf("resource property NeedleJSON %q: must be text as JSON: %w", text, err)
	}
	return needle
}

// shape reads the distribution of the sizes, if there is one, as JSON text.
func (p *propertyReader) shape(spec *corpus.Spec) {
	if _, ok := p.properties["ShapeJSON"]; !ok {
		return
	}
	text := p.text("ShapeJSON")
	if err := json.Unmarshal([]byte(text), &spec.Shape); err != nil && p.err == nil {
		p.err = fmt.Errorf("resource property ShapeJSON: %w", err)
	}
}

func (p *propertyReader) number(name string, bits int) uint64 {
	text := p.text(name)
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("resource property %s %q: must be a whole number of up to %d bits", name, text, bits)
	}
	return n
}
