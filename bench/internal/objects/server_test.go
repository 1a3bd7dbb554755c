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
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sync/errgroup"

	"fanout/bench/internal/network"
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
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key),
		Body: strings.NewReader(body)}, once)
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
				out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Prefix: aws.String(key),
					EncodingType: encoding}, once)
				if err != nil || len(out.Contents) != 1 {
					t.Errorf("list by prefix, encoding %q: %+v, %v", encoding, out, err)
				}
			}
			out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), StartAfter: aws.String(key),
				EncodingType: types.EncodingTypeUrl}, once)
			if err != nil {
				t.Errorf("list after: %v", err)
			} else if sorted := slices.Sorted(slices.Values(oddKeys)); len(out.Contents) != len(sorted)-1-slices.Index(sorted, key) {
				t.Errorf("list after: %d keys", len(out.Contents))
			}
		})
	}
	// pages of one: the continuation token holds each key
	var seen int
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), MaxKeys: aws.Int32(1),
		EncodingType: types.EncodingTypeUrl})
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
		out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(testBucket),
			Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String(key)}}}}, once)
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
			_, putErr := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k2"), Body: strings.NewReader("x")},
				options...)
			_, deleteErr := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: bucket,
				Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("k2")}}}}, options...)
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
			if body, res := fetchURL(t, client(t, s, nil), r.URL); res.StatusCode != 200 || body != "body" {
				t.Errorf("%q: %s %s", key, res.Status, body)
			}
			if _, res := fetchURL(t, client(t, s, nil), r.URL+"0"); res.StatusCode != 403 {
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

func fetchURL(t testing.TB, c *http.Client, url string) (string, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
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
	if body, _, err := get(t.Context(), v, &s3.GetObjectInput{Key: aws.String("a/b c"), Range: aws.String("bytes=1-2")}); err != nil ||
		body != "od" {
		t.Errorf("get a range: %q, %v", body, err)
	}
	out, err := v.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket)})
	if err != nil || len(out.Contents) != 2 {
		t.Errorf("list: %+v, %v", out, err)
	}
	if _, err := v.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(testBucket)}); err != nil {
		t.Errorf("head bucket: %v", err)
	}
	if _, err := v.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: aws.String(testBucket)}); err != nil {
		t.Errorf("versioning: %v", err)
	}
	if n := s.Counts(); n.Lists != 1 || n.Gets != 3 {
		t.Errorf("counted %+v", n)
	}
}

