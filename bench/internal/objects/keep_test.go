package objects

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// What was put into a kept bucket is there in the next server, as the last write
// left it, also where the first one was killed in the middle of a line.
func TestKeepBucket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs", "results.jsonl")
	start := func() (*Server, *s3.Client) {
		s, err := Start(Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		s.AddKey("id", "secret")
		if err := s.KeepBucket("results", path); err != nil {
			t.Fatal(err)
		}
		return s, s.Client("id", "secret")
	}
	put := func(c *s3.Client, key, body string) {
		t.Helper()
		in := &s3.PutObjectInput{Bucket: aws.String("results"), Key: &key, Body: strings.NewReader(body)}
		if _, err := c.PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	contents := func(c *s3.Client) map[string]string {
		t.Helper()
		all := map[string]string{}
		out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("results")})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Contents {
			got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("results"), Key: o.Key})
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(got.Body)
			if err != nil || int64(len(text)) != aws.ToInt64(o.Size) {
				t.Fatalf("%s: %d bytes of %d, %v", *o.Key, len(text), aws.ToInt64(o.Size), err)
			}
			all[*o.Key] = string(text)
		}
		return all
	}

	first, c := start()
	put(c, "jobs/a/parts/1.json", "old")
	put(c, "jobs/a/parts/1.json", "new")
	put(c, "jobs/a/parts/gone", "x")
	put(c, "../é\n", "\x00\xff") // keys and bodies of any bytes
	put(c, "empty", "")
	gone := &s3.DeleteObjectInput{Bucket: aws.String("results"), Key: aws.String("jobs/a/parts/gone")}
	if _, err := c.DeleteObject(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	want := contents(c)
	if len(want) != 3 || want["jobs/a/parts/1.json"] != "new" {
		t.Fatalf("put %q", want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, `{"key":"half","bo`...), 0o600); err != nil {
		t.Fatal(err)
	}

	second, c := start()
	if got := contents(c); len(got) != len(want) || got["jobs/a/parts/1.json"] != "new" || got["../é\n"] != "\x00\xff" {
		t.Errorf("after a restart: %q, want %q", got, want)
	}
	put(c, "more", "of it")
	other, err := Start(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.KeepBucket("results", path); !errors.Is(err, ErrInUse) {
		t.Errorf("kept by two servers: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third, c := start()
	if got := contents(c); len(got) != len(want)+1 || got["more"] != "of it" {
		t.Errorf("after another: %q", got)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}

	// What is no such file is refused, and stays as it is.
	if err := os.WriteFile(path, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Start(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test's clean-up
	if err := s.KeepBucket("results", path); err == nil || !strings.Contains(err.Error(), "byte 0: not a line of a kept bucket") {
		t.Errorf("a file of another kind: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, []byte("# mine\n")) {
		t.Errorf("it was changed: %q, %v", text, err)
	}
}
