package objects

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxPage is how many keys, versions, uploads or parts one page lists.
const maxPage = 1000

// countParameter reads a parameter that is a number; most is what a larger one
// is taken for, and what it is where it is left out.
func countParameter(q url.Values, name string, most int) (int, *apiError) {
	text := q.Get(name)
	if text == "" {
		return most, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, badArgument(name, text, "Provided %s not an integer or within integer range", name)
	}
	if n < 0 {
		return 0, badArgument(name, text, "Argument %s must be an integer between 0 and 2147483647", name)
	}
	return min(int(n), most), nil
}

// encoder gives what keys are written with, by encoding-type.
func encoder(q url.Values) (func(string) string, *apiError) {
	switch e := q.Get("encoding-type"); e {
	case "":
		return func(s string) string { return s }, nil
	case "url":
		return encodeKey, nil
	default:
		return nil, badArgument("encoding-type", e, "Invalid Encoding Method specified in Request")
	}
}

// listBuckets answers ListBuckets.
func (s *Server) listBuckets(c *call) *apiError {
	x := newXML("ListAllMyBucketsResult", xmlNamespace)
	x.owner("Owner")
	x.open("Buckets")
	prefix := c.query.Get("prefix")
	for _, b := range s.store.list() {
		if !strings.HasPrefix(b.name, prefix) {
			continue
		}
		x.open("Bucket")
		x.text("Name", b.name)
		x.time("CreationDate", b.created)
		x.close("Bucket")
	}
	x.close("Buckets")
	x.write(c.w, c.r, 200)
	return nil
}

// objectList is a ListObjects request of either version.
type objectList struct {
	listing
	second bool // ListObjectsV2
	token  *string
	encode func(string) string
}

func readObjectList(q url.Values) (l objectList, refusal *apiError) {
	l.prefix, l.delimiter = q.Get("prefix"), q.Get("delimiter")
	if l.encode, refusal = encoder(q); refusal != nil {
		return l, refusal
	}
	if l.limit, refusal = countParameter(q, "max-keys", maxPage); refusal != nil {
		return l, refusal
	}
	switch version := q.Get("list-type"); version {
	case "":
		l.after = q.Get("marker")
		return l, nil
	case "2":
		l.second = true
	default:
		return l, badArgument("list-type", version, "Invalid list-type")
	}
	l.after = q.Get("start-after")
	if q.Has("continuation-token") {
		token := q.Get("continuation-token")
		l.token = &token
		if token != "" {
			key, err := base64.URLEncoding.DecodeString(token)
			if err != nil || len(key) == 0 {
				return l, badArgument("continuation-token", token, "The continuation token provided is incorrect")
			}
			l.after = string(key)
		}
	}
	return l, nil
}

// contentsBytes is what an object takes in a listing, or a little more.
const contentsBytes = 384

// listObjects answers ListObjects and ListObjectsV2.
func (s *Server) listObjects(c *call) *apiError {
	l, refusal := readObjectList(c.query)
	if refusal != nil {
		return refusal
	}
	page := xmlPage{limit: l.limit, encode: l.encode, entries: xmlDocument{b: make([]byte, 0, l.limit*contentsBytes)}}
	withOwner := !l.second || c.query.Get("fetch-owner") == "true"
	refusal = s.store.view(c.bucket, func(b *bucket) *apiError {
		page.truncated = b.page(l.listing, func(key string, versions []*version) bool {
			page.n, page.lastKey = page.n+1, key
			if versions == nil {
				page.folded.prefix(l.encode(key))
			} else {
				page.entries.contents(l.encode(key), latest(versions), withOwner)
			}
			return true
		})
		return nil
	})
	if refusal != nil {
		return refusal
	}
	x := newXML("ListBucketResult", xmlNamespace)
	x.text("Name", c.bucket)
	if l.second {
		x.text("Prefix", l.encode(l.prefix))
		x.optional("StartAfter", l.encode(c.query.Get("start-after")))
		if l.token != nil {
			x.text("ContinuationToken", *l.token)
		}
		x.int("KeyCount", int64(page.n))
		if page.truncated {
			x.text("NextContinuationToken", base64.URLEncoding.EncodeToString([]byte(page.lastKey)))
		}
	} else {
		x.text("Prefix", l.prefix) // S3 leaves it as it is here, and only here
		x.text("Marker", l.encode(l.after))
		if page.truncated && l.delimiter != "" {
			x.text("NextMarker", l.encode(page.lastKey))
		}
	}
	x.int("MaxKeys", int64(l.limit))
	x.optional("Delimiter", l.encode(l.delimiter))
	x.optional("EncodingType", c.query.Get("encoding-type"))
	x.bool("IsTruncated", page.truncated)
	x.page(&page)
	x.write(c.w, c.r, 200)
	return nil
}

