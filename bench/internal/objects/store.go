package objects

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rclone/gofakes3"
	"github.com/tidwall/btree"
)

// store keeps buckets, their objects and the versions of those: the backend
// of gofakes3. That of its own, s3mem, does for buckets without versions, but
// lists deleted objects, does not page through versions and keeps every body
// in memory.
type store struct {
	dir       string // spilled bodies
	memory    int64  // most bytes of bodies in memory
	used      atomic.Int64
	spilled   atomic.Int64 // names the next file
	mu        sync.RWMutex
	buckets   map[string]*bucket
	versionNo uint64
}

var (
	_ gofakes3.Backend          = (*store)(nil)
	_ gofakes3.VersionedBackend = (*store)(nil)
)

type bucket struct {
	created    time.Time
	versioning gofakes3.VersioningStatus
	objects    btree.Map[string, []*version] // oldest first, never empty
}

// nullVersion is the id of what was put while a bucket had no versioning.
// gofakes3 takes «null» in a query for no version at all, so that the handler
// writes nullAlias there.
const (
	nullVersion = "null"
	nullAlias   = "null-version"
)

// version is one version of one object; only its body's file ever goes away.
type version struct {
	key      string
	id       string // nullVersion, or one that sorts after all older ones
	marker   bool   // a delete marker: no body
	modified time.Time
	size     int64
	md5      []byte
	etag     string // quoted
	meta     map[string]string
	header   http.Header // of a GET's answer
	checksum http.Header // what a GET that asks for checksums gets beside
	mem      []byte      // the body, unless in file
	file     string
}

func newStore(dir string, memory int64) *store {
	return &store{dir: dir, memory: memory, buckets: make(map[string]*bucket)}
}

func latest(versions []*version) *version {
	if len(versions) == 0 || versions[len(versions)-1].marker {
		return nil
	}
	return versions[len(versions)-1]
}

// current gives the object a plain GET reads. err is an [apiError] where there
// is none. versioned tells that the answer has to name its version.
func (s *store) current(bucketName, key string) (v *version, versioned bool, err *apiError) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucketName]
	if b == nil {
		return nil, false, errNoBucket
	}
	versions, _ := b.objects.Get(key)
	if v = latest(versions); v == nil {
		return nil, b.versioning != gofakes3.VersioningNone, errNoSuchKey
	}
	return v, b.versioning != gofakes3.VersioningNone, nil
}

// open gives the body, or a range of it.
func (v *version) open(r *gofakes3.ObjectRange) (io.ReadCloser, error) {
	start, length := int64(0), v.size
	if r != nil {
		start, length = r.Start, r.Length
	}
	if v.file == "" {
		return io.NopCloser(bytes.NewReader(v.mem[start : start+length])), nil
	}
	f, err := os.Open(v.file)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, start, length), f}, nil
}

func (v *version) object(b *bucket, request *gofakes3.ObjectRangeRequest, body bool) (*gofakes3.Object, error) {
	o := &gofakes3.Object{Name: v.key, Metadata: v.meta, Size: v.size, Hash: v.md5, IsDeleteMarker: v.marker, Contents: http.NoBody}
	if b.versioning != gofakes3.VersioningNone {
		o.VersionID = gofakes3.VersionID(v.id)
	}
	if !body || v.marker {
		return o, nil
	}
	var err error
	if o.Range, err = request.Range(v.size); err != nil {
		return nil, err
	}
	o.Contents, err = v.open(o.Range)
	return o, err
}

// forget gives back what a version's body took.
func (s *store) forget(v *version) {
	if v.file != "" {
		_ = os.Remove(v.file) // Close removes the folder; readers keep it open
		return
	}
	s.used.Add(-int64(len(v.mem)))
}

type checksumAlgorithmKey struct{}

// headVersionKey is the context's key for the version that a HEAD is for.
type headVersionKey struct{}

var crc64NVME = crc64.MakeTable(0x9a6c_9329_ac4b_c9b5)

