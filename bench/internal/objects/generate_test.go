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

func shaped(t *testing.T, sizes string) corpus.Shape {
	t.Helper()
	shape, err := corpus.ReadShape("sizes", strings.NewReader(sizes))
	if err != nil {
		t.Fatal(err)
	}
	return shape
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
		{"few of a shape, some of them empty", corpus.Spec{Count: 60, Seed: 1, Needle: "needle", Prefix: "p/"}.
			WithShape(shaped(t, "0 0 0 5 700 20000")), true, false},
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
			for row.spec.Size(i) < 15 {
				i--
			}
			if _, out, err = get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(row.spec.Key(i))}); err != nil {
				t.Fatal(err)
			}
			want := bodyOf(t, row.spec, i)[5:15]
			in := &s3.GetObjectInput{Key: aws.String(row.spec.Key(i)), Range: aws.String("bytes=5-14"), IfMatch: out.ETag}
			if part, _, err := get(t.Context(), c, in); err != nil || part != want {
				t.Errorf("a range: %q, want %q, %v", part, want, err)
			}
		})
	}
}

// Objects of a shape that are not stored are listed with the sizes that they are
// read with, the empty ones among them.
func TestGenerateShape(t *testing.T) {
	srv, c := start(t, objects.Config{})
	s := corpus.Spec{Count: 2_000_000, Seed: 1, Needle: "needle", Prefix: "p/"}.WithShape(shaped(t, "0 5 700"))
	if err := srv.Generate(t.Context(), testBucket, s, nil); err != nil {
		t.Fatal(err)
	}
	page, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{
		Bucket: aws.String(testBucket), StartAfter: aws.String(s.Key(s.NeedleObject() - 1)), MaxKeys: aws.Int32(20),
	})
	if err != nil || len(page.Contents) != 20 {
		t.Fatalf("%+v, %v", page, err)
	}
	for i, o := range page.Contents {
		i += s.NeedleObject()
		body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: o.Key, ChecksumMode: "ENABLED"})
		if err != nil || *o.Key != s.Key(i) || body != bodyOf(t, s, i) || *o.Size != int64(len(body)) || len(body) != int(s.Size(i)) {
			t.Errorf("%s: %d bytes, listed with %d, %v", *o.Key, len(body), *o.Size, err)
		}
	}
}

// Ten million objects are listed page by page, from wherever, as are those that
// are put beside them: the parts of a job, written again by a second try.
func TestTenMillion(t *testing.T) {
	srv, c := start(t, objects.Config{})
	s := corpus.Default()
	s.Count = corpus.MaxCount
	if err := srv.Generate(t.Context(), testBucket, s, nil); err != nil {
		t.Fatal(err)
	}
	const parts = 2300
	for try := range 2 {
		for i := range parts / (1 + 9*try) {
			put(t, c, fmt.Sprintf("jobs/j/parts/%06d.json", i), strings.Repeat("p", try+1))
		}
	}
	for _, row := range []struct {
		name, prefix, after string
		pages, n            int // to list, and keys on them
		first               string
	}{
		{"the start", "objects/", "", 1, 1000, s.Key(0)},
		{"the middle", "objects/", s.Key(4_999_999), 2, 2000, s.Key(5_000_000)},
		{"the end", "objects/", s.Key(s.Count - 1501), 9, 1500, s.Key(s.Count - 1500)},
		{"parts", "jobs/j/parts/", "", 9, parts, "jobs/j/parts/000000.json"},
		{"other parts", "jobs/k/parts/", "", 9, 0, ""},
		{"all, from the last part on", "", "jobs/j/parts/002298.json", 1, 1000, "jobs/j/parts/002299.json"},
		{"a million of them by their prefix", "objects/object-9", "", 1, 1000, s.Key(9_000_000)},
	} {
		in := &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Prefix: &row.prefix}
		if row.after != "" {
			in.StartAfter = &row.after
		}
		var keys []string
		pages := s3.NewListObjectsV2Paginator(c, in)
		for n := 0; n < row.pages && pages.HasMorePages(); n++ {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				keys = append(keys, *o.Key)
				if strings.HasPrefix(*o.Key, "jobs/") && *o.Size != map[bool]int64{true: 2, false: 1}[*o.Key < "jobs/j/parts/000230.json"] {
					t.Errorf("%s has %d bytes", *o.Key, *o.Size)
				}
			}
		}
		if len(keys) != row.n || row.n > 0 && keys[0] != row.first {
			t.Errorf("%s: %d keys from %q, want %d from %q", row.name, len(keys), keys[:min(1, len(keys))], row.n, row.first)
		}
	}
	for _, i := range []int{0, 5_000_000, s.Count - 1, s.NeedleObject()} {
		if body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(s.Key(i))}); err != nil || body != bodyOf(t, s, i) {
			t.Errorf("object %d: %d bytes, %v", i, len(body), err)
		}
	}
	if _, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String("objects/object-000000")}); code(err) != "NoSuchKey" {
		t.Errorf("a key of six digits: %v", err)
	}
}

// An object of 5 GB among small ones is made as it is read: its end comes as
// fast as its beginning.
func TestOneLargeAmongSmall(t *testing.T) {
	srv, c := start(t, objects.Config{})
	large := corpus.Spec{Count: 1, MinBytes: 5 << 30, MaxBytes: 5 << 30, Seed: 7, Needle: "at the end?", Prefix: "p/large/"}
	for _, s := range []corpus.Spec{many(), large} {
		if err := srv.Generate(t.Context(), testBucket, s, nil); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Prefix: aws.String("p/l")})
	if err != nil || len(out.Contents) != 1 || *out.Contents[0].Key != large.Key(0) || *out.Contents[0].Size != 5<<30 {
		t.Fatalf("%+v, %v", out, err)
	}
	want := make([]byte, 100)
	if _, err := large.Body(0).ReadAt(want, 5<<30-100); err != nil {
		t.Fatal(err)
	}
	part, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(large.Key(0)), Range: aws.String("bytes=-100")})
	if err != nil || part != string(want) {
		t.Errorf("the end: %q, want %q, %v", part, want, err)
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
