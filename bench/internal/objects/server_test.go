package objects_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/bench/internal/objects"
)

const (
	testID     = "AKIDTEST"
	testSecret = "test/secret+key"
	testBucket = "corpus"
)

// start gives a server with one key and one bucket, closed with the test.
func start(t testing.TB, cfg objects.Config) (*objects.Server, *s3.Client) {
	t.Helper()
	cfg.Dir = t.TempDir()
	s, err := objects.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(cfg.Dir)
		if err != nil || len(left) > 0 {
			t.Errorf("after Close: %v, %v", left, err)
		}
	})
	s.AddKey(testID, testSecret)
	if err := s.CreateBucket(testBucket); err != nil {
		t.Fatal(err)
	}
	return s, s.Client(testID, testSecret)
}

func once(o *s3.Options) { o.Retryer = aws.NopRetryer{} }

func put(t testing.TB, c *s3.Client, key string, body string) *s3.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key), Body: strings.NewReader(body)}, once)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return out
}

func get(ctx context.Context, c *s3.Client, in *s3.GetObjectInput) (string, *s3.GetObjectOutput, error) {
	in.Bucket = aws.String(testBucket)
	out, err := c.GetObject(ctx, in, once)
	if err != nil {
		return "", nil, err
	}
	body, err := io.ReadAll(out.Body)
	return string(body), out, errors.Join(err, out.Body.Close())
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func status(err error) int {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}

// oddKeys are keys whose path some client, server or check gets wrong.
var oddKeys = []string{
	"plain",
	"with space",
	"plus+plus",          // + is not a space in a path
	"percent%41%zz",      // must not be decoded twice
	"ünï/çødé-日本",        // bytes of UTF-8, each escaped
	"/leading",           // an empty first segment
	"trailing/",          // is an object, not a folder
	"double//slash",      // must not be cleaned
	"a/../b/./c",         // nor this
	"eq=amp&q?hash#;",    // separators of query and fragment
	"quote'(a)!*~$,:@[]", // unreserved in RFC 2396, but not for SigV4
	"new\tline\n",        // control characters
	"ctl\x01",            // one that XML 1.0 cannot hold
	"tags <&> \"x\"",     // escaped in XML
	"high\u2028\U0001F600",
}

func TestOddKeys(t *testing.T) {
	_, c := start(t, objects.Config{})
	for _, key := range oddKeys {
		put(t, c, key, "body of "+key)
	}
	for _, key := range oddKeys {
		t.Run(key, func(t *testing.T) {
			body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(key)})
			if err != nil || body != "body of "+key {
				t.Errorf("get: %q, %v", body, err)
			}
			// past the handler's own path
			body, _, err = get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(key), Range: aws.String("bytes=5-")})
			if err != nil || body != "of "+key {
				t.Errorf("get a range: %q, %v", body, err)
			}
			for _, encoding := range []types.EncodingType{"", types.EncodingTypeUrl} {
				if key == "ctl\x01" && encoding == "" {
					continue // encoding/xml cannot read it, whoever writes it
				}
				out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Prefix: aws.String(key), EncodingType: encoding}, once)
				if err != nil || len(out.Contents) != 1 {
					t.Errorf("list by prefix, encoding %q: %+v, %v", encoding, out, err)
				}
			}
			out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), StartAfter: aws.String(key), EncodingType: types.EncodingTypeUrl}, once)
			if err != nil {
				t.Errorf("list after: %v", err)
			} else if sorted := slices.Sorted(slices.Values(oddKeys)); len(out.Contents) != len(sorted)-1-slices.Index(sorted, key) {
				t.Errorf("list after: %d keys", len(out.Contents))
			}
		})
	}
	// pages of one: the continuation token holds each key
	var seen int
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen += len(page.Contents)
	}
	if seen != len(oddKeys) {
		t.Errorf("%d keys in pages of one, want %d", seen, len(oddKeys))
	}
	for _, key := range oddKeys {
		out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(testBucket), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String(key)}}}}, once)
		if err != nil && key != "ctl\x01" || err == nil && len(out.Errors) > 0 {
			t.Errorf("delete %q: %v", key, err)
		}
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key)}, once); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket)}, once)
	if err != nil || len(out.Contents) > 0 {
		t.Errorf("left over: %v, %v", out, err)
	}
}

