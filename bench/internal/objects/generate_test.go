package objects_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
)

// many is a set that is too large to be stored, though not by its bytes.
func many() corpus.Spec {
	return corpus.Spec{Count: 10_500, MinBytes: 20, MaxBytes: 60, Seed: 3, Needle: "needle", Prefix: "p/"}
}

func bodyOf(t *testing.T, s corpus.Spec, i int) string {
	t.Helper()
	b, err := io.ReadAll(s.Body(i))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A generated set reads as one that was put: the keys, sizes and bytes.
func TestGenerate(t *testing.T) {
	for _, row := range []struct {
		name  string
		spec  corpus.Spec
		is    bool // stored
		files bool // which memory has no room for
	}{
		{"the default's kind", corpus.Spec{Count: 60, MinBytes: 20, MaxBytes: 2000, Seed: 1, Needle: "needle", Prefix: "p/"}, true, false},
		{"the same, in files", corpus.Spec{Count: 60, MinBytes: 20, MaxBytes: 2000, Seed: 1, Needle: "needle", Prefix: "p/"}, true, true},
		{"many objects", many(), false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := objects.Config{}
			if row.files {
				cfg.MemoryBytes = -1
			}
			srv, c := start(t, cfg)
			last := 0
			err := srv.Generate(t.Context(), testBucket, row.spec, func(done, total int) {
				if done <= last || total != row.spec.Count {
					t.Errorf("progress %d of %d after %d", done, total, last)
				}
				last = done
			})
			if err != nil || last != row.spec.Count {
				t.Fatalf("after %d: %v", last, err)
			}
			n, digest := contents(t, c, row.spec.Prefix)
			if _, expected := row.spec.Expect(); n != row.spec.Count || digest != expected {
				t.Errorf("%d objects, digest %s, want %d and %s", n, digest, row.spec.Count, expected)
			}
			if files, err := os.ReadDir(filepath.Dir(srv.CAFile())); err != nil || (len(files) > 1) != row.files {
				t.Errorf("%d files, %v", len(files), err)
			}
			i := row.spec.Count - 1
			body, out, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(row.spec.Key(i)), ChecksumMode: "ENABLED"})
			if err != nil || body != bodyOf(t, row.spec, i) || out.ChecksumCRC32 == nil { // which the SDK has verified
				t.Errorf("the last: %d bytes, %+v, %v", len(body), out, err)
			}
			list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Prefix: aws.String(row.spec.Key(i))})
			if err != nil || len(list.Contents) != 1 || *list.Contents[0].ETag != *out.ETag || *list.Contents[0].Size != row.spec.Size(i) {
				t.Errorf("listed as %+v, %v", list, err)
			}
			if isMD5 := !strings.Contains(*out.ETag, "-"); isMD5 != row.is {
				t.Errorf("ETag %s: its MD5 %t, want %t", *out.ETag, isMD5, row.is)
			}
			head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(testBucket), Key: aws.String(row.spec.Key(i))})
			if mark := hex.EncodeToString(md5Sum(bodyOf(t, row.spec, i))); err != nil || head.Metadata[corpus.MarkName] != mark {
				t.Errorf("head: %+v, %v, want the mark %s", head, err, mark)
			}
			if row.spec.Count < 100 { // a corpus that is put finds nothing to do
				mustPut(t, c, row.spec, corpus.PutReport{Kept: row.spec.Count})
			}
			want := bodyOf(t, row.spec, i)[5:15]
			in := &s3.GetObjectInput{Key: aws.String(row.spec.Key(i)), Range: aws.String("bytes=5-14"), IfMatch: out.ETag}
			if part, _, err := get(t.Context(), c, in); err != nil || part != want {
				t.Errorf("a range: %q, want %q, %v", part, want, err)
			}
		})
	}
}

