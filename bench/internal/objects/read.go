package objects

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// read answers a GET or HEAD of an object, late, and with what goes wrong.
func (s *Server) read(c *call) *apiError {
	var delay time.Duration
	f := noFault
	if c.r.Method == http.MethodGet {
		s.counts.gets.Add(1)
		delay, f = s.drawGet(s.sizeOf(c))
	} else {
		s.counts.heads.Add(1)
		delay = s.latencies.draw(noBody)
	}
	if f == noFault {
		if f = s.faults.asked(c); f != noFault {
			s.counts.faults.Add(1)
		}
	}
	limited := false
	if l := s.limit(c.bucket, c.key); l != nil && !l.AllowN(c.arrived, 1) {
		s.counts.slowDowns.Add(1)
		limited = true
	}
	if wait(c.r.Context(), c.arrived, delay) != nil {
		hangUp()
	}
	if limited || f == slowDownFault {
		return errSlowDown
	}
	switch f {
	case deniedFault:
		return errDenied
	case missingFault:
		return errNoKey.with("Key", c.key)
	case resetFault:
		reset(c.w)
		return nil
	}
	return s.sendObject(c, f == shortFault)
}

// sizeOf is the size of the object that c asks for, where the latency depends on
// it.
func (s *Server) sizeOf(c *call) int64 {
	if len(s.model.Sizes) == 0 {
		return noBody
	}
	v, _, refusal := s.store.find(c.bucket, c.key, c.param("versionId"))
	if refusal != nil {
		return noBody
	}
	return v.size
}

// sendObject sends an object, or what of it is asked for; of a short one half.
func (s *Server) sendObject(c *call, short bool) *apiError {
	for range openAttempts {
		if refusal := s.sendFound(c, short); refusal != errGone {
			return refusal
		}
	}
	return errInternal
}

// openAttempts is how often an object is looked for whose body, in a file, is
// replaced between the look-up and the opening. errGone says that it was.
const openAttempts = 10

var errGone = newError(http.StatusInternalServerError, "InternalError", "replaced while it was opened")

// sendFound sends the version that is there now.
func (s *Server) sendFound(c *call, short bool) *apiError {
	v, refusal := s.lookUp(c)
	if refusal != nil {
		return refusal
	}
	h := c.w.Header()
	maps.Copy(h, v.header)
	from, length, refusal := v.selected(c.r, c.query, h)
	if refusal != nil {
		return refusal
	}
	partial := h["Content-Range"] != nil
	if c.r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && !partial {
		if refusal := s.addChecksum(h, v); refusal != nil {
			return refusal
		}
	}
	if c.query != nil {
		override(h, c.query)
	}
	return s.sendBody(c, v, from, length, short)
}

// lookUp finds the version that c names, and sets the headers that name it.
func (s *Server) lookUp(c *call) (*version, *apiError) {
	id := c.param("versionId")
	v, versioned, refusal := s.store.find(c.bucket, c.key, id)
	if refusal != nil {
		return nil, refusal
	}
	h := c.w.Header()
	delete(h, "Content-Range")
	if versioned {
		h["X-Amz-Version-Id"] = []string{v.id}
	}
	if v.marker {
		h["X-Amz-Delete-Marker"] = []string{"true"}
		if id == "" {
			return nil, errNoKey.with("Key", c.key)
		}
		return nil, errMethod.with("Method", c.r.Method).with("ResourceType", "DeleteMarker")
	}
	if v.header == nil { // it is generated, and nobody else's
		if g, ok := v.body.(*generatedBody); ok && c.r.Method == http.MethodHead {
			g.mark(v)
		}
		v.finish()
	}
	return v, nil
}

