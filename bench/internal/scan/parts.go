package scan

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/table"
	"fanout/functions/fetch"
	fn "fanout/functions/scan"
)

// Bucket is what of the S3 API reads a job's parts.
type Bucket interface {
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Parts are those of one job, in the results bucket.
type Parts struct {
	Client Bucket
	Bucket string
	Job    string
}

// Prefix is where a job's parts are.
func (p Parts) Prefix() string { return "jobs/" + p.Job + "/parts/" }

// partReaders is how many parts are read at once: each is a small GET, whose
// time is S3's latency.
const partReaders = 32

// maxPart bounds the bytes of one part: a thousand keys that all match, with
// the longest keys and lines, are some 7 MB, as each character may be escaped.
const maxPart = 64 << 20

// Reconcile compares a job's parts with what its own merge has made of them, which
// is the output of an execution that succeeded. changed says how the parts differ,
// as they expired, were removed or written over since; empty: they do not. A part
// that the merge counted more than once, as several batches had the very same keys,
// then counts as often in s, too.
func (s *Summary) Reconcile(output string) (changed string) {
	var r fn.Result
	if err := json.Unmarshal([]byte(output), &r); err != nil {
		return fmt.Sprintf("the job's answer is none of a scan: %v", err)
	}
	switch {
	case s.Keys+r.Repeated != r.Keys:
		return fmt.Sprintf("its parts have changed since it ended: they now have %s, and had %s",
			plural(s.Keys, "key", "keys"), table.Grouped(float64(r.Keys-r.Repeated)))
	case r.Repeated > 0: // the rest differs
	case s.Objects != r.Objects || s.Bytes != r.Bytes || s.Matches != r.Matched || s.Digest != r.Digest:
		return fmt.Sprintf("its parts have changed since it ended: they now add up to %s, %s, %s and digest %s; then it was %s, %s, %s and %s",
			objectCount(s.Objects), Size(float64(s.Bytes)), plural(s.Matches, "match", "matches"), s.Digest,
			objectCount(r.Objects), Size(float64(r.Bytes)), plural(r.Matched, "match", "matches"), r.Digest)
	}
	s.Parts, s.Keys, s.Objects, s.Bytes, s.Digest = r.Parts, r.Keys, r.Objects, r.Bytes, r.Digest
	return ""
}

// Collect adds up all parts and hands the matches of each to sink, one part
// after the other, in no order of the parts; the memory needed is that of
// partReaders parts. The error has a hint.
func (p Parts) Collect(ctx context.Context, sink func([]fn.Match) error) (Summary, error) {
	sum := newSummer()
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partReaders)
	err := p.list(ctx, func(key string) error {
		g.Go(func() error {
			part, err := p.read(ctx, key)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			sum.add(part)
			return sink(part.Matches)
		})
		return ctx.Err()
	})
	if werr := g.Wait(); werr != nil {
		err = werr
	}
	if err != nil {
		return Summary{}, err
	}
	return sum.summary(), nil
}

// list calls f with the key of each part.
func (p Parts) list(ctx context.Context, f func(key string) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &p.Bucket, Prefix: aws.String(p.Prefix())}
	for {
		out, err := p.Client.ListObjectsV2(ctx, in)
		if err != nil {
			return hint.Failed(hint.AWS(err, "the parts stay in the bucket: try again with fanout scan result"),
				"list the parts in s3://%s/%s: %w", p.Bucket, p.Prefix(), err)
		}
		for _, o := range out.Contents {
			if err := f(aws.ToString(o.Key)); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// readTries is how often a part is read whose body breaks off.
const readTries = 3

// read reads one part.
func (p Parts) read(ctx context.Context, key string) (part fn.Part, err error) {
	for range readTries {
		var out *s3.GetObjectOutput
		if out, err = p.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &p.Bucket, Key: &key}); err != nil {
			break
		}
		var text []byte
		text, err = io.ReadAll(io.LimitReader(out.Body, maxPart))
		_ = out.Body.Close() // only read from
		if err == nil {
			if part, err = fn.DecodePart(text); err != nil {
				return part, hint.Failed("remove that object and redrive the job, or scan again if it had succeeded",
					"s3://%s/%s is damaged: %w", p.Bucket, key, err)
			}
			return part, nil
		}
	}
	return part, hint.Failed(hint.AWS(err, "the parts stay in the bucket: try again with fanout scan result"),
		"read part s3://%s/%s: %w", p.Bucket, key, err)
}