func TestObject(t *testing.T) {
	_, c := start(t, objects.Config{})
	out := put(t, c, "dir/k", "0123456789")
	empty := put(t, c, "dir/empty", "")
	etag := aws.ToString(out.ETag)
	for _, row := range []struct {
		name   string
		in     s3.GetObjectInput
		body   string
		code   string
		status int
	}{
		{"whole", s3.GetObjectInput{Key: aws.String("dir/k")}, "0123456789", "", 200},
		{"empty", s3.GetObjectInput{Key: aws.String("dir/empty")}, "", "", 200},                                   // no byte to throttle
		{"checksum", s3.GetObjectInput{Key: aws.String("dir/k"), ChecksumMode: "ENABLED"}, "0123456789", "", 200}, // the SDK verifies it
		{"range", s3.GetObjectInput{Key: aws.String("dir/k"), Range: aws.String("bytes=2-4")}, "234", "", 206},
		{"suffix", s3.GetObjectInput{Key: aws.String("dir/k"), Range: aws.String("bytes=-3")}, "789", "", 206},
		{"range past the end", s3.GetObjectInput{Key: aws.String("dir/k"), Range: aws.String("bytes=10-")}, "", "InvalidRange", 416},
		{"if-match holds", s3.GetObjectInput{Key: aws.String("dir/k"), IfMatch: &etag}, "0123456789", "", 200},
		{"if-match fails", s3.GetObjectInput{Key: aws.String("dir/k"), IfMatch: empty.ETag}, "", "PreconditionFailed", 412},
		{"if-none-match holds", s3.GetObjectInput{Key: aws.String("dir/k"), IfNoneMatch: &etag}, "", "NotModified", 304},
		{"no key", s3.GetObjectInput{Key: aws.String("dir/nothing")}, "", "NoSuchKey", 404},
		{"a prefix is no key", s3.GetObjectInput{Key: aws.String("dir/")}, "", "NoSuchKey", 404},
	} {
		t.Run(row.name, func(t *testing.T) {
			body, out, err := get(t.Context(), c, &row.in)
			if row.code != "" {
				if code(err) != row.code || status(err) != row.status {
					t.Fatalf("%d %v, want %d %s", status(err), err, row.status, row.code)
				}
				return
			}
			if err != nil || body != row.body {
				t.Fatalf("%q, %v", body, err)
			}
			if row.body == "0123456789" && (aws.ToString(out.ETag) != `"781e5e245d69b566979b86e28d23f2c7"` || aws.ToInt64(out.ContentLength) != 10 ||
				aws.ToString(out.AcceptRanges) != "bytes" || aws.ToString(out.ContentType) != "application/octet-stream" || out.LastModified == nil) {
				t.Errorf("headers: %+v", out)
			}
			if row.name == "checksum" && out.ChecksumCRC32 == nil {
				t.Error("no checksum in the answer: the sender gave it as a trailer")
			}
		})
	}
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("nothing"), Key: aws.String("k")}, once)
	if code(err) != "NoSuchBucket" {
		t.Errorf("no bucket: %v", err)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(testBucket), Key: aws.String("dir/k")}, once)
	if err != nil || aws.ToInt64(head.ContentLength) != 10 || aws.ToString(head.ETag) != etag {
		t.Errorf("head: %+v, %v", head, err)
	}
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(testBucket), Key: aws.String("dir/nothing")}, once)
	if status(err) != 404 {
		t.Errorf("head, no key: %v", err)
	}
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Delimiter: aws.String("/")}, once)
	if err != nil || len(list.CommonPrefixes) != 1 || aws.ToString(list.CommonPrefixes[0].Prefix) != "dir/" || len(list.Contents) != 0 {
		t.Errorf("folders: %+v, %v", list, err)
	}
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String("dir/k"),
		Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")}, once)
	if code(err) != "PreconditionFailed" {
		t.Errorf("put over an object that must not be there: %v", err)
	}
}

// An object sent without a checksum has the CRC-64 that S3 makes of it.
func TestDefaultChecksum(t *testing.T) {
	_, c := start(t, objects.Config{})
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k"),
		Body: strings.NewReader("123456789")},
		once, func(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired })
	if err != nil {
		t.Fatal(err)
	}
	_, out, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String("k"), ChecksumMode: "ENABLED"})
	// 0xAE8B14860A799888: the catalogue's check value of CRC-64/NVME
	if err != nil || aws.ToString(out.ChecksumCRC64NVME) != "rosUhgp5mIg=" {
		t.Errorf("%+v, %v", out, err)
	}
}

