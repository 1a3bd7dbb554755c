// Package lean is a small S3 client for one thing: reading many objects with
// little CPU. [New] makes one, a [fetch.Store].
//
// It has its own HTTP/1.1 exchange over crypto/tls and its own SigV4 signer:
// a request costs one write and a few reads on the caller's goroutine, no
// goroutine or timer of its own, and, once its connection is warm, no
// allocation but the one that crypto/tls makes. It knows GetObject, ListObjectsV2,
// CreateSession and, for what a function has found, PutObject, in any region,
// virtual-hosted or path style, on custom endpoints, access points and directory
// buckets, directly or through an HTTP proxy.
package lean

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/functions/fetch"
)

// Client reads from S3. It is safe for concurrent use.
type Client struct {
	cfg      Config
	tls      *tls.Config
	sessions *sessions // of tls
	pool     *pool
	budget   retryBudget
	streams  streams
	ahead    readAhead
	maxTries int // at one request

	mu      sync.RWMutex
	buckets map[string]*bucketClient // by bucket
}

var (
	_ fetch.Store  = (*Client)(nil)
	_ fetch.Putter = (*Client)(nil)
)

// New makes a client. It fails where cfg is not valid, and opens nothing.
func New(cfg Config) (*Client, error) {
	cfg = cfg.normalize()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	sessions := newSessions()
	c := &Client{
		cfg: cfg, sessions: sessions,
		tls: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			CurvePreferences:   cfg.curves(),
			RootCAs:            cfg.Roots,
			ClientSessionCache: sessions,
			NextProtos:         []string{"http/1.1"},
		},
		maxTries: cmp.Or(cfg.MaxAttempts, defaultTries),
		pool:     newPool(),
		buckets:  map[string]*bucketClient{},
	}
	c.budget.left.Store(budgetSize)
	c.streams.init(cfg.MemoryMB, cfg.Quota)
	c.ahead.init(cfg.MemoryMB)
	c.pool.wide.init(cfg.MemoryMB)
	return c, nil
}

// Connections counts the connections opened so far.
func (c *Client) Connections() int64 { return c.pool.opened.Load() }

// FastestConnect is the shortest set-up of a connection, TCP and TLS, since the
// last call; 0: none was opened.
func (c *Client) FastestConnect() time.Duration { return time.Duration(c.pool.fastest.Swap(0)) }

// Close closes the idle connections. The client can still be used.
func (c *Client) Close() { c.pool.closeIdle() }

// Warm does ahead of the first request what that would wait for: it derives
// the signing key (an S3 Express session included), resolves the bucket's
// host, and opens connections until that many lie idle. In INIT, where even a
// small function has a whole vCPU, that is where handshakes are cheap.
func (c *Client) Warm(ctx context.Context, bucket string, connections int) error {
	b, err := c.bucketClient(bucket)
	if err != nil {
		return err
	}
	if _, err := b.signingKey(ctx, time.Now()); err != nil {
		return err
	}
	connections = min(connections, b.client.pool.most())
	opened, errs := make([]*conn, connections), make([]error, connections)
	var ticket ticketWait
	c.sessions.awaited.Store(&ticket)
	defer c.sessions.awaited.Store(nil)
	var wg sync.WaitGroup
	left := atomic.Int64{}
	left.Store(int64(connections))
	for i := range connections {
		wg.Go(func() {
			if opened[i], errs[i] = b.host.get(ctx); errs[i] == nil {
				c.pool.release(opened[i]) // it is good, whatever becomes of the others
			}
			if left.Add(-1) == 0 {
				ticket.end() // nobody is left to use one
			} else if errs[i] == nil {
				opened[i].awaitTicket(&ticket)
			}
		})
	}
	wg.Wait() // none goes back before all are there: they are to be different ones
	for _, o := range opened {
		if o != nil {
			b.host.put(o)
		}
	}
	return errors.Join(errs...)
}

