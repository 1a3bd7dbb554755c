// Command transfermanager is a bootstrap to measure lean's large objects against:
// the fetch handler over the SDK's Transfer Manager, which downloads ranges in
// parallel. It throws the bytes away as they come, in whatever order, and so
// counts objects but can neither search them nor check them: its digest is that of
// empty bodies.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"fanout/functions/fetch"
	"fanout/functions/store"
	_ "fanout/functions/store/sdk" // tuned lists the bucket
)

// How an object is downloaded, if the environment does not say otherwise.
const (
	partMB   = 8 // PART_MB
	parallel = 5 // PARTS: ranges of one object at a time
)

func main() {
	handler, err := initialize(context.Background())
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: start the function: %v\nhint: see its environment variables PART_MB and PARTS\n", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

func initialize(ctx context.Context) (*fetch.Handler, error) {
	cfg, err := fetch.ConfigFromEnv(os.Getenv, "transfermanager")
	if err != nil {
		return nil, err
	}
	if cfg.MemoryMB > 0 { // as a function deployed with the SDK does: see cmd/fetch
		debug.SetMemoryLimit(int64(cfg.MemoryMB) << 20 * 2 / 5)
		debug.SetGCPercent(400)
	}
	lister, err := store.Open(ctx, store.Tuned)
	if err != nil {
		return nil, err
	}
	m := &manager{Store: lister}
	if m.client, err = open(ctx); err != nil {
		return nil, err
	}
	return fetch.New(cfg, func(context.Context, string) (fetch.Store, error) { return m, nil }), nil
}

// open gives a Transfer Manager with what makes it cheaper: connections are kept,
// as many as there can be ranges, TLS records are read two at a time, checksums
// are not asked for, and nothing is logged.
func open(ctx context.Context) (*transfermanager.Client, error) {
	part, err := number("PART_MB", partMB)
	if err != nil {
		return nil, err
	}
	parts, err := number("PARTS", parallel)
	if err != nil {
		return nil, err
	}
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, fetch.MaxConcurrency
		t.ReadBufferSize = 32 << 10
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	})
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client), config.WithLogger(logging.Nop{}),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired), config.WithRetryMaxAttempts(10))
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	return transfermanager.New(s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.DisableLogOutputChecksumValidationSkipped = true
	}), func(o *transfermanager.Options) {
		o.GetObjectType, o.PartSizeBytes, o.Concurrency = types.GetObjectRanges, int64(part)<<20, parts
		o.DisableChecksumValidation = true
	}), nil
}

func number(name string, otherwise int) (int, error) {
	text := os.Getenv(name)
	n, err := strconv.Atoi(cmp.Or(text, strconv.Itoa(otherwise)))
	if err != nil || n < 1 || n > 1000 {
		return 0, fmt.Errorf("%s=%q: must be 1 to 1000", name, text)
	}
	return n, nil
}

// manager reads with the Transfer Manager what another store has listed.
type manager struct {
	fetch.Store
	client      *transfermanager.Client
	connections atomic.Int64
}

func (m *manager) Connections() int64 { return m.Store.Connections() + m.connections.Load() }

// Get downloads one object and tells sink nothing of it.
func (m *manager) Get(ctx context.Context, bucket, key string, _ fetch.Sink) (fetch.Read, error) {
	start := time.Now()
	var first atomic.Int64
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				m.connections.Add(1)
			}
		},
		GotFirstResponseByte: func() { first.CompareAndSwap(0, int64(time.Since(start))) },
	})
	var bytes discard
	out, err := m.client.DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: &bucket, Key: &key, WriterAt: &bytes})
	read := fetch.Read{Bytes: bytes.n.Load(), FirstByte: time.Duration(first.Load())}
	if err == nil && aws.ToInt64(out.ContentLength) != read.Bytes {
		err = fmt.Errorf("get s3://%s/%s: %d bytes came of %d", bucket, key, read.Bytes, aws.ToInt64(out.ContentLength))
	}
	return read, err
}

// discard counts what is written to it.
type discard struct{ n atomic.Int64 }

func (d *discard) WriteAt(p []byte, _ int64) (int, error) {
	d.n.Add(int64(len(p)))
	return len(p), nil
}
