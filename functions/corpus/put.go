package corpus

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

const (
	// putWorkers is how many objects are put at once, removeWorkers how many
	// batches of deletes.
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
	Removed int   // objects beyond Count, of an earlier Spec, taken away
	Bytes   int64 // of the objects sent
}

// Put brings the objects under s.Prefix to exactly those of s: it lists them
// once, keeps those that are right, sends the others, and takes away those
// that a larger Count left. Put again after an interruption goes on where it
// stopped. An object under the prefix that no Spec can have made is an error
// that names it, before anything is sent: a count of the objects would come
// out wrong. In a bucket whose ETags are no MD5 (SSE-KMS) every object is sent
// each time.
//
// progress, unless nil, hears after each object how many of all are done, from
// one goroutine at a time. The first error ends the rest; the report then says
// how far Put came.
func (s Spec) Put(ctx context.Context, client *s3.Client, bucket string, progress func(done, total int)) (PutReport, error) {
	var report PutReport
	if err := s.Validate(); err != nil {
		return report, err
	}
	there, stale, err := s.survey(ctx, client, bucket)
	if err != nil {
		return report, err
	}

	var mu sync.Mutex // of report and progress
	total := s.Count + len(stale)
	note := func(edit func()) {
		mu.Lock()
		defer mu.Unlock()
		edit()
		if progress != nil {
			progress(report.Put+report.Kept+report.Removed, total)
		}
	}

	var next atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	for range min(putWorkers, s.Count) {
		group.Go(func() error {
			var buf []byte
			for {
				i := int(next.Add(1)) - 1
				if i >= s.Count {
					return nil
				}
				if err := groupCtx.Err(); err != nil {
					return err
				}
				size := s.Size(i)
				var body io.ReadSeeker = s.Body(i)
				if size <= bufferBytes {
					if int64(cap(buf)) < size {
						buf = make([]byte, size)
					}
					buf = buf[:size]
					if _, err := s.Body(i).ReadAt(buf, 0); err != nil {
						return fmt.Errorf("make %s: %w", s.Key(i), err)
					}
					body = bytes.NewReader(buf)
				}
				if o, ok := there[i]; ok && o.size == size {
					same, err := hasMD5(body, o.etag)
					if err != nil {
						return fmt.Errorf("make %s: %w", s.Key(i), err)
					}
					if same {
						note(func() { report.Kept++ })
						continue
					}
				}
				_, err := client.PutObject(groupCtx, &s3.PutObjectInput{
					Bucket: &bucket, Key: aws.String(s.Key(i)), Body: body, ContentLength: &size,
					ContentType: aws.String("application/octet-stream"),
					// The same whatever the client's configuration, for a GET
					// answers with it. Over TLS it follows the body, so that
					// the body is read once.
					ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
				})
				if err != nil {
					return fmt.Errorf("put s3://%s/%s: %w", bucket, s.Key(i), err)
				}
				note(func() { report.Put, report.Bytes = report.Put+1, report.Bytes+size })
			}
		})
	}
	if err := group.Wait(); err != nil {
		return report, fmt.Errorf("corpus: after %d of %d objects: %w", report.Put+report.Kept, s.Count, err)
	}

	group, groupCtx = errgroup.WithContext(ctx)
	group.SetLimit(removeWorkers)
	for len(stale) > 0 {
		batch := stale[:min(len(stale), batchKeys)]
		stale = stale[len(batch):]
		group.Go(func() error {
			return remove(groupCtx, client, bucket, batch, func(n int) { note(func() { report.Removed += n }) })
		})
	}
	if err := group.Wait(); err != nil {
		return report, fmt.Errorf("corpus: take away what is beyond %d objects: %w", s.Count, err)
	}
	return report, nil
}

// hasMD5 tells whether etag is body's, and rewinds body.
func hasMD5(body io.ReadSeeker, etag string) (bool, error) {
	h := md5.New()
	if _, err := io.Copy(h, body); err != nil {
		return false, err
	}
	_, err := body.Seek(0, io.SeekStart)
	return strings.Trim(etag, `"`) == hex.EncodeToString(h.Sum(nil)), err
}