func TestGenerateRefuses(t *testing.T) {
	srv, c := start(t, objects.Config{})
	put(t, c, "p/foreign", "x")
	for _, row := range []struct {
		name, bucket, want string
		spec               corpus.Spec
	}{
		{"a spec that is not valid", testBucket, "objects 0", corpus.Spec{}},
		{"no bucket", "nothing", "bucket does not exist", many()},
		{"an object under the prefix", testBucket, `"p/foreign"`, many()},
	} {
		if err := srv.Generate(t.Context(), row.bucket, row.spec, nil); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q in it", row.name, err, row.want)
		}
	}
	s := many()
	s.Prefix = "q/"
	for _, want := range []string{"", `"q/object-000000"`} { // the second time they are there
		err := srv.Generate(t.Context(), testBucket, s, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

func TestGenerateInterrupted(t *testing.T) {
	srv, _ := start(t, objects.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	s := spec()
	s.Count = 500
	n := 0
	err := srv.Generate(ctx, testBucket, s, func(done, _ int) {
		if n = done; done == 10 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || n == 500 {
		t.Errorf("after %d: %v", n, err)
	}
}

// What is put over generated objects, beside them, or deleted, is remembered.
func TestGenerateOverlay(t *testing.T) {
	srv, c := start(t, objects.Config{})
	s := many()
	if err := srv.Generate(t.Context(), testBucket, s, nil); err != nil {
		t.Fatal(err)
	}
	bucket := aws.String(testBucket)
	put(t, c, s.Key(0), "over the first")
	put(t, c, s.Key(1500), "over one")
	put(t, c, "p/object-000001x", "between two")
	put(t, c, "a", "before all")
	put(t, c, "z", "after all")
	remove := func(key string) {
		t.Helper()
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	remove(s.Key(2))
	remove(s.Key(s.Count - 1))
	remove(s.Key(3))
	put(t, c, s.Key(3), "there again")
	if _, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"),
		CopySource: aws.String(testBucket + "/" + s.Key(7))}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range s.Count - 1 {
		if i != 2 {
			want = append(want, s.Key(i))
		}
	}
	want = append(want, "p/object-000001x", "a", "z", "copy")
	slices.Sort(want)
	for _, perPage := range []int32{1000, 999} {
		var keys []string
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: &perPage})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				keys = append(keys, *o.Key)
			}
		}
		if !slices.Equal(keys, want) {
			t.Errorf("pages of %d: %d keys, want %d", perPage, len(keys), len(want))
		}
	}
	for _, row := range []struct{ key, body, code string }{
		{s.Key(0), "over the first", ""},
		{s.Key(1), bodyOf(t, s, 1), ""},
		{s.Key(1500), "over one", ""},
		{s.Key(3), "there again", ""},
		{"copy", bodyOf(t, s, 7), ""},
		{s.Key(2), "", "NoSuchKey"},
		{s.Key(s.Count - 1), "", "NoSuchKey"},
		{s.Key(s.Count), "", "NoSuchKey"}, // one past the end
		{"p/object-1", "", "NoSuchKey"},   // the number of one, but not its key
		{"p/object-0000001", "", "NoSuchKey"},
		{"p/object-", "", "NoSuchKey"},
		{"q/object-000001", "", "NoSuchKey"},
	} {
		if body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(row.key)}); body != row.body || (err != nil ||
			row.code != "") && code(err) != row.code {
			t.Errorf("%s: %q, %v, want %q, %s", row.key, body, err, row.body, row.code)
		}
	}
	folders, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/")})
	if err != nil || len(folders.CommonPrefixes) != 1 || *folders.CommonPrefixes[0].Prefix != "p/" || len(folders.Contents) != 3 {
		t.Errorf("folders: %+v, %v", folders, err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket}, once); code(err) != "BucketNotEmpty" {
		t.Errorf("delete the bucket: %v", err)
	}
	n, err := corpus.Empty(t.Context(), c, testBucket, "", nil)
	if n != len(want) || err != nil {
		t.Errorf("emptied of %d, want %d, %v", n, len(want), err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket}, once); err != nil {
		t.Errorf("delete the empty bucket: %v", err)
	}
}

// In a bucket with versions a generated object is the null version.
func TestGenerateVersions(t *testing.T) {
	srv, c := start(t, objects.Config{})
	s := many()
	if err := srv.Generate(t.Context(), testBucket, s, nil); err != nil {
		t.Fatal(err)
	}
	bucket, key := aws.String(testBucket), aws.String(s.Key(5))
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, *key, "newer")
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprintf("%s %d false", *key, s.Size(5)), *key + " 5 false", *key + " marker true"}
	slices.Sort(want)
	got, ids := versions(t, c, 1000)
	if len(got) != s.Count+2 || !slices.Equal(got[5:8], want) {
		t.Errorf("%d versions, %q, want %q", len(got), got[5:8], want)
	}
	if body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: key, VersionId: aws.String("null")}); err != nil || body != bodyOf(t, s,
		5) {
		t.Errorf("the null version: %q, %v", body, err)
	}
	for _, o := range ids {
		if *o.Key != *key {
			continue
		}
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: key, VersionId: o.VersionId}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: key, VersionId: aws.String("null")}); code(err) != "NoSuchVersion" {
		t.Errorf("after all went: %v", err)
	}
	if got, _ := versions(t, c, 1000); len(got) != s.Count-1 {
		t.Errorf("%d versions left, want %d", len(got), s.Count-1)
	}
}
