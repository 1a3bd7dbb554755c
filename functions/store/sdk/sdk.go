// Package sdk reads with aws-sdk-go-v2, as it comes (stock) and with settings
// for many small reads (tuned: connections kept, ten attempts, no checksums, no
// logs). Importing it adds both to package store, and gives lean the SDK's
// configuration: environment, shared files, roles.
package sdk

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/functions/fetch"
	"fanout/functions/store"
	"fanout/functions/store/lean"
)

func init() {
	store.Register(store.Stock, func(ctx context.Context) (fetch.Store, error) {
		cfg, err := load(ctx)
		if err != nil {
			return nil, err
		}
		cfg.Retryer = retryer(cfg.RetryMode)
		return newSDK(cfg, stockAttempts)
	})
	store.Register(store.Tuned, func(ctx context.Context) (fetch.Store, error) {
		cfg, err := load(ctx, tunedOptions()...)
		if err != nil {
			return nil, err
		}
		cfg.RetryMaxAttempts = cmp.Or(cfg.RetryMaxAttempts, tunedAttempts)
		cfg.Retryer = retryer(cfg.RetryMode, tunedRetries)
		return newSDK(cfg, tunedAttempts, tunedS3)
	})
	store.RegisterConfig(leanConfig)
}

// tunedOptions keeps as many idle connections as there can be workers (the SDK
// keeps 10 a host, and shakes hands anew for the rest) and resumes TLS
// sessions where a connection was lost all the same.
func tunedOptions() []func(*config.LoadOptions) error {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns = 0 // no limit but the one per host
		t.MaxIdleConnsPerHost = fetch.MaxConcurrency
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	})
	return []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithLogger(logging.Nop{}),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
}

// tunedS3 is what config cannot say.
func tunedS3(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true }

// How often one request is tried: three times by default in the SDK, which of
// 10,000 objects loses some three where 7% of the requests fail. A body that
// breaks off is asked for again as often, by this package: the SDK's own
// retries end with the response's head.
const (
	stockAttempts = 3
	tunedAttempts = 10
)

// chunkBytes is how much of a body a worker holds at a time.
const chunkBytes = 32 << 10

// sdkStore reads with aws-sdk-go-v2.
type sdkStore struct {
	client      *s3.Client
	attempts    int // at one body
	connections atomic.Int64
	chunks      sync.Pool

	mu      sync.RWMutex
	buckets map[string]*s3.Client // of those that S3 says are in another region
}

func newSDK(cfg aws.Config, attempts int, options ...func(*s3.Options)) (*sdkStore, error) {
	if cfg.Region == "" {
		return nil, errors.New("read the AWS configuration: no region: set AWS_REGION")
	}
	return &sdkStore{
		client:   s3.NewFromConfig(cfg, append(options, common(cfg))...),
		attempts: cmp.Or(cfg.RetryMaxAttempts, attempts),
		chunks:   sync.Pool{New: func() any { return new([chunkBytes]byte) }},
		buckets:  map[string]*s3.Client{},
	}, nil
}

// clientOf gives the client of the region that a bucket is in, as far as it is
// known.
func (s *sdkStore) clientOf(bucket string) *s3.Client {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.buckets[bucket]; c != nil {
		return c
	}
	return s.client
}

// follow makes another client the bucket's where err, which from met, says that
// the bucket is in another region. The SDK leaves that to its callers.
func (s *sdkStore) follow(bucket string, from *s3.Client, err error) bool {
	var response *smithyhttp.ResponseError
	var api smithy.APIError
	if strings.HasPrefix(bucket, "arn:") || !errors.As(err, &response) || response.Response == nil || !errors.As(err, &api) {
		return false
	}
	region := regionOf(response.Response.Header, api.ErrorMessage())
	options := from.Options()
	if !redirects(response.HTTPStatusCode(), api.ErrorCode()) || region == "" || region == options.Region ||
		!lean.SamePartition(region, options.Region) {
		return false
	}
	options.Region = region
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[bucket] = s3.New(options)
	return true
}

func (s *sdkStore) Connections() int64 { return s.connections.Load() }

// attempt watches the tries that one SDK call makes.
type attempt struct {
	tries     atomic.Int32
	started   atomic.Int64 // UnixNano of the last try's start
	firstByte atomic.Int64 // nanoseconds from there
}

// traced gives a context in which a's tries are seen and s's connections
// counted. The hooks run on the transport's goroutines.
func (s *sdkStore) traced(ctx context.Context, a *attempt) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			a.tries.Add(1)
			a.started.Store(time.Now().UnixNano())
		},
		GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				s.connections.Add(1)
			}
		},
		GotFirstResponseByte: func() { a.firstByte.Store(time.Now().UnixNano() - a.started.Load()) },
	})
}

// maxRedirects is enough for a wrong region and a bucket on the move.
const maxRedirects = 3

