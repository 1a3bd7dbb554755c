package sigv4

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var (
	testKey = &Key{ID: "AKIDTEST", Secret: "test/secret+key"}
	testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

func testVerifier() *Verifier {
	return &Verifier{
		Service: "s3", Region: "eu-west-1", MaxSkew: 15 * time.Minute, Presigned: true,
		Lookup: func(id string) *Key {
			if id == testKey.ID {
				return testKey
			}
			return nil
		},
	}
}

// signing is how a row's request is signed: by the SDK, so that a mistake of
// this package's is not made on both sides.
type signing struct {
	secret, service, region string
	at                      time.Time
}

func request(t testing.TB, rawURL string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, rawURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", EmptySHA256)
	return r
}

func (s signing) sign(t testing.TB, r *http.Request) {
	t.Helper()
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: testKey.ID, SecretAccessKey: s.secret}, r,
		r.Header.Get("X-Amz-Content-Sha256"), s.service, s.region, s.at,
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s.service == "s3" })
	if err != nil {
		t.Fatal(err)
	}
}

// authorize gives r another Authorization header: that of an edit of its own.
func authorize(r *http.Request, edit func(header string) string) {
	r.Header.Set("Authorization", edit(r.Header.Get("Authorization")))
}

func edit(r *http.Request, old, with string) {
	authorize(r, func(h string) string { return strings.Replace(h, old, with, 1) })
}