// receive reads a body into a version, in memory or, past the limit, a file.
func (s *store) receive(ctx context.Context, key string, meta map[string]string, input io.Reader, size int64) (_ *version, err error) {
	v := &version{key: key, modified: time.Now(), meta: make(map[string]string, len(meta)+3)}
	var hasChecksum bool
	for name, value := range meta {
		v.meta[name] = value
		hasChecksum = hasChecksum || strings.HasPrefix(name, "X-Amz-Checksum-")
	}
	if v.meta["Content-Type"] == "" {
		v.meta["Content-Type"] = "binary/octet-stream"
	}
	v.meta["Last-Modified"] = v.modified.UTC().Format(http.TimeFormat)

	// S3 keeps a checksum of every object: the one the sender chose, else
	// CRC-64/NVME. gofakes3 knows those sent ahead of the body only.
	var name string
	var sum hash.Hash
	switch algorithm, _ := ctx.Value(checksumAlgorithmKey{}).(string); algorithm {
	case "CRC32":
		name, sum = "X-Amz-Checksum-Crc32", crc32.NewIEEE()
	case "CRC32C":
		name, sum = "X-Amz-Checksum-Crc32c", crc32.New(crc32.MakeTable(crc32.Castagnoli))
	default:
		name, sum = "X-Amz-Checksum-Crc64nvme", crc64.New(crc64NVME)
	}
	digest := md5.New()
	input = io.TeeReader(input, io.MultiWriter(digest, sum))

	if size >= 0 && s.used.Add(size) <= s.memory {
		if v.mem, err = gofakes3.ReadAll(input, size); err != nil {
			s.used.Add(-size)
			return nil, err
		}
		v.size = size
	} else {
		if size >= 0 {
			s.used.Add(-size)
		}
		v.file = filepath.Join(s.dir, strconv.FormatInt(s.spilled.Add(1), 10))
		if v.size, err = spill(v.file, input); err != nil {
			return nil, err
		}
		if size >= 0 && v.size != size {
			_ = os.Remove(v.file) // the body's being short is what the sender must hear
			return nil, gofakes3.ErrIncompleteBody
		}
	}
	if !hasChecksum {
		v.meta[name] = base64.StdEncoding.EncodeToString(sum.Sum(nil))
	}
	v.meta["X-Amz-Checksum-Type"] = "FULL_OBJECT"
	v.md5 = digest.Sum(nil)
	v.etag = `"` + hex.EncodeToString(v.md5) + `"`

	v.header, v.checksum = make(http.Header), make(http.Header)
	for name, value := range v.meta {
		switch {
		case strings.HasPrefix(name, "X-Amz-Checksum-"):
			v.checksum[name] = []string{value}
		case strings.HasPrefix(name, "X-Amz-Meta-"):
			v.header[strings.ToLower(name)] = []string{value}
		case name != gofakes3.TaggingMetadataKey:
			v.header[name] = []string{value}
		}
	}
	v.header["Etag"] = []string{v.etag}
	v.header["Accept-Ranges"] = []string{"bytes"}
	v.header["Content-Length"] = []string{strconv.FormatInt(v.size, 10)}
	return v, nil
}

func spill(path string, input io.Reader) (n int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("spill a body: %w", err)
	}
	n, err = io.Copy(f, input)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path) // the first error is the one to report
		return 0, fmt.Errorf("spill a body to %s: %w", path, err)
	}
	return n, nil
}

// add makes v the newest version of its key. s.mu is held.
func (s *store) add(b *bucket, v *version) {
	versions, _ := b.objects.Get(v.key)
	if b.versioning == gofakes3.VersioningEnabled {
		s.versionNo++
		v.id = fmt.Sprintf("v%016x", s.versionNo)
	} else {
		v.id = nullVersion
		versions = s.without(versions, nullVersion)
	}
	// a new slice: readers outside the lock may hold the old one
	b.objects.Set(v.key, append(slices.Clip(versions), v))
}

// without gives versions but for the one with that id, whose body it forgets.
func (s *store) without(versions []*version, id string) []*version {
	return slices.DeleteFunc(slices.Clone(versions), func(v *version) bool {
		if v.id != id {
			return false
		}
		s.forget(v)
		return true
	})
}

