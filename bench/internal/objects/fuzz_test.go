package objects

import (
	"encoding/xml"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fanout/bench/internal/sigv4"
	"fanout/functions/corpus"
)

// FuzzRange: what is taken lies in the object, and is what RFC 9110 says of a
// range that can be read; numbers may be of any length.
func FuzzRange(f *testing.F) {
	for _, header := range []string{"bytes=0-0", "bytes=-1", "bytes=5-", "bytes=5-2", "bytes=0-1,3-4", "bytes=99999999999999999999-",
		"lines=1-2"} {
		f.Add(header, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		from, length, ok := parseRange(header, size)
		if from < 0 || length < 0 || from > size-length || !ok && (from != 0 || length != 0) {
			t.Fatalf("%q of %d: %d+%d", header, size, from, length)
		}
		text, isBytes := strings.CutPrefix(header, "bytes=")
		first, last, dash := strings.Cut(text, "-")
		digits := strings.Trim(first+last, "0123456789") == ""
		if !isBytes || !dash || !digits || first == "" && last == "" {
			if ok {
				t.Fatalf("took %q", header)
			}
			return
		}
		a, b := new(big.Int), new(big.Int)
		a.SetString("0"+first, 10)
		b.SetString("0"+last, 10)
		end := big.NewInt(size)
		want := new(big.Int)
		switch {
		case first == "": // the last b bytes
			want.Set(b)
			if b.Cmp(end) > 0 {
				want.Set(end)
			}
		case last != "" && b.Cmp(a) < 0:
			if ok {
				t.Fatalf("took %q", header)
			}
			return
		case a.Cmp(end) < 0:
			if last != "" && b.Cmp(end) < 0 {
				end.Add(b, big.NewInt(1))
			}
			want.Sub(end, a)
		}
		if !ok || want.Int64() != length {
			t.Fatalf("%q of %d: %d bytes, %t, want %s", header, size, length, ok, want)
		}
	})
}

// FuzzXMLText: what XML can hold is read as it was written, whoever reads it.
func FuzzXMLText(f *testing.F) {
	f.Add("a<b>&\"'\r\n\t]]>")
	f.Add("\x01\uFFFE\xff")
	f.Fuzz(func(t *testing.T, s string) {
		x := newXML("T", xmlNamespace)
		x.text("V", s)
		x.close("T")
		var got struct{ V string }
		err := xml.Unmarshal(x.b, &got)
		holds := utf8.ValidString(s) && strings.Map(replaceControl, s) == s
		if holds && (err != nil || got.V != s) {
			t.Errorf("%q became %q, %v: %s", s, got.V, err, x.b)
		}
		if plain, err := url.QueryUnescape(encodeKey(s)); err != nil || plain != s {
			t.Errorf("%q became %q, %v: %s", s, plain, err, encodeKey(s))
		}
	})
}

// FuzzRequest: whatever is asked for, the answer is one that S3 could give: a
// status, and for an error a code and a message that can be read.
func FuzzRequest(f *testing.F) {
	s := newServer(Config{MemoryBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)}, f.TempDir())
	if err := s.CreateBucket("bucket"); err != nil {
		f.Fatal(err)
	}
	spec := corpus.Spec{Count: 20_000, MinBytes: 20, MaxBytes: 30, Seed: 1, Needle: "n", Prefix: "p/"}
	if err := s.Generate(f.Context(), "bucket", spec, nil); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []struct{ method, path, query, name, value, body string }{
		{"GET", "/bucket", "list-type=2&prefix=p/&delimiter=/&max-keys=2&encoding-type=url", "", "", ""},
		{"GET", "/bucket", "list-type=2&continuation-token=cC8%3D&start-after=a", "", "", ""},
		{"GET", "/bucket", "marker=p/object-000007&max-keys=3", "", "", ""},
		{"GET", "/bucket", "versions&key-marker=p/object-000007&version-id-marker=null", "", "", ""},
		{"GET", "/bucket", "uploads&key-marker=a&upload-id-marker=b&max-uploads=0", "", "", ""},
		{"GET", "/bucket/p/object-000001", "", "Range", "bytes=-5", ""},
		{"GET", "/bucket/p/object-000001", "partNumber=1&response-content-type=a", "If-None-Match", "*", ""},
		{"GET", "/bucket/k", "attributes", "X-Amz-Object-Attributes", "ETag, Checksum,ObjectSize", ""},
		{"PUT", "/bucket/k", "", "X-Amz-Copy-Source", "/bucket/p/object-000002?versionId=null", ""},
		{"PUT", "/bucket/k", "", "X-Amz-Tagging", "a=1&b=%zz", "body"},
		{"PUT", "/bucket/k", "tagging", "Content-Md5", "1B2M2Y8AsgTpgAmY7PhCfg==", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"},
		{"POST", "/bucket/k", "uploads", "X-Amz-Checksum-Algorithm", "CRC32", ""},
		{"POST", "/bucket/k", "uploadId=upload-0000000000000001", "", "", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>" +
			"<ETag>x</ETag></Part></CompleteMultipartUpload>"},
		{"PUT", "/bucket/k", "uploadId=upload-0000000000000001&partNumber=2", "X-Amz-Copy-Source-Range", "bytes=0-1", "x"},
		{"POST", "/bucket", "delete", "X-Amz-Checksum-Crc32", "AAAAAA==", "<Delete><Object><Key>p/object-000009</Key></Object></Delete>"},
		{"PUT", "/new-bucket", "", "", "", "<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>"},
		{"PUT", "/bucket", "versioning", "", "", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"},
		{"DELETE", "/bucket/p/object-000003", "versionId=null", "If-Match", "*", ""},
	} {
		f.Add(seed.method, seed.path, seed.query, seed.name, seed.value, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, path, query, name, value, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		w := httptest.NewRecorder()
		w.Header().Set("X-Amz-Request-Id", "1")
		c := &call{w: w, r: r, arrived: time.Now(), caller: &caller{}, signature: sigv4.Signature{Payload: sigv4.UnsignedPayload}}
		var ok bool
		if c.bucket, c.key, ok = resource(r); !ok {
			return
		}
		c.readQuery()
		if refusal := s.dispatch(c); refusal != nil {
			if refusal.status < 300 || refusal.status >= 500 && refusal.code != "NotImplemented" || refusal.code == "" || refusal.message == "" {
				t.Errorf("refused with %+v", refusal)
			}
			writeError(w, r, refusal)
			var e struct{ Code, Message string }
			if refusal.status != http.StatusNotModified && method != http.MethodHead {
				if err := xml.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Code != refusal.code || e.Message == "" {
					t.Errorf("%s: %+v, %v", w.Body, e, err)
				}
			}
		}
		if w.Code < 200 || w.Code > 501 {
			t.Errorf("status %d", w.Code)
		}
	})
}