// bucketClient reads one bucket at its endpoint. It does not change but for the
// key.
type bucketClient struct {
	client *Client
	bucket string
	endpoint
	host *host

	key     atomic.Pointer[signingKey]
	renewal sync.Mutex
}

// bucketClient gives the bucket's client, at the endpoint where it was last found.
func (c *Client) bucketClient(bucket string) (*bucketClient, error) {
	c.mu.RLock()
	b := c.buckets[bucket]
	c.mu.RUnlock()
	if b != nil {
		return b, nil
	}
	e, err := c.cfg.resolve(bucket, c.cfg.Region)
	if err != nil {
		return nil, &configError{&fetch.Error{Type: fetch.InvalidEvent, Message: err.Error()}}
	}
	return c.move(bucket, e), nil
}

// move makes e a bucket's endpoint.
func (c *Client) move(bucket string, e endpoint) *bucketClient {
	b := &bucketClient{client: c, bucket: bucket, endpoint: e}
	b.host = c.host(e)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.buckets[bucket]; now != nil && now.endpoint == e {
		return now
	}
	c.buckets[bucket] = b
	return b
}

func (c *Client) host(e endpoint) *host {
	if e.scheme == "http" {
		return c.pool.host(e, nil)
	}
	config := c.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(e.address) // made by JoinHostPort
	return c.pool.host(e, config)
}

// redirect moves a bucket to where S3 says it is, and says whether that is
// elsewhere than b.
func (c *Client) redirect(b *bucketClient, refused *responseError) bool {
	switch refused.status {
	case 301, 302, 307, 308:
	case 400:
		if refused.code != "AuthorizationHeaderMalformed" && refused.code != "IllegalLocationConstraintException" {
			return false
		}
	default:
		return false
	}
	if refused.region != "" && refused.region != b.region && isLabel(refused.region) {
		e, err := c.cfg.resolve(b.bucket, refused.region)
		if err != nil || e.region != refused.region { // an ARN says the region itself
			return false
		}
		if !SamePartition(refused.region, b.region) { // where these credentials are unknown
			return false
		}
		c.move(b.bucket, e)
		return true
	}
	e, ok := follow(b.endpoint, refused.location)
	if !ok {
		return false
	}
	e, err := c.cfg.throughProxy(e)
	if err != nil {
		return false
	}
	c.move(b.bucket, e)
	return true
}

// follow gives the endpoint that a Location header names. Only the host may
// differ, and only within the partition's domain: the request that goes there
// carries a session token.
func follow(from endpoint, location string) (endpoint, bool) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != from.scheme || u.Host == "" || u.Host == from.authority || u.User != nil {
		return endpoint{}, false
	}
	old, _, err := net.SplitHostPort(from.address)
	suffix := "." + partitionOf(from.region).suffix
	if err != nil || !strings.HasSuffix(u.Hostname(), suffix) || !strings.HasSuffix(old, suffix) || u.Port() != "" {
		return endpoint{}, false
	}
	// Path style stays so, virtual-hosted too: the bucket's name must be in
	// the new host's name just where it was in the old one's.
	if from.prefix == "" && strings.SplitN(u.Hostname(), ".", 2)[0] != strings.SplitN(old, ".", 2)[0] {
		return endpoint{}, false
	}
	from.authority, from.address = u.Hostname(), net.JoinHostPort(u.Hostname(), "443")
	return from, true
}

// refreshBefore is how long before their end credentials are renewed; a
// session of S3 Express lasts 5 minutes.
const refreshBefore = time.Minute