// remove does what a DELETE without a version does: it takes the object away,
// or hides it behind a delete marker, which it returns. s.mu is held.
func (s *store) remove(b *bucket, key string) (marker *version) {
	if b.versioning == gofakes3.VersioningNone {
		versions, _ := b.objects.Delete(key)
		for _, v := range versions {
			s.forget(v)
		}
		return nil
	}
	marker = &version{key: key, marker: true, modified: time.Now()}
	s.add(b, marker)
	return marker
}

// removeVersion takes one version away for good, and returns it if there was
// one. s.mu is held.
func (s *store) removeVersion(b *bucket, key, id string) (removed *version) {
	versions, _ := b.objects.Get(key)
	i := slices.IndexFunc(versions, func(v *version) bool { return v.id == id })
	if i < 0 {
		return nil
	}
	removed = versions[i]
	if rest := s.without(versions, id); len(rest) > 0 {
		b.objects.Set(key, rest)
	} else {
		b.objects.Delete(key)
	}
	return removed
}

// deletion is one object of a DeleteObjects request, and what became of it.
type deletion struct {
	key, version string
	removed      *version // the version taken away, if one was named
	marker       *version // the delete marker put in its place
}

// deleteAll deletes each of ds in order and notes what became of it.
func (s *store) deleteAll(bucketName string, ds []deletion) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		return errNoBucket
	}
	for i := range ds {
		if d := &ds[i]; d.version != "" {
			d.removed = s.removeVersion(b, d.key, d.version)
		} else {
			d.marker = s.remove(b, d.key)
		}
	}
	return nil
}

// The rest is gofakes3's interface.

func (s *store) ListBuckets(context.Context) ([]gofakes3.BucketInfo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	infos := make([]gofakes3.BucketInfo, 0, len(s.buckets))
	for name, b := range s.buckets {
		infos = append(infos, gofakes3.BucketInfo{Name: name, CreationDate: gofakes3.NewContentTime(b.created)})
	}
	return infos, nil // gofakes3 sorts them
}

func (s *store) CreateBucket(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
	}
	s.buckets[name] = &bucket{created: time.Now()}
	return nil
}

func (s *store) BucketExists(_ context.Context, name string) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[name] != nil, nil
}

func (s *store) DeleteBucket(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return gofakes3.BucketNotFound(name)
	}
	if b.objects.Len() > 0 {
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	delete(s.buckets, name)
	return nil
}

// walk calls visit with each key under prefix that comes after marker, in
// order, until it returns false. A key that the delimiter folds away comes as
// the common prefix it is under, once, without versions. Keys of which only a
// delete marker is to be seen come if deleted is set. s.mu is held.
func (b *bucket) walk(p *gofakes3.Prefix, marker string, deleted bool, visit func(key string, versions []*version) bool) {
	var prefix, delimiter string
	if p != nil {
		prefix, delimiter = p.Prefix, p.Delimiter
	}
	var folded string
	b.objects.Ascend(max(prefix, marker), func(key string, versions []*version) bool {
		if !strings.HasPrefix(key, prefix) {
			return false // in order, so that none follows
		}
		if marker != "" && key <= marker || !deleted && latest(versions) == nil {
			return true
		}
		if delimiter != "" {
			if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
				common := key[:len(prefix)+i+len(delimiter)]
				if common == folded || common == marker {
					return true
				}
				folded = common
				return visit(common, nil)
			}
		}
		return visit(key, versions)
	})
}

func (s *store) ListBucket(_ context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[name]
	if b == nil {
		return nil, gofakes3.BucketNotFound(name)
	}
	list := gofakes3.NewObjectList()
	var last string
	b.walk(prefix, page.Marker, false, func(key string, versions []*version) bool {
		if page.MaxKeys > 0 && int64(len(list.Contents)+len(list.CommonPrefixes)) == page.MaxKeys {
			list.IsTruncated, list.NextMarker = true, last
			return false
		}
		if last = key; versions == nil {
			list.AddPrefix(key)
		} else {
			v := latest(versions)
			list.Add(&gofakes3.Content{Key: key, LastModified: gofakes3.NewContentTime(v.modified), ETag: v.etag, Size: v.size})
		}
		return true
	})
	return list, nil
}