func versions(t *testing.T, c *s3.Client, perPage int32) (keys []string, ids []types.ObjectIdentifier) {
	t.Helper()
	pages := s3.NewListObjectVersionsPaginator(c, &s3.ListObjectVersionsInput{Bucket: aws.String(testBucket), MaxKeys: aws.Int32(perPage)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			keys = append(keys, fmt.Sprintf("%s %d %t", *v.Key, *v.Size, *v.IsLatest))
			ids = append(ids, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, v := range page.DeleteMarkers {
			keys = append(keys, fmt.Sprintf("%s marker %t", *v.Key, *v.IsLatest))
			ids = append(ids, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
	}
	slices.Sort(keys)
	return keys, ids
}

func TestVersions(t *testing.T) {
	_, c := start(t, objects.Config{})
	bucket := aws.String(testBucket)
	put(t, c, "a", "1") // before there was versioning: the null version
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "a", "22")
	third := put(t, c, "a", "333")
	put(t, c, "b", "4444")
	del, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("b")})
	if err != nil || !aws.ToBool(del.DeleteMarker) {
		t.Fatalf("%+v, %v", del, err)
	}
	want := []string{"a 1 false", "a 2 false", "a 3 true", "b 4 false", "b marker true"}
	for perPage := range int32(6) {
		if perPage == 0 {
			continue
		}
		if got, _ := versions(t, c, perPage); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q, want %q", perPage, got, want)
		}
	}
	if _, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String("b")}); code(err) != "NoSuchKey" {
		t.Errorf("get behind a marker: %v", err)
	}
	for id, want := range map[string]string{"null": "1", *third.VersionId: "333"} {
		if body, out, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String("a"), VersionId: aws.String(id)}); err != nil ||
			body != want || aws.ToString(out.VersionId) != id {
			t.Errorf("version %s: %q, %v", id, body, err)
		}
	}
	if body, out, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String("a")}); err != nil || body != "333" ||
		aws.ToString(out.VersionId) != *third.VersionId {
		t.Errorf("newest: %q, %v", body, err)
	}
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket})
	if err != nil || len(list.Contents) != 1 {
		t.Errorf("list shows what is deleted: %+v, %v", list, err)
	}
	// the newest version gone, the one before is the newest
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("a"),
		VersionId: third.VersionId}); err != nil {
		t.Fatal(err)
	}
	if body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String("a")}); err != nil || body != "22" {
		t.Errorf("after the newest went: %q, %v", body, err)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("a"),
		VersionId: aws.String("null")}); err != nil {
		t.Fatal(err)
	}
	_, ids := versions(t, c, 1000)
	if len(ids) != 3 {
		t.Errorf("%d versions left, want 3", len(ids))
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket}, once); code(err) != "BucketNotEmpty" {
		t.Errorf("delete a bucket of old versions: %v", err)
	}
	if out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: ids}}); err != nil ||
		len(out.Errors) > 0 || len(out.Deleted) != 3 {
		t.Errorf("%+v, %v", out, err)
	}
	if left, _ := versions(t, c, 1000); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket}, once); err != nil {
		t.Errorf("delete the empty bucket: %v", err)
	}
}

// Bodies beyond the memory are in files, read alike and gone with the object.
func TestSpill(t *testing.T) {
	s, c := start(t, objects.Config{MemoryBytes: 100})
	files := func() int {
		t.Helper()
		all, err := os.ReadDir(filepath.Dir(s.CAFile()))
		if err != nil {
			t.Fatal(err)
		}
		return len(all) - 1 // ca.pem
	}
	small, large := strings.Repeat("s", 60), strings.Repeat("l", 200_000)
	put(t, c, "small", small)
	put(t, c, "large", large)
	put(t, c, "small2", small) // what is left does not do for it
	if n := files(); n != 2 {
		t.Errorf("%d files, want 2", n)
	}
	for key, want := range map[string]string{"small": small, "large": large, "small2": small} {
		if body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(key)}); err != nil || body != want {
			t.Errorf("%s: %d bytes, %v", key, len(body), err)
		}
		if body, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String(key), Range: aws.String("bytes=1-50")}); err != nil ||
			body != want[1:51] {
			t.Errorf("range of %s: %q, %v", key, body, err)
		}
	}
	put(t, c, "large", "now small")
	put(t, c, "small", "small still") // gives memory back
	put(t, c, "small3", small)
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String("small2")}); err != nil {
		t.Error(err)
	}
	if n := files(); n != 0 {
		t.Errorf("%d files, want none", n)
	}
}

