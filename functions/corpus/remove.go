package corpus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"fanout/functions/lambda"
)

// emptyPasses is how often [Empty] goes through a bucket to which others keep
// adding.
const emptyPasses = 5

// Empty takes away every object under prefix, all versions and delete markers
// of it too, so that the bucket can be deleted, and says how many of them
// there were. A bucket that is gone is empty. progress, unless nil, hears the
// number so far after each batch, from one goroutine at a time.
func Empty(ctx context.Context, client *s3.Client, bucket, prefix string, progress func(deleted int)) (int, error) {
	return inPasses(fmt.Sprintf("empty s3://%s/%s", bucket, prefix), progress, func(note func(int)) error {
		return emptyOnce(ctx, client, bucket, prefix, note)
	})
}

// EmptyOnly is [Empty] for a bucket that should hold nothing but what is under
// prefix. Where it does hold something else the error is a [ForeignError] and
// nothing is deleted.
func EmptyOnly(ctx context.Context, client *s3.Client, bucket, prefix string, progress func(deleted int)) (int, error) {
	err := eachPage(ctx, client, bucket, "", func(page []object) error {
		var foreign []string
		for _, one := range page {
			if !strings.HasPrefix(one.key, prefix) && !one.deleted {
				foreign = append(foreign, one.key)
			}
		}
		if len(foreign) == 0 {
			return nil
		}
		slices.Sort(foreign)
		return &ForeignError{Bucket: bucket, Keys: slices.Compact(foreign), Prefix: prefix}
	})
	switch {
	case code(err) == "NoSuchBucket":
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("empty s3://%s/%s: %w", bucket, prefix, err)
	}
	return Empty(ctx, client, bucket, prefix, progress)
}

// Remove takes every seed object out of a bucket, under whatever prefix, all
// versions of it, and says how many of those there were. Where the bucket
// holds anything else the error is a [ForeignError] and nothing is deleted. An
// object is a seed object if it carries the mark of one, or if it is one of
// specs by its size and bytes. A bucket that is gone holds nothing.
func Remove(ctx context.Context, client *s3.Client, bucket string, specs []Spec, progress func(deleted int)) (int, error) {
	o := owner{client: client, bucket: bucket, specs: specs}
	return inPasses("take the seed objects out of s3://"+bucket, progress, func(note func(int)) error {
		own, err := o.all(ctx)
		if err != nil {
			return err
		}
		return removeAll(ctx, client, bucket, own, note)
	})
}

// all lists every version in the bucket, if all of them are seed objects'. It
// stops at the first page that holds something else.
func (w owner) all(ctx context.Context) (own []types.ObjectIdentifier, err error) {
	var mu sync.Mutex // of own and foreign
	err = eachPage(ctx, w.client, w.bucket, "", func(page []object) error {
		var foreign []string
		err := each(ctx, page, func(ctx context.Context, one object) error {
			mine, _, err := w.owns(ctx, one)
			mu.Lock()
			defer mu.Unlock()
			if mine {
				own = append(own, one.identifier())
			} else if err == nil && !one.deleted {
				foreign = append(foreign, one.key)
			}
			return err
		})
		if err == nil && len(foreign) > 0 {
			slices.Sort(foreign)
			err = &ForeignError{Bucket: w.bucket, Keys: slices.Compact(foreign)}
		}
		return err
	})
	return own, err
}

// inPasses deletes until a pass finds nothing more to delete.
func inPasses(what string, progress func(deleted int), pass func(note func(int)) error) (int, error) {
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
		if err := pass(note); err != nil {
			if code(err) == "NoSuchBucket" {
				return deleted, nil
			}
			return deleted, fmt.Errorf("%s: after %d: %w", what, deleted, err)
		}
		if deleted == before {
			return deleted, nil
		}
	}
	return deleted, fmt.Errorf("%s: objects keep coming, %d deleted in %d passes", what, deleted, emptyPasses)
}

// emptyOnce goes through the versions once.
func emptyOnce(ctx context.Context, client *s3.Client, bucket, prefix string, note func(int)) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(removeWorkers)
	listErr := eachPage(groupCtx, client, bucket, prefix, func(page []object) error {
		batch := make([]types.ObjectIdentifier, 0, len(page))
		for _, one := range page {
			batch = append(batch, one.identifier())
		}
		group.Go(func() error { return remove(groupCtx, client, bucket, batch, note) })
		return nil
	})
	// A delete's error ends the listing: it is the one to report.
	if err := group.Wait(); err != nil {
		return err
	}
	return listErr
}

// removeAll deletes in batches, several at once, and notes how many went.
func removeAll(ctx context.Context, client *s3.Client, bucket string, all []types.ObjectIdentifier, note func(int)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(removeWorkers)
	for batch := range slices.Chunk(all, batchKeys) {
		group.Go(func() error { return remove(ctx, client, bucket, batch, note) })
	}
	return group.Wait()
}

