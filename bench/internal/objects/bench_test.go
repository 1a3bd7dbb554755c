package objects

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"fanout/bench/internal/sigv4"
	"fanout/functions/corpus"
)

const benchBytes = 26_000 // the mean object of the published set

// benchServer gives a server with one object, and a signed GET of it.
func benchServer(b *testing.B) (*Server, *http.Request) {
	b.Helper()
	s, err := Start(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	s.AddKey("AKIDBENCH", "secret")
	if err := s.CreateBucket("corpus"); err != nil {
		b.Fatal(err)
	}
	_, err = s.Client("AKIDBENCH", "secret").PutObject(b.Context(), &s3.PutObjectInput{
		Bucket: aws.String("corpus"), Key: aws.String("objects/object-000001"), Body: bytes.NewReader(make([]byte, benchBytes)),
	})
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL()+"/corpus/objects/object-000001", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", sigv4.EmptySHA256)
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKIDBENCH", SecretAccessKey: "secret"}, r,
		sigv4.EmptySHA256, "s3", "us-east-1", time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }); err != nil {
		b.Fatal(err)
	}
	return s, r
}

// BenchmarkGetTLS is a GET as a function sees it, over one connection: client
// and server in one process, so that its CPU is the sum of both.
func BenchmarkGetTLS(b *testing.B) {
	s, r := benchServer(b)
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(b.Context(), "tcp", strings.TrimPrefix(s.URL(), "https://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	var request bytes.Buffer
	if err := r.Write(&request); err != nil {
		b.Fatal(err)
	}
	benchGets(b, conn, request.Bytes())
}

func benchGets(b *testing.B, conn net.Conn, request []byte) {
	in := bufio.NewReaderSize(conn, 32<<10)
	b.SetBytes(benchBytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		line, err := in.ReadSlice('\n')
		if err != nil || !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			b.Fatal(string(line), err)
		}
		for len(line) > 2 {
			if line, err = in.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := in.Discard(benchBytes); err != nil {
			b.Fatal(err)
		}
	}
}

// sink is a ResponseWriter that throws away what it gets.
type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }

// BenchmarkGetHandler is a GET without net/http and TLS: what this package
// costs.
func BenchmarkGetHandler(b *testing.B) {
	s, r := benchServer(b)
	b.ReportAllocs()
	for b.Loop() {
		w := &sink{header: make(http.Header)}
		s.ServeHTTP(w, r)
		if w.n != benchBytes {
			b.Fatal(w.n)
		}
	}
}

// BenchmarkGetGenerated is BenchmarkGetHandler of an object that is made for
// each GET, of the same size; 64 KB of it at a time.
func BenchmarkGetGenerated(b *testing.B) {
	s, r := benchServer(b)
	spec := corpus.Spec{Count: 1_000_000, MinBytes: benchBytes, MaxBytes: benchBytes, Seed: 1, Needle: "needle", Prefix: "objects/"}
	if err := s.store.edit("corpus", func(bucket *bucket) *apiError {
		bucket.objects.Clear()
		bucket.generated = []*generated{newGenerated(spec)}
		return nil
	}); err != nil {
		b.Fatal(err.message)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := &sink{header: make(http.Header)}
		s.ServeHTTP(w, r)
		if w.n != benchBytes {
			b.Fatal(w.n)
		}
	}
}

// BenchmarkListGenerated is a page of 1,000 keys somewhere in a large set: what
// it costs does not depend on where.
func BenchmarkListGenerated(b *testing.B) {
	for _, row := range []struct{ count, after int }{
		{1_000_000, 500_000}, {corpus.MaxCount, 0}, {corpus.MaxCount, corpus.MaxCount / 2}, {corpus.MaxCount, corpus.MaxCount - 2000},
	} {
		b.Run(fmt.Sprintf("%d/after-%d", row.count, row.after), func(b *testing.B) {
			s, _ := benchServer(b)
			spec := corpus.Spec{Count: row.count, MinBytes: 1000, MaxBytes: 50_000, Seed: 1, Needle: "needle", Prefix: "generated/"}
			if err := s.Generate(b.Context(), "corpus", spec, nil); err != nil {
				b.Fatal(err)
			}
			q := url.Values{"list-type": {"2"}, "prefix": {spec.Prefix}, "start-after": {spec.Key(row.after)}}
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL()+"/corpus", nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{header: make(http.Header)}
				if refusal := s.dispatch(&call{w: w, r: r, bucket: "corpus", query: q, caller: &caller{}}); refusal != nil {
					b.Fatal(refusal.message)
				}
				if w.n < 100_000 {
					b.Fatal(w.n)
				}
			}
		})
	}
}

// BenchmarkGenerate is the start of a bucket of that many objects, and the
// memory that it takes: a row each for the default set, 100,000, a million and ten.
func BenchmarkGenerate(b *testing.B) {
	for _, count := range []int{1000, 100_000, 1_000_000, corpus.MaxCount} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			spec := corpus.Default()
			spec.Count = count
			var before, after runtime.MemStats
			for b.Loop() {
				s, err := Start(Config{Dir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&before)
				if err := errors.Join(s.CreateBucket("corpus"), s.Generate(b.Context(), "corpus", spec, nil)); err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/1e6, "MB")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList is a page of 1,000 keys.
func BenchmarkList(b *testing.B) {
	s, _ := benchServer(b)
	c := s.Client("AKIDBENCH", "secret")
	for i := range 1000 {
		key := fmt.Sprintf("objects/list-%06d", i)
		if _, err := c.PutObject(b.Context(), &s3.PutObjectInput{Bucket: aws.String("corpus"), Key: aws.String(key),
			Body: bytes.NewReader(nil)}); err != nil {
			b.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL()+"/corpus?list-type=2&prefix=objects%2F", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := &sink{header: make(http.Header)}
		if refusal := s.dispatch(&call{w: w, r: r, bucket: "corpus", query: r.URL.Query(), caller: &caller{}}); refusal != nil {
			b.Fatal(refusal.message)
		}
		if w.n < 100_000 {
			b.Fatal(w.n)
		}
	}
}