type stored struct {
	size int64
	etag string
}

// survey lists what is under the prefix: the objects of s by their number, and
// those beyond its Count.
func (s Spec) survey(ctx context.Context, client *s3.Client, bucket string) (there map[int]stored, stale []types.ObjectIdentifier, err error) {
	there = make(map[int]stored, s.Count)
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: &bucket, Prefix: &s.Prefix,
		EncodingType: types.EncodingTypeUrl, // XML cannot hold every key
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("list s3://%s/%s: %w", bucket, s.Prefix, err)
		}
		for _, o := range page.Contents {
			key, err := decode(o.Key, page.EncodingType)
			if err != nil {
				return nil, nil, fmt.Errorf("list s3://%s/%s: %w", bucket, s.Prefix, err)
			}
			if !s.owns(key) {
				return nil, nil, fmt.Errorf("s3://%s/%s is in the way: only the seed objects may be under %q", bucket, key, s.Prefix)
			}
			i, err := strconv.Atoi(key[len(key)-6:])
			if err != nil {
				return nil, nil, fmt.Errorf("key %q: %w", key, err)
			}
			if i >= s.Count {
				stale = append(stale, types.ObjectIdentifier{Key: &key})
				continue
			}
			there[i] = stored{aws.ToInt64(o.Size), aws.ToString(o.ETag)}
		}
	}
	return there, stale, nil
}

func decode(s *string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return aws.ToString(s), nil
	}
	return url.QueryUnescape(aws.ToString(s))
}

// emptyPasses is how often [Empty] goes through a bucket to which others keep
// adding.
const emptyPasses = 5

// Empty takes away every object under prefix, all versions and delete markers
// of it too, so that the bucket can be deleted, and says how many of them
// there were. A bucket that is gone is empty. progress, unless nil, hears the
// number so far after each batch, from one goroutine at a time.
func Empty(ctx context.Context, client *s3.Client, bucket, prefix string, progress func(deleted int)) (int, error) {
	var mu sync.Mutex // of deleted and progress
	var deleted int
	note := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		deleted += n
		if progress != nil {
			progress(deleted)
		}
	}
	for range emptyPasses {
		before := deleted
		if err := emptyOnce(ctx, client, bucket, prefix, note); err != nil {
			if code(err) == "NoSuchBucket" {
				return deleted, nil
			}
			return deleted, fmt.Errorf("empty s3://%s/%s: after %d: %w", bucket, prefix, deleted, err)
		}
		if deleted == before {
			return deleted, nil
		}
	}
	return deleted, fmt.Errorf("empty s3://%s/%s: objects keep coming, %d deleted in %d passes", bucket, prefix, deleted, emptyPasses)
}

// emptyOnce goes through the versions once.
func emptyOnce(ctx context.Context, client *s3.Client, bucket, prefix string, note func(int)) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(removeWorkers)
	listErr := eachPage(groupCtx, client, bucket, prefix, func(batch []types.ObjectIdentifier) {
		group.Go(func() error { return remove(groupCtx, client, bucket, batch, note) })
	})
	// A delete's error ends the listing: it is the one to report.
	if err := group.Wait(); err != nil {
		return err
	}
	return listErr
}

// directorySuffix ends the name of every S3 Express directory bucket, and of
// no other.
const directorySuffix = "--x-s3"