// eachPage lists versions and delete markers, until visit gives an error. Not
// with the SDK's paginator: it sends a marker back as it came, encoded.
func eachPage(ctx context.Context, client *s3.Client, bucket, prefix string, visit func([]object) error) error {
	if _, directory := lambda.DirectoryBucket(bucket); directory {
		return eachPageUnversioned(ctx, client, bucket, prefix, visit)
	}
	in := s3.ListObjectVersionsInput{
		Bucket: &bucket, Prefix: &prefix, MaxKeys: aws.Int32(batchKeys), EncodingType: types.EncodingTypeUrl,
	}
	for {
		out, err := client.ListObjectVersions(ctx, &in)
		if err != nil {
			return fmt.Errorf("list versions: %w", err)
		}
		page, next, err := versions(out)
		if err != nil {
			return fmt.Errorf("list versions: %w", err)
		}
		if len(page) > 0 {
			if err := visit(page); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) || next == "" {
			return nil
		}
		in.KeyMarker, in.VersionIdMarker = &next, out.NextVersionIdMarker
	}
}

// versions reads a page of a listing, and the key that the next one begins
// after.
func versions(out *s3.ListObjectVersionsOutput) (page []object, next string, err error) {
	page = make([]object, 0, len(out.Versions)+len(out.DeleteMarkers))
	add := func(key *string, o object) {
		plain, keyErr := decode(key, out.EncodingType)
		o.key, err = plain, errors.Join(err, keyErr)
		page = append(page, o)
	}
	for _, v := range out.Versions {
		add(v.Key, object{version: aws.ToString(v.VersionId), size: aws.ToInt64(v.Size), etag: plainETag(v.ETag)})
	}
	for _, m := range out.DeleteMarkers {
		add(m.Key, object{version: aws.ToString(m.VersionId), deleted: true})
	}
	next, nextErr := decode(out.NextKeyMarker, out.EncodingType)
	return page, next, errors.Join(err, nextErr)
}

// eachPageUnversioned lists the objects that a GET would find. A directory
// bucket has no other listing: S3 refuses to list versions there.
func eachPageUnversioned(ctx context.Context, client *s3.Client, bucket, prefix string, visit func([]object) error) error {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: &bucket, Prefix: &prefix, MaxKeys: aws.Int32(batchKeys),
		EncodingType: types.EncodingTypeUrl, // XML cannot hold every key
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list s3://%s/%s: %w", bucket, prefix, err)
		}
		page := make([]object, 0, len(out.Contents))
		for _, o := range out.Contents {
			key, err := decode(o.Key, out.EncodingType)
			if err != nil {
				return fmt.Errorf("list s3://%s/%s: %w", bucket, prefix, err)
			}
			page = append(page, object{key: key, size: aws.ToInt64(o.Size), etag: plainETag(o.ETag)})
		}
		if len(page) > 0 {
			if err := visit(page); err != nil {
				return err
			}
		}
	}
	return nil
}

func decode(s *string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return aws.ToString(s), nil
	}
	return url.QueryUnescape(aws.ToString(s))
}

const (
	removeAttempts = 6
	removeBackoff  = 50 * time.Millisecond // doubled each time: 1.5 s in all
)

// inXML says whether a key can stand in a request's XML 1.0. What cannot is
// replaced by U+FFFD on the way, so that DeleteObjects would report success for
// a key that stays, and delete another one of that name.
func inXML(key string) bool {
	for i, c := range key {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(key[i:], "\uFFFD"): // not UTF-8
			return false
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == 0xFFFE, c == 0xFFFF:
			return false
		}
	}
	return true
}

// remove deletes objects and notes how many went: those whose keys XML can hold
// in one request, the others one by one.
func remove(ctx context.Context, client *s3.Client, bucket string, objects []types.ObjectIdentifier, note func(int)) error {
	batch := make([]types.ObjectIdentifier, 0, len(objects))
	for _, o := range objects {
		if inXML(aws.ToString(o.Key)) {
			batch = append(batch, o)
			continue
		}
		if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: o.Key, VersionId: o.VersionId}); err != nil {
			return fmt.Errorf("delete %q: %w", aws.ToString(o.Key), err)
		}
		note(1)
	}
	if len(batch) == 0 {
		return nil
	}
	return removeBatch(ctx, client, bucket, batch, note)
}

// removeBatch deletes by one request and notes how many went. DeleteObjects
// answers 200 even if some or all keys failed, so that the SDK does not try
// those again; removeBatch does, where S3 says that it can help.
func removeBatch(ctx context.Context, client *s3.Client, bucket string, batch []types.ObjectIdentifier, note func(int)) error {
	for attempt := 1; ; attempt++ {
		out, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket: &bucket, Delete: &types.Delete{Objects: batch, Quiet: aws.Bool(true)},
		})
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
				return fmt.Errorf("delete %q and %d others: %s: %s",
					aws.ToString(e.Key), len(out.Errors)-1, aws.ToString(e.Code), aws.ToString(e.Message))
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
			return fmt.Errorf("delete: %d errors for keys not asked for, %q the first",
				len(out.Errors), aws.ToString(out.Errors[0].Key))
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
