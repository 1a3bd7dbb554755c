package objects

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	xml "github.com/minio/xxml"
	"github.com/rclone/gofakes3"
	"golang.org/x/time/rate"
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

// ServeHTTP answers one request: it checks the signature, delays and limits
// what reads, serves plain GETs itself and leaves the rest to gofakes3.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// subtle: Close waits for the write lock, so that no request puts a file
	// into a folder that is being removed.
	s.running.RLock()
	defer s.running.RUnlock()
	if s.closed {
		panic(http.ErrAbortHandler)
	}

	arrived := time.Now()
	id := s.requestID()
	h := w.Header()
	h["X-Amz-Request-Id"] = []string{id}
	h["X-Amz-Id-2"] = []string{id}
	h["Server"] = []string{"AmazonS3"}

	caller, _, refusal := s.callers.verify(r, arrived)
	if refusal == errAnonymous && s.public != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		caller, refusal = s.public, nil
	}
	if refusal != nil {
		s.counts.refused.Add(1)
		writeError(w, r, refusal)
		return
	}
	path, ok := bucketPath(r)
	if !ok {
		writeError(w, r, errNotThisHost)
		return
	}
	bucketName, key, _ := strings.Cut(path[1:], "/")

	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if key == "" {
			if isList(r, bucketName) {
				s.counts.lists.Add(1)
			}
			if wait(r.Context(), arrived, s.latencies.draw()) == nil {
				s.delegate(&answer{ResponseWriter: w, ctx: r.Context(), bandwidth: caller.bandwidth}, r, path)
			}
			return
		}
		s.read(w, r, caller, path, bucketName, key, arrived)
		return
	case http.MethodPut:
		if key != "" {
			s.counts.puts.Add(1)
		}
	case http.MethodDelete:
		s.counts.deletes.Add(1)
	case http.MethodPost:
		if key == "" && r.URL.RawQuery != "" && r.URL.Query().Has("delete") {
			s.counts.deletes.Add(1)
			s.deleteObjects(w, r, bucketName)
			return
		}
	}
	s.delegate(w, r, path)
}

// isList tells a listing of objects or versions from a bucket's other GETs.
func isList(r *http.Request, bucketName string) bool {
	if r.Method != http.MethodGet || bucketName == "" {
		return false
	}
	q := r.URL.Query()
	return len(q) == 0 || q.Has("list-type") || q.Has("versions") || q.Has("prefix") || q.Has("marker") || q.Has("max-keys")
}

// requestID gives 16 digits, different for each request of a server.
func (s *Server) requestID() string {
	n := s.requests.Add(1)
	var b, text [8 * 2]byte
	for i := range 8 {
		b[i] = byte(n >> (56 - 8*i))
	}
	hex.Encode(text[:], b[:8])
	return string(text[:])
}

// bucketPath gives the path in path style, whatever the request's style. ok is
// false where the host is a subdomain of localhost without a name.
func bucketPath(r *http.Request) (path string, ok bool) {
	path = r.URL.Path
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	bucketName, virtual := strings.CutSuffix(host, ".localhost")
	if !virtual {
		return path, true
	}
	return "/" + bucketName + path, bucketName != ""
}

// delegate hands a request on to gofakes3, in path style.
func (s *Server) delegate(w http.ResponseWriter, r *http.Request, path string) {
	ctx := r.Context()
	algorithm := r.Header.Get("X-Amz-Sdk-Checksum-Algorithm")
	if trailer, ok := strings.CutPrefix(r.Header.Get("X-Amz-Trailer"), "x-amz-checksum-"); ok {
		algorithm = trailer
	}
	if algorithm != "" {
		ctx = context.WithValue(ctx, checksumAlgorithmKey{}, strings.ToUpper(algorithm))
	}
	if id := r.URL.Query().Get("versionId"); id != "" && r.Method == http.MethodHead {
		ctx = context.WithValue(ctx, headVersionKey{}, id) // gofakes3 asks for the newest
	}
	r = r.WithContext(ctx)
	u := *r.URL
	u.Path, u.RawPath = path, ""
	if strings.Contains(u.RawQuery, "versionId="+nullVersion) {
		q := u.Query()
		if q.Get("versionId") == nullVersion {
			q.Set("versionId", nullAlias)
			u.RawQuery = q.Encode()
		}
	}
	r.URL = &u
	s.rest.ServeHTTP(w, r)
}

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

// limit gives the bucket of requests that path's prefix draws on, or nil where
// the network has no limit.
func (s *Server) limit(path string) *rate.Limiter {
	if s.model.GetLimit == 0 {
		return nil
	}
	prefix := path[:strings.LastIndexByte(path, '/')+1]
	if l, ok := s.limits.Load(prefix); ok {
		return l.(*rate.Limiter)
	}
	l, _ := s.limits.LoadOrStore(prefix, rate.NewLimiter(rate.Limit(s.model.GetLimit), max(1, int(s.model.GetLimit))))
	return l.(*rate.Limiter)
}

