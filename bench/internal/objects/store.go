package objects

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"
)

// store keeps buckets, their objects and the versions of those. An object is
// looked for among those that were put, and then among those that are
// generated.
type store struct {
	bodies    bodies
	mu        sync.RWMutex
	buckets   map[string]*bucket
	versionNo uint64
	uploadNo  uint64
}

// The versioning of a bucket, as in its configuration.
const (
	unversioned         = ""
	versioningEnabled   = "Enabled"
	versioningSuspended = "Suspended"
)

type bucket struct {
	created    time.Time
	versioning string
	// objects are the versions of each key that was touched, oldest first.
	// None at all: the key was deleted, though it is one of generated.
	objects   btree.Map[string, []*version]
	generated []*generated
	uploads   map[string]*multipart
	kept      *keeper // nil: its objects end with the server
}

// nullVersion is the id of what was put while a bucket had no versioning.
const nullVersion = "null"

// version is one version of one object. Nothing of it changes but its tags.
type version struct {
	key       string
	id        string // nullVersion, or one that sorts after all older ones
	marker    bool   // a delete marker: no body
	modified  time.Time
	size      int64
	etag      string // quoted
	md5       []byte // of what was just received
	meta      http.Header
	tags      []tag
	algorithm *checksumAlgorithm
	checksum  string // base64; of several parts, with their number
	composite bool   // checksum is one of the parts' checksums
	parts     []*part
	body      body
	// What a GET of the whole answers with, made once.
	header, checksumHeader http.Header
}

func newStore(dir string, memory int64) *store {
	return &store{bodies: bodies{dir: dir, limit: memory}, buckets: make(map[string]*bucket)}
}

// finish sets what follows from the other fields.
func (v *version) finish() *version {
	v.header = make(http.Header, len(v.meta)+5)
	for name, values := range v.meta {
		v.header[name] = values
	}
	if len(v.header["Content-Type"]) == 0 {
		v.header["Content-Type"] = []string{"binary/octet-stream"}
	}
	v.header["Last-Modified"] = []string{v.modified.UTC().Format(http.TimeFormat)}
	v.header["Etag"] = []string{v.etag}
	v.header["Accept-Ranges"] = []string{"bytes"}
	v.header["Content-Length"] = []string{strconv.FormatInt(v.size, 10)}
	if v.algorithm != nil && v.checksum != "" {
		v.checksumHeader = http.Header{v.algorithm.header(): {v.checksum}, "X-Amz-Checksum-Type": {v.checksumType()}}
	}
	return v
}

func (v *version) checksumType() string {
	if v.composite {
		return "COMPOSITE"
	}
	return "FULL_OBJECT"
}

// free gives back what the body takes, if there is one.
func (v *version) free() {
	if v.body != nil {
		v.body.free()
	}
}

func quoted(sum []byte) string { return `"` + hex.EncodeToString(sum) + `"` }

func latest(versions []*version) *version {
	if len(versions) == 0 || versions[len(versions)-1].marker {
		return nil
	}
	return versions[len(versions)-1]
}

// bucket gives a bucket by name. s.mu is held.
func (s *store) bucket(name string) (*bucket, *apiError) {
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, errNoBucket.with("BucketName", name)
}

// versions gives the versions of a key, oldest first; of a generated object
// that was never touched, the one there is. s.mu is held.
func (b *bucket) versions(key string) []*version {
	if versions, ok := b.objects.Get(key); ok {
		return versions
	}
	for _, g := range b.generated {
		if i, ok := g.index(key); ok {
			return []*version{g.version(i, key)}
		}
	}
	return nil
}

// set replaces the versions of a key. s.mu is held.
func (b *bucket) set(key string, versions []*version) {
	if len(versions) == 0 && !slices.ContainsFunc(b.generated, func(g *generated) bool { _, ok := g.index(key); return ok }) {
		b.objects.Delete(key)
		return
	}
	b.objects.Set(key, versions)
}

// find gives the version of a key with that id; "": the newest. versioned says
// that the answer has to name the version.
func (s *store) find(bucketName, key, id string) (v *version, versioned bool, refusal *apiError) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, refusal := s.bucket(bucketName)
	if refusal != nil {
		return nil, false, refusal
	}
	versioned = b.versioning != unversioned
	versions := b.versions(key)
	if id != "" {
		i := slices.IndexFunc(versions, func(v *version) bool { return v.id == id })
		if i < 0 {
			return nil, versioned, errNoVersion.with("Key", key).with("VersionId", id)
		}
		return versions[i], versioned, nil
	}
	if len(versions) == 0 {
		return nil, versioned, errNoKey.with("Key", key)
	}
	return versions[len(versions)-1], versioned, nil
}

