package objects

import (
	"cmp"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// S3's limits of one object.
const (
	maxKeyBytes      = 1024
	maxMetadataBytes = 2 << 10
	maxPutBytes      = 5 << 30 // in one request
)

// storedHeaders are kept with an object and sent with it; so are those that
// begin with X-Amz-Meta-.
var storedHeaders = []string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires",
	"X-Amz-Website-Redirect-Location",
}

const metaPrefix = "X-Amz-Meta-"

// readMeta gives what the headers of a request say of the object.
func readMeta(h http.Header) (http.Header, *apiError) {
	meta := make(http.Header)
	for _, name := range storedHeaders {
		value := h.Get(name)
		if name == "Content-Encoding" {
			value = withoutChunked(value)
		}
		if value != "" {
			meta[name] = []string{value}
		}
	}
	size := 0
	for name, values := range h {
		if user, ok := strings.CutPrefix(name, metaPrefix); ok {
			value := strings.Join(values, ",")
			size += len(user) + len(value)
			// S3 sends the names in lower case, and clients take them so
			meta[strings.ToLower(name)] = []string{value}
		}
	}
	if size > maxMetadataBytes {
		return nil, errMetadata
	}
	return meta, nil
}

// withoutChunked takes aws-chunked, which is how the body was sent, out of a
// Content-Encoding.
func withoutChunked(encoding string) string {
	var kept []string
	for each := range strings.SplitSeq(encoding, ",") {
		if each = strings.TrimSpace(each); each != "" && each != "aws-chunked" {
			kept = append(kept, each)
		}
	}
	return strings.Join(kept, ",")
}

// checkWrite refuses what an object may not be like.
func checkWrite(c *call) *apiError {
	switch {
	case len(c.key) > maxKeyBytes:
		return errKeyTooLong.with("Size", strconv.Itoa(len(c.key))).with("MaxSizeAllowed", "1024")
	case !utf8.ValidString(c.key):
		return errURI
	}
	for name := range c.r.Header {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption-Customer-") {
			return errNotImplement.with("Header", name)
		}
	}
	if sse := c.r.Header.Get("X-Amz-Server-Side-Encryption"); sse != "" && sse != "AES256" {
		return errNotImplement.with("Header", "x-amz-server-side-encryption")
	}
	return nil
}

// newVersion gives a version of c's key as the headers of c describe it.
func newVersion(c *call) (*version, *apiError) {
	if refusal := checkWrite(c); refusal != nil {
		return nil, refusal
	}
	meta, refusal := readMeta(c.r.Header)
	if refusal != nil {
		return nil, refusal
	}
	tags, refusal := parseTagging(c.r.Header.Get("X-Amz-Tagging"))
	if refusal != nil {
		return nil, refusal
	}
	return &version{key: c.key, modified: time.Now(), meta: meta, tags: tags}, nil
}

