package lean

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestSignPublished checks the signatures that AWS publishes for S3
// ("Authenticating Requests: Using the Authorization Header"), which all use
// one key, day and bucket.
func TestSignPublished(t *testing.T) {
	at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	k := newSigningKey(aws.Credentials{
		AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	}, at, time.Time{}, "us-east-1", "s3", securityToken)
	const host = "examplebucket.s3.amazonaws.com"
	for _, tt := range []struct {
		name string
		r    request
		want string
	}{
		{"an object's first bytes", request{key: "test.txt", authority: host, from: 0, to: 9},
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"a query without a value", request{query: "lifecycle=", authority: host},
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"a query of two", request{query: "max-keys=2&prefix=J", authority: host},
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire := string(new(signer).sign(&tt.r, k, at.Unix()))
			if got := wire[strings.Index(wire, "Signature=")+len("Signature="):]; got != tt.want+"\r\n\r\n" {
				t.Errorf("signature %q, want %q in\n%s", got, tt.want, wire)
			}
		})
	}
}

// FuzzSigner signs with the SDK's signer what ours has put on the wire: the
// Authorization headers must be the same.
func FuzzSigner(f *testing.F) {
	f.Add("plain", "", "", "token", int64(0), uint32(0), true)
	f.Add("a b+c%41/ünï//日本\n\x01", "pre fix/+&=", "\"etag\"", "", int64(8<<20), uint32(86399), false)
	f.Add("/lead/../x/.", "", "", "t/+=", int64(1), uint32(43200), false)
	f.Add("\xff\xfe~-._*'()", "%", "\"e\"", "", int64(0), uint32(1), true)
	s := new(signer) // kept, so that what one request leaves behind shows in the next
	f.Fuzz(func(t *testing.T, key, prefix, etag, token string, from int64, second uint32, express bool) {
		for _, c := range []byte(etag + token) {
			if c <= ' ' || c >= 0x7f {
				return // no such header: ETags and tokens are printable
			}
		}
		at := time.Unix(1700000000, 0).UTC().Truncate(24 * time.Hour).Add(time.Duration(second%secondsADay) * time.Second)
		credentials := aws.Credentials{AccessKeyID: "AKIDFUZZ", SecretAccessKey: "s/e+c" + prefix, SessionToken: token}
		service, tokenHeader := "s3", securityToken
		r := request{prefix: "/bucket", key: key, authority: "127.0.0.1:9000", ifMatch: etag}
		if from >= 0 && from < 1<<50 {
			r.from, r.to = from, from+partBytes-1
		}
		if prefix != "" {
			r.query = "encoding-type=url&list-type=2&prefix=" + string(appendQuery(nil, prefix))
		}
		if express {
			service, r.sessionMode = "s3express", "ReadOnly"
		}
		k := newSigningKey(credentials, at, time.Time{}, "eu-west-1", service, tokenHeader)
		wire := bytes.Clone(s.sign(&r, k, at.Unix()))

		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			t.Fatalf("%v\n%s", err, wire)
		}
		if req.URL.Path != "/bucket/"+key {
			t.Errorf("path %q, want %q", req.URL.Path, "/bucket/"+key)
		}
		if got := req.URL.Query().Get("prefix"); got != prefix {
			t.Errorf("prefix %q, want %q", got, prefix)
		}
		got := req.Header.Get("Authorization")
		req.Header.Del("Authorization")
		req.URL.Scheme, req.URL.Host = "https", req.Host
		err = v4.NewSigner().SignHTTP(t.Context(), credentials, req, emptyHash, service, "eu-west-1", at, func(o *v4.SignerOptions) {
			o.DisableURIPathEscaping = true // as for S3
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := req.Header.Get("Authorization"); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	})
}

// TestKeyRenewal guards the two times at which a key must not be used any
// more: the day's end, and its credentials'.
func TestKeyRenewal(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", -8*60*60))
	midnight := time.Date(2026, 7, 2, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name         string
		renew, until time.Time
	}{
		{"for good", time.Time{}, midnight},
		{"expires before midnight", noon.Add(time.Minute), noon.Add(time.Minute)},
		{"expires after midnight", noon.Add(20 * time.Hour), midnight},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newSigningKey(aws.Credentials{}, noon, tt.renew, "r", "s3", securityToken)
			if k.day != "20260701" || k.from != midnight.Unix()-secondsADay || k.until != tt.until.Unix() {
				t.Errorf("day %s, from %d until %d, want until %d", k.day, k.from, k.until, tt.until.Unix())
			}
		})
	}
}

// TestSignAllocates guards the fast path: a request signed with warm buffers
// takes nothing from the heap.
func TestSignAllocates(t *testing.T) {
	k := newSigningKey(aws.Credentials{SessionToken: strings.Repeat("t", 800)}, time.Unix(0, 0), time.Time{}, "r", "s3", securityToken)
	s, r := new(signer), request{key: "objects/object-000001", authority: "b.s3.r.amazonaws.com"}
	if n := testing.AllocsPerRun(100, func() { s.sign(&r, k, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestEscape guards the two escapings against the standard library's reading.
func TestEscape(t *testing.T) {
	for c := range 256 {
		s := "a/" + string([]byte{byte(c)}) + "b"
		if back, err := url.PathUnescape(string(appendPath(nil, s))); err != nil || back != s {
			t.Errorf("path %q: %q, %v", s, back, err)
		}
		if back, err := url.QueryUnescape(string(appendQuery(nil, s))); err != nil || back != s {
			t.Errorf("query %q: %q, %v", s, back, err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, token := range []int{0, 800} { // a role's token has about 800 bytes
		b.Run(fmt.Sprintf("token=%d", token), func(b *testing.B) {
			at := time.Unix(1369353600, 0)
			k := newSigningKey(aws.Credentials{AccessKeyID: "AKIDBENCH", SecretAccessKey: "secret",
				SessionToken: strings.Repeat("t", token)},
				at, time.Time{}, "us-east-1", "s3", securityToken)
			r := request{key: "objects/object-000001", authority: "examplebucket.s3.us-east-1.amazonaws.com"}
			var s signer
			b.ReportAllocs()
			for i := range b.N {
				s.sign(&r, k, at.Unix()+int64(i)%60)
			}
		})
	}
}
