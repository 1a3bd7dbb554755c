package states

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sys/unix"

	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
)

// servicesEnv makes the test binary S3 and Lambda for a benchmark, with so many
// objects, so that the engine is alone in its process.
const servicesEnv = "FANOUT_STATES_SERVICES"

// services are where the other process serves.
type services struct{ S3, CA, Lambda string }

func TestMain(m *testing.M) {
	if at := os.Getenv(engineEnv); at != "" {
		if err := runEngine(at); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if n, err := strconv.Atoi(os.Getenv(servicesEnv)); err == nil {
		if err := serveServices(n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveServices serves until its standard input ends.
func serveServices(n int) error {
	dir, err := os.MkdirTemp("", "fanout-services-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of a benchmark
	store, err := objects.Start(objects.Config{Dir: dir, Region: testRegion})
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // the same
	store.AddKey(testKeys.AccessKeyID, testKeys.SecretAccessKey)
	for _, b := range []string{testBucket, testResults} {
		if err := store.CreateBucket(b); err != nil {
			return err
		}
	}
	spec := corpus.Default()
	spec.Count, spec.MinBytes, spec.MaxBytes = n, 100, 200
	if err := store.Generate(context.Background(), testBucket, spec, nil); err != nil {
		return err
	}
	var f functions
	f.handle = fetched
	server := httptest.NewServer(&f)
	defer server.Close()
	if err := json.NewEncoder(os.Stdout).Encode(services{store.URL(), store.CAFile(), server.URL}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// BenchmarkMapRun runs the scan over so many objects in batches of 1,000, with
// S3 and Lambda in another process. cpu-ms/batch is the engine's CPU time,
// listing, invoking and writing the results included; rss-MB the most memory
// that the process had, of all that ran before in it.
func BenchmarkMapRun(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			w := otherServices(b, n)
			machine := w.create("scan", scanText())
			var used time.Duration
			for i := range b.N {
				before := cpuTime(b)
				out := w.wait(w.begin(machine, fmt.Sprintf("job-%d", i), scanInput(1000)))
				used += cpuTime(b) - before
				if out.Status != "SUCCEEDED" {
					b.Fatalf("%s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
				}
			}
			batches := float64(b.N * n / 1000)
			b.ReportMetric(float64(used)/float64(time.Millisecond)/batches, "cpu-ms/batch")
			b.ReportMetric(peakMB(b), "rss-MB")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "sys-MB")
		})
	}
}

// otherServices gives a server on S3 and Lambda of another process.
func otherServices(b *testing.B, n int) *world {
	cmd := exec.CommandContext(context.Background(), os.Args[0]) // it ends with its input, and takes its files away
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", servicesEnv, n))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	var at services
	if err := json.NewDecoder(stdout).Decode(&at); err != nil {
		b.Fatal(err)
	}
	w := &world{t: b, pace: time.Second}
	if w.cfg, err = at.config(b.TempDir()); err != nil {
		b.Fatal(err)
	}
	w.s3 = w.cfg.S3
	w.start()
	return w
}

// config is an engine's on these services.
func (at services) config(dir string) (Config, error) {
	pem, err := os.ReadFile(at.CA)
	if err != nil {
		return Config{}, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 100
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	})
	keys := credentials.NewStaticCredentialsProvider(testKeys.AccessKeyID, testKeys.SecretAccessKey, "")
	return Config{
		Credentials: testKeys, Region: testRegion, AccountID: testAccount, Dir: dir,
		S3: s3.New(s3.Options{
			BaseEndpoint: aws.String(at.S3), Region: testRegion, UsePathStyle: true, Credentials: keys, HTTPClient: client,
		}),
		Lambda: awslambda.New(awslambda.Options{
			BaseEndpoint: aws.String(at.Lambda), Region: testRegion, Retryer: aws.NopRetryer{}, Credentials: keys, HTTPClient: client,
		}),
	}, nil
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func peakMB(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
