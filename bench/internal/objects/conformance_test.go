package objects_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"fanout/bench/internal/objects"
)

// wire speaks to a server in plain HTTP, so that no client's idea of S3 stands
// between the test and what is sent.
type wire struct {
	t      testing.TB
	client *http.Client
	url    string
}

type reply struct {
	status int
	header http.Header
	body   string
}

// code gives the error code of an answer, and fails where an error has no
// message.
func (r reply) code(t testing.TB) string {
	t.Helper()
	var e struct {
		Code, Message string
		RequestID     string `xml:"RequestId"`
	}
	if r.status < 400 || r.body == "" {
		return ""
	}
	if err := xml.Unmarshal([]byte(r.body), &e); err != nil {
		t.Errorf("%d with %q: %v", r.status, r.body, err)
	}
	if e.Message == "" || e.Message == e.Code || e.RequestID == "" {
		t.Errorf("an error without a message, or a request id: %s", r.body)
	}
	return e.Code
}

func startWire(t testing.TB) (*objects.Server, *wire) {
	t.Helper()
	s, _ := start(t, objects.Config{})
	return s, &wire{t, client(t, s, nil), s.URL()}
}

// sign gives a signed request.
func (w *wire) sign(method, target string, header map[string]string, body string) *http.Request {
	w.t.Helper()
	return w.signAt(time.Now(), method, target, header, body)
}

func (w *wire) signAt(at time.Time, method, target string, header map[string]string, body string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: testID, SecretAccessKey: testSecret}, r,
		r.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// send signs and sends one request.
func (w *wire) send(method, target string, header map[string]string, body string) reply {
	w.t.Helper()
	res, err := w.client.Do(w.sign(method, target, header, body))
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, target, err)
	}
	text, err := io.ReadAll(res.Body)
	if cerr := res.Body.Close(); err != nil || cerr != nil {
		w.t.Fatalf("%s %s: %v, %v", method, target, err, cerr)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// must is send that has to succeed.
func (w *wire) must(method, target string, header map[string]string, body string) reply {
	w.t.Helper()
	r := w.send(method, target, header, body)
	if r.status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, target, r.status, r.body)
	}
	return r
}