func TestVerifyHeader(t *testing.T) {
	const plain = "https://127.0.0.1:4443/bucket/key"
	for _, row := range []struct {
		name   string
		url    string
		before func(*http.Request) // it is signed
		with   func(*signing)
		after  func(*http.Request) // it was signed
		want   Reason
	}{
		{"as it should be", plain, nil, nil, nil, 0},
		{"without a path", "https://127.0.0.1:4443", nil, nil, nil, 0},
		{"every byte in the path", "https://127.0.0.1:4443/b/%00%7F%FF%20%2B%25~%27%28%29%2A%C3%A9//a/../x", nil, nil, nil, 0},
		{"parameters out of order", plain + "?prefix=b%2Fc&list-type=2&delimiter=", nil, nil, nil, 0},
		{"a parameter twice", plain + "?a=2&a=1", nil, nil, nil, 0},
		{"a header of two values", plain, func(r *http.Request) { r.Header["X-Amz-Meta-A"] = []string{"1", " 2  3 "} }, nil, nil, 0},
		{"within the skew", plain, nil, func(s *signing) { s.at = testNow.Add(-14 * time.Minute) }, nil, 0},
		{"a header that needs no signature", plain, nil, nil, func(r *http.Request) { r.Header.Set("Accept", "*/*") }, 0},

		{"no signature", plain, nil, nil, func(r *http.Request) { r.Header.Del("Authorization") }, Anonymous},
		{"Signature Version 2", plain, nil, nil, func(r *http.Request) { authorize(r, func(string) string { return "AWS AKIDTEST:c2ln" }) },
			UnsupportedVersion},
		{"Basic", plain, nil, nil, func(r *http.Request) { r.SetBasicAuth("a", "b") }, Malformed},
		{"signed in header and query", plain, nil, nil, func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=0" }, TwoMechanisms},
		{"another secret", plain, nil, func(s *signing) { s.secret = "other" }, nil, Mismatch},
		{"an unknown id", plain, nil, nil, func(r *http.Request) { edit(r, "AKIDTEST", "AKIDNONE") }, UnknownKey},

		{"another region", plain, nil, func(s *signing) { s.region = "us-east-1" }, nil, WrongScope},
		{"another service", plain, nil, func(s *signing) { s.service = "lambda" }, nil, WrongScope},
		{"another terminator", plain, nil, nil, func(r *http.Request) { edit(r, "aws4_request", "aws5_request") }, WrongScope},
		{"another day", plain, nil, nil, func(r *http.Request) { edit(r, "/20260304/", "/20260303/") }, WrongScope},
		{"half a day", plain, nil, nil, func(r *http.Request) { edit(r, "/20260304/", "/2026030/") }, WrongScope},
		{"a scope of five", plain, nil, nil, func(r *http.Request) { edit(r, "/s3/", "/s3/s3/") }, Malformed},
		{"a scope of three", plain, nil, nil, func(r *http.Request) { edit(r, "/s3/", "/") }, Malformed},

		{"too old", plain, nil, func(s *signing) { s.at = testNow.Add(-16 * time.Minute) }, nil, Skewed},
		{"of the future", plain, nil, func(s *signing) { s.at = testNow.Add(16 * time.Minute) }, nil, Skewed},
		{"no date", plain, nil, nil, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, NoDate},
		{"a date of another form", plain, nil, nil, func(r *http.Request) { r.Header.Set("X-Amz-Date", "2026-03-04T05:06:07Z") }, NoDate},
		{"a second date", plain, nil, nil, func(r *http.Request) { r.Header.Add("X-Amz-Date", "20260304T050608Z") }, Mismatch},
		{"no hash of the body", plain, nil, nil, func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, NoPayloadHash},

		{"host not signed", plain, nil, nil, func(r *http.Request) { edit(r, "host;", "") }, Unsigned},
		{"the body's hash not signed", plain, nil, nil, func(r *http.Request) { edit(r, "x-amz-content-sha256;", "") }, Unsigned},
		{"the date not signed", plain, nil, nil, func(r *http.Request) { edit(r, ";x-amz-date", "") }, Unsigned},
		{"an x-amz- header added", plain, nil, nil, func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/b/k") }, Unsigned},
		{"an empty one added", plain, nil, nil, func(r *http.Request) { r.Header.Set("X-Amz-Acl", "") }, Unsigned},
		{"one that sorts first added", plain, nil, nil, func(r *http.Request) { r.Header.Set("X-Amz-A", "") }, Unsigned},
		{"one signed that was not sent", plain, nil, nil, func(r *http.Request) { edit(r, "x-amz-date", "x-amz-date;x-amz-none") }, Unsigned},
		{"a header that was taken away", plain, func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "1") }, nil,
			func(r *http.Request) { r.Header.Del("X-Amz-Meta-A") }, Unsigned},
		// one signed twice would pay for one that is not signed at all
		{"a header signed twice", plain, nil, nil, func(r *http.Request) {
			r.Header.Set("X-Amz-Copy-Source", "/b/k")
			edit(r, "x-amz-date", "x-amz-date;x-amz-date")
		}, Malformed},
		{"signed headers out of order", plain, nil, nil, func(r *http.Request) { edit(r, "host;x-amz-c", "x-amz-c;host") }, Malformed},
		{"signed headers in capitals", plain, nil, nil, func(r *http.Request) { edit(r, "=host", "=Host") }, Malformed},
		{"Signature given twice", plain, nil, nil, func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+", Signature="+EmptySHA256)
		}, Malformed},
		{"an unknown part", plain, nil, nil, func(r *http.Request) { authorize(r, func(h string) string { return h + ", Expires=9" }) },
			Malformed},
		{"a signature taken away", plain, nil, nil, func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-64])
		}, Malformed},
		{"a signature cut short", plain, nil, nil, func(r *http.Request) { authorize(r, func(h string) string { return h[:len(h)-1] }) },
			Mismatch},

		{"another method", plain, nil, nil, func(r *http.Request) { r.Method = http.MethodPut }, Mismatch},
		{"another host", plain, nil, nil, func(r *http.Request) { r.Host = "127.0.0.1:4444" }, Mismatch},
		{"another path", plain, nil, nil, func(r *http.Request) { r.URL.Path += "2" }, Mismatch},
		{"a parameter added", plain, nil, nil, func(r *http.Request) { r.URL.RawQuery = "versionId=1" }, Mismatch},
		{"a parameter doubled", plain + "?a=1", nil, nil, func(r *http.Request) { r.URL.RawQuery += "&a=1" }, Mismatch},
		{"another hash of the body", plain, nil, nil, func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", UnsignedPayload) }, Mismatch},
		{"a signed header changed", plain, func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "1") }, nil,
			func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "2") }, Mismatch},
		{"a signature of another", plain, nil, nil, func(r *http.Request) {
			authorize(r, func(h string) string { return h[:len(h)-64] + EmptySHA256 })
		}, Mismatch},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := request(t, row.url)
			if row.before != nil {
				row.before(r)
			}
			s := signing{testKey.Secret, "s3", "eu-west-1", testNow}
			if row.with != nil {
				row.with(&s)
			}
			s.sign(t, r)
			if row.after != nil {
				row.after(r)
			}
			sig, refusal := testVerifier().Verify(r, "", testNow)
			check(t, sig, refusal, row.want)
		})
	}
}

