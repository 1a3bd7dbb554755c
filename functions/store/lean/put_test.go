package lean

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"fanout/functions/fetch"
)

// TestPut: one request with the whole body, tried again as Get is.
func TestPut(t *testing.T) {
	large := strings.Repeat("0123456789", 500_000) // over several writes
	for _, tt := range []struct {
		name      string // what it guards
		body      string
		responses []http.HandlerFunc
		errType   string // "": it is written; "untyped": an error without a name
		asked     int32
	}{
		{"a body", "body", []http.HandlerFunc{says("")}, "", 1},
		{"no body", "", []http.HandlerFunc{says("")}, "", 1},
		{"a large body", large, []http.HandlerFunc{says("")}, "", 1},
		{"an answer with a body", "body", []http.HandlerFunc{says("what some servers say")}, "", 1},
		{"500, then written", "body", []http.HandlerFunc{refuses(500, "InternalError"), says("")}, "", 2},
		{"SlowDown twice", "body", []http.HandlerFunc{refuses(503, "SlowDown"), refuses(503, "SlowDown"), says("")}, "", 3},
		{"no answer at all", "body", []http.HandlerFunc{raw(""), says("")}, "", 2},
		{"another try after a large body", large, []http.HandlerFunc{refuses(503, "SlowDown"), says("")}, "", 2},
		{"SlowDown for good", "body", []http.HandlerFunc{refuses(503, "SlowDown")}, fetch.SlowDown, defaultTries},
		{"access denied", "body", []http.HandlerFunc{refuses(403, "AccessDenied")}, fetch.AccessDenied, 1},
		{"no such bucket", "body", []http.HandlerFunc{refuses(404, "NoSuchBucket")}, fetch.NoSuchBucket, 1},
		{"a wrong checksum", "body", []http.HandlerFunc{refuses(400, "XAmzContentSHA256Mismatch")}, "XAmzContentSHA256Mismatch", 1},
		{"no answer for good", "body", []http.HandlerFunc{raw("")}, "untyped", defaultTries},
	} {
		t.Run(tt.name, func(t *testing.T) {
			responder, asked := respond(tt.responses...)
			sum := sha256.Sum256([]byte(tt.body))
			handler := func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				if err != nil || string(got) != tt.body || r.Method != http.MethodPut || r.ContentLength != int64(len(tt.body)) ||
					r.URL.Path != "/bucket/a b/key" || r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
					t.Errorf("%s %s, %d of %d bytes, %v", r.Method, r.URL, len(got), r.ContentLength, err)
				}
				responder(w, r)
			}
			inBubble(t, handler, func(t *testing.T, b *bubble) {
				err := b.Put(t.Context(), "bucket", "a b/key", []byte(tt.body))
				if asked.Load() != tt.asked {
					t.Errorf("%d requests; %v", asked.Load(), err)
				}
				typed := (*fetch.Error)(nil)
				switch errors.As(err, &typed); {
				case tt.errType == "" && err != nil, tt.errType == "untyped" && (err == nil || typed != nil),
					tt.errType != "" && tt.errType != "untyped" && (typed == nil || typed.Type != tt.errType):
					t.Errorf("error %#v, want %q", err, tt.errType)
				}
				if err != nil && !strings.HasPrefix(err.Error(), "put s3://bucket/a b/key") {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// TestPutRefusedEarly: a refusal that comes before the body is read is told by its
// name, not as a broken connection, and no body is sent after it over that connection.
func TestPutRefusedEarly(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = buffered
		const document = "<Error><Code>AccessDenied</Code></Error>"
		go func() {
			_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 40\r\n\r\n"+document)
			_ = c.Close()
		}()
		_, _ = io.ReadFull(c, make([]byte, 1000)) // and not the rest
	}
	inBubble(t, handler, func(t *testing.T, b *bubble) {
		err := b.Put(t.Context(), "bucket", "key", make([]byte, 4*writeBytes))
		var typed *fetch.Error
		if err == nil || errors.As(err, &typed) && typed.Type != fetch.AccessDenied {
			t.Errorf("error %v", err)
		}
	})
}

// TestPutExpress: a directory bucket's session may only read, which is said before a
// request.
func TestPutExpress(t *testing.T) {
	handler, asked := respond(says(""))
	inBubble(t, handler, func(t *testing.T, b *bubble) {
		err := b.Put(t.Context(), "results--use1-az4--x-s3", "key", []byte("body"))
		var typed *fetch.Error
		if !errors.As(err, &typed) || typed.Type != fetch.InvalidEvent || asked.Load() != 0 {
			t.Errorf("%d requests, %v", asked.Load(), err)
		}
	}, func(cfg *Config) { cfg.Endpoint = "" })
}

// TestSignPut signs with the SDK's signer what ours has put on the wire for a body.
func TestSignPut(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	credentials := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s/e+c", SessionToken: "token"}
	s := new(signer)
	k := newSigningKey(credentials, at, time.Time{}, "eu-west-1", "s3", securityToken)
	for _, key := range []string{"jobs/j/parts/0123.json", "a b+c%/é\x01"} {
		for _, body := range []string{"", "body"} {
			sum := sha256.Sum256([]byte(body))
			r := request{prefix: "/bucket", key: key, authority: "127.0.0.1:9000", body: []byte(body), bodyHash: hex.EncodeToString(sum[:])}
			wire := append(bytes.Clone(s.sign(&r, k, at.Unix())), body...)
			req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
			if err != nil {
				t.Fatalf("%v\n%s", err, wire)
			}
			if got, err := io.ReadAll(req.Body); err != nil || string(got) != body || req.Method != http.MethodPut {
				t.Errorf("%s, body %q, %v", req.Method, got, err)
			}
			got := req.Header.Get("Authorization")
			req.Header.Del("Authorization")
			req.URL.Scheme, req.URL.Host = "https", req.Host
			req.ContentLength = 0 // not signed
			err = v4.NewSigner().SignHTTP(t.Context(), credentials, req, r.bodyHash, "s3", "eu-west-1", at, func(o *v4.SignerOptions) {
				o.DisableURIPathEscaping = true // as for S3
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := req.Header.Get("Authorization"); got != want {
				t.Errorf("%q\n got %s\nwant %s", key, got, want)
			}
		}
	}
}