// eachPage lists versions and delete markers. Not with the SDK's paginator: it
// sends a marker back as it came, encoded.
func eachPage(ctx context.Context, client *s3.Client, bucket, prefix string, visit func([]types.ObjectIdentifier)) error {
	if strings.HasSuffix(bucket, directorySuffix) {
		return eachPageUnversioned(ctx, client, bucket, prefix, visit)
	}
	in := s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix, MaxKeys: aws.Int32(batchKeys), EncodingType: types.EncodingTypeUrl}
	for {
		page, err := client.ListObjectVersions(ctx, &in)
		if err != nil {
			return fmt.Errorf("list versions: %w", err)
		}
		batch := make([]types.ObjectIdentifier, 0, len(page.Versions)+len(page.DeleteMarkers))
		add := func(key, version *string) error {
			plain, err := decode(key, page.EncodingType)
			batch = append(batch, types.ObjectIdentifier{Key: &plain, VersionId: version})
			return err
		}
		for _, v := range page.Versions {
			err = errors.Join(err, add(v.Key, v.VersionId))
		}
		for _, m := range page.DeleteMarkers {
			err = errors.Join(err, add(m.Key, m.VersionId))
		}
		next, nerr := decode(page.NextKeyMarker, page.EncodingType)
		if err = errors.Join(err, nerr); err != nil {
			return fmt.Errorf("list versions: %w", err)
		}
		if len(batch) > 0 {
			visit(batch)
		}
		if !aws.ToBool(page.IsTruncated) || next == "" {
			return nil
		}
		in.KeyMarker, in.VersionIdMarker = &next, page.NextVersionIdMarker
	}
}

// eachPageUnversioned lists a directory bucket: it has no versions, and S3
// refuses to list them there.
func eachPageUnversioned(ctx context.Context, client *s3.Client, bucket, prefix string, visit func([]types.ObjectIdentifier)) error {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: &bucket, Prefix: &prefix, MaxKeys: aws.Int32(batchKeys), EncodingType: types.EncodingTypeUrl,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		batch := make([]types.ObjectIdentifier, 0, len(page.Contents))
		for _, o := range page.Contents {
			key, err := decode(o.Key, page.EncodingType)
			if err != nil {
				return fmt.Errorf("list objects: %w", err)
			}
			batch = append(batch, types.ObjectIdentifier{Key: &key})
		}
		if len(batch) > 0 {
			visit(batch)
		}
	}
	return nil
}

const (
	removeAttempts = 6
	removeBackoff  = 50 * time.Millisecond // doubled each time: 1.5 s in all
)

// remove deletes one batch and notes how many went. DeleteObjects answers 200
// even if some or all keys failed, so that the SDK does not try those again;
// remove does, where S3 says that it can help.
func remove(ctx context.Context, client *s3.Client, bucket string, batch []types.ObjectIdentifier, note func(int)) error {
	for attempt := 1; ; attempt++ {
		out, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: batch, Quiet: aws.Bool(true)}})
		if err != nil {
			return fmt.Errorf("delete %d objects: %w", len(batch), err)
		}
		note(len(batch) - len(out.Errors))
		if len(out.Errors) == 0 {
			return nil
		}
		type version struct{ key, id string }
		failed := make(map[version]bool, len(out.Errors))
		for _, e := range out.Errors {
			if !retriable(aws.ToString(e.Code)) || attempt == removeAttempts {
				return fmt.Errorf("delete %q and %d others: %s: %s", aws.ToString(e.Key), len(out.Errors)-1, aws.ToString(e.Code), aws.ToString(e.Message))
			}
			failed[version{aws.ToString(e.Key), aws.ToString(e.VersionId)}] = true
		}
		again := make([]types.ObjectIdentifier, 0, len(out.Errors))
		for _, o := range batch {
			key := aws.ToString(o.Key)
			// not every server repeats the version in its error
			if failed[version{key, aws.ToString(o.VersionId)}] || failed[version{key, ""}] {
				again = append(again, o)
			}
		}
		batch = again
		if len(batch) == 0 {
			return fmt.Errorf("delete: %d errors for keys not asked for, %q the first", len(out.Errors), aws.ToString(out.Errors[0].Key))
		}
		pause := removeBackoff << (attempt - 1)
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

func retriable(code string) bool {
	switch code {
	case "InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "OperationAborted":
		return true
	}
	return false
}

// code gives the name of an S3 error, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