func TestAuthentication(t *testing.T) {
	s, c := start(t, objects.Config{Region: "eu-west-1"})
	put(t, c, "k", "body")
	s.AddKey("GONE", "x")
	s.RemoveKey("GONE")
	for _, row := range []struct {
		name, id, secret, want string
		options                func(*s3.Options)
		status                 int
	}{
		{"right", testID, testSecret, "", nil, 0},
		{"wrong secret", testID, testSecret + "x", "SignatureDoesNotMatch", nil, 403},
		{"unknown key", "NOBODY", testSecret, "InvalidAccessKeyId", nil, 403},
		{"key taken away", "GONE", "x", "InvalidAccessKeyId", nil, 403},
		{"unsigned", testID, testSecret, "AccessDenied", func(o *s3.Options) { o.Credentials = nil }, 403},
		{"another region", testID, testSecret, "AuthorizationHeaderMalformed", func(o *s3.Options) { o.Region = "us-west-2" }, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.Client(row.id, row.secret)
			options := []func(*s3.Options){once}
			if row.options != nil {
				options = append(options, row.options)
			}
			bucket, key := aws.String(testBucket), aws.String("k")
			_, getErr := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key}, options...)
			_, listErr := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket}, options...)
			_, putErr := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k2"), Body: strings.NewReader("x")}, options...)
			_, deleteErr := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("k2")}}}}, options...)
			for op, err := range map[string]error{"get": getErr, "list": listErr, "put": putErr, "delete": deleteErr} {
				if row.want == "" && err == nil {
					continue
				}
				if code(err) != row.want || status(err) != row.status {
					t.Errorf("%s: %v, want %d %s", op, err, row.status, row.want)
				}
			}
		})
	}
	if n := s.Counts().Refused; n != 5*4 {
		t.Errorf("%d refused, want 20", n)
	}
	t.Run("presigned", func(t *testing.T) {
		for _, key := range []string{"k", "sp ace+%/é"} {
			put(t, c, key, "body")
			r, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key)})
			if err != nil {
				t.Fatal(err)
			}
			if body, res := fetch(t, client(t, s, nil), r.URL, ""); res.StatusCode != 200 || body != "body" {
				t.Errorf("%q: %s %s", key, res.Status, body)
			}
			if _, res := fetch(t, client(t, s, nil), r.URL+"0", ""); res.StatusCode != 403 {
				t.Errorf("%q, signature changed: %s", key, res.Status)
			}
		}
	})
}

// client gives an HTTP client that trusts s through its CA file, as a function
// does, and takes every name to be 127.0.0.1.
func client(t testing.TB, s *objects.Server, transport *http.Transport) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the CA file")
	}
	if transport == nil {
		transport = &http.Transport{}
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(s.URL(), "https://"))
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func fetch(t testing.TB, c *http.Client, url, host string) (string, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(body), res
}

func TestVirtualHosted(t *testing.T) {
	s, c := start(t, objects.Config{})
	put(t, c, "a/b c", "body")
	put(t, c, "/x", "slash")
	v := s3.New(c.Options(), func(o *s3.Options) {
		o.UsePathStyle = false
		o.BaseEndpoint = aws.String(strings.Replace(s.URL(), "127.0.0.1", "localhost", 1))
		o.HTTPClient = client(t, s, nil)
	})
	for key, want := range map[string]string{"a/b c": "body", "/x": "slash"} {
		if body, _, err := get(t.Context(), v, &s3.GetObjectInput{Key: aws.String(key)}); err != nil || body != want {
			t.Errorf("get %q: %q, %v", key, body, err)
		}
	}
	if body, _, err := get(t.Context(), v, &s3.GetObjectInput{Key: aws.String("a/b c"), Range: aws.String("bytes=1-2")}); err != nil || body != "od" {
		t.Errorf("get a range: %q, %v", body, err)
	}
	out, err := v.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket)})
	if err != nil || len(out.Contents) != 2 {
		t.Errorf("list: %+v, %v", out, err)
	}
	if n := s.Counts(); n.Lists != 1 || n.Gets != 3 {
		t.Errorf("counted %+v", n)
	}
}
