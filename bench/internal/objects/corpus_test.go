package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

// contents gives the digest of what is under prefix, as a right reader finds
// it.
func contents(t *testing.T, c *s3.Client, prefix string) (n int, digest fetch.Digest) {
	t.Helper()
	var mu sync.Mutex // of digest
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var group errgroup.Group
		group.SetLimit(16)
		for _, o := range page.Contents {
			n++
			group.Go(func() error {
				body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: o.Key})
				mu.Lock()
				defer mu.Unlock()
				digest.Add(*o.Key, fetch.BodyCRC(0, []byte(body)))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return n, digest
}

// moved gives how many of to's objects are not alike in from, and their bytes:
// the needle lies elsewhere when the count changes.
func moved(t *testing.T, from, to corpus.Spec) (report corpus.PutReport) {
	t.Helper()
	for i := range min(from.Count, to.Count) {
		a, aerr := io.ReadAll(from.Body(i))
		b, berr := io.ReadAll(to.Body(i))
		if err := errors.Join(aerr, berr); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a, b) {
			report.Kept++
		} else {
			report.Put++
			report.Bytes += int64(len(b))
		}
	}
	report.Removed = max(0, from.Count-to.Count)
	return report
}

func spec() corpus.Spec {
	return corpus.Spec{Count: 60, MinBytes: 20, MaxBytes: 2000, Seed: 1, Needle: "needle", Prefix: "p/"}
}

