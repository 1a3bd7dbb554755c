package objects

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"fanout/bench/internal/sigv4"
)

// Counts says what a [Server] has done since it started.
type Counts struct {
	Connections int64 // accepted
	Gets        int64 // of objects, whatever their answer
	Heads       int64 // of objects
	Lists       int64 // of objects or versions, a page each
	Puts        int64 // of objects
	Deletes     int64 // requests: a batch is one
	Refused     int64 // by the check of the signature
	SlowDowns   int64 // answered because of the network's limit
	Faults      int64 // injected, of all kinds, spikes too
}

type counters struct {
	connections, gets, heads, lists, puts, deletes, refused, slowDowns, faults atomic.Int64
}

// Counts gives the counts so far.
func (s *Server) Counts() Counts {
	c := &s.counts
	return Counts{
		Connections: c.connections.Load(), Gets: c.gets.Load(), Heads: c.heads.Load(), Lists: c.lists.Load(),
		Puts: c.puts.Load(), Deletes: c.deletes.Load(), Refused: c.refused.Load(),
		SlowDowns: c.slowDowns.Load(), Faults: c.faults.Load(),
	}
}

// call is one request that was let in.
type call struct {
	w           http.ResponseWriter
	r           *http.Request
	arrived     time.Time
	caller      *caller
	signature   sigv4.Signature // none where everybody may read
	bucket, key string          // "": not named
	query       url.Values      // nil: none that matters
	sub         string          // the subresource, one of subresources
}

// param gives a parameter of the query.
func (c *call) param(name string) string {
	if c.query == nil {
		return ""
	}
	return c.query.Get(name)
}

// ServeHTTP answers one request: it checks the signature, delays and limits
// what reads, and hands on to the operation.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// subtle: Close waits for the write lock, so that no request puts a file
	// into a folder that is being removed.
	s.running.RLock()
	defer s.running.RUnlock()
	if s.closed {
		panic(http.ErrAbortHandler)
	}
	c := &call{w: w, r: r, arrived: time.Now()}
	id := s.requestID()
	h := w.Header()
	h["X-Amz-Request-Id"] = []string{id}
	h["X-Amz-Id-2"] = []string{id}
	h["Server"] = []string{"AmazonS3"}
	if refusal := s.serve(c); refusal != nil {
		writeError(w, r, refusal)
	}
}

// serve answers c, but for an error, which it returns.
func (s *Server) serve(c *call) (refusal *apiError) {
	r := c.r
	c.caller, c.signature, refusal = s.callers.verify(r, c.arrived)
	if refusal == errAnonymous && s.public != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		c.caller, refusal = s.public, nil
	}
	if refusal != nil {
		s.counts.refused.Add(1)
		return refusal
	}
	var ok bool
	if c.bucket, c.key, ok = resource(r); !ok {
		return errNotThisHost
	}
	c.readQuery()
	return s.dispatch(c)
}

// readQuery reads the query, where there is one that matters: x-id is the
// SDK's, which names the operation to those who log it.
func (c *call) readQuery() {
	q := c.r.URL.RawQuery
	if q == "" || strings.HasPrefix(q, "x-id=") && !strings.Contains(q, "&") {
		return
	}
	c.query = c.r.URL.Query()
	for _, name := range subresources {
		if c.query.Has(name) {
			c.sub = name
			return
		}
	}
}

// dispatch finds the operation and lets it answer.
func (s *Server) dispatch(c *call) *apiError {
	op := operations[operation{c.r.Method, c.level(), c.sub}]
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		if op == nil && c.sub != "" && notConfigured[c.sub] != nil && c.key == "" {
			op = (*Server).getNotConfigured
		}
		if c.key != "" && c.sub == "" {
			return s.read(c)
		}
		draw := func() time.Duration { return s.latencies.draw(noBody) }
		if c.level() == levelBucket && (c.sub == "" || c.sub == "versions") && c.r.Method == http.MethodGet {
			s.counts.lists.Add(1)
			draw = s.latencies.drawList
		}
		if wait(c.r.Context(), c.arrived, draw()) != nil {
			hangUp()
		}
		c.w = &throttledWriter{ResponseWriter: c.w, ctx: c.r.Context(), bandwidth: c.caller.bandwidth}
	case http.MethodPut:
		if c.key != "" {
			s.counts.puts.Add(1)
		}
	case http.MethodDelete:
		s.counts.deletes.Add(1)
	case http.MethodPost:
		if c.sub == "delete" {
			s.counts.deletes.Add(1)
		}
	}
	if op == nil {
		if c.sub != "" {
			return errNotImplement.saying("%s ?%s is not implemented here", c.r.Method, c.sub)
		}
		return errMethod.with("Method", c.r.Method)
	}
	if c.query == nil {
		c.query = url.Values{}
	}
	return op(s, c)
}

// What a request is about.
const (
	levelService = "service"
	levelBucket  = "bucket"
	levelObject  = "object"
)

func (c *call) level() string {
	switch {
	case c.bucket == "":
		return levelService
	case c.key == "":
		return levelBucket
	}
	return levelObject
}

// operation is a method on a level, with a subresource.
type operation struct{ method, level, sub string }

