package objects

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"fanout/bench/internal/sigv4"
)

// The memory of a body is given back with it: when it is refused, replaced,
// deleted, or left over from an upload.
func TestMemoryIsGivenBack(t *testing.T) {
	s := newServer(Config{MemoryBytes: 1 << 20}, t.TempDir())
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	send := func(method, key, query, name, value, body string) string {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "https://127.0.0.1/?"+query, strings.NewReader(body))
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		c := &call{w: w, r: r, arrived: time.Now(), caller: &caller{}, bucket: "bucket", key: key}
		c.signature = sigv4.Signature{Payload: sigv4.UnsignedPayload}
		c.readQuery()
		if refusal := s.dispatch(c); refusal != nil {
			return refusal.code
		}
		return w.Body.String()
	}
	part := func(n, body string) {
		t.Helper()
		if got := send("PUT", "u", "uploadId=upload-0000000000000001&partNumber="+n, "X-A", "", body); got != "" {
			t.Fatal(got)
		}
	}
	const all = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + "0cc175b9c0f1b6a831c399e269772661" +
		"</ETag></Part></CompleteMultipartUpload>" // MD5 of a
	for _, row := range []struct {
		name string
		do   func()
		want int64 // bytes in use
	}{
		{"put", func() { send("PUT", "k", "", "X-A", "", "12345") }, 5},
		{"refused for its MD5", func() { send("PUT", "k", "", "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==", "123") }, 5},
		{"refused for a condition", func() { send("PUT", "k", "", "If-None-Match", "*", "123") }, 5},
		{"replaced", func() { send("PUT", "k", "", "X-A", "", "1234567") }, 7},
		{"copied", func() { send("PUT", "copy", "", "X-Amz-Copy-Source", "/bucket/k", "") }, 14},
		{"a copy refused", func() {
			send("PUT", "copy", "", "X-Amz-Copy-Source", "/bucket/none", "")
			send("PUT", "copy", "", "X-Amz-Copy-Source-If-Match", "x", "")
		}, 7}, // the second is no copy, but an empty object
		{"deleted", func() { send("DELETE", "k", "", "X-A", "", ""); send("DELETE", "copy", "", "X-A", "", "") }, 0},
		{"parts, one of them replaced", func() {
			send("POST", "u", "uploads", "X-A", "", "")
			part("1", "abc")
			part("1", "a")
			part("2",
				"bb")
		}, 3},
		{"completed with one of two", func() { send("POST", "u", "uploadId=upload-0000000000000001", "X-A", "", all) }, 1},
		{"the object deleted", func() { send("DELETE", "u", "", "X-A", "", "") }, 0},
		{"another upload", func() {
			send("POST", "v", "uploads", "X-A", "", "")
			send("PUT", "v", "uploadId=upload-0000000000000002&partNumber=1", "X-A", "", "abc")
		}, 3},
		{"aborted", func() { send(http.MethodDelete, "v", "uploadId=upload-0000000000000002", "X-A", "", "") }, 0},
		{"one more", func() {
			send("POST", "w", "uploads", "X-A", "", "")
			send("PUT", "w", "uploadId=upload-0000000000000003&partNumber=1", "X-A", "", "abc")
		}, 3},
		{"gone with the bucket", func() { send("DELETE", "", "", "X-A", "", "") }, 0},
	} {
		if row.do(); s.store.bodies.used.Load() != row.want {
			t.Errorf("%s: %d bytes in use, want %d", row.name, s.store.bodies.used.Load(), row.want)
		}
	}
}

// vanishing is a body in a file that is replaced before it can be opened.
type vanishing struct{ replace func() }

func (v vanishing) open(int64, int64) (io.ReadCloser, error) {
	v.replace()
	return nil, os.ErrNotExist
}

func (vanishing) free() {}

// A GET that finds an object whose body is replaced sends the one that is there
// now, with its headers; where none ever is, it ends.
func TestReplacedWhileOpened(t *testing.T) {
	s := newServer(Config{MemoryBytes: 1 << 20}, t.TempDir())
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	put := func(b body, size int64) {
		v := (&version{key: "k", size: size, etag: `"e"`, body: b}).finish()
		if _, refusal := s.store.put("bucket", v, conditions{}); refusal != nil {
			t.Fatal(refusal.message)
		}
	}
	get := func() (*httptest.ResponseRecorder, *apiError) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1/", nil)
		r.Header.Set("Range", "bytes=1-9")
		w := httptest.NewRecorder()
		return w, s.dispatch(&call{w: w, r: r, arrived: time.Now(), caller: &caller{}, bucket: "bucket", key: "k"})
	}
	put(vanishing{func() { put(&memoryBody{data: []byte("new"), of: &s.store.bodies}, 3) }}, 10)
	w, refusal := get()
	if refusal != nil || w.Body.String() != "ew" || w.Header().Get("Content-Range") != "bytes 1-2/3" {
		t.Errorf("%+v, %q, %v", refusal, w.Body, w.Header())
	}
	put(vanishing{func() {}}, 10)
	if _, refusal := get(); codeOf(refusal) != "InternalError" {
		t.Errorf("of what stays away: %+v", refusal)
	}
}

// All that is read draws on the caller's bandwidth, lists, too.
func TestBandwidthOfAll(t *testing.T) {
	s := newServer(Config{}, t.TempDir())
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	v := (&version{key: "k", size: 5, etag: `"e"`, body: &memoryBody{data: []byte("hello"), of: &s.store.bodies}}).finish()
	if _, refusal := s.store.put("bucket", v, conditions{}); refusal != nil {
		t.Fatal(refusal.message)
	}
	for _, row := range []struct{ bucket, key, query string }{
		{"bucket", "k", ""}, {"bucket", "", "list-type=2"}, {"bucket", "", "versions"}, {"", "", ""}, {"bucket", "k", "tagging"},
	} {
		l := rate.NewLimiter(1e-9, burstBytes) // never filled again
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1/?"+row.query, nil)
		w := httptest.NewRecorder()
		c := &call{w: w, r: r, arrived: time.Now(), caller: &caller{bandwidth: l}, bucket: row.bucket, key: row.key}
		c.readQuery()
		if refusal := s.dispatch(c); refusal != nil {
			t.Fatal(refusal.message)
		}
		if drawn := burstBytes - int(l.Tokens()); w.Body.Len() == 0 || drawn != w.Body.Len() {
			t.Errorf("%+v: %d bytes sent, %d drawn", row, w.Body.Len(), drawn)
		}
	}
}