// putObject answers PutObject, and CopyObject.
func (s *Server) putObject(c *call) *apiError {
	if c.r.Header.Get("X-Amz-Copy-Source") != "" {
		return s.copyObject(c)
	}
	template, refusal := newVersion(c)
	if refusal != nil {
		return refusal
	}
	if _, refusal := s.store.bucketVersioning(c.bucket); refusal != nil {
		return refusal // before the body is read
	}
	v, refusal := s.receiveBody(c, template)
	if refusal != nil {
		return refusal
	}
	id, refusal := s.store.put(c.bucket, v, conditions{c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")})
	if refusal != nil {
		return refusal
	}
	h := c.w.Header()
	h["Etag"] = []string{v.etag}
	h[v.algorithm.header()] = []string{v.checksum}
	h["X-Amz-Checksum-Type"] = []string{v.checksumType()}
	if id != "" {
		h["X-Amz-Version-Id"] = []string{id}
	}
	return nil
}

// receiveBody reads the body of c into a version like template, once it is
// what its headers say.
func (s *Server) receiveBody(c *call, template *version) (*version, *apiError) {
	said, refusal := readChecks(c.r.Header)
	if refusal != nil {
		return nil, refusal
	}
	body, refusal := openBody(c.r, c.signature)
	if refusal != nil {
		return nil, refusal
	}
	if body.size > maxPutBytes {
		return nil, errTooLarge.with("MaxSizeAllowed", "5368709120")
	}
	d := newDigests(cmp.Or(said.algorithm, template.algorithm, defaultAlgorithm))
	v, err := s.receive(body, body.size, template, d)
	if err != nil {
		if refusal := bodyError(err); refusal != errIncomplete || c.r.Context().Err() != nil {
			return nil, refusal
		}
		s.log.Debug("objects: read a body", "key", c.key, "error", err)
		return nil, errIncomplete
	}
	if refusal := d.check(said, body.trailer()); refusal != nil {
		v.free()
		return nil, refusal
	}
	return v, nil
}

// receive reads a body of size bytes into a version like template, with the
// ETag and checksum that d makes of it.
func (s *Server) receive(input io.Reader, size int64, template *version, d *digests) (*version, error) {
	b, err := s.store.bodies.receive(io.TeeReader(input, d), size)
	if err != nil {
		return nil, err
	}
	v := *template
	v.body, v.size, v.md5 = b, size, d.md5.Sum(nil)
	v.etag = quoted(v.md5)
	v.algorithm, v.checksum = d.of, d.checksum()
	return v.finish(), nil
}

// copySource is the object that an x-amz-copy-source header names.
type copySource struct{ bucket, key, version string }

func parseCopySource(header string) (c copySource, refusal *apiError) {
	path, query, _ := strings.Cut(header, "?")
	if query != "" {
		version, ok := strings.CutPrefix(query, "versionId=")
		if !ok || version == "" {
			return c, badArgument("x-amz-copy-source", header, "Version id cannot be the empty string")
		}
		c.version = version
	}
	plain, err := url.QueryUnescape(path)
	if err != nil {
		return c, badArgument("x-amz-copy-source", header, "Invalid copy source encoding")
	}
	c.bucket, c.key, _ = strings.Cut(strings.TrimPrefix(plain, "/"), "/")
	if c.bucket == "" || c.key == "" {
		return c, badArgument("x-amz-copy-source", header, "Invalid copy source object key")
	}
	return c, nil
}

// openSource opens what c copies, where its conditions hold.
func (s *Server) openSource(c *call) (copySource, *version, readCloser, *apiError) {
	source, refusal := parseCopySource(c.r.Header.Get("X-Amz-Copy-Source"))
	if refusal != nil {
		return source, nil, readCloser{}, refusal
	}
	v, content, refusal := s.store.open(source.bucket, source.key, source.version)
	switch {
	case refusal != nil:
		return source, nil, readCloser{}, refusal
	case v.marker && source.version != "":
		return source, nil, readCloser{},
			errRequest.saying("The source of a copy request may not specifically refer to a delete marker by version id.")
	case v.marker:
		return source, nil, readCloser{}, errNoKey.with("Key", source.key)
	}
	const prefix = "X-Amz-Copy-Source-If-"
	h := c.r.Header
	refusal = v.check(h.Get(prefix+"Match"), h.Get(prefix+"None-Match"), h.Get(prefix+"Modified-Since"), h.Get(prefix+"Unmodified-Since"),
		errPrecondition)
	if refusal != nil {
		_ = content.Close() // opened for reading
		return source, nil, readCloser{}, refusal
	}
	return source, v, readCloser{content, content}, nil
}

// copyObject answers CopyObject.
func (s *Server) copyObject(c *call) *apiError {
	template, refusal := newVersion(c)
	if refusal != nil {
		return refusal
	}
	h := c.r.Header
	replace, refusal := replaces(h, "x-amz-metadata-directive")
	if refusal != nil {
		return refusal
	}
	replaceTags, refusal := replaces(h, "x-amz-tagging-directive")
	if refusal != nil {
		return refusal
	}
	source, from, content, refusal := s.openSource(c)
	if refusal != nil {
		return refusal
	}
	defer func() { _ = content.Close() }() // opened for reading
	if source == (copySource{c.bucket, c.key, ""}) && !replace && h.Get("X-Amz-Storage-Class") == "" {
		return errRequest.saying("This copy request is illegal because it is trying to copy an object to itself without changing the " +
			"object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if !replace {
		template.meta = from.meta
	}
	if !replaceTags {
		template.tags = from.tags
	}
	algorithm := algorithmNamed(h.Get("X-Amz-Checksum-Algorithm"))
	if algorithm == nil && !from.composite {
		algorithm = from.algorithm
	}
	v, err := s.receive(content, from.size, template, newDigests(cmp.Or(algorithm, defaultAlgorithm)))
	if err != nil {
		s.log.Error("objects: copy a body", "key", from.key, "error", err)
		return errInternal
	}
	id, refusal := s.store.put(c.bucket, v, conditions{h.Get("If-Match"), h.Get("If-None-Match")})
	if refusal != nil {
		return refusal
	}
	if id != "" {
		c.w.Header().Set("X-Amz-Version-Id", id)
	}
	if source.version != "" {
		c.w.Header().Set("X-Amz-Copy-Source-Version-Id", from.id)
	}
	x := newXML("CopyObjectResult", xmlNamespace)
	x.time("LastModified", v.modified)
	x.text("ETag", v.etag)
	x.text(v.algorithm.element(), v.checksum)
	x.text("ChecksumType", v.checksumType())
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// replaces reads one of the directives of a copy: COPY, the default, or
// REPLACE.
func replaces(h http.Header, name string) (bool, *apiError) {
	switch value := h.Get(name); value {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, badArgument(name, value, "Unknown directive.")
	}
}

// deleteObject answers DeleteObject.
func (s *Server) deleteObject(c *call) *apiError {
	d := &deletion{key: c.key, version: c.param("versionId"), etag: c.r.Header.Get("If-Match")}
	if refusal := s.store.delete(c.bucket, d); refusal != nil {
		return refusal
	}
	if d.refusal != nil {
		return d.refusal
	}
	h := c.w.Header()
	switch {
	case d.marker != nil:
		h["X-Amz-Delete-Marker"], h["X-Amz-Version-Id"] = []string{"true"}, []string{d.marker.id}
	case d.version != "":
		h["X-Amz-Version-Id"] = []string{d.version}
		if d.removed != nil && d.removed.marker {
			h["X-Amz-Delete-Marker"] = []string{"true"}
		}
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxDeletions is how many objects one DeleteObjects may name.
const maxDeletions = 1000

// deleteRequest is the body of DeleteObjects. encoding/xml takes no character
// that XML cannot hold, and neither does S3.
type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Object  []struct {
		Key     string
		Version string `xml:"VersionId"`
		ETag    string
	}
}

// deleteObjects answers DeleteObjects.
func (s *Server) deleteObjects(c *call) *apiError {
	var request deleteRequest
	if refusal := s.readCheckedXML(c, &request); refusal != nil {
		return refusal
	}
	if len(request.Object) == 0 || len(request.Object) > maxDeletions {
		return errBadXML
	}
	ds := make([]*deletion, len(request.Object))
	for i, o := range request.Object {
		if o.Key == "" {
			return newError(http.StatusBadRequest, "UserKeyMustBeSpecified",
				"The bucket POST must contain the specified field name. If it is specified, check the order of the fields.")
		}
		ds[i] = &deletion{key: o.Key, version: o.Version, etag: o.ETag}
	}
	if refusal := s.store.delete(c.bucket, ds...); refusal != nil {
		return refusal
	}
	x := newXML("DeleteResult", xmlNamespace)
	for _, d := range ds {
		switch {
		case d.refusal != nil:
			x.open("Error")
			x.text("Key", d.key)
			x.optional("VersionId", d.version)
			x.text("Code", d.refusal.code)
			x.text("Message", d.refusal.message)
			x.close("Error")
		case !request.Quiet:
			x.deleted(d)
		}
	}
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

func (x *xmlDocument) deleted(d *deletion) {
	x.open("Deleted")
	x.text("Key", d.key)
	x.optional("VersionId", d.version)
	switch {
	case d.marker != nil:
		x.bool("DeleteMarker", true)
		x.text("DeleteMarkerVersionId", d.marker.id)
	case d.removed != nil && d.removed.marker:
		x.bool("DeleteMarker", true)
		x.text("DeleteMarkerVersionId", d.removed.id)
	}
	x.close("Deleted")
}

// readCheckedXML reads a body that is XML and that has to come with its MD5 or
// a checksum.
func (s *Server) readCheckedXML(c *call, into any) *apiError {
	said, refusal := readChecks(c.r.Header)
	if refusal != nil {
		return refusal
	}
	if said.md5 == nil && said.algorithm == nil {
		return errRequest.saying("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	body, refusal := openBody(c.r, c.signature)
	if refusal != nil {
		return refusal
	}
	d := newDigests(cmp.Or(said.algorithm, defaultAlgorithm))
	if refusal := readXML(c.w, io.TeeReader(body, d), into); refusal != nil {
		return refusal
	}
	return d.check(said, body.trailer())
}