func mustPut(t *testing.T, c *s3.Client, s corpus.Spec, want corpus.PutReport) {
	t.Helper()
	calls, last := 0, 0
	got, err := s.Put(t.Context(), c, testBucket, func(done, total int) {
		calls++
		if done <= last || total != s.Count+want.Removed {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil {
		t.Fatal(err)
	}
	if want.Bytes < 0 { // that of all
		want.Bytes = s.TotalBytes()
	}
	if got != want || last != s.Count+want.Removed {
		t.Errorf("%+v after %d, want %+v", got, last, want)
	}
	n, digest := contents(t, c, s.Prefix)
	if _, expected := s.Expect(); n != s.Count || digest != expected {
		t.Errorf("%d objects, digest %s, want %d and %s", n, digest, s.Count, expected)
	}
}

func TestPut(t *testing.T) {
	_, c := start(t, objects.Config{})
	put(t, c, "q/foreign", "beside the prefix, nobody's business")
	s := spec()
	mustPut(t, c, s, corpus.PutReport{Put: 60, Bytes: -1})
	mustPut(t, c, s, corpus.PutReport{Kept: 60})

	putMarked(t, c, s.Key(7), strings.Repeat("x", int(s.Size(7)))) // its size, not its bytes
	putMarked(t, c, s.Key(8), "not even its size")
	mustPut(t, c, s, corpus.PutReport{Put: 2, Kept: 58, Bytes: s.Size(7) + s.Size(8)})

	s.Seed = 2
	mustPut(t, c, s, corpus.PutReport{Put: 60, Bytes: -1})

	s.MinBytes, s.MaxBytes = 1_500_000, 2_500_000 // too large for the buffer
	s.Count = 3
	mustPut(t, c, s, corpus.PutReport{Put: 3, Removed: 57, Bytes: -1})
	mustPut(t, c, s, corpus.PutReport{Kept: 3})

	if n, _ := contents(t, c, "q/"); n != 1 {
		t.Error("what is beside the prefix is gone")
	}
}

// Put goes on where one that was interrupted stopped.
func TestPutResumes(t *testing.T) {
	srv, c := start(t, objects.Config{})
	s := spec()
	s.Count = 500
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report, err := s.Put(ctx, c, testBucket, func(done, _ int) {
		if done == 100 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "of 500 objects") {
		t.Fatalf("interrupted: %v", err)
	}
	if report.Put < 100 || report.Put >= 500 {
		t.Fatalf("%d put before the interruption took hold", report.Put)
	}
	before := srv.Counts().Puts
	report, err = s.Put(t.Context(), c, testBucket, nil)
	if err != nil || report.Kept < 100 || report.Put+report.Kept != 500 {
		t.Errorf("%+v, %v", report, err)
	}
	// those under way when the context ended may have been counted after it
	if n := srv.Counts().Puts - before; n < int64(report.Put) || n > int64(report.Put)+32 {
		t.Errorf("%d PUTs for %d objects", n, report.Put)
	}
	mustPut(t, c, s, corpus.PutReport{Kept: 500})
}

func TestPutRefuses(t *testing.T) {
	srv, c := start(t, objects.Config{})
	for _, row := range []struct {
		name, foreign, want string
		edit                func(*corpus.Spec)
	}{
		{"an object of someone's", "p/readme.txt", "p/readme.txt is in the way", nil},
		{"a seventh digit", "p/object-0000001", "p/object-0000001 is in the way", nil},
		{"a key XML cannot hold", "p/\x01", "p/\x01 is in the way", nil},
		{"a key to be decoded once", "p/a%2Bb+c d", "p/a%2Bb+c d is in the way", nil},
		{"a spec that is not valid", "", "objects 0", func(s *corpus.Spec) { s.Count = 0 }},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.foreign != "" {
				put(t, c, row.foreign, "x")
			}
			s := spec()
			if row.edit != nil {
				row.edit(&s)
			}
			before := srv.Counts().Puts
			if _, err := s.Put(t.Context(), c, testBucket, nil); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
			if srv.Counts().Puts != before {
				t.Error("objects were put nevertheless")
			}
			if _, err := corpus.Empty(t.Context(), c, testBucket, "", nil); row.foreign != "p/\x01" && err != nil {
				t.Error(err)
			}
			if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String("p/\x01")}); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := spec().Put(t.Context(), c, "nothing", nil); code(err) != "NoSuchBucket" {
		t.Errorf("no bucket: %v", err)
	}
	if _, err := spec().Put(t.Context(), srv.Client(testID, "wrong"), testBucket, nil); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %v", err)
	}
}

// More than two pages of everything, put, shrunk and emptied.
func TestManyObjects(t *testing.T) {
	srv, c := start(t, objects.Config{})
	s := corpus.Spec{Count: 2500, MinBytes: 1, MaxBytes: 9, Seed: 1, Needle: "n", Prefix: ""}
	mustPut(t, c, s, corpus.PutReport{Put: 2500, Bytes: -1})
	few := s
	few.Count = 10
	mustPut(t, c, few, moved(t, s, few))
	if _, err := s.Put(t.Context(), c, testBucket, nil); err != nil {
		t.Fatal(err)
	}
	put(t, c, "zz/foreign", "Empty takes everything")
	before := srv.Counts().Deletes
	last := 0
	n, err := corpus.Empty(t.Context(), c, testBucket, "", func(deleted int) { last = deleted })
	if n != 2501 || last != n || err != nil {
		t.Errorf("%d deleted, progress %d, %v", n, last, err)
	}
	if batches := srv.Counts().Deletes - before; batches != 3 {
		t.Errorf("%d batches, want 3", batches)
	}
	if n, err := corpus.Empty(t.Context(), c, testBucket, "", nil); n != 0 || err != nil {
		t.Errorf("empty already: %d, %v", n, err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(testBucket)}); err != nil {
		t.Error(err)
	}
	if n, err := corpus.Empty(t.Context(), c, testBucket, "", nil); n != 0 || err != nil {
		t.Errorf("a bucket that is gone: %d, %v", n, err)
	}
}

// A bucket that should hold nothing else is emptied only if that is so.
func TestEmptyOnly(t *testing.T) {
	_, c := start(t, objects.Config{})
	own := []string{"jobs/", "jobs/a/parts/0.json", "jobs/b/result.json"} // the folder's placeholder, as the console makes one
	for _, key := range own {
		put(t, c, key, "x")
	}
	for _, beside := range []string{"mine.txt", "job", "jobs-2/a", "jobs", "Jobs/a", "a/jobs/b"} {
		put(t, c, beside, "mine")
		n, err := corpus.EmptyOnly(t.Context(), c, testBucket, "jobs/", nil)
		var foreign *corpus.ForeignError
		if n != 0 || !errors.As(err, &foreign) || !slices.Equal(foreign.Keys, []string{beside}) {
			t.Errorf("beside %s: %d deleted, %v", beside, n, err)
		}
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: &beside}); err != nil {
			t.Fatal(err)
		}
	}
	last := 0
	n, err := corpus.EmptyOnly(t.Context(), c, testBucket, "jobs/", func(deleted int) { last = deleted })
	if n != len(own) || last != n || err != nil {
		t.Errorf("%d deleted, %d noted, %v", n, last, err)
	}
	if n, err := corpus.EmptyOnly(t.Context(), c, testBucket, "jobs/", nil); n != 0 || err != nil {
		t.Errorf("an empty bucket: %d, %v", n, err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(testBucket)}); err != nil {
		t.Errorf("the bucket is not empty: %v", err)
	}
	if n, err := corpus.EmptyOnly(t.Context(), c, testBucket, "jobs/", nil); n != 0 || err != nil {
		t.Errorf("a bucket that is gone: %d, %v", n, err)
	}
}