func TestFaults(t *testing.T) {
	for _, spilled := range []bool{false, true} {
		memory := int64(0)
		if spilled {
			memory = -1
		}
		s, c := start(t, objects.Config{MemoryBytes: memory})
		body := strings.Repeat("x", 100_000)
		put(t, c, "k", body)
		set := func(f objects.Faults) {
			t.Helper()
			if err := s.SetFaults(f); err != nil {
				t.Fatal(err)
			}
		}
		for _, in := range []*s3.GetObjectInput{{Key: aws.String("k")}, {Key: aws.String("k"), Range: aws.String("bytes=0-")}} {
			set(objects.Faults{SlowDown: 1})
			if _, _, err := get(t.Context(), c, in); code(err) != "SlowDown" || status(err) != 503 {
				t.Errorf("slow down: %v", err)
			}
			set(objects.Faults{Reset: 1})
			if _, _, err := get(t.Context(), c, in); err == nil || !strings.Contains(err.Error(), "connection reset") {
				t.Errorf("reset: %v", err)
			}
			set(objects.Faults{Short: 1})
			part, out, err := get(t.Context(), c, in)
			if !errors.Is(err, io.ErrUnexpectedEOF) || len(part) != len(body)/2 || aws.ToInt64(out.ContentLength) != int64(len(body)) {
				t.Errorf("short: %d bytes, %v", len(part), err)
			}
			set(objects.Faults{})
			if got, _, err := get(t.Context(), c, in); err != nil || got != body {
				t.Errorf("none: %d bytes, %v", len(got), err)
			}
		}
		// net/http itself tries a GET again that a kept connection was reset
		// on: one more of each for the two resets
		if n := s.Counts(); n.Faults != 6+2 || n.Gets != 8+2 || n.Puts != 1 || n.SlowDowns != 0 {
			t.Errorf("counted %+v", n)
		}
	}
	s, _ := start(t, objects.Config{})
	if err := s.SetFaults(objects.Faults{Short: 2}); err == nil {
		t.Error("took a share of 2")
	}
}

// One connection, kept, over HTTP/1.1: what the counts and the measured
// side's handshakes rest on.
func TestConnections(t *testing.T) {
	s, c := start(t, objects.Config{})
	put(t, c, "k", "body")
	for range 5 {
		if _, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: aws.String("k")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Counts().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	h := client(t, s, &http.Transport{ForceAttemptHTTP2: true})
	h.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 2 {
		body, res := fetchURL(t, h, s.URL()+"/corpus/k")
		if res.ProtoMajor != 1 || res.StatusCode != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") ||
			res.Header.Get("X-Amz-Request-Id") == "" {
			t.Errorf("%s %s %q", res.Proto, res.Status, body)
		}
		if resumed := res.TLS.DidResume; resumed != (i == 1) {
			t.Errorf("connection %d resumed: %t", i, resumed)
		}
		h.CloseIdleConnections()
	}
}

// Close ends what is under way: here a GET whose first byte is far off.
func TestCloseUnderWay(t *testing.T) {
	s, err := objects.Start(objects.Config{Network: network.S3Standard, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.AddKey(testID, testSecret)
	if err := s.CreateBucket(testBucket); err != nil {
		t.Fatal(err)
	}
	c := s.Client(testID, testSecret)
	var under errgroup.Group
	for range 8 {
		under.Go(func() error {
			for {
				if _, _, err := get(context.Background(), c, &s3.GetObjectInput{Key: aws.String("k")}); code(err) != "NoSuchKey" {
					return nil // the connection is gone
				}
			}
		})
	}
	for s.Counts().Gets < 8 {
		put(t, c, "other", "keeps this loop from spinning")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := under.Wait(); err != nil {
		t.Error(err)
	}
}

// Whoever ends its half of the connection before the answer's time gets none: an
// empty 200 would be taken for an empty bucket, or object.
func TestHalfClosed(t *testing.T) {
	late := network.Model{FirstByteMedian: time.Hour, FirstByteP99: time.Hour}
	s, c := start(t, objects.Config{Network: late, PublicRead: true})
	put(t, c, "k", "body")
	dialer := &tls.Dialer{Config: client(t, s, nil).Transport.(*http.Transport).TLSClientConfig}
	for _, target := range []string{
		"GET /corpus/k", "HEAD /corpus/k", "HEAD /corpus", "GET /corpus?list-type=2", "GET /corpus?versions", "GET /corpus?location", "GET /",
	} {
		conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL(), "https://"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, target+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if err = errors.Join(err, conn.(*tls.Conn).CloseWrite()); err != nil {
			t.Fatal(err)
		}
		if answer, _ := io.ReadAll(conn); len(answer) > 0 { // an error is as good as an end
			t.Errorf("%s: answered %q", target, answer)
		}
		_ = conn.Close() // it was read to its end
	}
}