// signingKey gives the key to sign with now.
func (b *bucketClient) signingKey(ctx context.Context, now time.Time) (*signingKey, error) {
	unix := now.Unix()
	if k := b.key.Load(); k != nil && k.from <= unix && unix < k.until {
		return k, nil
	}
	b.renewal.Lock()
	defer b.renewal.Unlock()
	if k := b.key.Load(); k != nil && k.from <= unix && unix < k.until {
		return k, nil
	}
	credentials, err := b.client.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, &configError{fmt.Errorf("credentials: %w", err)}
	}
	header := securityToken
	if b.express {
		if credentials, err = b.session(ctx, credentials, now); err != nil {
			return nil, err
		}
		header = sessionToken
	}
	var renew time.Time
	if credentials.CanExpire {
		// Those that are nearly over as they come are used for a second at
		// a time, until the provider has new ones.
		renew = credentials.Expires.Add(-refreshBefore)
		if soonest := now.Add(time.Second); renew.Before(soonest) {
			renew = soonest
		}
	}
	k := newSigningKey(credentials, now, renew, b.region, b.service, header)
	b.key.Store(k)
	return k, nil
}

// renew drops credentials that S3 no longer takes, the provider's too where
// it keeps them (as aws.CredentialsCache does).
func (b *bucketClient) renew() {
	if cache, ok := b.client.cfg.Credentials.(interface{ Invalidate() }); ok {
		cache.Invalidate()
	}
	b.key.Store(nil)
}

// session asks for an S3 Express session that may read. The caller holds
// b.renewal.
func (b *bucketClient) session(ctx context.Context, credentials aws.Credentials, now time.Time) (aws.Credentials, error) {
	k := newSigningKey(credentials, now, time.Time{}, b.region, b.service, securityToken)
	r := request{prefix: b.prefix, query: "session=", authority: b.authority, sessionMode: "ReadOnly"}
	c, err := b.exchange(ctx, &r, k)
	if err != nil {
		return aws.Credentials{}, err
	}
	defer b.host.put(c)
	var doc bytes.Buffer
	if _, err := c.wholeBody(&doc, maxErrorBytes); err != nil {
		return aws.Credentials{}, err
	}
	session, err := parseSession(doc.Bytes())
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("create session: %w", err)
	}
	return session, nil
}

// maxErrorBytes bounds the error and session documents that are read.
const maxErrorBytes = 64 << 10

// do signs and sends r, and reads the response's head: a success, which the
// caller reads the body of and then puts the connection back, or an error. The
// time to the first byte includes the wait for a connection.
func (b *bucketClient) do(ctx context.Context, r *request) (c *conn, firstByte time.Duration, err error) {
	start := time.Now()
	k, err := b.signingKey(ctx, start)
	if err != nil {
		return nil, 0, err
	}
	if c, err = b.exchange(ctx, r, k); err != nil {
		return nil, 0, err
	}
	return c, time.Since(start), nil
}