// summer adds parts up.
type summer struct {
	sum      Summary
	digest   fetch.Digest
	failures map[string]*FailureKind
	times    timeline
}

func newSummer() *summer { return &summer{failures: map[string]*FailureKind{}} }

// Bounds of what a summary holds of failures.
const (
	maxFailureKeys = 3
	maxFailureText = 300 // characters
)

// add takes a part that [fn.DecodePart] has seen.
func (s *summer) add(p fn.Part) {
	digest, _ := fetch.ParseDigest(p.Digest)
	s.digest.Merge(digest)
	t := &s.sum
	t.Parts++
	t.Keys += int64(p.Keys)
	t.Objects += int64(p.Objects)
	t.Bytes += p.Bytes
	t.Matches += int64(len(p.Matches))
	for _, m := range p.Matches {
		if t.First == "" || m.Key < t.First {
			t.First = m.Key
		}
	}
	t.Retries += int64(p.Retries)
	t.CPUMS += p.CPUMS
	t.BusyMS += float64(p.Ended - p.Started)
	if t.Started == 0 || p.Started < t.Started {
		t.Started = p.Started
	}
	t.Ended = max(t.Ended, p.Ended)
	s.times.add(p)
	for _, f := range p.Failures {
		kind := s.failures[f.Error]
		if kind == nil {
			kind = &FailureKind{Error: f.Error, Message: cut(f.Message, maxFailureText)}
			s.failures[f.Error] = kind
		}
		kind.Count++
		if len(kind.Keys) < maxFailureKeys {
			kind.Keys = append(kind.Keys, f.Key)
		}
	}
}

func (s *summer) summary() Summary {
	t := s.sum
	t.Digest, t.Timeline = s.digest.String(), s.times.timeline()
	for _, name := range slices.Sorted(maps.Keys(s.failures)) {
		t.Failures = append(t.Failures, *s.failures[name])
	}
	slices.SortStableFunc(t.Failures, func(a, b FailureKind) int { return cmp.Compare(b.Count, a.Count) })
	return t
}

// cut keeps the first characters of a text.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// Sampler estimates from a few parts what all of them hold while a job runs: a
// part's name is a hash, so that any stretch of names is a fair sample.
type Sampler struct {
	Parts Parts

	seen  map[string]bool
	n     int
	keys  int64
	bytes int64
	busy  float64 // milliseconds
}

// At most so many parts are read at a poll, and in all.
const (
	sampledAtOnce = 3
	sampledInAll  = 300
)

// Estimate fills in what the sample says. Parts that cannot be read are left
// out: the job does not depend on it.
func (s *Sampler) Estimate(ctx context.Context, to *Sample) {
	if to.Batches.Succeeded > 0 && s.n < sampledInAll {
		s.look(ctx)
	}
	if s.keys == 0 {
		return
	}
	to.Parts = s.n
	to.Bytes = int64(float64(s.bytes) / float64(s.keys) * float64(to.Items.Succeeded))
	to.BusyMS = s.busy / float64(s.n) * float64(to.Batches.Succeeded)
}

// look reads a few parts more, from a random place on.
func (s *Sampler) look(ctx context.Context) {
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	var keys []string
	for _, after := range []string{fmt.Sprintf("%s%06x", s.Parts.Prefix(), rand.Uint32N(1<<24)), s.Parts.Prefix()} {
		out, err := s.Parts.Client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
			Bucket: &s.Parts.Bucket, Prefix: aws.String(s.Parts.Prefix()), StartAfter: &after, MaxKeys: aws.Int32(sampledAtOnce),
		})
		if err != nil {
			return
		}
		for _, o := range out.Contents {
			if key := aws.ToString(o.Key); !s.seen[key] && strings.HasSuffix(key, ".json") && len(keys) < sampledAtOnce {
				keys = append(keys, key)
			}
		}
		if len(keys) > 0 {
			break
		}
	}
	for _, key := range keys {
		part, err := s.Parts.read(ctx, key)
		if err != nil {
			return
		}
		s.seen[key] = true
		s.n++
		s.keys += int64(part.Keys)
		s.bytes += part.Bytes
		s.busy += float64(part.Ended - part.Started)
	}
}