// contents writes an object in a list.
func (x *xmlDocument) contents(key string, v *version, withOwner bool) {
	x.open("Contents")
	x.text("Key", key)
	x.time("LastModified", v.modified)
	x.text("ETag", v.etag)
	if v.algorithm != nil {
		x.text("ChecksumAlgorithm", v.algorithm.name)
		x.text("ChecksumType", v.checksumType())
	}
	x.int("Size", v.size)
	if withOwner {
		x.owner("Owner")
	}
	x.text("StorageClass", "STANDARD")
	x.close("Contents")
}

// page writes what a list has collected.
func (x *xmlDocument) page(p *xmlPage) { x.b = slices.Concat(x.b, p.entries.b, p.folded.b) }

// prefix writes one of the common prefixes.
func (x *xmlDocument) prefix(common string) {
	x.open("CommonPrefixes")
	x.text("Prefix", common)
	x.close("CommonPrefixes")
}

// listVersions answers ListObjectVersions.
func (s *Server) listVersions(c *call) *apiError {
	q := c.query
	encode, refusal := encoder(q)
	if refusal != nil {
		return refusal
	}
	limit, refusal := countParameter(q, "max-keys", maxPage)
	if refusal != nil {
		return refusal
	}
	keyMarker, idMarker := q.Get("key-marker"), q.Get("version-id-marker")
	if q.Has("version-id-marker") && (idMarker == "" || keyMarker == "") {
		return badArgument("version-id-marker", idMarker, "A version-id marker cannot be specified without a key marker.")
	}
	l := xmlPage{limit: limit, encode: encode}
	refusal = s.store.view(c.bucket, func(b *bucket) *apiError {
		l.collect(b, listing{prefix: q.Get("prefix"), delimiter: q.Get("delimiter"), after: keyMarker, limit: limit, deleted: true}, idMarker)
		return nil
	})
	if refusal != nil {
		return refusal
	}
	x := newXML("ListVersionsResult", xmlNamespace)
	x.text("Name", c.bucket)
	x.text("Prefix", encode(q.Get("prefix")))
	x.text("KeyMarker", encode(keyMarker))
	x.text("VersionIdMarker", idMarker)
	if l.truncated {
		x.text("NextKeyMarker", encode(l.lastKey))
		x.optional("NextVersionIdMarker", l.lastID)
	}
	x.int("MaxKeys", int64(limit))
	x.optional("Delimiter", encode(q.Get("delimiter")))
	x.optional("EncodingType", q.Get("encoding-type"))
	x.bool("IsTruncated", l.truncated)
	x.page(&l)
	x.write(c.w, c.r, 200)
	return nil
}

// xmlPage is one page of a list, as XML.
type xmlPage struct {
	limit           int
	encode          func(string) string
	n               int
	lastKey, lastID string // of the page
	truncated       bool
	entries, folded xmlDocument
}

// collect fills the page. It can begin, and end, among the versions of one key.
func (l *xmlPage) collect(b *bucket, from listing, idMarker string) {
	if l.limit == 0 {
		return
	}
	if idMarker != "" && strings.HasPrefix(from.after, from.prefix) {
		versions := b.versions(from.after)
		i := slices.IndexFunc(versions, func(v *version) bool { return v.id == idMarker })
		// one deleted since then does not hide those older than it
		if i >= 0 {
			versions = versions[:i]
		}
		if !l.add(versions, i >= 0) {
			l.truncated = true
			return
		}
	}
	l.truncated = b.page(from, func(key string, versions []*version) bool {
		if versions != nil {
			return l.add(versions, false)
		}
		if l.n == l.limit {
			return false
		}
		l.folded.prefix(l.encode(key))
		l.n, l.lastKey, l.lastID = l.n+1, key, ""
		return true
	})
}

// add lists the versions of one key, the newest first; false: they do not all
// fit. older says that there is a newer one than these.
func (l *xmlPage) add(versions []*version, older bool) bool {
	for i, v := range slices.Backward(versions) {
		if l.n == l.limit {
			return false
		}
		l.n, l.lastKey, l.lastID = l.n+1, v.key, v.id
		name := "Version"
		if v.marker {
			name = "DeleteMarker"
		}
		x := &l.entries
		x.open(name)
		x.text("Key", l.encode(v.key))
		x.text("VersionId", v.id)
		x.bool("IsLatest", i == len(versions)-1 && !older)
		x.time("LastModified", v.modified)
		if !v.marker {
			x.text("ETag", v.etag)
			x.int("Size", v.size)
			x.text("StorageClass", "STANDARD")
		}
		x.owner("Owner")
		x.close(name)
	}
	return true
}
