// Package e2e runs the fetch handler over each S3 client against the embedded
// S3: whatever the client, the answer is the same.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/store"
	_ "fanout/functions/store/sdk"
)

const (
	keyID  = "AKIDE2E"
	secret = "e2e/secret+key"
)

// startS3 gives an embedded S3 with a key, and points this process's AWS
// configuration at it.
func startS3(t testing.TB, cfg objects.Config) (*objects.Server, *s3.Client) {
	t.Helper()
	cfg.Dir, cfg.Region = t.TempDir(), "eu-central-1"
	s, err := objects.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.AddKey(keyID, secret)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": s.URL(), "AWS_CA_BUNDLE": s.CAFile(), "AWS_REGION": cfg.Region,
		"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	return s, s.Client(keyID, secret)
}

// fill makes a bucket with these objects.
func fill(t testing.TB, s *objects.Server, c *s3.Client, bucket string, bodies map[string]string) {
	t.Helper()
	if err := s.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(16)
	for key, body := range bodies {
		g.Go(func() error {
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(body)})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// outcome is what of an invocation must not depend on the client.
type outcome struct {
	result, digest  string
	objects, errors int
	bytes           int64
	errorType       string
}

func invoke(t testing.TB, client, event string) (outcome, fetch.Response, error) {
	t.Helper()
	h := fetch.New(fetch.Config{Client: client}, func(ctx context.Context, name string) (fetch.Store, error) {
		return store.Open(ctx, name)
	})
	r, err := h.Handle(t.Context(), []byte(event))
	o := outcome{r.Result, r.Stats.Digest, r.Stats.Objects, r.Stats.Errors, r.Stats.Bytes, ""}
	if err != nil {
		o.errorType = "untyped"
		if typed := (*fetch.Error)(nil); errors.As(err, &typed) {
			o.errorType = typed.Type
		}
	}
	return o, r, err
}

// expect is the right answer for these objects.
func expect(bodies map[string]string, result string) outcome {
	o := outcome{result: result, objects: len(bodies)}
	var d fetch.Digest
	for key, body := range bodies {
		o.bytes += int64(len(body))
		d.Add(key, fetch.BodyCRC(0, []byte(body)))
	}
	o.digest = d.String()
	return o
}

// oddKeys are keys whose path or listing some client gets wrong.
var oddKeys = map[string]string{
	"plain": "1", "with space": "2", "plus+plus": "3", "percent%41%zz": "4",
	"ünï/çødé-日本": "5", "/leading": "6", "trailing/": "7", "double//slash": "8",
	"eq=amp&q?hash#;": "9", "quote'(a)!*~$,:@[]": "10", "new\tline\n": "11",
	"ctl\x01": "12", "tags <&> \"x\"": "13", "high\u2028\U0001F600": "14", "empty": "",
	"needle": "hay needle hay", "a/../b/./c": "15",
}

func TestContract(t *testing.T) {
	s, c := startS3(t, objects.Config{})
	fill(t, s, c, "odd", oddKeys)
	fill(t, s, c, "empty", nil)
	pages := map[string]string{}
	for i := range 2500 {
		pages[fmt.Sprintf("p/%04d", i)] = fmt.Sprintf("body %d", i)
	}
	fill(t, s, c, "pages", pages)
	// Two objects of three and four ranges, the needle over a range's border.
	large := corpus.Spec{Count: 2, MinBytes: 20 << 20, MaxBytes: 26 << 20, Seed: 3, Needle: "n", Prefix: "x"}
	body := func(i int) string {
		b := new(bytes.Buffer)
		if _, err := b.ReadFrom(large.Body(i)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	const border = 16 << 20
	second := []byte(body(1))
	copy(second[border-5:], "over the border")
	bodies := map[string]string{"big-0": body(0), "big-1": string(second)}
	fill(t, s, c, "large", bodies)

	for _, tt := range []struct {
		name   string // what it guards
		event  string
		secret string
		want   outcome
	}{
		{"every key is listed, escaped and signed right", `{"s3_bucket_name":"odd","folder":"","find":null}`, "",
			expect(oddKeys, fmt.Sprint(len(oddKeys)))},
		{"a string is found", `{"s3_bucket_name":"odd","find":"needle"}`, "", expect(oddKeys, "needle")},
		{"nothing is found", `{"s3_bucket_name":"odd","find":"nowhere"}`, "", expect(oddKeys, "None")},
		{"a prefix that must be escaped", `{"s3_bucket_name":"odd","folder":"ünï/"}`, "", expect(map[string]string{"ünï/çødé-日本": "5"}, "1")},
		{"an empty bucket", `{"s3_bucket_name":"empty"}`, "", expect(nil, "0")},
		{"a search in an empty prefix", `{"s3_bucket_name":"odd","folder":"none/","find":"x"}`, "", expect(nil, "None")},
		{"pages", `{"s3_bucket_name":"pages","folder":"p/"}`, "", expect(pages, "2500")},
		{"a match on the last page", `{"s3_bucket_name":"pages","find":"body 2499"}`, "", expect(pages, "p/2499")},
		{"large objects, and a needle over a range's border", `{"s3_bucket_name":"large","find":"over the border"}`, "", expect(bodies, "big-1")},
		{"a missing bucket", `{"s3_bucket_name":"missing"}`, "", outcome{errorType: fetch.NoSuchBucket}},
		{"keys in a missing bucket", `{"s3_bucket_name":"missing","keys":["a"]}`, "", outcome{errorType: fetch.NoSuchBucket}},
		{"a wrong secret", `{"s3_bucket_name":"odd"}`, "wrong", outcome{errorType: fetch.AccessDenied}},
		{"a missing key fails", `{"s3_bucket_name":"odd","keys":["plain","gone"]}`, "", outcome{errorType: fetch.ObjectReadFailed}},
		{"or is counted", `{"s3_bucket_name":"odd","keys":["plain","gone"],"on_error":"continue"}`, "",
			func() outcome { o := expect(map[string]string{"plain": "1"}, "1"); o.errors = 1; return o }()},
	} {
		for _, client := range store.Names {
			t.Run(tt.name+"/"+client, func(t *testing.T) {
				if tt.secret != "" {
					t.Setenv("AWS_SECRET_ACCESS_KEY", tt.secret)
				}
				got, _, err := invoke(t, client, tt.event)
				if got != tt.want {
					t.Errorf("got  %+v (%v)\nwant %+v", got, err, tt.want)
				}
			})
		}
	}
}

// TestErrorNames holds the names of a single object's errors together.
func TestErrorNames(t *testing.T) {
	s, c := startS3(t, objects.Config{})
	fill(t, s, c, "bucket", map[string]string{"k": "v"})
	for _, tt := range []struct {
		name, bucket, key, secret, want string
	}{
		{"no such key", "bucket", "gone", "", fetch.NoSuchKey},
		{"no such bucket", "gone", "k", "", fetch.NoSuchBucket},
		{"a wrong secret", "bucket", "k", "wrong", fetch.AccessDenied},
	} {
		for _, client := range store.Names {
			t.Run(tt.name+"/"+client, func(t *testing.T) {
				if tt.secret != "" {
					t.Setenv("AWS_SECRET_ACCESS_KEY", tt.secret)
				}
				st, err := store.Open(t.Context(), client)
				if err != nil {
					t.Fatal(err)
				}
				_, err = st.Get(t.Context(), tt.bucket, tt.key, discard{})
				typed := (*fetch.Error)(nil)
				if !errors.As(err, &typed) || typed.Type != tt.want || !strings.HasPrefix(typed.Message, "get s3://"+tt.bucket+"/"+tt.key) {
					t.Errorf("got %#v, want type %s", err, tt.want)
				}
			})
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Reset()                      {}

// TestFaults reads through failing requests: nothing may be lost or counted
// twice. Stock has the SDK's three attempts, which do for fewer faults.
func TestFaults(t *testing.T) {
	s, c := startS3(t, objects.Config{Seed: 7})
	full := objects.Faults{SlowDown: 0.05, Reset: 0.02, Short: 0.02, Spike: 0.01}
	for _, tt := range []struct {
		client string
		count  int
		faults objects.Faults
	}{
		{store.Lean, 10_000, full},
		{store.Tuned, 2_000, full},
		{store.Stock, 1_000, objects.Faults{SlowDown: 0.005, Reset: 0.0025, Short: 0.0025}},
	} {
		t.Run(tt.client, func(t *testing.T) {
			spec := corpus.Default()
			spec.Count, spec.MinBytes, spec.MaxBytes = tt.count, 100, 20_000
			if err := s.SetFaults(objects.Faults{}); err != nil {
				t.Fatal(err)
			}
			bucket := "faults-" + tt.client
			fill(t, s, c, bucket, nil)
			if _, err := spec.Put(t.Context(), c, bucket, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.SetFaults(tt.faults); err != nil {
				t.Fatal(err)
			}
			event, err := json.Marshal(fetch.Event{Bucket: bucket, Find: &spec.Needle})
			if err != nil {
				t.Fatal(err)
			}
			got, r, err := invoke(t, tt.client, string(event))
			size, digest := spec.Expect()
			want := outcome{spec.Key(spec.NeedleObject()), digest.String(), tt.count, 0, size, ""}
			if got != want {
				t.Errorf("got  %+v (%v)\nwant %+v", got, err, want)
			}
			if r.Stats.Retries == 0 {
				t.Error("no retries: the faults did not happen")
			}
			t.Logf("%d retries, %d connections", r.Stats.Retries, r.Stats.Connections)
		})
	}
}