// read answers a GET or HEAD of an object.
func (s *Server) read(w http.ResponseWriter, r *http.Request, c *caller, path, bucketName, key string, arrived time.Time) {
	var delay time.Duration
	f := noFault
	if r.Method == http.MethodGet {
		s.counts.gets.Add(1)
		delay, f = s.drawGet()
	} else {
		s.counts.heads.Add(1)
		delay = s.latencies.draw()
	}
	limited := false
	if l := s.limit(path); l != nil && !l.AllowN(arrived, 1) {
		s.counts.slowDowns.Add(1)
		limited = true
	}
	if wait(r.Context(), arrived, delay) != nil {
		return // the caller has gone
	}
	if limited || f == slowDownFault {
		writeError(w, r, errSlowDown)
		return
	}
	if f == resetFault {
		reset(w)
		return
	}
	a := &answer{ResponseWriter: w, ctx: r.Context(), bandwidth: c.bandwidth, half: f == shortFault}
	if !plain(r) {
		s.delegate(a, r, path)
		return
	}
	v, body, versioned, refusal := s.current(bucketName, key)
	switch {
	case refusal != nil:
		writeError(w, r, refusal)
		return
	case versioned:
		closeBody(body)
		s.delegate(a, r, path)
		return
	}
	defer closeBody(body)
	h := w.Header()
	maps.Copy(h, v.header)
	if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		maps.Copy(h, v.checksum)
	}
	a.left = v.size / 2
	if r.Method == http.MethodHead {
		return
	}
	// An error here is the caller's having gone, or the fault asked for: the
	// status line has been sent, so that only closing the connection can tell.
	if body != nil {
		_, _ = io.Copy(a, body)
	} else {
		_, _ = a.Write(v.mem)
	}
}

// plain tells whether r asks for a whole object without conditions.
func plain(r *http.Request) bool {
	if q := r.URL.RawQuery; q != "" && (!strings.HasPrefix(q, "x-id=") || strings.Contains(q, "&")) {
		return false
	}
	for _, name := range []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if _, ok := r.Header[name]; ok {
			return false
		}
	}
	return true
}

// current finds the object a plain GET reads and opens its body, where that is
// in a file.
func (s *Server) current(bucketName, key string) (v *version, body *os.File, versioned bool, refusal *apiError) {
	for {
		v, versioned, refusal = s.store.current(bucketName, key)
		if refusal != nil || v.file == "" {
			return v, nil, versioned, refusal
		}
		body, err := os.Open(v.file)
		if errors.Is(err, os.ErrNotExist) {
			if again, _, _ := s.store.current(bucketName, key); again != v {
				continue // replaced between the look-up and the opening
			}
		}
		if err != nil {
			s.log.Error("objects: open a spilled body", "file", v.file, "error", err)
			return nil, nil, false, errInternal
		}
		return v, body, versioned, nil
	}
}

func closeBody(f *os.File) {
	if f != nil {
		_ = f.Close() // opened for reading
	}
}

var errShort = errors.New("cut short, as asked for")

// answer is a ResponseWriter that sends no faster than its caller's bandwidth
// and, if half is set, only half of what it has promised.
type answer struct {
	http.ResponseWriter
	ctx       context.Context
	bandwidth *rate.Limiter
	half      bool
	left      int64 // with half: what may still be sent
}

// chunkBytes is what is sent between two looks at the bandwidth, burstBytes
// what a caller that was idle may send at once.
const (
	chunkBytes = 64 << 10
	burstBytes = 256 << 10
)

func (a *answer) WriteHeader(status int) {
	if a.half && a.left == 0 {
		var n int64
		_, _ = fmt.Sscan(a.Header().Get("Content-Length"), &n) // absent: nothing at all
		a.left = n / 2
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (n int, err error) {
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

func writeError(w http.ResponseWriter, r *http.Request, e *apiError) {
	h := w.Header()
	var b bytes.Buffer
	b.WriteString(xml.Header + "<Error><Code>" + e.code + "</Code><Message>")
	_ = xml.EscapeText(&b, []byte(e.message)) // a buffer takes everything
	b.WriteString("</Message><Resource>")
	_ = xml.EscapeText(&b, []byte(r.URL.Path))
	b.WriteString("</Resource><RequestId>" + h.Get("X-Amz-Request-Id") + "</RequestId></Error>")
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", fmt.Sprint(b.Len()))
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // the caller has gone, at worst
	}
}

// deleteResult is the answer to DeleteObjects.
type deleteResult struct {
	XMLName xml.Name        `xml:"DeleteResult"`
	Xmlns   string          `xml:"xmlns,attr"`
	Deleted []deletedObject `xml:"Deleted"`
}

type deletedObject struct {
	Key                   string `xml:"Key"`
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          bool   `xml:"DeleteMarker,omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

// deleteObjects answers DeleteObjects. gofakes3 drops the versions that such a
// request names, and so leaves a delete marker for each.
func (s *Server) deleteObjects(w http.ResponseWriter, r *http.Request, bucketName string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, gofakes3.MaxXMLBodySize))
	if err != nil {
		writeError(w, r, errBadXML)
		return
	}
	var request gofakes3.DeleteRequest
	if err := xml.Unmarshal(body, &request); err != nil || len(request.Objects) == 0 || len(request.Objects) > gofakes3.MaxDeleteObjects {
		writeError(w, r, errBadXML)
		return
	}
	ds := make([]deletion, len(request.Objects))
	for i, o := range request.Objects {
		ds[i] = deletion{key: o.Key, version: o.VersionID}
	}
	if e := s.store.deleteAll(bucketName, ds); e != nil {
		writeError(w, r, e)
		return
	}
	result := deleteResult{Xmlns: "http://s3.amazonaws.com/doc/2006-03-01/"}
	for _, d := range ds {
		if request.Quiet {
			break
		}
		o := deletedObject{Key: d.key, VersionID: d.version}
		switch {
		case d.marker != nil:
			o.DeleteMarker, o.DeleteMarkerVersionID = true, d.marker.id
		case d.removed != nil && d.removed.marker:
			o.DeleteMarker, o.DeleteMarkerVersionID = true, d.removed.id
		}
		result.Deleted = append(result.Deleted, o)
	}
	answer, err := xml.Marshal(result)
	if err != nil {
		s.log.Error("objects: answer to DeleteObjects", "error", err)
		writeError(w, r, errInternal)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(append([]byte(xml.Header), answer...)) // the caller has gone, at worst
}