// open finds an object and opens its body.
func (s *store) open(bucketName, key, id string) (*version, io.ReadCloser, *apiError) {
	for range openAttempts {
		v, _, refusal := s.find(bucketName, key, id)
		if refusal != nil || v.marker {
			return v, nil, refusal
		}
		r, err := v.body.open(0, v.size)
		if err == nil {
			return v, r, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return nil, nil, errInternal
}

// conditions are those of a write.
type conditions struct{ ifMatch, ifNoneMatch string }

// hold says whether a write over old, nil where there is nothing, may be done.
func (c conditions) hold(key string, old *version) *apiError {
	switch {
	case c.ifMatch != "" && old == nil:
		return errNoKey.with("Key", key)
	case c.ifMatch != "" && !etagMatches(c.ifMatch, old.etag):
		return errPrecondition.with("Condition", "If-Match")
	case c.ifNoneMatch != "" && old != nil && etagMatches(c.ifNoneMatch, old.etag):
		return errPrecondition.with("Condition", "If-None-Match")
	}
	return nil
}

// etagMatches says whether one of the list, or *, is etag.
func etagMatches(list, etag string) bool {
	for each := range strings.SplitSeq(list, ",") {
		each = strings.TrimPrefix(strings.TrimSpace(each), "W/")
		if each == "*" || strings.Trim(each, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}

// put makes v the newest version of its key, where the conditions hold; else
// it frees v's body. id is that of the version where the answer has to name it.
func (s *store) put(bucketName string, v *version, c conditions) (id string, refusal *apiError) {
	if id, refusal = s.putKeeping(bucketName, v, c); refusal != nil {
		v.free()
	}
	return id, refusal
}

// putKeeping is put that leaves v's body where it is refused.
func (s *store) putKeeping(bucketName string, v *version, c conditions) (id string, refusal *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, refusal := s.bucket(bucketName)
	if refusal == nil {
		refusal = c.hold(v.key, latest(b.versions(v.key)))
	}
	if refusal == nil && b.kept.put(v) != nil {
		refusal = errInternal
	}
	if refusal != nil {
		return "", refusal
	}
	s.add(b, v)
	if b.versioning == unversioned {
		return "", nil
	}
	return v.id, nil
}

// add makes v the newest version of its key. s.mu is held.
func (s *store) add(b *bucket, v *version) {
	versions := b.versions(v.key)
	if b.versioning == versioningEnabled {
		s.versionNo++
		v.id = fmt.Sprintf("v%016x", s.versionNo)
	} else {
		v.id = nullVersion
		versions = without(versions, nullVersion)
	}
	b.set(v.key, append(versions, v)) // nobody reads versions without the lock
}

// without gives versions but for the one with that id, whose body it frees.
func without(versions []*version, id string) []*version {
	return slices.DeleteFunc(slices.Clone(versions), func(v *version) bool {
		if v.id != id {
			return false
		}
		v.free()
		return true
	})
}

// deletion is one object that is to be deleted, and what became of it.
type deletion struct {
	key, version string
	etag         string   // that it must have; "": any
	removed      *version // the version taken away, if one was named
	marker       *version // the delete marker put in its place
	refusal      *apiError
}

// delete deletes each of ds in order and notes what became of it.
func (s *store) delete(bucketName string, ds ...*deletion) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, refusal := s.bucket(bucketName)
	if refusal != nil {
		return refusal
	}
	for _, d := range ds {
		if d.etag != "" {
			if d.refusal = (conditions{ifMatch: d.etag}).hold(d.key, latest(b.versions(d.key))); d.refusal != nil {
				continue
			}
		}
		if b.kept.delete(d.key) != nil {
			d.refusal = errInternal
			continue
		}
		switch {
		case d.version != "":
			d.removed = b.removeVersion(d.key, d.version)
		case b.versioning == unversioned:
			b.set(d.key, without(b.versions(d.key), nullVersion))
		default:
			d.marker = &version{key: d.key, marker: true, modified: time.Now()}
			s.add(b, d.marker)
		}
	}
	return nil
}

// removeVersion takes one version away for good, and returns it if there was
// one. s.mu is held.
func (b *bucket) removeVersion(key, id string) (removed *version) {
	versions := b.versions(key)
	i := slices.IndexFunc(versions, func(v *version) bool { return v.id == id })
	if i < 0 {
		return nil
	}
	removed = versions[i]
	b.set(key, without(versions, id))
	return removed
}

// createBucket makes an empty bucket; it is errBucketIsOurs where it exists.
func (s *store) createBucket(name string) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return errBucketIsOurs.with("BucketName", name)
	}
	s.buckets[name] = &bucket{created: time.Now(), uploads: make(map[string]*multipart)}
	return nil
}

// deleteBucket takes an empty bucket away, and the uploads that were not
// completed with it.
func (s *store) deleteBucket(name string) *apiError {
	var uploads map[string]*multipart
	refusal := s.edit(name, func(b *bucket) *apiError {
		if c := b.cursor(""); c.valid() {
			return errBucketFull.with("BucketName", name)
		}
		uploads = b.uploads
		delete(s.buckets, name)
		return nil
	})
	for _, u := range uploads {
		u.free()
	}
	return refusal
}

// bucketInfo is a bucket in a list of them.
type bucketInfo struct {
	name    string
	created time.Time
}

// list gives the buckets, by name.
func (s *store) list() []bucketInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]bucketInfo, 0, len(s.buckets))
	for name, b := range s.buckets {
		all = append(all, bucketInfo{name, b.created})
	}
	slices.SortFunc(all, func(x, y bucketInfo) int { return cmp.Compare(x.name, y.name) })
	return all
}

// edit does something with a bucket, alone.
func (s *store) edit(bucketName string, do func(b *bucket) *apiError) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, refusal := s.bucket(bucketName)
	if refusal != nil {
		return refusal
	}
	return do(b)
}

// view does something with a bucket that changes nothing.
func (s *store) view(bucketName string, do func(b *bucket) *apiError) *apiError {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, refusal := s.bucket(bucketName)
	if refusal != nil {
		return refusal
	}
	return do(b)
}