// sendBody sends the length bytes from from.
func (s *Server) sendBody(c *call, v *version, from, length int64, short bool) *apiError {
	var content io.ReadCloser
	m, inMemory := v.body.(*memoryBody)
	if !inMemory && c.r.Method == http.MethodGet {
		var err error
		if content, err = v.body.open(from, length); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return errGone
			}
			s.log.Error("objects: open a body", "key", v.key, "error", err)
			return errInternal
		}
		defer func() { _ = content.Close() }() // opened for reading
	}
	if c.w.Header()["Content-Range"] != nil {
		c.w.WriteHeader(http.StatusPartialContent)
	}
	if c.r.Method == http.MethodHead {
		return nil
	}
	a := &throttledWriter{ResponseWriter: c.w, ctx: c.r.Context(), bandwidth: c.caller.bandwidth, half: short, left: length / 2}
	// An error here is the caller's having gone, or the fault asked for: the
	// status line has been sent, so that only closing the connection can tell.
	if inMemory {
		_, _ = a.Write(m.data[from : from+length])
		return nil
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	if _, err := io.CopyBuffer(a, content, *buf); err != nil && c.r.Context().Err() == nil {
		s.log.Debug("objects: send a body", "key", v.key, "error", err)
	}
	return nil
}

// copyBuffers hold what is read of a body that is not in memory.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, chunkBytes); return &b }}

// addChecksum adds the checksum of the whole object.
func (s *Server) addChecksum(h http.Header, v *version) *apiError {
	if v.checksumHeader != nil {
		maps.Copy(h, v.checksumHeader)
		return nil
	}
	if v.algorithm == nil {
		return nil
	}
	sum, err := checksumOf(v)
	if err != nil {
		s.log.Error("objects: read a body", "key", v.key, "error", err)
		return errInternal
	}
	h[v.algorithm.header()] = []string{sum}
	h["X-Amz-Checksum-Type"] = []string{v.checksumType()}
	return nil
}

// selected says which bytes of v are asked for, and sets the headers of a
// part.
func (v *version) selected(r *http.Request, q url.Values, h http.Header) (from, length int64, refusal *apiError) {
	if refusal := v.preconditions(r.Header); refusal != nil {
		return 0, 0, refusal
	}
	rangeHeader := r.Header.Get("Range")
	switch {
	case q != nil && q.Has("partNumber"):
		if rangeHeader != "" {
			return 0, 0, errRequest.saying("Cannot specify both Range header and partNumber query parameter")
		}
		if from, length, refusal = v.part(q.Get("partNumber")); refusal != nil {
			return 0, 0, refusal
		}
		if len(v.parts) > 0 {
			h["X-Amz-Mp-Parts-Count"] = []string{strconv.Itoa(len(v.parts))}
		}
		if v.size == 0 {
			return 0, 0, nil
		}
	case rangeHeader != "":
		var ok bool
		if from, length, ok = parseRange(rangeHeader, v.size); !ok {
			return 0, v.size, nil // S3 takes it for none
		}
		if length == 0 {
			return 0, 0, errRange.with("RangeRequested", rangeHeader).with("ActualObjectSize", strconv.FormatInt(v.size, 10))
		}
	default:
		return 0, v.size, nil
	}
	h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	h["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", from, from+length-1, v.size)}
	return from, length, nil
}

// part says where the part of that number lies. An object that was put at once
// is its own first part.
func (v *version) part(number string) (from, length int64, refusal *apiError) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxPartNumber {
		return 0, 0, badArgument("partNumber", number, "Part number must be an integer between 1 and 10000, inclusive")
	}
	if len(v.parts) == 0 && n == 1 {
		return 0, v.size, nil
	}
	if n > len(v.parts) {
		return 0, 0, errPartNumber.with("PartNumberRequested", number).with("ActualPartCount", strconv.Itoa(max(1, len(v.parts))))
	}
	for _, p := range v.parts[:n-1] {
		from += p.size
	}
	return from, v.parts[n-1].size, nil
}

// parseRange reads a Range header against the size of an object. ok is false
// where S3 ignores it: no bytes=, several ranges, an end before the start. The
// length is 0 where no byte of it is there.
func parseRange(header string, size int64) (from, length int64, ok bool) {
	text, found := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(text, "-")
	if !found || !dash || first == "" && last == "" || strings.Trim(first+last, "0123456789") != "" {
		return 0, 0, false
	}
	if first == "" {
		length = min(position(last), size)
		return size - length, length, true
	}
	from = position(first)
	to := int64(math.MaxInt64 - 1)
	if last != "" {
		if to = position(last); to < from {
			return 0, 0, false
		}
	}
	if from >= size {
		return 0, 0, true
	}
	return from, min(to, size-1) - from + 1, true
}

