// Command baseline is a bootstrap to measure clients against: the fetch
// handler over plain net/http, without signatures. It can only read a bucket
// that lets everybody read, as fanout perf's does. What a client costs beyond
// it is the price of being an S3 client.
package main

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"fanout/functions/fetch"
)

func main() {
	cfg, err := fetch.ConfigFromEnv(os.Getenv, "net/http")
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: start the function: %v\nhint: see its environment variables\n", err)
		os.Exit(1)
	}
	cfg.LimitThreads(os.Getenv) // as cmd/fetch does, so that what differs is the client
	s := &plain{endpoint: os.Getenv("AWS_ENDPOINT_URL_S3"), client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: fetch.MaxConcurrency,
		DisableCompression:  true,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
	}}}
	s.buffers.New = func() any { return new([32 << 10]byte) }
	lambda.Start(fetch.New(cfg, func(context.Context, string) (fetch.Store, error) { return s, nil }))
}

// plain reads with net/http, unsigned, and tries nothing twice.
type plain struct {
	endpoint    string
	client      *http.Client
	connections atomic.Int64
	buffers     sync.Pool
}

func (s *plain) Connections() int64 { return s.connections.Load() }

func (s *plain) get(ctx context.Context, address string) (*http.Response, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			s.connections.Add(1)
		}
	}})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		err = fmt.Errorf("get %s: %s", address, response.Status)
	}
	return response, err
}

// List reads the pages under a prefix.
func (s *plain) List(ctx context.Context, bucket, prefix string, page func([]fetch.Object) error) error {
	for token := ""; ; {
		query := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "prefix": {prefix}}
		if token != "" {
			query.Set("continuation-token", token)
		}
		response, err := s.get(ctx, s.endpoint+"/"+bucket+"?"+query.Encode())
		if err != nil {
			return err
		}
		var found struct {
			Contents              []fetch.Object
			IsTruncated           bool
			NextContinuationToken string
		}
		err = xml.NewDecoder(response.Body).Decode(&found)
		_ = response.Body.Close()
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for i := range found.Contents {
			if found.Contents[i].Key, err = url.QueryUnescape(found.Contents[i].Key); err != nil {
				return fmt.Errorf("list: %w", err)
			}
		}
		if err := page(found.Contents); err != nil || !found.IsTruncated {
			return err
		}
		token = found.NextContinuationToken
	}
}

// Get reads one body.
func (s *plain) Get(ctx context.Context, bucket, key string, sink fetch.Sink) (fetch.Read, error) {
	start := time.Now()
	response, err := s.get(ctx, s.endpoint+"/"+bucket+(&url.URL{Path: "/" + key}).EscapedPath())
	if err != nil {
		return fetch.Read{}, err
	}
	read := fetch.Read{FirstByte: time.Since(start)}
	buffer := s.buffers.Get().(*[32 << 10]byte)
	defer s.buffers.Put(buffer)
	read.Bytes, err = io.CopyBuffer(struct{ io.Writer }{sink}, struct{ io.Reader }{response.Body}, buffer[:])
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	return read, err
}
