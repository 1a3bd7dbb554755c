package corpus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

const (
	// putWorkers is how many objects are put, or looked at, at once,
	// removeWorkers how many batches of deletes.
	putWorkers    = 32
	removeWorkers = 4

	// batchKeys is the most keys one DeleteObjects takes, and one page of a
	// listing gives.
	batchKeys = 1000

	// bufferBytes is the largest body that is made in memory, once, for its
	// checksum and its PUT; a larger one is made as it is sent. 32 workers'
	// buffers must fit into a small Lambda function.
	bufferBytes = 1 << 20
)

// PutReport says what [Spec.Put] did.
type PutReport struct {
	Put     int   // objects sent
	Kept    int   // objects that were there already, size and MD5 alike
	Removed int   // objects of an earlier Spec taken away
	Bytes   int64 // of the objects sent
}

// Put brings the objects under s.Prefix to exactly those of s: it lists them
// once, keeps those that are right, sends the others, and takes away those
// that a larger Count left. Put again after an interruption goes on where it
// stopped.
//
// Anything under the prefix that is not a seed object is a [ForeignError],
// before anything is sent or deleted: a count of the objects would come out
// wrong. That an object has a seed object's key is not enough to be replaced:
// it must carry the mark of one, or its bytes.
//
// progress, unless nil, hears after each object how many of all are done, from
// one goroutine at a time. The first error ends the rest; the report then says
// how far Put came.
func (s Spec) Put(ctx context.Context, client *s3.Client, bucket string, progress func(done, total int)) (PutReport, error) {
	return s.Replace(ctx, client, bucket, nil, progress)
}

// Replace is Put in a bucket that may hold the objects of earlier Specs,
// whole or in part. Those are taken away in the end, all versions of them,
// under a prefix of theirs that is not s.Prefix as well. What else lies under
// such a prefix stays, and is no error.
func (s Spec) Replace(
	ctx context.Context, client *s3.Client, bucket string, earlier []Spec, progress func(done, total int),
) (PutReport, error) {
	if err := s.Validate(); err != nil {
		return PutReport{}, err
	}
	o := owner{client: client, bucket: bucket, specs: append([]Spec{s}, earlier...)}
	there, err := s.survey(ctx, o)
	if err != nil {
		return PutReport{}, err
	}
	for _, e := range earlier {
		if e.Prefix == s.Prefix {
			continue
		}
		old, err := e.surveyEarlier(ctx, o)
		if err != nil {
			return PutReport{}, err
		}
		there.stale = append(there.stale, old...)
	}
	if len(there.foreign) > 0 {
		slices.Sort(there.foreign)
		idle := there.kept.n+there.taken == s.Count && len(there.stale) == 0
		return PutReport{}, &ForeignError{Bucket: bucket, Keys: there.foreign, Prefix: s.Prefix, Idle: idle}
	}
	p := putter{spec: s, client: client, bucket: bucket, kept: there.kept, total: s.Count + len(there.stale), progress: progress}
	if err := p.put(ctx); err != nil {
		return p.report, fmt.Errorf("corpus: after %d of %d objects: %w", p.report.Put+p.report.Kept, s.Count, err)
	}
	err = removeAll(ctx, client, bucket, there.stale, func(n int) { p.note(PutReport{Removed: n}) })
	if err != nil {
		return p.report, fmt.Errorf("corpus: remove objects of an earlier corpus: %w", err)
	}
	return p.report, nil
}

// putter sends objects from several workers.
type putter struct {
	spec     Spec
	client   *s3.Client
	bucket   string
	kept     numbers
	total    int // that progress is measured by
	progress func(done, total int)
	next     atomic.Int64
	mu       sync.Mutex // of report and progress
	report   PutReport
}

// note adds to the report.
func (p *putter) note(more PutReport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.report
	r.Put, r.Kept, r.Removed, r.Bytes = r.Put+more.Put, r.Kept+more.Kept, r.Removed+more.Removed, r.Bytes+more.Bytes
	if p.progress != nil {
		p.progress(r.Put+r.Kept+r.Removed, p.total)
	}
}

func (p *putter) put(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range min(putWorkers, p.spec.Count) {
		group.Go(func() error {
			var buf []byte
			for {
				i := int(p.next.Add(1)) - 1
				if i >= p.spec.Count {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if p.kept.has(i) {
					p.note(PutReport{Kept: 1})
					continue
				}
				body, err := p.spec.buffered(i, &buf)
				if err != nil {
					return err
				}
				if err := p.send(ctx, i, body); err != nil {
					return err
				}
				p.note(PutReport{Put: 1, Bytes: p.spec.Size(i)})
			}
		})
	}
	return group.Wait()
}

// buffered gives object i's body, in *buf where it is small enough.
func (s Spec) buffered(i int, buf *[]byte) (io.ReadSeeker, error) {
	size := s.Size(i)
	if size > bufferBytes {
		return s.Body(i), nil
	}
	if int64(cap(*buf)) < size {
		*buf = make([]byte, size)
	}
	*buf = (*buf)[:size]
	if _, err := s.Body(i).ReadAt(*buf, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("make %s: %w", s.Key(i), err)
	}
	return bytes.NewReader(*buf), nil
}

func (p *putter) send(ctx context.Context, i int, body io.ReadSeeker) error {
	_, err := p.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &p.bucket, Key: aws.String(p.spec.Key(i)), Body: body, ContentLength: aws.Int64(p.spec.Size(i)),
		ContentType: aws.String("application/octet-stream"),
		Metadata:    map[string]string{MarkName: p.spec.sum(i)},
		// The same whatever the client's configuration, for a GET answers with
		// it. Over TLS it follows the body, so that the body is read once.
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
	})
	if err != nil {
		return fmt.Errorf("put s3://%s/%s: %w", p.bucket, p.spec.Key(i), err)
	}
	return nil
}
