package objects

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxPartNumber = 10_000
	minPartBytes  = 5 << 20 // of all but the last
)

// multipart is an upload in parts. A completed one stays, without its parts, so
// that a client that missed the answer can ask again.
type multipart struct {
	id, bucket string
	object     *version // as the request that began it describes it
	composite  bool     // the object's checksum is to be one of the parts' checksums
	explicit   bool     // object.algorithm was asked for

	mu    sync.Mutex
	parts map[int]*part
	ended bool       // completed or aborted
	done  *completed // not nil: completed
}

// part is one part of an upload, or of the object that it became.
type part struct {
	number   int
	size     int64
	md5      []byte
	checksum string // base64, of the upload's algorithm
	modified time.Time
	body     body
}

func (p *part) etag() string { return quoted(p.md5) }

// completed is what the completion of an upload answers with.
type completed struct {
	v  *version
	id string // of the version, where it is to be named
}

// free ends the upload and gives back what its parts take.
func (u *multipart) free() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	for _, p := range u.parts {
		p.body.free()
	}
	u.parts = nil
}

// createUpload answers CreateMultipartUpload.
func (s *Server) createUpload(c *call) *apiError {
	object, refusal := newVersion(c)
	if refusal != nil {
		return refusal
	}
	u := &multipart{bucket: c.bucket, object: object, parts: make(map[int]*part)}
	h := c.w.Header()
	if refusal := u.readChecksum(c.r.Header); refusal != nil {
		return refusal
	}
	if u.explicit {
		h["X-Amz-Checksum-Algorithm"] = []string{object.algorithm.name}
		h["X-Amz-Checksum-Type"] = []string{(&version{composite: u.composite}).checksumType()}
	}
	refusal = s.store.edit(c.bucket, func(b *bucket) *apiError {
		s.store.uploadNo++
		u.id = fmt.Sprintf("upload-%016x", s.store.uploadNo)
		b.uploads[u.id] = u
		return nil
	})
	if refusal != nil {
		return refusal
	}
	x := newXML("InitiateMultipartUploadResult", xmlNamespace)
	x.text("Bucket", c.bucket)
	x.text("Key", c.key)
	x.text("UploadId", u.id)
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// readChecksum reads which checksum the object is to have.
func (u *multipart) readChecksum(h http.Header) *apiError {
	name, kind := h.Get("X-Amz-Checksum-Algorithm"), h.Get("X-Amz-Checksum-Type")
	u.object.algorithm = defaultAlgorithm
	if name == "" {
		if kind != "" {
			return errRequest.saying("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return nil
	}
	a := algorithmNamed(name)
	if a == nil {
		return errRequest.saying("Checksum algorithm provided is unsupported. Please try again with any of the valid types: " +
			"[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	}
	u.explicit, u.object.algorithm, u.composite = true, a, a.composite
	switch kind {
	case "":
	case "COMPOSITE":
		u.composite = true
	case "FULL_OBJECT":
		u.composite = false
	default:
		return badArgument("x-amz-checksum-type", kind, "Value for x-amz-checksum-type header is invalid.")
	}
	sha := strings.HasPrefix(a.name, "SHA")
	if u.composite && a.fullOnly || !u.composite && sha {
		return errRequest.saying("The %s checksum type cannot be used with the %s checksum algorithm.", kind, strings.ToLower(a.name))
	}
	return nil
}

// findUpload gives the upload that c names.
func (s *Server) findUpload(c *call) (u *multipart, refusal *apiError) {
	id := c.param("uploadId")
	refusal = s.store.view(c.bucket, func(b *bucket) *apiError {
		if u = b.uploads[id]; u == nil || u.object.key != c.key {
			return errNoUpload.with("UploadId", id)
		}
		return nil
	})
	return u, refusal
}

// putPart answers UploadPart, and UploadPartCopy.
func (s *Server) putPart(c *call) *apiError {
	number, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil || number < 1 || number > maxPartNumber {
		return badArgument("partNumber", c.query.Get("partNumber"), "Part number must be an integer between 1 and 10000, inclusive")
	}
	u, refusal := s.findUpload(c)
	if refusal != nil {
		return refusal
	}
	if c.r.Header.Get("X-Amz-Copy-Source") != "" {
		return s.copyPart(c, u, number)
	}
	v, refusal := s.receiveBody(c, &version{key: c.key, algorithm: u.object.algorithm})
	if refusal != nil {
		return refusal
	}
	if u.explicit && v.algorithm != u.object.algorithm {
		v.free()
		return errRequest.saying("Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
			strings.ToLower(u.object.algorithm.name), strings.ToLower(v.algorithm.name))
	}
	p, refusal := u.add(number, v)
	if refusal != nil {
		return refusal
	}
	h := c.w.Header()
	h["Etag"] = []string{p.etag()}
	h[v.algorithm.header()] = []string{v.checksum}
	return nil
}

// add makes what was received the part of that number.
func (u *multipart) add(number int, v *version) (*part, *apiError) {
	p := &part{number: number, size: v.size, md5: v.md5, checksum: v.checksum, modified: time.Now(), body: v.body}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		v.free()
		return nil, errNoUpload.with("UploadId", u.id)
	}
	if old := u.parts[number]; old != nil {
		old.body.free()
	}
	u.parts[number] = p
	return p, nil
}

// copyPart answers UploadPartCopy.
func (s *Server) copyPart(c *call, u *multipart, number int) *apiError {
	source, from, content, refusal := s.openSource(c)
	if refusal != nil {
		return refusal
	}
	defer func() { _ = content.Close() }() // opened for reading
	var input io.Reader = content
	size := from.size
	if header := c.r.Header.Get("X-Amz-Copy-Source-Range"); header != "" {
		first, last, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
		offset, length, parsed := parseRange(header, from.size)
		if !ok || !parsed || first == "" || last == "" {
			return badArgument("x-amz-copy-source-range", header, "The x-amz-copy-source-range value must be of the form bytes=first-last "+
				"where first and last are the zero-based offsets of the first and last bytes to copy")
		}
		if position(last) >= from.size {
			return badArgument("x-amz-copy-source-range", header, "Range specified is not valid for source object of size: %d", from.size)
		}
		if _, err := io.CopyN(io.Discard, content, offset); err != nil {
			return errInternal
		}
		input, size = io.LimitReader(content, length), length
	}
	v, err := s.receive(input, size, &version{key: c.key}, newDigests(u.object.algorithm))
	if err != nil {
		s.log.Error("objects: copy a part", "key", c.key, "error", err)
		return errInternal
	}
	p, refusal := u.add(number, v)
	if refusal != nil {
		return refusal
	}
	if source.version != "" {
		c.w.Header().Set("X-Amz-Copy-Source-Version-Id", from.id)
	}
	x := newXML("CopyPartResult", xmlNamespace)
	x.time("LastModified", p.modified)
	x.text("ETag", p.etag())
	x.text(u.object.algorithm.element(), p.checksum)
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// completeRequest is the body of CompleteMultipartUpload.
type completeRequest struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Part    []struct {
		PartNumber        int
		ETag              string
		ChecksumCRC32     string
		ChecksumCRC32C    string
		ChecksumCRC64NVME string
		ChecksumSHA1      string
		ChecksumSHA256    string
	}
}

// completeUpload answers CompleteMultipartUpload.
func (s *Server) completeUpload(c *call) *apiError {
	u, refusal := s.findUpload(c)
	if refusal != nil {
		return refusal
	}
	body, refusal := openBody(c.r, c.signature)
	if refusal != nil {
		return refusal
	}
	var request completeRequest
	if refusal := readXML(c.w, body, &request); refusal != nil {
		return refusal
	}
	done, refusal := u.complete(s, request, c.r.Header)
	if refusal != nil {
		return refusal
	}
	if done.id != "" {
		c.w.Header().Set("X-Amz-Version-Id", done.id)
	}
	x := newXML("CompleteMultipartUploadResult", xmlNamespace)
	x.text("Location", s.url+"/"+c.bucket+"/"+encodeKey(c.key))
	x.text("Bucket", c.bucket)
	x.text("Key", c.key)
	x.text("ETag", done.v.etag)
	x.text(done.v.algorithm.element(), done.v.checksum)
	x.text("ChecksumType", done.v.checksumType())
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// complete puts the object; once it is there, it says so again.
func (u *multipart) complete(s *Server, request completeRequest, h http.Header) (*completed, *apiError) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done != nil {
		return u.done, nil
	}
	if u.ended {
		return nil, errNoUpload.with("UploadId", u.id)
	}
	parts, refusal := u.chosen(request)
	if refusal != nil {
		return nil, refusal
	}
	v, err := u.assemble(parts)
	if err != nil {
		s.log.Error("objects: read the parts", "key", u.object.key, "error", err)
		return nil, errInternal
	}
	if size := h.Get("X-Amz-Mp-Object-Size"); size != "" && size != strconv.FormatInt(v.size, 10) {
		return nil, errRequest.saying("The provided 'x-amz-mp-object-size' header value %s does not match what was computed: %d", size, v.size)
	}
	if said := h.Get(v.algorithm.header()); said != "" && said != v.checksum {
		return nil, errBadDigest.saying("The %s you specified did not match the calculated checksum.", v.algorithm.name)
	}
	id, refusal := s.store.putKeeping(u.bucket, v, conditions{h.Get("If-Match"), h.Get("If-None-Match")})
	if refusal != nil {
		return nil, refusal
	}
	for _, p := range parts {
		delete(u.parts, p.number)
	}
	for _, p := range u.parts { // those that the object has not taken
		p.body.free()
	}
	u.parts, u.ended, u.done = nil, true, &completed{v, id}
	return u.done, nil
}

// chosen gives the parts that the request names, which have to be there, in
// order, and large enough.
func (u *multipart) chosen(request completeRequest) ([]*part, *apiError) {
	if len(request.Part) == 0 {
		return nil, errBadXML
	}
	parts := make([]*part, len(request.Part))
	for i, named := range request.Part {
		if i > 0 && named.PartNumber <= request.Part[i-1].PartNumber {
			return nil, errPartOrder
		}
		p := u.parts[named.PartNumber]
		wrong := errInvalidPart.with("UploadId", u.id).with("PartNumber", strconv.Itoa(named.PartNumber)).with("ETag", named.ETag)
		if p == nil || strings.Trim(named.ETag, `"`) != strings.Trim(p.etag(), `"`) {
			return nil, wrong
		}
		said := cmp.Or(named.ChecksumCRC32, named.ChecksumCRC32C, named.ChecksumCRC64NVME, named.ChecksumSHA1, named.ChecksumSHA256)
		if u.explicit && said != "" && said != p.checksum {
			return nil, wrong
		}
		parts[i] = p
	}
	for _, p := range parts[:len(parts)-1] {
		if p.size < minPartBytes {
			return nil, errTooSmall.with("ProposedSize", strconv.FormatInt(p.size, 10)).
				with("MinSizeAllowed", strconv.Itoa(minPartBytes)).
				with("PartNumber", strconv.Itoa(p.number)).with("ETag", p.etag())
		}
	}
	return parts, nil
}

// assemble makes the object of its parts. Its ETag is the MD5 of theirs, with
// their number.
func (u *multipart) assemble(parts []*part) (*version, error) {
	v := *u.object
	v.parts, v.body, v.composite, v.modified = parts, joinedBody(parts), u.composite, time.Now()
	all, checksums := md5.New(), v.algorithm.make()
	for _, p := range parts {
		v.size += p.size
		all.Write(p.md5)
		sum, err := base64.StdEncoding.DecodeString(p.checksum)
		if err != nil {
			return nil, err
		}
		checksums.Write(sum)
	}
	suffix := "-" + strconv.Itoa(len(parts))
	v.etag = strings.TrimSuffix(quoted(all.Sum(nil)), `"`) + suffix + `"`
	if v.composite {
		v.checksum = base64.StdEncoding.EncodeToString(checksums.Sum(nil)) + suffix
		return v.finish(), nil
	}
	var err error
	v.checksum, err = checksumOf(&v)
	return v.finish(), err
}

// abortUpload answers AbortMultipartUpload.
func (s *Server) abortUpload(c *call) *apiError {
	u, refusal := s.findUpload(c)
	if refusal != nil {
		return refusal
	}
	u.mu.Lock()
	ended := u.ended
	u.mu.Unlock()
	if ended {
		return errNoUpload.with("UploadId", u.id)
	}
	u.free()
	refusal = s.store.edit(c.bucket, func(b *bucket) *apiError {
		delete(b.uploads, u.id)
		return nil
	})
	if refusal != nil {
		return refusal
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// listParts answers ListParts.
func (s *Server) listParts(c *call) *apiError {
	u, refusal := s.findUpload(c)
	if refusal != nil {
		return refusal
	}
	limit, refusal := countParameter(c.query, "max-parts", maxPage)
	if refusal != nil {
		return refusal
	}
	marker := 0
	if c.query.Get("part-number-marker") != "" {
		if marker, refusal = countParameter(c.query, "part-number-marker", maxPartNumber); refusal != nil {
			return refusal
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return errNoUpload.with("UploadId", u.id)
	}
	x := newXML("ListPartsResult", xmlNamespace)
	x.text("Bucket", c.bucket)
	x.text("Key", c.key)
	x.text("UploadId", u.id)
	x.owner("Initiator")
	x.owner("Owner")
	x.text("StorageClass", "STANDARD")
	x.int("PartNumberMarker", int64(marker))
	x.int("MaxParts", int64(limit))
	numbers := slices.DeleteFunc(slices.Sorted(maps.Keys(u.parts)), func(n int) bool { return n <= marker })
	page := numbers[:min(limit, len(numbers))]
	if len(page) < len(numbers) && len(page) > 0 {
		x.int("NextPartNumberMarker", int64(page[len(page)-1]))
	}
	x.bool("IsTruncated", len(page) < len(numbers) && limit > 0)
	if u.explicit {
		x.text("ChecksumAlgorithm", u.object.algorithm.name)
	}
	for _, n := range page {
		p := u.parts[n]
		x.open("Part")
		x.int("PartNumber", int64(n))
		x.time("LastModified", p.modified)
		x.text("ETag", p.etag())
		x.int("Size", p.size)
		if u.explicit {
			x.text(u.object.algorithm.element(), p.checksum)
		}
		x.close("Part")
	}
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// underWay gives those of all that are under way and have the prefix, by key
// and age. subtle: the store's lock must not be held, for a completion takes it
// while it holds an upload's.
func underWay(all []*multipart, prefix string) []*multipart {
	all = slices.DeleteFunc(all, func(u *multipart) bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.ended || !strings.HasPrefix(u.object.key, prefix)
	})
	slices.SortFunc(all, func(x, y *multipart) int {
		return cmp.Or(cmp.Compare(x.object.key, y.object.key), cmp.Compare(x.id, y.id))
	})
	return all
}

// listUploads answers ListMultipartUploads.
func (s *Server) listUploads(c *call) *apiError {
	q := c.query
	encode, refusal := encoder(q)
	if refusal != nil {
		return refusal
	}
	limit, refusal := countParameter(q, "max-uploads", maxPage)
	if refusal != nil {
		return refusal
	}
	var all []*multipart
	refusal = s.store.view(c.bucket, func(b *bucket) *apiError {
		all = slices.Collect(maps.Values(b.uploads))
		return nil
	})
	if refusal != nil {
		return refusal
	}
	page := uploadPage(underWay(all, q.Get("prefix")), q, limit, encode)
	x := newXML("ListMultipartUploadsResult", xmlNamespace)
	x.text("Bucket", c.bucket)
	x.text("KeyMarker", encode(q.Get("key-marker")))
	x.text("UploadIdMarker", q.Get("upload-id-marker"))
	if page.truncated {
		x.text("NextKeyMarker", encode(page.lastKey))
		x.text("NextUploadIdMarker", page.lastID)
	}
	x.text("Prefix", encode(q.Get("prefix")))
	x.optional("Delimiter", encode(q.Get("delimiter")))
	x.optional("EncodingType", q.Get("encoding-type"))
	x.int("MaxUploads", int64(limit))
	x.bool("IsTruncated", page.truncated)
	x.page(&page)
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// uploadPage writes one page of uploads.
func uploadPage(all []*multipart, q url.Values, limit int, encode func(string) string) (page xmlPage) {
	prefix, delimiter, key, id := q.Get("prefix"), q.Get("delimiter"), q.Get("key-marker"), q.Get("upload-id-marker")
	for _, u := range all {
		if u.object.key < key || u.object.key == key && (id == "" || u.id <= id) {
			continue
		}
		common := ""
		if i := strings.Index(u.object.key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			common = u.object.key[:len(prefix)+i+len(delimiter)]
			if common == page.lastKey || common == key {
				continue
			}
		}
		if page.n == limit {
			page.truncated = limit > 0
			return page
		}
		page.n++
		if common != "" {
			page.lastKey, page.lastID = common, ""
			page.folded.prefix(encode(common))
			continue
		}
		page.lastKey, page.lastID = u.object.key, u.id
		x := &page.entries
		x.open("Upload")
		x.text("Key", encode(u.object.key))
		x.text("UploadId", u.id)
		x.owner("Initiator")
		x.owner("Owner")
		x.text("StorageClass", "STANDARD")
		x.time("Initiated", u.object.modified)
		x.close("Upload")
	}
	return page
}
