package store_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"fanout/functions/fetch"
	"fanout/functions/store"
	"fanout/functions/store/lean"
	_ "fanout/functions/store/sdk"
)

// The server of the benchmarks is another process, this test binary run again,
// so that getrusage sees the client alone. It knows two things: to answer any
// GET with the same body, and to do so cheaply.

const (
	serverEnv  = "STORE_BENCH_SERVER"
	benchBytes = 25_500 // the mean object of the published comparison
)

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	if client := os.Getenv(limitEnv); client != "" {
		if err := readLimited(client); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	var stop func()
	recorderURL, stop = hosts.listen()
	status := m.Run()
	stop()
	os.Exit(status)
}

// serve prints its address and certificate, and ends with its standard input.
func serve(in io.Reader, out io.Writer) error {
	certificate, authority, err := selfSigned()
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true,
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s %s\n", l.Addr(), base64.StdEncoding.EncodeToString(authority)); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		_ = l.Close()
	}()
	payload := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nx-amz-id-2: %064d\r\nx-amz-request-id: 0123456789ABCDEF\r\n"+
		"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nETag: \"%032d\"\r\n"+
		"x-amz-server-side-encryption: AES256\r\nAccept-Ranges: bytes\r\nContent-Type: binary/octet-stream\r\n"+
		"Content-Length: %d\r\nServer: AmazonS3\r\n\r\n%s", 1, 2, benchBytes, strings.Repeat("x", benchBytes))
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		go func() {
			defer func() { _ = c.Close() }()
			for r := bufio.NewReader(c); ; {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) > 2 {
					continue
				}
				if _, err := c.Write(payload); err != nil {
					return
				}
			}
		}()
	}
}

func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "store test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// child starts the server and gives its address and certificate.
func child(b *testing.B) (address string, authority []byte) {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), exe)
	cmd.Env = append(os.Environ(), serverEnv+"=1", "GOGC=400")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // ends with its input, or with the context
	})
	var encoded string
	if _, err := fmt.Fscan(out, &address, &encoded); err != nil {
		b.Fatal(err)
	}
	if authority, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		b.Fatal(err)
	}
	return address, authority
}

func cpu() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// checksum is a sink that does what the handler's does where it only counts.
type checksum struct {
	crc uint32
	n   int64
}

func (s *checksum) Write(p []byte) (int, error) {
	s.crc = fetch.BodyCRC(s.crc, p)
	s.n += int64(len(p))
	return len(p), nil
}
func (s *checksum) Reset() { *s = checksum{} }

const benchWorkers = 64

// spread runs get b.N times from 64 goroutines and reports the process's CPU
// a call. Connections are opened before the clock starts.
func spread(b *testing.B, get func(sink *checksum, key string) error) {
	b.Helper()
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("objects/object-%06d", i)
	}
	round := func(n int64) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range benchWorkers {
			wg.Go(func() {
				var sink checksum
				for i := next.Add(1); i <= n; i = next.Add(1) {
					sink.Reset()
					if err := get(&sink, keys[i%1000]); err != nil {
						b.Error(err)
						return
					}
					if sink.n != benchBytes {
						b.Errorf("%d bytes", sink.n)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	round(2000)
	b.ReportAllocs()
	b.SetBytes(benchBytes)
	b.ResetTimer()
	before := cpu()
	round(int64(b.N))
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func roots(authority []byte) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return pool
}

// benchGet measures the client that a function would get.
func benchGet(b *testing.B, name string) {
	c := benchClient(b, name)
	spread(b, func(sink *checksum, key string) error {
		_, err := c.Get(b.Context(), "bucket", key, sink)
		return err
	})
}

// benchClient gives the client that a function would get, of a server of its own.
func benchClient(b *testing.B, name string) fetch.Store {
	b.Helper()
	address, authority := child(b)
	bundle := filepath.Join(b.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, authority, 0o600); err != nil {
		b.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": "https://" + address, "AWS_CA_BUNDLE": bundle, "AWS_REGION": "us-east-1",
		"AWS_ACCESS_KEY_ID": "AKIDBENCH", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_SESSION_TOKEN": strings.Repeat("t", 800), // as long as a role's
		"AWS_CONFIG_FILE":   os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		b.Setenv(name, value)
	}
	// Stock writes a line for each GET to what it finds as standard error.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = null
	c, err := store.Open(b.Context(), name)
	os.Stderr = stderr
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkLeanHandle measures the whole handler: what an event that searches 1,000
// objects costs for each of them.
func BenchmarkLeanHandle(b *testing.B) {
	c := benchClient(b, store.Lean)
	h := fetch.New(fetch.Config{Client: store.Lean, Concurrency: benchWorkers},
		func(context.Context, string) (fetch.Store, error) { return c, nil })
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("objects/object-%06d", i)
	}
	round := func(n int) {
		for left := n; left > 0; left -= len(keys) {
			find, some := "MyMagicString", keys[:min(left, len(keys))]
			event, err := json.Marshal(fetch.Event{Bucket: "bucket", Find: &find, Keys: &some})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := h.Invoke(b.Context(), event); err != nil {
				b.Fatal(err)
			}
		}
	}
	round(2000)
	b.ReportAllocs()
	b.SetBytes(benchBytes)
	b.ResetTimer()
	before := cpu()
	round(b.N)
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func BenchmarkLeanGet(b *testing.B)  { benchGet(b, store.Lean) }
func BenchmarkTunedGet(b *testing.B) { benchGet(b, store.Tuned) }
func BenchmarkStockGet(b *testing.B) { benchGet(b, store.Stock) }

// BenchmarkConnection prices a new connection with one GET over it.
func BenchmarkConnection(b *testing.B) {
	address, authority := child(b)
	for _, quantum := range []bool{false, true} {
		b.Run(fmt.Sprintf("post-quantum=%t", quantum), func(b *testing.B) {
			cfg := lean.Config{
				Region: "us-east-1", Endpoint: "https://" + address, Roots: roots(authority), PostQuantum: quantum,
				Credentials: credentials.NewStaticCredentialsProvider("AKIDBENCH", "secret", ""),
			}
			b.ReportAllocs()
			before := cpu()
			for range b.N {
				c, err := lean.New(cfg)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Get(b.Context(), "bucket", "key", &checksum{}); err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkNetHTTPGet is the baseline: net/http without a signature.
func BenchmarkNetHTTPGet(b *testing.B) {
	address, authority := child(b)
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: benchWorkers, TLSClientConfig: &tls.Config{RootCAs: roots(authority)},
	}}
	chunks := sync.Pool{New: func() any { return new([32 << 10]byte) }}
	spread(b, func(sink *checksum, key string) error {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://"+address+"/bucket/"+key, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(r)
		if err != nil {
			return err
		}
		chunk := chunks.Get().(*[32 << 10]byte)
		defer chunks.Put(chunk)
		_, err = io.CopyBuffer(sink, response.Body, chunk[:])
		if closeErr := response.Body.Close(); err == nil {
			err = closeErr
		}
		return err
	})
}