func check(t *testing.T, sig Signature, refusal *Refusal, want Reason) {
	t.Helper()
	switch {
	case want == 0 && refusal != nil:
		t.Errorf("refused: %d, %s", refusal.Reason, refusal.Text)
	case want == 0 && sig.Key != testKey:
		t.Errorf("let in as %+v", sig.Key)
	case want != 0 && refusal == nil:
		t.Error("let in")
	case want != 0 && (refusal.Reason != want || sig != Signature{}):
		t.Errorf("refused for %d, %s; want %d", refusal.Reason, refusal.Text, want)
	case want != 0 && strings.Contains(refusal.Text, testKey.Secret):
		t.Errorf("the secret is in %s", refusal.Text)
	}
}

func TestVerifyQuery(t *testing.T) {
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	for _, row := range []struct {
		name string
		at   time.Time // when it was signed, for an hour
		edit func(url.Values)
		tail string // appended to the URL
		want Reason
	}{
		{"as it should be", testNow, nil, "", 0},
		{"nearly over", testNow.Add(-59 * time.Minute), nil, "", 0},
		{"of a clock that is ahead", testNow.Add(10 * time.Minute), nil, "", 0},
		{"over", testNow.Add(-61 * time.Minute), nil, "", Expired},
		{"yesterday's", testNow.Add(-24 * time.Hour), nil, "", Expired},
		{"not yet", testNow.Add(16 * time.Minute), nil, "", NotYetValid},
		{"made to last longer", testNow, set("X-Amz-Expires", "3601"), "", Mismatch},
		{"longer than a week", testNow, set("X-Amz-Expires", "604801"), "", MalformedQuery},
		{"longer than time", testNow, set("X-Amz-Expires", "99999999999999999999"), "", MalformedQuery},
		{"for less than nothing", testNow, set("X-Amz-Expires", "-1"), "", MalformedQuery},
		{"for an hour, in words", testNow, set("X-Amz-Expires", "60m0"), "", MalformedQuery},
		{"without an end", testNow, func(q url.Values) { q.Del("X-Amz-Expires") }, "", MalformedQuery},
		{"without a signature", testNow, func(q url.Values) { q.Del("X-Amz-Signature") }, "", MalformedQuery},
		{"without an algorithm", testNow, func(q url.Values) { q.Del("X-Amz-Algorithm") }, "", MalformedQuery},
		{"another algorithm", testNow, set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), "", MalformedQuery},
		{"another date", testNow, set("X-Amz-Date", "20260304T050608Z"), "", Mismatch},
		{"no date at all", testNow, set("X-Amz-Date", "now"), "", MalformedQuery},
		{"a date of another day", testNow, set("X-Amz-Date", "20260303T235959Z"), "", MalformedQuery},
		{"another region", testNow, set("X-Amz-Credential", "AKIDTEST/20260304/us-east-1/s3/aws4_request"), "", MalformedQuery},
		{"half a credential", testNow, set("X-Amz-Credential", "AKIDTEST"), "", MalformedQuery},
		{"an unknown id", testNow, set("X-Amz-Credential", "AKIDNONE/20260304/eu-west-1/s3/aws4_request"), "", UnknownKey},
		{"host not signed", testNow, set("X-Amz-SignedHeaders", "range"), "", Unsigned},
		{"the same twice", testNow, nil, "&X-Amz-Expires=3600", MalformedQuery},
		{"the same twice, escaped", testNow, nil, "&X-Amz%2DSignature=0", MalformedQuery},
		{"a second signature", testNow, nil, "&X-Amz-Signature=" + EmptySHA256, MalformedQuery},
		{"a parameter added", testNow, nil, "&versionId=1", Mismatch},
		{"Signature Version 2", testNow, func(q url.Values) {
			clear(q)
			q.Set("AWSAccessKeyId", testKey.ID)
			q.Set("Signature", "c2ln")
			q.Set("Expires", "1772600000")
		}, "", UnsupportedVersion},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := request(t, "https://127.0.0.1:4443/bucket/k%20e%2By?X-Amz-Expires=3600&x-id=GetObject")
			r.Header.Del("X-Amz-Content-Sha256")
			signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: testKey.ID, SecretAccessKey: testKey.Secret}, r,
				UnsignedPayload, "s3", "eu-west-1", row.at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
			if err != nil {
				t.Fatal(err)
			}
			if r.URL, err = url.Parse(signed); err != nil {
				t.Fatal(err)
			}
			if row.edit != nil {
				q := r.URL.Query()
				row.edit(q)
				r.URL.RawQuery = q.Encode()
			}
			r.URL.RawQuery += row.tail
			sig, refusal := testVerifier().Verify(r, "", testNow)
			check(t, sig, refusal, row.want)
			v := testVerifier()
			v.Presigned = false
			if _, refusal := v.Verify(r, "", testNow); refusal == nil || refusal.Reason != Anonymous {
				t.Errorf("where none is wanted: %+v", refusal)
			}
		})
	}
	r := request(t, "https://127.0.0.1:4443/bucket/key")
	signing{testKey.Secret, "s3", "eu-west-1", testNow}.sign(t, r)
	r.Header.Set("X-Amz-Acl", "private")
	if _, refusal := testVerifier().Verify(r, "", testNow); refusal == nil || !strings.HasSuffix(refusal.Text, ": x-amz-acl") {
		t.Errorf("the header is not named: %+v", refusal)
	}
}