// List reads pages with keys URL-encoded, which XML 1.0 needs for some keys.
func (s *sdkStore) List(ctx context.Context, bucket, prefix string, page func([]fetch.Object) error) error {
	in := s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
	for try, redirected := 1, 0; ; {
		var a attempt
		client := s.clientOf(bucket)
		out, err := client.ListObjectsV2(s.traced(ctx, &a), &in)
		switch {
		case err == nil:
			try, redirected = 1, 0
		case ctx.Err() == nil && cutShort(err) && try < s.attempts:
			try++
			continue
		case ctx.Err() == nil && redirected < maxRedirects && s.follow(bucket, client, err):
			redirected++
			continue
		default:
			return s3Error(err, "list s3://%s/%s", bucket, prefix)
		}
		objects := make([]fetch.Object, len(out.Contents))
		for i, c := range out.Contents {
			key := aws.ToString(c.Key)
			if out.EncodingType == types.EncodingTypeUrl {
				if key, err = url.QueryUnescape(key); err != nil {
					return fmt.Errorf("list s3://%s/%s: key %q: %w", bucket, prefix, aws.ToString(c.Key), err)
				}
			}
			objects[i] = fetch.Object{Key: key, Size: aws.ToInt64(c.Size)}
		}
		if err := page(objects); err != nil {
			return err
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		if in.ContinuationToken = out.NextContinuationToken; aws.ToString(in.ContinuationToken) == "" {
			return fmt.Errorf("list s3://%s/%s: more pages, but no continuation token", bucket, prefix)
		}
	}
}

// Get reads one body, again from the start where it broke off.
func (s *sdkStore) Get(ctx context.Context, bucket, key string, sink fetch.Sink) (fetch.Read, error) {
	var a attempt
	ctx = s.traced(ctx, &a)
	for try, redirected := 1, 0; ; {
		client := s.clientOf(bucket)
		n, err := s.get(ctx, client, bucket, key, sink)
		read := fetch.Read{
			Bytes:     n,
			FirstByte: time.Duration(a.firstByte.Load()),
			Retries:   max(int(a.tries.Load())-1, 0),
		}
		if err == nil || ctx.Err() != nil {
			return read, err
		}
		var broken *brokenBody
		switch {
		case errors.As(err, &broken) && try < s.attempts:
			try++
		case redirected < maxRedirects && s.follow(bucket, client, err):
			redirected++
		default:
			return read, err
		}
		sink.Reset()
	}
}

func (s *sdkStore) get(ctx context.Context, client *s3.Client, bucket, key string, sink fetch.Sink) (int64, error) {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return 0, s3Error(err, "get s3://%s/%s", bucket, key)
	}
	if encoded, ok := sink.(fetch.EncodedSink); ok && out.ContentEncoding != nil {
		encoded.ContentEncoding(*out.ContentEncoding)
	}
	chunk := s.chunks.Get().(*[chunkBytes]byte)
	defer s.chunks.Put(chunk)
	n, err := io.CopyBuffer(onlyWriter{sink}, onlyReader{out.Body}, chunk[:])
	if closeErr := out.Body.Close(); err == nil {
		err = closeErr
	}
	if err == nil && out.ContentLength != nil && n != *out.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, &brokenBody{&fetch.Error{
			Type:    fetch.ShortBody,
			Message: fmt.Sprintf("get s3://%s/%s: body broke off after %d of %d bytes", bucket, key, n, aws.ToInt64(out.ContentLength)),
			Err:     err,
		}}
	}
	return n, nil
}

// Put writes one object. The SDK checks the answer, and has tried again.
func (s *sdkStore) Put(ctx context.Context, bucket, key string, body []byte) error {
	for redirected := 0; ; redirected++ {
		client := s.clientOf(bucket)
		var a attempt
		_, err := client.PutObject(s.traced(ctx, &a), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil && redirected < maxRedirects && s.follow(bucket, client, err):
		default:
			return s3Error(err, "put s3://%s/%s", bucket, key)
		}
	}
}

var _ fetch.Putter = (*sdkStore)(nil)

// onlyReader and onlyWriter hide ReadFrom and WriteTo, so that io.CopyBuffer
// uses the buffer it is given.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// brokenBody marks what is worth another GET.
type brokenBody struct{ error }

func (b *brokenBody) Unwrap() error { return b.error }

// cutShort says whether a document broke off after its head: the SDK's own retries
// end with that.
func cutShort(err error) bool {
	var document *smithy.DeserializationError
	var response *smithyhttp.ResponseError
	var op *net.OpError
	answered := errors.As(err, &document) || errors.As(err, &response) && response.HTTPStatusCode() == http.StatusOK
	return answered && (errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op))
}

// s3Error gives an SDK error its name, the same as lean's.
func s3Error(err error, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	var api smithy.APIError
	if !errors.As(err, &api) {
		if cutShort(err) {
			return &fetch.Error{Type: fetch.ShortBody, Message: message, Err: err}
		}
		return fmt.Errorf("%s: %w", message, err)
	}
	code := api.ErrorCode()
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && (code == "" || code == "UnknownError") {
		code = lean.StatusCode(response.HTTPStatusCode())
	}
	return lean.ResponseError(code, message, err)
}