func (s *store) ListBucketVersions(name string, prefix *gofakes3.Prefix, page *gofakes3.ListBucketVersionsPage) (*gofakes3.ListBucketVersionsResult, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[name]
	if b == nil {
		return nil, gofakes3.BucketNotFound(name)
	}
	if page == nil {
		page = &gofakes3.ListBucketVersionsPage{}
	}
	result := gofakes3.NewListBucketVersionsResult(name, prefix, page)
	var lastKey, lastID string
	add := func(key, id string, put func()) (more bool) {
		if page.MaxKeys > 0 && int64(len(result.Versions)+len(result.CommonPrefixes)) == page.MaxKeys {
			result.IsTruncated, result.NextKeyMarker, result.NextVersionIDMarker = true, lastKey, gofakes3.VersionID(lastID)
			return false
		}
		put()
		lastKey, lastID = key, id
		return true
	}
	addVersions := func(key string, versions []*version, older bool) bool {
		for i, v := range slices.Backward(versions) {
			newest := i == len(versions)-1 && !older
			more := add(key, v.id, func() {
				modified := gofakes3.NewContentTime(v.modified)
				if v.marker {
					result.Versions = append(result.Versions, &gofakes3.DeleteMarker{Key: key, VersionID: gofakes3.VersionID(v.id), IsLatest: newest, LastModified: modified})
					return
				}
				result.Versions = append(result.Versions, &gofakes3.Version{Key: key, VersionID: gofakes3.VersionID(v.id), IsLatest: newest, LastModified: modified, Size: v.size, ETag: v.etag})
			})
			if !more {
				return false
			}
		}
		return true
	}
	// A page can end among the versions of one key; one deleted since then
	// does not hide those older than it.
	if page.VersionIDMarker != "" {
		versions, _ := b.objects.Get(page.KeyMarker)
		i := slices.IndexFunc(versions, func(v *version) bool { return v.id == string(page.VersionIDMarker) })
		if i >= 0 {
			versions = versions[:i]
		}
		if strings.HasPrefix(page.KeyMarker, result.Prefix) && !addVersions(page.KeyMarker, versions, i >= 0) {
			return result, nil
		}
	}
	b.walk(prefix, page.KeyMarker, true, func(key string, versions []*version) bool {
		if versions == nil {
			return add(key, "", func() { result.AddPrefix(key) })
		}
		return addVersions(key, versions, false)
	})
	return result, nil
}

func (s *store) GetObject(_ context.Context, bucketName, key string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return s.get(bucketName, key, "", r, true)
}

func (s *store) HeadObject(ctx context.Context, bucketName, key string) (*gofakes3.Object, error) {
	id, _ := ctx.Value(headVersionKey{}).(string)
	return s.get(bucketName, key, gofakes3.VersionID(id), nil, false)
}

func (s *store) GetObjectVersion(bucketName, key string, id gofakes3.VersionID, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return s.get(bucketName, key, id, r, true)
}

func (s *store) HeadObjectVersion(bucketName, key string, id gofakes3.VersionID) (*gofakes3.Object, error) {
	return s.get(bucketName, key, id, nil, false)
}

func (s *store) get(bucketName, key string, id gofakes3.VersionID, r *gofakes3.ObjectRangeRequest, body bool) (*gofakes3.Object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucketName]
	if b == nil {
		return nil, gofakes3.BucketNotFound(bucketName)
	}
	versions, _ := b.objects.Get(key)
	if id == "" {
		if v := latest(versions); v != nil {
			return v.object(b, r, body)
		}
		return nil, gofakes3.KeyNotFound(key)
	}
	for _, v := range versions {
		if v.id == versionOf(id) {
			return v.object(b, r, body)
		}
	}
	return nil, gofakes3.ErrNoSuchVersion
}