// position reads digits. What passes an int64 is past the end of any object.
func position(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return math.MaxInt64 - 1
	}
	return n
}

// preconditions says whether v is to be sent, by the headers of RFC 9110, of
// which an ETag is stronger than a time.
func (v *version) preconditions(h http.Header) *apiError {
	return v.check(h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Modified-Since"), h.Get("If-Unmodified-Since"), errNotModified)
}

func (v *version) check(ifMatch, ifNoneMatch, since, unmodifiedSince string, notModified *apiError) *apiError {
	switch {
	case ifMatch != "":
		if !etagMatches(ifMatch, v.etag) {
			return errPrecondition.with("Condition", "If-Match")
		}
	case unmodifiedSince != "":
		if later, ok := v.laterThan(unmodifiedSince); ok && later {
			return errPrecondition.with("Condition", "If-Unmodified-Since")
		}
	}
	switch {
	case ifNoneMatch != "":
		if etagMatches(ifNoneMatch, v.etag) {
			return notModified.with("Condition", "If-None-Match")
		}
	case since != "":
		if later, ok := v.laterThan(since); ok && !later {
			return notModified.with("Condition", "If-Modified-Since")
		}
	}
	return nil
}

// laterThan compares in seconds, as HTTP's times are; ok: the time can be read.
func (v *version) laterThan(httpTime string) (later, ok bool) {
	t, err := http.ParseTime(httpTime)
	return err == nil && v.modified.Truncate(time.Second).After(t), err == nil
}

// override sets the headers that the query of a GET asks for.
func override(h http.Header, q url.Values) {
	for _, name := range []string{"Content-Type", "Content-Language", "Expires", "Cache-Control", "Content-Disposition", "Content-Encoding"} {
		if value := q.Get("response-" + strings.ToLower(name)); value != "" {
			h[name] = []string{value}
		}
	}
}

// attributes answers GetObjectAttributes.
func (s *Server) attributes(c *call) *apiError {
	v, versioned, refusal := s.store.find(c.bucket, c.key, c.query.Get("versionId"))
	switch {
	case refusal != nil:
		return refusal
	case v.marker:
		return errNoKey.with("Key", c.key)
	case versioned:
		c.w.Header().Set("X-Amz-Version-Id", v.id)
	}
	asked := strings.Join(c.r.Header.Values("X-Amz-Object-Attributes"), ",")
	if asked == "" {
		return badArgument("x-amz-object-attributes", "", "Invalid attribute name specified.")
	}
	x := newXML("GetObjectAttributesResponse", xmlNamespace)
	for name := range strings.SplitSeq(asked, ",") {
		switch strings.TrimSpace(name) {
		case "ETag":
			x.text("ETag", strings.Trim(v.etag, `"`))
		case "Checksum":
			if sum := v.checksum; v.algorithm != nil {
				if sum == "" {
					var err error
					if sum, err = checksumOf(v); err != nil {
						return errInternal
					}
				}
				x.open("Checksum")
				x.text(v.algorithm.element(), sum)
				x.text("ChecksumType", v.checksumType())
				x.close("Checksum")
			}
		case "ObjectParts":
			if len(v.parts) > 0 {
				x.open("ObjectParts")
				x.int("PartsCount", int64(len(v.parts)))
				x.close("ObjectParts")
			}
		case "StorageClass":
			x.text("StorageClass", "STANDARD")
		case "ObjectSize":
			x.int("ObjectSize", v.size)
		default:
			return badArgument("x-amz-object-attributes", name, "Invalid attribute name specified.")
		}
	}
	c.w.Header().Set("Last-Modified", v.modified.UTC().Format(http.TimeFormat))
	x.write(c.w, c.r, http.StatusOK)
	return nil
}