// Every service but S3 signs the path escaped twice, and the hash that the
// server has made of the body.
func TestVerifyLambda(t *testing.T) {
	v := testVerifier()
	v.Service, v.EscapePathTwice, v.Presigned = "lambda", true, false
	for _, path := range []string{"/2015-03-31/functions/probe", "/2015-03-31/functions/arn%3Aaws%3Alambda/x y", "/"} {
		r := request(t, "http://127.0.0.1:9001"+path)
		signing{testKey.Secret, "lambda", "eu-west-1", testNow}.sign(t, r)
		sig, refusal := v.Verify(r, EmptySHA256, testNow)
		check(t, sig, refusal, 0)
		_, refusal = v.Verify(r, strings.Repeat("0", 64), testNow)
		check(t, Signature{}, refusal, Mismatch)
	}
}

// The example that AWS publishes for S3 (Authenticating Requests: Using the
// Authorization Header): the first ten bytes of an object.
func TestPublishedExample(t *testing.T) {
	r := request(t, "https://examplebucket.s3.amazonaws.com/test.txt")
	r.Header.Set("Range", "bytes=0-9")
	r.Header.Set("X-Amz-Date", "20130524T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "+
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
	v := Verifier{Service: "s3", MaxSkew: time.Minute, Lookup: func(id string) *Key {
		return &Key{ID: id, Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	}}
	if _, refusal := v.Verify(r, "", time.Date(2013, 5, 24, 0, 0, 30, 0, time.UTC)); refusal != nil {
		t.Error(refusal)
	}
}

// The example that AWS publishes for aws-chunked bodies: 66,560 bytes of the
// letter a in chunks of 64 KB.
func TestNextPublishedExample(t *testing.T) {
	s := Signature{
		Key:  &Key{Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		Date: "20130524T000000Z", Scope: "20130524/us-east-1/s3/aws4_request",
	}
	const seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	const first = "bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a" // the first chunk's hash
	const want = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
	if got := s.Next(seed, "AWS4-HMAC-SHA256-PAYLOAD", EmptySHA256, first); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A key signs for one scope after another.
func TestKeyScopes(t *testing.T) {
	v := testVerifier()
	v.Region = ""
	for _, region := range []string{"eu-west-1", "us-east-1", "eu-west-1"} {
		r := request(t, "https://127.0.0.1/")
		signing{testKey.Secret, "s3", region, testNow}.sign(t, r)
		sig, refusal := v.Verify(r, "", testNow)
		check(t, sig, refusal, 0)
		if want := "20260304/" + region + "/s3/aws4_request"; sig.Scope != want {
			t.Errorf("scope %q, want %q", sig.Scope, want)
		}
	}
}

// FuzzVerifyHeader: whatever the header holds, nobody is let in who does not
// know the secret, and what is taken has every part that a signature covers.
func FuzzVerifyHeader(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDTEST/20260304/eu-west-1/s3/aws4_request, " +
		"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + EmptySHA256)
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDTEST/20260304/eu-west-1/s3/aws4_request,SignedHeaders=host;host,Signature=")
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=,Signature=")
	f.Add("AWS4-HMAC-SHA256Credential=a")
	f.Add("AWS AKID:sig")
	v := testVerifier()
	f.Fuzz(func(t *testing.T, header string) {
		if a, refusal := parseHeader(header); refusal == nil {
			if a.id == "" || strings.Count(a.scope, "/") != 3 || a.signature == "" || !ascending(a.signedHeaders) {
				t.Errorf("%q: took %+v", header, a)
			}
		}
		r := request(t, "https://127.0.0.1/bucket/key")
		r.Header.Set("X-Amz-Date", testNow.Format(DateFormat))
		r.Header.Set("Authorization", header)
		if _, refusal := v.Verify(r, "", testNow); refusal == nil {
			t.Errorf("%q: let in", header)
		}
	})
}

// FuzzVerifyQuery is the same for presigned URLs.
func FuzzVerifyQuery(f *testing.F) {
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDTEST%2F20260304%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20260304T050607Z" +
		"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=" + EmptySHA256)
	f.Add("X-Amz-Signature=&X-Amz-Signature=")
	f.Add("X-Amz-Algorithm=%zz&X-Amz-Expires=1e9")
	f.Add("AWSAccessKeyId=a&Signature=b&Expires=1")
	v := testVerifier()
	f.Fuzz(func(t *testing.T, raw string) {
		if p, refusal := parseQuery(raw); refusal == nil {
			if p.id == "" || p.signature == "" || p.expires < 0 || p.expires > MaxExpires || strings.Contains(p.signedQuery, "X-Amz-Signature=") {
				t.Errorf("%q: took %+v", raw, p)
			}
		}
		r := request(t, "https://127.0.0.1/bucket/key")
		r.URL.RawQuery = raw
		if _, refusal := v.Verify(r, "", testNow); refusal == nil {
			t.Errorf("%q: let in", raw)
		}
	})
}

// FuzzCanonicalQuery: the order of the parameters and the way they are
// escaped do not change what is signed.
func FuzzCanonicalQuery(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("prefix", "a b+%", "prefix", "")
	f.Add("é", "\xff", "=", "&")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		esc := func(s string) string { return string(appendEscaped(nil, s, false)) }
		all := func(s string) (e string) { // every byte escaped
			for i := range len(s) {
				e += "%" + string("0123456789abcdef"[s[i]>>4]) + string("0123456789abcdef"[s[i]&15])
			}
			return e
		}
		x := string(appendCanonicalQuery(nil, esc(k1)+"="+esc(v1)+"&"+esc(k2)+"="+esc(v2)))
		y := string(appendCanonicalQuery(nil, all(k2)+"="+all(v2)+"&"+all(k1)+"="+all(v1)))
		if x != y {
			t.Errorf("%q and %q", x, y)
		}
	})
}

// BenchmarkVerify is the check of one signature in the header.
func BenchmarkVerify(b *testing.B) {
	r := request(b, "https://127.0.0.1:4443/corpus/objects/object-000001")
	signing{testKey.Secret, "s3", "eu-west-1", testNow}.sign(b, r)
	v := testVerifier()
	b.ReportAllocs()
	for b.Loop() {
		if _, refusal := v.Verify(r, "", testNow); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