func TestEmptyVersions(t *testing.T) {
	_, c := start(t, objects.Config{})
	s := spec()
	if _, err := s.Put(t.Context(), c, testBucket, nil); err != nil { // null versions
		t.Fatal(err)
	}
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String(testBucket),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	want := 60
	for seed := range uint64(20) { // 60 keys, but more than a page of versions
		s.Seed = 100 + seed
		report, err := s.Put(t.Context(), c, testBucket, nil)
		if err != nil {
			t.Fatal(err)
		}
		want += report.Put
	}
	few := s
	few.Count = 30 // delete markers for the rest
	shrunk := moved(t, s, few)
	mustPut(t, c, few, shrunk)
	want += shrunk.Put + shrunk.Removed
	odd := []string{"p/sp ace", "p/plus+", "p/%41", "p/é", "p//x"}
	for _, key := range odd {
		put(t, c, key, "x")
		put(t, c, key, "y")
		want += 2
	}
	put(t, c, "other/k", "x")
	n, err := corpus.Empty(t.Context(), c, testBucket, "p/", nil)
	if n != want || err != nil {
		t.Errorf("%d deleted, want %d, %v", n, want, err)
	}
	if left, _ := versions(t, c, 1000); !slices.Equal(left, []string{"other/k 1 true"}) {
		t.Errorf("left: %q", left)
	}
	if n, err := corpus.Empty(t.Context(), c, testBucket, "", nil); n != 1 || err != nil {
		t.Errorf("the rest: %d, %v", n, err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(testBucket)}); err != nil {
		t.Errorf("the bucket is not empty: %v", err)
	}
}

// Keys that XML 1.0 cannot hold go, too, in every version, and the one that
// stands for them in XML stays where it is not asked for.
func TestEmptyKeysThatXMLCannotHold(t *testing.T) {
	_, c := start(t, objects.Config{})
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String(testBucket),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	odd := []string{"p/\x01", "p/a\x0bb", "p/\x1f", "p/\uffff", "p/\ufffe.txt", "p/tab\tend", "p/line\n", "p/cr\r", "p/ok"}
	for _, key := range odd {
		put(t, c, key, "x")
		put(t, c, key, "y")
	}
	put(t, c, "q/\ufffd", "stays")
	put(t, c, "q/\x01", "goes")
	n, err := corpus.Empty(t.Context(), c, testBucket, "p/", nil)
	if n != 2*len(odd) || err != nil {
		t.Errorf("%d deleted, want %d, %v", n, 2*len(odd), err)
	}
	if n, err := corpus.Empty(t.Context(), c, testBucket, "q/\x01", nil); n != 1 || err != nil {
		t.Errorf("one of two alike in XML: %d, %v", n, err)
	}
	if left, _ := versions(t, c, 1000); !slices.Equal(left, []string{"q/\ufffd 5 true"}) {
		t.Errorf("left: %q", left)
	}
}

// refuser answers the first times DeleteObjects requests with an error for
// each key that deny names, and has the server delete nothing.
type refuser struct {
	http.RoundTripper
	code  string
	keys  []string
	times int32
	calls atomic.Int32
}

func (r *refuser) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.Method != http.MethodPost || r.calls.Add(1) > r.times {
		return r.RoundTripper.RoundTrip(q)
	}
	if _, err := io.Copy(io.Discard, q.Body); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("<DeleteResult>")
	for _, key := range r.keys {
		fmt.Fprintf(&b, "<Error><Key>%s</Key><VersionId>null</VersionId><Code>%s</Code><Message>refused</Message></Error>", key, r.code)
	}
	b.WriteString("</DeleteResult>")
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(&b), Request: q}, nil
}

func TestEmptyErrors(t *testing.T) {
	s := corpus.Spec{Count: 3, MinBytes: 1, MaxBytes: 9, Needle: "n"}
	all := []string{s.Key(0), s.Key(1), s.Key(2)}
	for _, row := range []struct {
		name    string
		code    string
		keys    []string
		times   int32
		deleted int
		calls   int32
		want    string // part of the error
	}{
		{"tried again", "SlowDown", all, 2, 3, 3, ""},
		{"never well", "InternalError", all, 99, 0, 6, "InternalError"},
		{"no use trying", "AccessDenied", all[1:2], 1, 2, 1, `"object-000001" and 0 others: AccessDenied: refused`},
		{"a key nobody named", "SlowDown", []string{"x"}, 1, 2, 1, `"x"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, c := start(t, objects.Config{})
			if _, err := s.Put(t.Context(), c, testBucket, nil); err != nil {
				t.Fatal(err)
			}
			r := &refuser{RoundTripper: client(t, srv, nil).Transport, code: row.code, keys: row.keys, times: row.times}
			n, err := corpus.Empty(t.Context(), s3.New(c.Options(), func(o *s3.Options) { o.HTTPClient = &http.Client{Transport: r} }),
				testBucket, "", nil)
			if n != row.deleted || r.calls.Load() != row.calls || (err == nil) != (row.want == "") || err != nil &&
				!strings.Contains(err.Error(), row.want) {
				t.Errorf("%d deleted, %d calls, %v", n, r.calls.Load(), err)
			}
		})
	}
	srv, c := start(t, objects.Config{})
	if _, err := s.Put(t.Context(), c, testBucket, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := corpus.Empty(t.Context(), srv.Client(testID, "wrong"), testBucket, "", nil); n != 0 || code(err) != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %d, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := corpus.Empty(ctx, c, testBucket, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