var operations = map[operation]func(*Server, *call) *apiError{
	{http.MethodGet, levelService, ""}: (*Server).listBuckets,

	{http.MethodPut, levelBucket, ""}:           (*Server).createBucket,
	{http.MethodHead, levelBucket, ""}:          (*Server).headBucket,
	{http.MethodDelete, levelBucket, ""}:        (*Server).deleteBucket,
	{http.MethodGet, levelBucket, ""}:           (*Server).listObjects,
	{http.MethodGet, levelBucket, "versions"}:   (*Server).listVersions,
	{http.MethodGet, levelBucket, "uploads"}:    (*Server).listUploads,
	{http.MethodGet, levelBucket, "location"}:   (*Server).bucketLocation,
	{http.MethodGet, levelBucket, "versioning"}: (*Server).getVersioning,
	{http.MethodPut, levelBucket, "versioning"}: (*Server).putVersioning,
	{http.MethodGet, levelBucket, "acl"}:        (*Server).getACL,
	{http.MethodPost, levelBucket, "delete"}:    (*Server).deleteObjects,

	// GET and HEAD of an object are answered before.
	{http.MethodGet, levelObject, "attributes"}:  (*Server).attributes,
	{http.MethodGet, levelObject, "acl"}:         (*Server).getACL,
	{http.MethodPut, levelObject, ""}:            (*Server).putObject,
	{http.MethodDelete, levelObject, ""}:         (*Server).deleteObject,
	{http.MethodGet, levelObject, "tagging"}:     (*Server).getTagging,
	{http.MethodPut, levelObject, "tagging"}:     (*Server).putTagging,
	{http.MethodDelete, levelObject, "tagging"}:  (*Server).deleteTagging,
	{http.MethodPost, levelObject, "uploads"}:    (*Server).createUpload,
	{http.MethodPut, levelObject, "uploadId"}:    (*Server).putPart,
	{http.MethodPost, levelObject, "uploadId"}:   (*Server).completeUpload,
	{http.MethodDelete, levelObject, "uploadId"}: (*Server).abortUpload,
	{http.MethodGet, levelObject, "uploadId"}:    (*Server).listParts,
}

// subresources are the parameters that make another operation of a request.
// Those without one here must not be taken for the plain operation: a PUT of
// an ACL would replace the object.
var subresources = []string{
	"accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory", "legal-hold",
	"lifecycle", "location", "logging", "metadataConfiguration", "metadataTable", "metrics", "notification", "object-lock",
	"ownershipControls", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore",
	"retention", "select", "session", "tagging", "torrent", "uploadId", "uploads", "versioning", "versions", "website",
}

// resource says what r is about, whatever its style. ok is false where the host
// is a subdomain of localhost without a name.
func resource(r *http.Request) (bucketName, key string, ok bool) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	if name, virtual := strings.CutSuffix(host, ".localhost"); virtual {
		return name, path, name != ""
	}
	bucketName, key, _ = strings.Cut(path, "/")
	return bucketName, key, true
}

// hangUp ends a request whose caller has gone, without an answer: to return
// would send an empty 200, which a caller that is about to go, or that has only
// ended its half of the connection, takes for an empty listing.
func hangUp() { panic(http.ErrAbortHandler) }

// wait returns d after arrived, or with an error when ctx ends first.
func wait(ctx context.Context, arrived time.Time, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d - time.Since(arrived))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// limit gives the requests that a key's prefix may still answer, or nil where
// the network has no limit.
func (s *Server) limit(bucketName, key string) *rate.Limiter {
	if s.model.GetLimit == 0 {
		return nil
	}
	prefix := bucketName + "/" + key[:strings.LastIndexByte(key, '/')+1]
	if l, ok := s.limits.Load(prefix); ok {
		return l.(*rate.Limiter)
	}
	l, _ := s.limits.LoadOrStore(prefix, rate.NewLimiter(rate.Limit(s.model.GetLimit), max(1, int(s.model.GetLimit))))
	return l.(*rate.Limiter)
}

var errShort = errors.New("cut short, as asked for")

// throttledWriter is a ResponseWriter that sends no faster than its caller's bandwidth
// and, if half is set, no more than left.
type throttledWriter struct {
	http.ResponseWriter
	ctx       context.Context
	bandwidth *rate.Limiter
	half      bool
	left      int64
}

// chunkBytes is what is sent between two looks at the bandwidth, burstBytes
// what a caller that was idle may send at once.
const (
	chunkBytes = 64 << 10
	burstBytes = 256 << 10
)

func (a *throttledWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		chunk := p[:min(len(p), chunkBytes)]
		if a.half {
			if a.left == 0 {
				// net/http closes a connection that was promised more
				return n, errShort
			}
			chunk = chunk[:min(int64(len(chunk)), a.left)]
			a.left -= int64(len(chunk))
		}
		if a.bandwidth != nil {
			if err := a.bandwidth.WaitN(a.ctx, len(chunk)); err != nil {
				return n, err
			}
		}
		m, err := a.ResponseWriter.Write(chunk)
		n += m
		if err != nil {
			return n, err
		}
		p = p[len(chunk):]
	}
	return n, nil
}