func versionOf(id gofakes3.VersionID) string {
	if id == nullAlias {
		return nullVersion
	}
	return string(id)
}

func (s *store) PutObject(ctx context.Context, bucketName, key string, meta map[string]string, input io.Reader, size int64) (gofakes3.PutObjectResult, error) {
	v, err := s.receive(ctx, key, meta, input, size)
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		s.forget(v)
		return gofakes3.PutObjectResult{}, gofakes3.BucketNotFound(bucketName)
	}
	versions, _ := b.objects.Get(key)
	old := latest(versions)
	var etag string
	if old != nil {
		etag = old.etag
	}
	if err := gofakes3.CheckWriteConditions(ctx, old != nil, etag); err != nil {
		s.forget(v)
		return gofakes3.PutObjectResult{}, err
	}
	s.add(b, v)
	result := gofakes3.PutObjectResult{ETag: v.etag}
	if b.versioning != gofakes3.VersioningNone {
		result.VersionID = gofakes3.VersionID(v.id)
	}
	return result, nil
}

func (s *store) DeleteObject(_ context.Context, bucketName, key string) (gofakes3.ObjectDeleteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		return gofakes3.ObjectDeleteResult{}, gofakes3.BucketNotFound(bucketName)
	}
	if m := s.remove(b, key); m != nil {
		return gofakes3.ObjectDeleteResult{IsDeleteMarker: true, VersionID: gofakes3.VersionID(m.id)}, nil
	}
	return gofakes3.ObjectDeleteResult{}, nil
}

func (s *store) DeleteObjectVersion(bucketName, key string, id gofakes3.VersionID) (gofakes3.ObjectDeleteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		return gofakes3.ObjectDeleteResult{}, gofakes3.BucketNotFound(bucketName)
	}
	if v := s.removeVersion(b, key, versionOf(id)); v != nil {
		return gofakes3.ObjectDeleteResult{IsDeleteMarker: v.marker, VersionID: gofakes3.VersionID(v.id)}, nil
	}
	return gofakes3.ObjectDeleteResult{}, nil
}

// DeleteMulti is there for the interface: the handler answers DeleteObjects
// itself, because gofakes3 drops the versions the request names.
func (s *store) DeleteMulti(_ context.Context, bucketName string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	ds := make([]deletion, len(keys))
	var result gofakes3.MultiDeleteResult
	for i, key := range keys {
		ds[i].key = key
		result.Deleted = append(result.Deleted, gofakes3.ObjectID{Key: key})
	}
	if err := s.deleteAll(bucketName, ds); err != nil {
		return gofakes3.MultiDeleteResult{}, gofakes3.BucketNotFound(bucketName)
	}
	return result, nil
}

func (s *store) CopyObject(ctx context.Context, srcBucket, srcKey, dstBucket, dstKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	src, err := s.get(srcBucket, srcKey, "", nil, true)
	if err != nil {
		return gofakes3.CopyObjectResult{}, err
	}
	put, err := s.PutObject(ctx, dstBucket, dstKey, meta, src.Contents, src.Size)
	if cerr := src.Contents.Close(); err == nil {
		err = cerr
	}
	return gofakes3.CopyObjectResult{ETag: put.ETag, LastModified: gofakes3.NewContentTime(time.Now())}, err
}

func (s *store) VersioningConfiguration(bucketName string) (gofakes3.VersioningConfiguration, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucketName]
	if b == nil {
		return gofakes3.VersioningConfiguration{}, gofakes3.BucketNotFound(bucketName)
	}
	return gofakes3.VersioningConfiguration{Status: b.versioning}, nil
}

func (s *store) SetVersioningConfiguration(bucketName string, c gofakes3.VersioningConfiguration) error {
	if c.MFADelete.Enabled() {
		return gofakes3.ErrNotImplemented
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		return gofakes3.BucketNotFound(bucketName)
	}
	if c.Status != gofakes3.VersioningNone {
		b.versioning = c.Status
	}
	return nil
}