func (b *bucketClient) exchange(ctx context.Context, r *request, k *signingKey) (*conn, error) {
	c, err := b.host.get(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now() // get may have waited, and a signature ages
	if err := c.send(c.signer.sign(r, k, min(max(now.Unix(), k.from), k.from+secondsADay-1)), r.body, now); err != nil {
		if c.reused && c.w == 0 && !isTimeout(err) {
			b.host.stale(c)
			err = &staleError{err}
		}
		b.host.put(c)
		return nil, err
	}
	if status := c.head.status; status == 200 || status == 206 && r.to > 0 { // a part that nobody asked for is not the whole
		return c, nil
	}
	e := &responseError{
		status: c.head.status, code: StatusCode(c.head.status),
		region: string(c.head.region), location: string(c.head.location), requestID: string(c.head.requestID),
	}
	var doc bytes.Buffer
	if _, err := c.body(&doc, maxErrorBytes); err != nil {
		e.cut = true
	} else {
		parseError(doc.Bytes(), e)
	}
	b.host.put(c)
	return nil, e
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// wholeBody passes the body on, and fails if it is longer than most or came
// short.
func (c *conn) wholeBody(to io.Writer, most int64) (int64, error) {
	if c.head.length > most {
		c.failed = true
		return 0, fmt.Errorf("a body of %d bytes: at most %d expected", c.head.length, most)
	}
	want := c.head.length
	n, err := c.body(to, most)
	if err != nil {
		return n, &bodyError{n, want, err}
	}
	if n == most && n != want {
		c.failed = true
		return n, fmt.Errorf("a body of over %d bytes", most)
	}
	return n, nil
}

// Get writes one body to sink, as [fetch.Store] wants it: in order, or in any if sink is
// a [fetch.RangeSink] that can take it so. One over 8 MB may be read as ranges of that
// size, some at a time, where few other objects are being read and, if it has to be in
// order, memory allows; if it is overwritten meanwhile, Get starts anew. What comes after
// a broken range is asked for again, and counts as a retry too.
func (c *Client) Get(ctx context.Context, bucket, key string, sink fetch.Sink) (fetch.Read, error) {
	var read fetch.Read
	for r := (retrier{client: c}); ; {
		b, err := c.bucketClient(bucket)
		if err == nil {
			err = b.get(ctx, key, sink, &read)
		}
		if err == nil {
			c.budget.give()
			return read, nil
		}
		if err = r.retry(ctx, b, err); err != nil {
			return read, named(err, "get s3://"+bucket+"/"+key)
		}
		sink.Reset()
		read.Retries++
	}
}

// get makes one attempt at an object.
func (b *bucketClient) get(ctx context.Context, key string, sink fetch.Sink, read *fetch.Read) error {
	r := request{prefix: b.prefix, key: key, authority: b.authority}
	c, firstByte, err := b.do(ctx, &r)
	if err != nil {
		return err
	}
	read.FirstByte = firstByte
	if len(c.head.encoding) > 0 {
		if s, ok := sink.(fetch.EncodedSink); ok {
			s.ContentEncoding(string(c.head.encoding))
		}
	}
	if c.head.length > b.client.ahead.size && len(c.head.etag) > 0 {
		return b.getLarge(ctx, c, r, sink, read)
	}
	read.Bytes, err = c.wholeBody(sink, math.MaxInt64)
	b.host.put(c)
	return err
}

// maxListBytes bounds a page: 1,000 keys of 1,024 bytes, each written as three
// characters, are 3.3 MB with what is around them.
const maxListBytes = 8 << 20

// List reads the listing page by page, as [fetch.Store] wants it. Keys are
// asked for URL-encoded: XML cannot say every one of them.
func (c *Client) List(ctx context.Context, bucket, prefix string, page func([]fetch.Object) error) error {
	for token, doc := "", new(bytes.Buffer); ; {
		found, err := c.page(ctx, bucket, prefix, token, doc)
		if err != nil {
			return named(err, "list s3://"+bucket+"/"+prefix)
		}
		if err := page(found.objects); err != nil {
			return err
		}
		if !found.truncated {
			return nil
		}
		token = found.next
	}
}

func (c *Client) page(ctx context.Context, bucket, prefix, token string, doc *bytes.Buffer) (listing, error) {
	var query []byte
	if token != "" {
		query = append(appendQuery(append(query, "continuation-token="...), token), '&')
	}
	query = append(query, "encoding-type=url&list-type=2&prefix="...)
	query = appendQuery(query, prefix)
	for r := (retrier{client: c}); ; {
		b, err := c.bucketClient(bucket)
		if err == nil {
			var found listing
			if found, err = b.page(ctx, string(query), doc); err == nil {
				c.budget.give()
				return found, nil
			}
		}
		if err = r.retry(ctx, b, err); err != nil {
			return listing{}, err
		}
	}
}

func (b *bucketClient) page(ctx context.Context, query string, doc *bytes.Buffer) (listing, error) {
	r := request{prefix: b.prefix, query: query, authority: b.authority}
	c, _, err := b.do(ctx, &r)
	if err != nil {
		return listing{}, err
	}
	doc.Reset()
	_, err = c.wholeBody(doc, maxListBytes)
	b.host.put(c)
	if err != nil {
		return listing{}, err
	}
	return parseListing(doc.Bytes())
}