// element gives the text of the first element of that name.
func element(body, name string) string {
	_, rest, ok := strings.Cut(body, "<"+name+">")
	if !ok {
		return "(none)"
	}
	value, _, _ := strings.Cut(rest, "</"+name+">")
	return value
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func crc32Of(s string) string {
	return base64.StdEncoding.EncodeToString(binaryBE(crc32.ChecksumIEEE([]byte(s))))
}

func binaryBE(n uint32) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

type headers = map[string]string

// TestConformance holds the answers to single requests against S3's, as it
// documents them or is known to give them. A row's want is header names and
// their values; of a name with a minus before it there must be none.
func TestConformance(t *testing.T) {
	_, w := startWire(t)
	w.must("PUT", "/corpus/ten", headers{"Content-Type": "text/plain", "X-Amz-Meta-Shoe-Size": "44"}, "0123456789")
	w.must("PUT", "/corpus/empty", nil, "")
	w.must("PUT", "/corpus/a/b", nil, "1")
	w.must("PUT", "/corpus/a/c", nil, "2")
	w.must("PUT", "/corpus/ctl%01", nil, "3")
	w.must("PUT", "/versioned", nil, "")
	w.must("PUT", "/versioned?versioning", headers{"Content-MD5": md5Of(enableVersioning)}, enableVersioning)
	first := w.must("PUT", "/versioned/k", nil, "one").header.Get("X-Amz-Version-Id")
	second := w.must("PUT", "/versioned/k", nil, "two").header.Get("X-Amz-Version-Id")
	w.must("PUT", "/versioned/gone", nil, "x")
	marker := w.must("DELETE", "/versioned/gone", nil, "").header.Get("X-Amz-Version-Id")
	const etag = `"781e5e245d69b566979b86e28d23f2c7"` // MD5 of 0123456789
	past, future := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)

	for _, row := range []struct {
		name, method, target string
		header               headers
		body                 string
		status               int
		code                 string
		want                 headers
		text                 string // part of the answer
	}{
		// Ranges
		{"a range", "GET", "/corpus/ten", headers{"Range": "bytes=2-4"}, "", 206, "", headers{"Content-Range": "bytes 2-4/10",
			"Content-Length": "3"}, "234"},
		{"a range of one byte", "GET", "/corpus/ten", headers{"Range": "bytes=9-9"}, "", 206, "", headers{"Content-Range": "bytes 9-9/10"}, "9"},
		{"a range without an end", "GET", "/corpus/ten", headers{"Range": "bytes=7-"}, "", 206, "", headers{"Content-Range": "bytes 7-9/10"},
			"789"},
		{"a range past the end", "GET", "/corpus/ten", headers{"Range": "bytes=8-99"}, "", 206, "", headers{"Content-Range": "bytes 8-9/10"},
			"89"},
		{"a range past any end", "GET", "/corpus/ten", headers{"Range": "bytes=8-99999999999999999999"}, "", 206, "",
			headers{"Content-Range": "bytes 8-9/10"}, "89"},
		{"a suffix", "GET", "/corpus/ten", headers{"Range": "bytes=-3"}, "", 206, "", headers{"Content-Range": "bytes 7-9/10"}, "789"},
		{"a suffix longer than the object", "GET", "/corpus/ten", headers{"Range": "bytes=-99"}, "", 206, "",
			headers{"Content-Range": "bytes 0-9/10"}, "0123456789"},
		{"a suffix of nothing", "GET", "/corpus/ten", headers{"Range": "bytes=-0"}, "", 416, "InvalidRange", nil, ""},
		{"a range that begins past the end", "GET", "/corpus/ten", headers{"Range": "bytes=10-"}, "", 416, "InvalidRange", nil,
			"<ActualObjectSize>10<"},
		{"a range of an empty object", "GET", "/corpus/empty", headers{"Range": "bytes=0-"}, "", 416, "InvalidRange", nil, ""},
		{"a suffix of an empty object", "GET", "/corpus/empty", headers{"Range": "bytes=-5"}, "", 416, "InvalidRange", nil, ""},
		{"a range from back to front", "GET", "/corpus/ten", headers{"Range": "bytes=5-2"}, "", 200, "", headers{"-Content-Range": ""},
			"0123456789"},
		{"a range without numbers", "GET", "/corpus/ten", headers{"Range": "bytes=-"}, "", 200, "", nil, "0123456789"},
		{"a range of words", "GET", "/corpus/ten", headers{"Range": "bytes=a-b"}, "", 200, "", nil, "0123456789"},
		{"a range without a dash", "GET", "/corpus/ten", headers{"Range": "bytes=5"}, "", 200, "", nil, "0123456789"},
		{"a range of lines", "GET", "/corpus/ten", headers{"Range": "lines=0-1"}, "", 200, "", nil, "0123456789"},
		{"two ranges", "GET", "/corpus/ten", headers{"Range": "bytes=0-1,4-5"}, "", 200, "", headers{"-Content-Range": ""}, "0123456789"},
		{"HEAD of a range", "HEAD", "/corpus/ten", headers{"Range": "bytes=2-4"}, "", 206, "", headers{"Content-Range": "bytes 2-4/10",
			"Content-Length": "3"}, ""},
		{"HEAD of a range that is not there", "HEAD", "/corpus/ten", headers{"Range": "bytes=10-"}, "", 416, "", nil, ""},
		{"a range has no checksum", "GET", "/corpus/ten", headers{"Range": "bytes=0-0", "X-Amz-Checksum-Mode": "ENABLED"}, "", 206, "",
			headers{"-X-Amz-Checksum-Crc64nvme": ""}, "0"},

		// GET and HEAD
		{"headers of an object", "GET", "/corpus/ten", nil, "", 200, "", headers{
			"Etag": etag, "Content-Type": "text/plain", "Content-Length": "10", "Accept-Ranges": "bytes", "X-Amz-Meta-Shoe-Size": "44",
			"-X-Amz-Version-Id": ""}, "0123456789"},
		{"of an empty object", "GET", "/corpus/empty", nil, "", 200, "", headers{"Content-Length": "0",
			"Content-Type": "binary/octet-stream"}, ""},
		{"HEAD", "HEAD", "/corpus/ten", nil, "", 200, "", headers{"Etag": etag, "Content-Length": "10", "-Content-Range": ""}, ""},
		{"HEAD of no object", "HEAD", "/corpus/none", nil, "", 404, "", nil, ""},
		{"no object", "GET", "/corpus/none", nil, "", 404, "NoSuchKey", nil, "<Key>none<"},
		{"no bucket", "GET", "/nothing/none", nil, "", 404, "NoSuchBucket", nil, "<BucketName>nothing<"},
		{"the checksum that S3 makes", "GET", "/corpus/ten", headers{"X-Amz-Checksum-Mode": "ENABLED"}, "", 200, "",
			headers{"X-Amz-Checksum-Type": "FULL_OBJECT"}, ""},
		{"headers asked for", "GET", "/corpus/ten?response-content-type=a%2Fb&response-cache-control=no-store", nil, "", 200, "",
			headers{"Content-Type": "a/b", "Cache-Control": "no-store"}, ""},
		{"the only part", "GET", "/corpus/ten?partNumber=1", nil, "", 206, "", headers{"Content-Range": "bytes 0-9/10",
			"-X-Amz-Mp-Parts-Count": ""}, "0123456789"},
		{"a part that is not there", "GET", "/corpus/ten?partNumber=2", nil, "", 416, "InvalidPartNumber", nil, ""},
		{"part 0", "GET", "/corpus/ten?partNumber=0", nil, "", 400, "InvalidArgument", nil, ""},
		{"a part and a range", "GET", "/corpus/ten?partNumber=1", headers{"Range": "bytes=0-1"}, "", 400, "InvalidRequest", nil, ""},

		// Conditions, RFC 9110: an ETag is stronger than a time
		{"if-match", "GET", "/corpus/ten", headers{"If-Match": etag}, "", 200, "", nil, ""},
		{"if-match of a list", "GET", "/corpus/ten", headers{"If-Match": `"x", ` + etag}, "", 200, "", nil, ""},
		{"if-match fails", "GET", "/corpus/ten", headers{"If-Match": `"x"`}, "", 412, "PreconditionFailed", nil, ""},
		{"if-match on a range", "GET", "/corpus/ten", headers{"If-Match": `"x"`, "Range": "bytes=0-1"}, "", 412, "PreconditionFailed", nil, ""},
		{"if-none-match", "GET", "/corpus/ten", headers{"If-None-Match": etag}, "", 304, "", headers{"Etag": etag}, ""},
		{"if-none-match of another", "GET", "/corpus/ten", headers{"If-None-Match": `"x"`}, "", 200, "", nil, ""},
		{"if-modified-since then", "GET", "/corpus/ten", headers{"If-Modified-Since": past}, "", 200, "", nil, ""},
		{"if-modified-since never", "GET", "/corpus/ten", headers{"If-Modified-Since": future}, "", 304, "", nil, ""},
		{"if-unmodified-since", "GET", "/corpus/ten", headers{"If-Unmodified-Since": past}, "", 412, "PreconditionFailed", nil, ""},
		{"if-match holds, if-unmodified-since not", "GET", "/corpus/ten", headers{"If-Match": etag, "If-Unmodified-Since": past}, "", 200, "",
			nil, ""},
		{"if-none-match fails, if-modified-since holds", "GET", "/corpus/ten", headers{"If-None-Match": `"x"`, "If-Modified-Since": future},
			"", 200, "", nil, ""},

		// Versions
		{"an old version", "GET", "/versioned/k?versionId=" + first, nil, "", 200, "", headers{"X-Amz-Version-Id": first}, "one"},
		{"HEAD of an old version", "HEAD", "/versioned/k?versionId=" + first, nil, "", 200, "", headers{"X-Amz-Version-Id": first,
			"Content-Length": "3"}, ""},
		{"a range of an old version", "GET", "/versioned/k?versionId=" + first, headers{"Range": "bytes=1-"}, "", 206, "",
			headers{"X-Amz-Version-Id": first}, "ne"},
		{"no version", "GET", "/versioned/k?versionId=x", nil, "", 404, "NoSuchVersion", nil, ""},
		{"what was deleted", "GET", "/versioned/gone", nil, "", 404, "NoSuchKey", headers{"X-Amz-Delete-Marker": "true",
			"X-Amz-Version-Id": marker}, ""},
		{"the delete marker", "GET", "/versioned/gone?versionId=" + marker, nil, "", 405, "MethodNotAllowed",
			headers{"X-Amz-Delete-Marker": "true"}, ""},
		{"the null version of a bucket without", "GET", "/corpus/ten?versionId=null", nil, "", 200, "", nil, "0123456789"},

		// Lists
		{"KeyCount of nothing", "GET", "/corpus?list-type=2&prefix=none", nil, "", 200, "", nil, "<KeyCount>0</KeyCount>"},
		{"KeyCount counts prefixes", "GET", "/corpus?list-type=2&delimiter=/&encoding-type=url", nil, "", 200, "", nil, "<KeyCount>4</KeyCount>"},
		{"max-keys of 0", "GET", "/corpus?list-type=2&max-keys=0", nil, "", 200, "", nil, "<IsTruncated>false</IsTruncated>"},
		{"max-keys of 1", "GET", "/corpus?list-type=2&max-keys=1", nil, "", 200, "", nil, "<MaxKeys>1</MaxKeys>"},
		{"which is one key", "GET", "/corpus?list-type=2&max-keys=1", nil, "", 200, "", nil, "<KeyCount>1</KeyCount>"},
		{"and says that there are more", "GET", "/corpus?max-keys=1", nil, "", 200, "", nil, "<IsTruncated>true</IsTruncated>"},
		{"as many as there are", "GET", "/corpus?list-type=2&prefix=a/&max-keys=2", nil, "", 200, "", nil, "<IsTruncated>false</IsTruncated>"},
		{"one version", "GET", "/versioned?versions&prefix=k&max-keys=1", nil, "", 200, "", nil, "<NextVersionIdMarker>" + second + "<"},
		{"max-keys beyond the most", "GET", "/corpus?list-type=2&max-keys=5000&prefix=a", nil, "", 200, "", nil, "<MaxKeys>1000</MaxKeys>"},
		{"max-keys that is no number", "GET", "/corpus?list-type=2&max-keys=x", nil, "", 400, "InvalidArgument", nil, "<ArgumentName>max-keys<"},
		{"max-keys below 0", "GET", "/corpus?max-keys=-1", nil, "", 400, "InvalidArgument", nil, ""},
		{"a token that is none", "GET", "/corpus?list-type=2&continuation-token=%21", nil, "", 400, "InvalidArgument", nil, ""},
		{"an empty token", "GET", "/corpus?list-type=2&continuation-token=&prefix=a", nil, "", 200, "", nil,
			"<ContinuationToken></ContinuationToken>"},
		{"an unknown encoding", "GET", "/corpus?list-type=2&encoding-type=html", nil, "", 400, "InvalidArgument", nil, ""},
		{"an unknown list-type", "GET", "/corpus?list-type=3", nil, "", 400, "InvalidArgument", nil, ""},
		{"owners of the first version", "GET", "/corpus?prefix=ten", nil, "", 200, "", nil, "<Owner>"},
		{"start-after", "GET", "/corpus?list-type=2&start-after=a/c&prefix=a&max-keys=1", nil, "", 200, "", nil, "<StartAfter>a/c</StartAfter>"},
		{"a control character, encoded", "GET", "/corpus?list-type=2&prefix=ctl&encoding-type=url", nil, "", 200, "", nil, "<Key>ctl%01</Key>"},
		{"a control character, plain", "GET", "/corpus?list-type=2&prefix=ctl", nil, "", 200, "", nil, "<Key>ctl&#x1;</Key>"},
		{"its versions, encoded", "GET", "/corpus?versions&prefix=ctl&encoding-type=url", nil, "", 200, "", nil,
			"<Key>ctl%01</Key><VersionId>null</VersionId>"},
		{"the marker of versions, encoded", "GET", "/corpus?versions&key-marker=%01&encoding-type=url", nil, "", 200, "", nil,
			"<KeyMarker>%01</KeyMarker>"},
		{"an empty version-id-marker", "GET", "/corpus?versions&key-marker=a&version-id-marker=", nil, "", 400, "InvalidArgument", nil, ""},
		{"no uploads", "GET", "/corpus?uploads", nil, "", 200, "", nil, "<IsTruncated>false</IsTruncated>"},
		{"a list of no bucket", "GET", "/nothing?list-type=2", nil, "", 404, "NoSuchBucket", nil, ""},

		// PUT
		{"with its MD5", "PUT", "/corpus/p", headers{"Content-MD5": md5Of("x")}, "x", 200, "",
			headers{"Etag": `"9dd4e461268c8034f5c8564e155c67a6"`}, ""},
		{"with another's MD5", "PUT", "/corpus/q", headers{"Content-MD5": md5Of("y")}, "x", 400, "BadDigest", nil, ""},
		{"with half an MD5", "PUT", "/corpus/q", headers{"Content-MD5": "YWJj"}, "x", 400, "InvalidDigest", nil, ""},
		{"with a checksum", "PUT", "/corpus/p", headers{"X-Amz-Checksum-Crc32": crc32Of("x")}, "x", 200, "",
			headers{"X-Amz-Checksum-Crc32": crc32Of("x")}, ""},
		{"with another's checksum", "PUT", "/corpus/q", headers{"X-Amz-Checksum-Crc32": crc32Of("y")}, "x", 400, "BadDigest", nil, "CRC32"},
		{"with a checksum of another length", "PUT", "/corpus/q", headers{"X-Amz-Checksum-Sha256": crc32Of("y")}, "x", 400, "InvalidRequest",
			nil, ""},
		{"with two checksums", "PUT", "/corpus/q", headers{"X-Amz-Checksum-Crc32": crc32Of("x"), "X-Amz-Checksum-Crc32c": "AAAAAA=="}, "x",
			400, "InvalidRequest", nil, ""},
		{"with a checksum promised only", "PUT", "/corpus/q", headers{"X-Amz-Sdk-Checksum-Algorithm": "CRC32"}, "x", 400, "InvalidRequest",
			nil, ""},
		{"with another's SHA-256 signed", "PUT", "/corpus/q", headers{"X-Amz-Content-Sha256": sha256Of("y")}, "x", 400,
			"XAmzContentSHA256Mismatch", nil, ""},
		{"with its SHA-256 signed", "PUT", "/corpus/p", headers{"X-Amz-Content-Sha256": sha256Of("x")}, "x", 200, "", nil, ""},
		{"with a word signed", "PUT", "/corpus/q", headers{"X-Amz-Content-Sha256": "whatever"}, "x", 400, "InvalidArgument", nil, ""},
		{"nothing of that was stored", "GET", "/corpus/q", nil, "", 404, "NoSuchKey", nil, ""},
		{"if-none-match on what is there", "PUT", "/corpus/ten", headers{"If-None-Match": "*"}, "x", 412, "PreconditionFailed", nil, ""},
		{"if-match on what is not", "PUT", "/corpus/q", headers{"If-Match": etag}, "x", 404, "NoSuchKey", nil, ""},
		{"if-match on another", "PUT", "/corpus/ten", headers{"If-Match": `"x"`}, "x", 412, "PreconditionFailed", nil, ""},
		{"metadata beyond 2 KB", "PUT", "/corpus/q", headers{"X-Amz-Meta-A": strings.Repeat("x", 2050)}, "x", 400, "MetadataTooLarge", nil, ""},
		{"a key beyond 1,024 bytes", "PUT", "/corpus/" + strings.Repeat("k", 1025), nil, "x", 400, "KeyTooLongError", nil, ""},
		{"a key of 1,024 bytes", "PUT", "/corpus/" + strings.Repeat("k", 1024), nil, "x", 200, "", nil, ""},
		{"a key that is no UTF-8", "PUT", "/corpus/%FF", nil, "x", 400, "InvalidURI", nil, ""},
		{"into no bucket", "PUT", "/nothing/k", nil, "x", 404, "NoSuchBucket", nil, ""},
		{"a customer's key", "PUT", "/corpus/q", headers{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256"}, "x", 501,
			"NotImplemented", nil, ""},
		{"an ACL does not replace the object", "PUT", "/corpus/ten?acl", nil, "x", 501, "NotImplemented", nil, ""},

		// aws-chunked bodies
		{"chunks", "PUT", "/corpus/p", chunked(10, ""),
			"5\r\nhello\r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:" + crc32Of("helloworld") + "\r\n\r\n", 200, "", nil, ""},
		{"as sent in chunks", "GET", "/corpus/p", nil, "", 200, "", headers{"-Content-Encoding": ""}, "helloworld"},
		{"an empty body in chunks", "PUT", "/corpus/p", chunked(0, ""), "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 200, "",
			headers{"Etag": `"d41d8cd98f00b204e9800998ecf8427e"`}, ""},
		{"a SHA-256 in the trailer", "PUT", "/corpus/p", headers{
			"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "1",
			"X-Amz-Trailer": "x-amz-checksum-sha256"},
			"1\r\nx\r\n0\r\nx-amz-checksum-sha256:LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\r\n\r\n", 200, "",
			headers{"X-Amz-Checksum-Sha256": "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="}, ""},
		{"a wrong checksum in the trailer", "PUT", "/corpus/q", chunked(1, ""), "1\r\nx\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 400,
			"BadDigest", nil, ""},
		{"no checksum in the trailer", "PUT", "/corpus/q", chunked(1, ""), "1\r\nx\r\n0\r\n\r\n", 400, "MalformedTrailerError", nil, ""},
		{"chunks of less than was said", "PUT", "/corpus/q", chunked(2, ""), "1\r\nx\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 400,
			"IncompleteBody", nil, ""},
		{"chunks of more than was said", "PUT", "/corpus/q", chunked(1, ""), "2\r\nxx\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 400,
			"IncompleteBody", nil, ""},
		{"a chunk cut short", "PUT", "/corpus/q", chunked(5, ""), "5\r\nhel", 400, "IncompleteBody", nil, ""},
		{"a chunk without a length", "PUT", "/corpus/q", chunked(1, ""), "\r\nx\r\n0\r\n\r\n", 400, "IncompleteBody", nil, ""},
		{"a chunk of less than nothing", "PUT", "/corpus/q", chunked(1, ""), "-1\r\nx\r\n0\r\n\r\n", 400, "IncompleteBody", nil, ""},
		{"chunks of a length that nobody says", "PUT", "/corpus/q", headers{"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
			"0\r\n\r\n", 411, "MissingContentLength", nil, ""},
		{"chunks whose signature is none", "PUT", "/corpus/q", headers{"X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			"X-Amz-Decoded-Content-Length": "1"},
			"1;chunk-signature=" + strings.Repeat("0", 64) + "\r\nx\r\n0;chunk-signature=" + strings.Repeat("0", 64) + "\r\n\r\n", 403,
			"SignatureDoesNotMatch", nil, ""},
		{"nothing of that was stored either", "GET", "/corpus/q", nil, "", 404, "NoSuchKey", nil, ""},

		// Copies
		{"a copy", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/corpus/ten"}, "", 200, "", nil,
			"<ETag>&quot;781e5e245d69b566979b86e28d23f2c7&quot;</ETag>"},
		{"has its metadata", "GET", "/corpus/copy", nil, "", 200, "", headers{"Content-Type": "text/plain", "X-Amz-Meta-Shoe-Size": "44"},
			"0123456789"},
		{"a copy with metadata of its own", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "corpus/ten",
			"X-Amz-Metadata-Directive": "REPLACE", "X-Amz-Meta-A": "b"}, "", 200, "", nil, ""},
		{"has that", "GET", "/corpus/copy", nil, "", 200, "", headers{"X-Amz-Meta-A": "b", "-X-Amz-Meta-Shoe-Size": ""}, ""},
		{"a copy of an old version", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/versioned/k?versionId=" + first}, "", 200, "",
			headers{"X-Amz-Copy-Source-Version-Id": first}, ""},
		{"is of that version", "GET", "/corpus/copy", nil, "", 200, "", nil, "one"},
		{"a copy of the newest", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/versioned/k"}, "", 200, "", nil, ""},
		{"is of the newest", "GET", "/corpus/copy", nil, "", 200, "", nil, "two"},
		{"a copy of the newest, by name", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/versioned/k?versionId=" + second}, "", 200,
			"", nil, ""},
		{"a copy of no version", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/versioned/k?versionId=x"}, "", 404, "NoSuchVersion",
			nil, ""},
		{"a copy of a delete marker", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/versioned/gone?versionId=" + marker}, "", 400,
			"InvalidRequest", nil, ""},
		{"a copy of what was deleted", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/versioned/gone"}, "", 404, "NoSuchKey", nil, ""},
		{"a copy of an escaped key", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/corpus/ctl%01"}, "", 200, "", nil, ""},
		{"a copy onto itself", "PUT", "/corpus/ten", headers{"X-Amz-Copy-Source": "/corpus/ten"}, "", 400, "InvalidRequest", nil, ""},
		{"an old version restored", "PUT", "/versioned/k", headers{"X-Amz-Copy-Source": "/versioned/k?versionId=" + first}, "", 200, "", nil, ""},
		{"a copy of nothing", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "corpus"}, "", 400, "InvalidArgument", nil, ""},
		{"a copy if it matches", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/corpus/ten", "X-Amz-Copy-Source-If-Match": `"x"`}, "",
			412, "PreconditionFailed", nil, ""},
		{"a copy if it does not", "PUT", "/corpus/copy", headers{"X-Amz-Copy-Source": "/corpus/ten", "X-Amz-Copy-Source-If-None-Match": etag},
			"", 412, "PreconditionFailed", nil, ""},

		// Deletes
		{"a DELETE of nothing", "DELETE", "/corpus/none", nil, "", 204, "", nil, ""},
		{"of a version that is not there", "DELETE", "/versioned/k?versionId=x", nil, "", 204, "", nil, ""},
		{"of what does not match", "DELETE", "/corpus/ten", headers{"If-Match": `"x"`}, "", 412, "PreconditionFailed", nil, ""},
		deletes("of a key with U+0001 as XML cannot say it", "ctl&#x1;", 400, "MalformedXML", ""),
		deletes("of what the SDK for Go puts in its place", "ctl\uFFFD", 200, "", "<Deleted><Key>ctl\uFFFD</Key></Deleted>"),
		deletes("of nothing at all", "", 400, "UserKeyMustBeSpecified", ""),
		{"which left the key", "GET", "/corpus/ctl%01", nil, "", 200, "", nil, "3"},
		{"DeleteObjects without a checksum", "POST", "/corpus?delete", nil, "<Delete><Object><Key>x</Key></Object></Delete>", 400,
			"InvalidRequest", nil, ""},
		{"DeleteObjects of no XML", "POST", "/corpus?delete", headers{"Content-MD5": md5Of("x")}, "x", 400, "MalformedXML", nil, ""},
		{"DELETE of a key with U+0001", "DELETE", "/corpus/ctl%01", nil, "", 204, "", nil, ""},
		{"takes it away", "GET", "/corpus/ctl%01", nil, "", 404, "NoSuchKey", nil, ""},

		// Buckets
		{"create one's own again", "PUT", "/corpus", nil, "", 200, "", headers{"Location": "/corpus"}, ""},
		{"which is not emptied by that", "HEAD", "/corpus/ten", nil, "", 200, "", nil, ""},
		{"a name that S3 does not take", "PUT", "/Corpus", nil, "", 400, "InvalidBucketName", nil, ""},
		{"an address for a name", "PUT", "/127.0.0.1", nil, "", 400, "InvalidBucketName", nil, ""},
		{"in another region", "PUT", "/elsewhere", nil,
			"<CreateBucketConfiguration><LocationConstraint>eu-west-3</LocationConstraint></CreateBucketConfiguration>",
			400, "IllegalLocationConstraintException", nil, ""},
		{"HEAD of a bucket", "HEAD", "/corpus", nil, "", 200, "", headers{"X-Amz-Bucket-Region": "us-east-1"}, ""},
		{"HEAD of no bucket", "HEAD", "/nothing", nil, "", 404, "", nil, ""},
		{"delete a bucket that is not empty", "DELETE", "/corpus", nil, "", 409, "BucketNotEmpty", nil, ""},
		{"delete no bucket", "DELETE", "/nothing", nil, "", 404, "NoSuchBucket", nil, ""},
		{"its location", "GET", "/corpus?location", nil, "", 200, "", nil, "<LocationConstraint"},
		{"a policy that nobody set", "GET", "/corpus?policy", nil, "", 404, "NoSuchBucketPolicy", nil, ""},
		{"a subresource that is not served", "GET", "/corpus?inventory", nil, "", 501, "NotImplemented", nil, ""},
		{"DELETE of a subresource keeps the bucket", "DELETE", "/corpus?policy", nil, "", 501, "NotImplemented", nil, ""},
		{"POST to an object", "POST", "/corpus/ten", nil, "", 405, "MethodNotAllowed", nil, ""},
		{"versioning of no status", "PUT", "/corpus?versioning", headers{"Content-MD5": md5Of("<VersioningConfiguration/>")},
			"<VersioningConfiguration/>",
			400, "IllegalVersioningConfigurationException", nil, ""},

		// Tags
		{"tags in the header", "PUT", "/corpus/p", headers{"X-Amz-Tagging": "b=2&a=1"}, "x", 200, "", nil, ""},
		{"are kept", "GET", "/corpus/p?tagging", nil, "", 200, "", nil, "<Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key>"},
		{"one tag twice", "PUT", "/corpus/q", headers{"X-Amz-Tagging": "a=1&a=2"}, "x", 400, "InvalidTag", nil, ""},
		{"attributes", "GET", "/corpus/ten?attributes", headers{"X-Amz-Object-Attributes": "ETag,ObjectSize"}, "", 200, "", nil,
			"<ETag>781e5e245d69b566979b86e28d23f2c7</ETag><ObjectSize>10</ObjectSize>"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := &wire{t, w.client, w.url}
			r := w.send(row.method, row.target, row.header, row.body)
			if code := r.code(t); r.status != row.status || code != row.code {
				t.Fatalf("%d %s, want %d %s\n%s", r.status, code, row.status, row.code, r.body)
			}
			for name, want := range row.want {
				absent, _ := strings.CutPrefix(name, "-")
				if got := r.header.Get(absent); got != want {
					t.Errorf("%s: %q, want %q", absent, got, want)
				}
			}
			if !strings.Contains(r.body, row.text) {
				t.Errorf("%q, want %q in it", r.body, row.text)
			}
			if row.method == "GET" && row.code == "" && row.status < 300 && !strings.HasPrefix(row.text, "<") && len(row.text) > 0 &&
				r.body != row.text {
				t.Errorf("body %q, want %q", r.body, row.text)
			}
		})
	}
}

const enableVersioning = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
	`<Status>Enabled</Status></VersioningConfiguration>`

func sha256Of(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sha256Base64(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// chunked is what the SDKs and the AWS CLI say of a body by default.
func chunked(length int, encoding string) headers {
	h := headers{
		"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": fmt.Sprint(length),
		"X-Amz-Trailer": "x-amz-checksum-crc32", "X-Amz-Sdk-Checksum-Algorithm": "CRC32", "Content-Encoding": "aws-chunked",
	}
	if encoding != "" {
		h["Content-Encoding"] += "," + encoding
	}
	return h
}

type conformanceRow = struct {
	name, method, target string
	header               headers
	body                 string
	status               int
	code                 string
	want                 headers
	text                 string
}

// deletes is a DeleteObjects of one key, which is XML already.
func deletes(name, key string, status int, code, text string) conformanceRow {
	body := "<Delete><Object><Key>" + key + "</Key></Object></Delete>"
	return conformanceRow{name, "POST", "/corpus?delete", headers{"Content-MD5": md5Of(body)}, body, status, code, nil, text}
}

// The AWS CLI and boto3 send Expect: 100-continue with every PUT and hold the
// body, even one of a single empty chunk, until the server asks for it; then
// they use the connection for the next request.
func TestExpectContinue(t *testing.T) {
	s, w := startWire(t)
	transport := w.client.Transport.(*http.Transport)
	conn, err := (&tls.Dialer{Config: transport.TLSClientConfig}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // its errors are the test's
	in := bufio.NewReader(conn)
	for _, body := range []string{"", "hello", ""} {
		text := "0\r\nx-amz-checksum-crc32:" + crc32Of(body) + "\r\n\r\n"
		if body != "" {
			text = fmt.Sprintf("%x\r\n%s\r\n%s", len(body), body, text)
		}
		h := chunked(len(body), "")
		h["Expect"] = "100-continue"
		r := w.sign("PUT", "/corpus/k", h, text)
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		head := b.Bytes()[:b.Len()-len(text)]
		if _, err := conn.Write(head); err != nil {
			t.Fatal(err)
		}
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("%q: not asked for the body: %q, %v", body, line, err)
		}
		if _, err := in.ReadString('\n'); err != nil { // the empty line
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, r)
		if err != nil || res.StatusCode != 200 || res.Close {
			t.Fatalf("%q: %+v, %v", body, res, err)
		}
		if got := w.must("GET", "/corpus/k", nil, ""); got.body != body {
			t.Errorf("%q, want %q", got.body, body)
		}
	}
}

func TestContentEncodingIsKept(t *testing.T) {
	_, w := startWire(t)
	w.must("PUT", "/corpus/k", chunked(1, "gzip"), "1\r\nx\r\n0\r\nx-amz-checksum-crc32:"+crc32Of("x")+"\r\n\r\n")
	r := w.must("HEAD", "/corpus/k", nil, "")
	if got := r.header.Get("Content-Encoding"); got != "gzip" {
		t.Errorf("Content-Encoding %q, want gzip", got)
	}
}

// A bucket of one's own outside us-east-1 is said to be there.
func TestOwnBucketAgain(t *testing.T) {
	s, _ := start(t, objects.Config{Region: "eu-west-1"})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+"/corpus", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: testID, SecretAccessKey: testSecret}, r, "UNSIGNED-PAYLOAD",
		"s3", "eu-west-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(t, s, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if cerr := res.Body.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	if got := (reply{res.StatusCode, res.Header, string(text)}); got.status != 409 || got.code(t) != "BucketAlreadyOwnedByYou" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// S3 takes a clock that is up to 15 minutes off.
func TestClockSkew(t *testing.T) {
	_, w := startWire(t)
	for off, want := range map[time.Duration]string{
		-14 * time.Minute: "", 14 * time.Minute: "", -16 * time.Minute: "RequestTimeTooSkewed", 16 * time.Minute: "RequestTimeTooSkewed",
	} {
		res, err := w.client.Do(w.signAt(time.Now().Add(off), "GET", "/corpus", nil, ""))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if cerr := res.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if got := (reply{res.StatusCode, res.Header, string(text)}).code(t); got != want {
			t.Errorf("%s off: %q, want %q", off, got, want)
		}
	}
}

// Presigned URLs of Signature Version 2, which boto3 still makes by default,
// are refused by name, as S3 does for new buckets and regions.
func TestSignatureVersion2(t *testing.T) {
	s, _ := start(t, objects.Config{})
	q := url.Values{"AWSAccessKeyId": {testID}, "Signature": {"c2lnbmF0dXJl"}, "Expires": {fmt.Sprint(time.Now().Add(time.Hour).Unix())}}
	body, res := fetchURL(t, client(t, s, nil), s.URL()+"/corpus/k?"+q.Encode())
	got := reply{res.StatusCode, res.Header, body}
	if got.status != 400 || got.code(t) != "InvalidRequest" || !strings.Contains(body, "AWS4-HMAC-SHA256") {
		t.Errorf("%d %s", got.status, body)
	}
}

// TestMultipart goes through an upload in parts, and what can go wrong in one.
func TestMultipart(t *testing.T) {
	_, w := startWire(t)
	const target = "/corpus/dir/big%01"
	begin := func(h headers) string {
		t.Helper()
		return element(w.must("POST", target+"?uploads", h, "").body, "UploadId")
	}
	part := func(id string, n int, body string, h headers) string {
		t.Helper()
		r := w.must("PUT", fmt.Sprintf("%s?uploadId=%s&partNumber=%d", target, id, n), h, body)
		return r.header.Get("Etag")
	}
	named := func(parts ...string) string { // number and ETag, in turn
		var b strings.Builder
		for i := 0; i < len(parts); i += 2 {
			fmt.Fprintf(&b, "<Part><PartNumber>%s</PartNumber><ETag>%s</ETag></Part>", parts[i], parts[i+1])
		}
		return "<CompleteMultipartUpload>" + b.String() + "</CompleteMultipartUpload>"
	}
	large := strings.Repeat("0123456789", 5<<20/10+1) // a little more than 5 MiB

	id := begin(headers{"Content-Type": "text/x", "X-Amz-Meta-A": "1"})
	first := part(id, 1, large, nil)
	part(id, 2, "replaced", nil)
	second := part(id, 2, "tail", nil)
	third := part(id, 3, "nobody names this one", nil)

	// while it is under way
	if r := w.must("GET", "/corpus?uploads&encoding-type=url&prefix=dir/", nil, ""); !strings.Contains(r.body,
		"<Key>dir/big%01</Key><UploadId>"+id) {
		t.Errorf("the list of uploads: %s", r.body)
	}
	if r := w.must("GET", "/corpus?uploads&delimiter=/", nil, ""); !strings.Contains(r.body,
		"<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>") {
		t.Errorf("the list of uploads by folder: %s", r.body)
	}
	if r := w.must("GET", target+"?uploadId="+id+"&max-parts=1&part-number-marker=1", nil, ""); element(r.body,
		"NextPartNumberMarker") != "2" ||
		element(r.body, "IsTruncated") != "true" || element(r.body, "Size") != "4" {
		t.Errorf("the second part: %s", r.body)
	}
	if r := w.send("GET", target, nil, ""); r.status != 404 {
		t.Errorf("there before it is complete: %d", r.status)
	}
	for _, row := range []struct{ name, body, code string }{
		{"no parts", named(), "MalformedXML"},
		{"no XML", "x", "MalformedXML"},
		{"out of order", named("2", second, "1", first), "InvalidPartOrder"},
		{"one twice", named("1", first, "1", first), "InvalidPartOrder"},
		{"one that is not there", named("4", "x"), "InvalidPart"},
		{"another's ETag", named("1", second), "InvalidPart"},
		{"too small", named("2", second, "3", third), "EntityTooSmall"},
	} {
		if r := w.send("POST", target+"?uploadId="+id, nil, row.body); r.status != 400 || r.code(t) != row.code {
			t.Errorf("%s: %d %s, want %s", row.name, r.status, r.body, row.code)
		}
	}

	// complete, twice: the client may have missed the answer
	want := `"` + hex.EncodeToString(md5Sum(string(md5Sum(large))+string(md5Sum("tail")))) + `-2"`
	for range 2 {
		r := w.send("POST", target+"?uploadId="+id, nil, named("1", first, "2", second))
		if got := strings.ReplaceAll(element(r.body, "ETag"), "&quot;", `"`); r.status != 200 || got != want {
			t.Fatalf("%d %s, want the ETag %s", r.status, r.body, want)
		}
	}
	r := w.must("GET", target, nil, "")
	if r.body != large+"tail" || r.header.Get("Etag") != want || r.header.Get("Content-Type") != "text/x" ||
		r.header.Get("X-Amz-Meta-A") != "1" {
		t.Errorf("%d bytes, %v", len(r.body), r.header)
	}
	if r := w.must("GET", target, headers{"Range": fmt.Sprintf("bytes=%d-", len(large)-2)}, ""); r.body != large[len(large)-2:]+"tail" {
		t.Errorf("across the parts: %q", r.body)
	}
	if r := w.must("GET", target+"?partNumber=2", nil, ""); r.body != "tail" || r.header.Get("X-Amz-Mp-Parts-Count") != "2" ||
		r.status != 206 {
		t.Errorf("part 2: %d %q %v", r.status, r.body, r.header)
	}
	if r := w.must("GET", "/corpus?list-type=2&encoding-type=url", nil, ""); strings.ReplaceAll(element(r.body, "ETag"), "&quot;",
		`"`) != want {
		t.Errorf("listed: %s", r.body)
	}
	if r := w.must("GET", "/corpus?uploads", nil, ""); strings.Contains(r.body, "<Upload>") {
		t.Errorf("still under way: %s", r.body)
	}
	if r := w.send("PUT", target+"?uploadId="+id+"&partNumber=1", nil, "x"); r.code(t) != "NoSuchUpload" {
		t.Errorf("a part after the end: %d %s", r.status, r.body)
	}

	// parts as everyday clients send them, with checksums
	id = begin(headers{"X-Amz-Checksum-Algorithm": "CRC32"})
	h := chunked(len(large), "")
	one := part(id, 1, fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(large), large, crc32Of(large)), h)
	r = w.must("PUT", target+"?uploadId="+id+"&partNumber=2", headers{"X-Amz-Copy-Source": target, "X-Amz-Copy-Source-Range": "bytes=1-3"}, "")
	two := strings.ReplaceAll(element(r.body, "ETag"), "&quot;", `"`)
	if r := w.send("PUT", target+"?uploadId="+id+"&partNumber=3",
		headers{"X-Amz-Checksum-Sha256": sha256Base64("x")}, "x"); r.status != 400 {
		t.Errorf("a part of another checksum: %d", r.status)
	}
	r = w.send("POST", target+"?uploadId="+id, headers{"X-Amz-Mp-Object-Size": fmt.Sprint(len(large) + 3)}, named("1", one, "2", two))
	both := string(binaryBE(crc32.ChecksumIEEE([]byte(large)))) + string(binaryBE(crc32.ChecksumIEEE([]byte("123"))))
	if want := crc32Of(both) + "-2"; r.status != 200 || element(r.body, "ChecksumCRC32") != want || element(r.body,
		"ChecksumType") != "COMPOSITE" {
		t.Errorf("%d %s, want the checksum %s", r.status, r.body, want)
	}
	if r := w.must("GET", target, nil, ""); r.body != large+"123" {
		t.Errorf("%d bytes", len(r.body))
	}

	// taken back
	id = begin(nil)
	part(id, 1, "x", nil)
	if r := w.send("DELETE", "/corpus/other?uploadId="+id, nil, ""); r.code(t) != "NoSuchUpload" {
		t.Errorf("of another key: %d %s", r.status, r.body)
	}
	w.must("DELETE", target+"?uploadId="+id, nil, "")
	if r := w.send("DELETE", target+"?uploadId="+id, nil, ""); r.code(t) != "NoSuchUpload" {
		t.Errorf("aborted twice: %d %s", r.status, r.body)
	}
	for _, n := range []string{"0", "10001", "x", ""} {
		if r := w.send("PUT", target+"?uploadId="+id+"&partNumber="+n, nil, "x"); r.code(t) != "InvalidArgument" {
			t.Errorf("part %q: %d %s", n, r.status, r.body)
		}
	}
}

func md5Sum(s string) []byte {
	sum := md5.Sum([]byte(s))
	return sum[:]
}
