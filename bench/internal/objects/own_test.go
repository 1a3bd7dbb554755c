package objects_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
)

// putMarked puts an object that carries a seed object's mark.
func putMarked(t *testing.T, c *s3.Client, key, body string) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(testBucket), Key: &key, Body: strings.NewReader(body),
		Metadata: map[string]string{"fanout-md5": strings.Repeat("0", 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// unmarked puts the objects of s as versions before the mark did.
func unmarked(t *testing.T, c *s3.Client, s corpus.Spec) {
	t.Helper()
	for i := range s.Count {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String(s.Key(i)), Body: s.Body(i)})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// bodies gives every object in the bucket.
func bodies(t *testing.T, c *s3.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if all[*o.Key], _, err = get(t.Context(), c, &s3.GetObjectInput{Key: o.Key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func version(t *testing.T, c *s3.Client) {
	t.Helper()
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: aws.String(testBucket), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPutKeepsForeign: an object of somebody's is where it was, and as it was,
// after a Put that was refused for it.
func TestPutKeepsForeign(t *testing.T) {
	s := spec()
	for _, row := range []struct {
		name, key, body string
		lacks           int  // an object that is not there, too; 0: none
		idle            bool // there is nothing to do but for that object
	}{
		{"under the prefix", "p/mine.txt", "mine", 0, true},
		{"under the prefix, and one gone", "p/mine.txt", "mine", 9, false},
		{"under a seed object's key, another size", s.Key(3), "mine", 0, true},
		{"under a seed object's key, its size", s.Key(3), strings.Repeat("m", int(s.Size(3))), 0, true},
		{"under the key of one that a larger count had", s.Key(700), "mine", 0, true},
		{"in a folder below, with the name of one", "p/deeper/object-000001", "mine", 0, true},
		{"empty, as the console makes folders", "p/", "", 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, c := start(t, objects.Config{})
			if _, err := s.Put(t.Context(), c, testBucket, nil); err != nil {
				t.Fatal(err)
			}
			if row.lacks > 0 {
				key := s.Key(row.lacks)
				if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: &key}); err != nil {
					t.Fatal(err)
				}
			}
			put(t, c, row.key, row.body)
			before, puts := bodies(t, c), srv.Counts().Puts
			other := s
			other.Seed, other.Count = 2, 20
			_, err := other.Put(t.Context(), c, testBucket, nil)
			var foreign *corpus.ForeignError
			if !errors.As(err, &foreign) || !slices.Equal(foreign.Keys, []string{row.key}) || foreign.Idle {
				t.Errorf("%v, want that %s is in the way of some work", err, row.key)
			}
			// What was there is right but for that object, which is how the
			// rollback of the above finds it.
			if _, err := s.Put(t.Context(), c, testBucket, nil); !errors.As(err, &foreign) || foreign.Idle != row.idle {
				t.Errorf("the same again: %v, idle %t", err, foreign.Idle)
			}
			if after := bodies(t, c); !maps.Equal(before, after) || srv.Counts().Puts != puts {
				t.Errorf("%d objects became %d, %d PUTs", len(before), len(after), srv.Counts().Puts-puts)
			}
		})
	}
}

// TestReplace: the objects of the earlier Spec go, whoever else's stay.
func TestReplace(t *testing.T) {
	old := spec()
	for _, row := range []struct {
		name     string
		prefix   string // the new one
		foreign  string // beside the old objects
		unmarked bool   // the old ones were put by an earlier version
		versions bool
		refused  bool
	}{
		{name: "another folder", prefix: "q/", foreign: "p/mine.txt"},
		{name: "put before there was a mark", prefix: "q/", foreign: "p/mine.txt", unmarked: true},
		{name: "a folder below", prefix: "p/deeper/", foreign: "p/mine.txt"},
		{name: "the folder above", prefix: ""}, // the old ones are in the new prefix, and not in the way
		{name: "the folder above, with a foreign object", prefix: "", foreign: "p/mine.txt", refused: true},
		{name: "a foreign object under an old key", prefix: "q/", foreign: old.Key(5)},
		{name: "a foreign object under a new key", prefix: "q/", foreign: "q/object-000005", refused: true},
		{name: "all versions", prefix: "q/", foreign: "p/mine.txt", versions: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, c := start(t, objects.Config{})
			if row.versions {
				version(t, c)
			}
			if row.unmarked {
				unmarked(t, c, old)
			} else if _, err := old.Put(t.Context(), c, testBucket, nil); err != nil {
				t.Fatal(err)
			}
			if row.foreign != "" {
				put(t, c, row.foreign, "mine")
			}
			before := bodies(t, c)
			s := old
			s.Prefix, s.Count, s.Seed = row.prefix, 10, 9
			report, err := s.Replace(t.Context(), c, testBucket, []corpus.Spec{old}, nil)
			after := bodies(t, c)
			if row.refused {
				var foreign *corpus.ForeignError
				if !errors.As(err, &foreign) || !slices.Contains(foreign.Keys, row.foreign) || !maps.Equal(before, after) {
					t.Errorf("%v; %d objects became %d", err, len(before), len(after))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := s.Count
			if row.foreign != "" {
				want++
			}
			if len(after) != want || row.foreign != "" && after[row.foreign] != "mine" {
				t.Errorf("%d objects, want %d; %s: %q; %+v", len(after), want, row.foreign, after[row.foreign], report)
			}
			if left, _ := versions(t, c, 1000); len(left) != want && row.foreign != old.Key(5) {
				t.Errorf("%d versions, want %d: %q", len(left), want, left)
			}
		})
	}
}

// A rollback comes after an update that was cut off: the bucket then holds
// some of both.
func TestReplaceMixed(t *testing.T) {
	_, c := start(t, objects.Config{})
	s, failed := spec(), spec()
	failed.Seed, failed.Count = 2, 90
	for _, put := range []corpus.Spec{s, failed} {
		unmarked(t, c, put) // known by their bytes alone
	}
	for i := range 20 { // not yet overwritten
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String(s.Key(i)), Body: s.Body(i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	report, err := s.Replace(t.Context(), c, testBucket, []corpus.Spec{failed}, nil)
	if err != nil || report.Kept != 20 || report.Put != 40 || report.Removed != 30 {
		t.Errorf("%+v, %v", report, err)
	}
	mustPut(t, c, s, corpus.PutReport{Kept: 60})
}

// TestRemove: all that is the corpus's goes, or nothing at all.
func TestRemove(t *testing.T) {
	s := spec()
	for _, row := range []struct {
		name    string
		make    func(t *testing.T, c *s3.Client)
		foreign []string // in the error; nil: all goes
	}{
		{"seed objects", func(*testing.T, *s3.Client) {}, nil},
		{"those of another prefix, left by a failure", func(t *testing.T, c *s3.Client) { putMarked(t, c, "other/object-000001", "x") }, nil},
		{"those put before there was a mark", func(t *testing.T, c *s3.Client) { unmarked(t, c, s) }, nil},
		{"versions and delete markers", func(t *testing.T, c *s3.Client) {
			version(t, c)
			few := s
			few.Count, few.Seed = 5, 3
			if _, err := few.Put(t.Context(), c, testBucket, nil); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"somebody's object beside", func(t *testing.T, c *s3.Client) { put(t, c, "mine.txt", "mine") }, []string{"mine.txt"}},
		{"under the prefix", func(t *testing.T, c *s3.Client) { put(t, c, "p/mine.txt", "mine") }, []string{"p/mine.txt"}},
		{"under a seed object's key", func(t *testing.T, c *s3.Client) { put(t, c, s.Key(1), "mine") }, []string{s.Key(1)}},
		{"one with a mark and another's key", func(t *testing.T, c *s3.Client) { putMarked(t, c, "p/copy.txt", "x") }, []string{"p/copy.txt"}},
		{"an older version of a seed object's key", func(t *testing.T, c *s3.Client) {
			put(t, c, "new/object-000001", "mine")
			version(t, c)
			putMarked(t, c, "new/object-000001", "seed")
		}, []string{"new/object-000001"}},
		{"seven of them", func(t *testing.T, c *s3.Client) {
			for i := range 7 {
				put(t, c, fmt.Sprint("mine-", i), "mine")
			}
		}, []string{"mine-0", "mine-1", "mine-2", "mine-3", "mine-4", "mine-5", "mine-6"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, c := start(t, objects.Config{})
			if _, err := s.Put(t.Context(), c, testBucket, nil); err != nil {
				t.Fatal(err)
			}
			row.make(t, c)
			before, _ := versions(t, c, 1000)
			n, err := corpus.Remove(t.Context(), c, testBucket, []corpus.Spec{s}, nil)
			after, _ := versions(t, c, 1000)
			var foreign *corpus.ForeignError
			switch {
			case row.foreign == nil && (err != nil || n != len(before) || len(after) != 0):
				t.Errorf("%d of %d deleted, %d left, %v", n, len(before), len(after), err)
			case row.foreign != nil && (!errors.As(err, &foreign) || !slices.Equal(foreign.Keys, row.foreign)):
				t.Errorf("%v, want that %q are in the way", err, row.foreign)
			case row.foreign != nil && (n != 0 || !slices.Equal(before, after)):
				t.Errorf("%d deleted, %d versions of %d left", n, len(after), len(before))
			}
		})
	}
	srv, c := start(t, objects.Config{})
	if n, err := corpus.Remove(t.Context(), c, "nothing", nil, nil); n != 0 || err != nil {
		t.Errorf("a bucket that is gone: %d, %v", n, err)
	}
	if _, err := corpus.Remove(t.Context(), srv.Client(testID, "wrong"), testBucket, nil, nil); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %v", err)
	}
}
