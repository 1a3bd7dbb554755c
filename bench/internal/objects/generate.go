package objects

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fanout/functions/corpus"
)

// What [Server.Generate] makes at once and keeps, as if it had been put: 10,000
// objects at most, which take some 2 KB each beside their bytes, and as many
// bytes as stay in memory by default. Beyond, they are made again whenever they
// are read: 28 µs of CPU for one of 26 KB, where a stored one takes 3 µs
// (BenchmarkGetGenerated, BenchmarkGetHandler).
const (
	storeAtMostBytes   = DefaultMemoryBytes
	storeAtMostObjects = 10_000
)

// Generate fills a bucket with the objects of spec, as [corpus.Spec.Put] would,
// but from within. A set of up to 10,000 objects and 512 MB is made and stored. Of
// a larger one nothing is stored: keys and sizes are computed for a listing, bodies and
// their checksums for a GET, so that the number of objects costs neither memory
// nor a start-up time. What is put over such an object, or deleted, is
// remembered as ever.
//
// The ETag of an object that is not stored is not its MD5, which would take as
// long to list as to read; it ends in -1, as S3's of a multipart upload of one
// part does, by which clients know. Nor has a GET of it the mark of a seed
// object, [corpus.MarkName], which holds that MD5; a HEAD has.
//
// progress, unless nil, hears how many of all are done, from one goroutine at a
// time. It is an error where the bucket has objects under the prefix, and where
// ctx ends before those that are stored are.
func (s *Server) Generate(ctx context.Context, bucketName string, spec corpus.Spec, progress func(done, total int)) error {
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("generate objects: %w", err)
	}
	g := newGenerated(spec)
	small := g.small() // which looks at every size: not under the lock
	refusal := s.store.edit(bucketName, func(b *bucket) *apiError {
		if c := b.cursor(spec.Prefix); c.valid() && strings.HasPrefix(c.key, spec.Prefix) {
			return errRequest.saying("the bucket has an object under %q: %q", spec.Prefix, c.key)
		}
		if !small {
			b.generated = append(b.generated, g)
		}
		return nil
	})
	if refusal != nil {
		return fmt.Errorf("generate objects in bucket %q: %s", bucketName, refusal.message)
	}
	if small {
		return s.storeGenerated(ctx, bucketName, g, progress)
	}
	if progress != nil {
		progress(spec.Count, spec.Count)
	}
	return nil
}

// storeGenerated puts every object of g.
func (s *Server) storeGenerated(ctx context.Context, bucketName string, g *generated, progress func(done, total int)) error {
	done := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	go func() {
		defer close(done)
		for i := range g.spec.Count {
			group.Go(func() error {
				if err := ctx.Err(); err != nil {
					return fmt.Errorf("generate %s: %w", g.spec.Key(i), err)
				}
				v, err := s.receive(g.spec.Body(i), g.spec.Size(i), g.version(i, g.spec.Key(i)), newDigests(generatedAlgorithm))
				if err != nil {
					return fmt.Errorf("generate %s: %w", g.spec.Key(i), err)
				}
				v.meta = marked(hex.EncodeToString(v.md5))
				v.finish()
				if _, refusal := s.store.put(bucketName, v, conditions{}); refusal != nil {
					return fmt.Errorf("generate %s: %s", g.spec.Key(i), refusal.message)
				}
				done <- struct{}{}
				return nil
			})
		}
		_ = group.Wait() // below
	}()
	n := 0
	for range done {
		if n++; progress != nil {
			progress(n, g.spec.Count)
		}
	}
	return group.Wait()
}

// generated is a set of objects that are made when they are read.
type generated struct {
	spec     corpus.Spec
	size     func(i int) int64
	modified time.Time
	of       [md5.Size]byte // the spec's hash, for ETags
	sums     sync.Map       // sumOf to string, of large objects
}

// sumOf is a checksum of an object by its number.
type sumOf struct {
	algorithm string
	i         int
}

// largeBytes is from what size on an object's checksums are kept: they take a
// second a gigabyte to make, in which nothing is sent.
const largeBytes = 64 << 20

// sum gives a checksum of object i, whose size is known.
func (g *generated) sum(algorithm string, i int, size int64, work func() (string, error)) (string, error) {
	if size < largeBytes {
		return work()
	}
	if known, ok := g.sums.Load(sumOf{algorithm, i}); ok {
		return known.(string), nil
	}
	text, err := work()
	if err == nil {
		g.sums.Store(sumOf{algorithm, i}, text)
	}
	return text, err
}

// small says whether the objects are few and small enough to be stored: by what their
// sizes sum to, since of a shape one object may be larger than all others together.
func (g *generated) small() bool {
	return g.spec.Count <= storeAtMostObjects && g.spec.TotalBytes() <= storeAtMostBytes
}

// index says which of the objects has that key.
func (g *generated) index(key string) (i int, ok bool) {
	rest, ok := strings.CutPrefix(key, g.spec.Prefix)
	if !ok {
		return 0, false
	}
	// The number that the key ends in, if the keys are as they are today; what
	// is found is looked at.
	digits := rest[len(strings.TrimRight(rest, "0123456789")):]
	if n, err := strconv.Atoi(digits); err == nil && n < g.spec.Count && g.spec.Key(n) == key {
		return n, true
	}
	return 0, false
}

// ceiling gives the first object whose key is from or comes after it.
func (g *generated) ceiling(from string) int {
	if from <= g.spec.Prefix {
		return 0
	}
	return sort.Search(g.spec.Count, func(i int) bool { return g.spec.Key(i) >= from })
}

var (
	generatedHeader    = http.Header{"Content-Type": {"application/octet-stream"}}
	generatedAlgorithm = algorithmNamed("CRC32")
)

// marked gives the metadata of a seed object with that MD5.
func marked(sum string) http.Header {
	meta := generatedHeader.Clone()
	meta[strings.ToLower(metaPrefix)+corpus.MarkName] = []string{sum}
	return meta
}

// version makes what a listing needs of object i, which has that key; finish
// makes the rest.
func (g *generated) version(i int, key string) *version {
	return &version{
		key: key, id: nullVersion, modified: g.modified, size: g.size(i), meta: generatedHeader,
		etag: g.etag(i), algorithm: generatedAlgorithm, body: &generatedBody{g, i},
	}
}

// newGenerated gives the set of spec.
func newGenerated(spec corpus.Spec) *generated {
	b := make([]byte, 0, 128)
	for _, n := range []uint64{spec.Seed, uint64(spec.MinBytes), uint64(spec.MaxBytes), uint64(spec.Count)} { // the count moves the needle
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, spec.Needle...)
	if !spec.Shape.IsZero() {
		b = append(b, spec.Shape.String()...)
	}
	return &generated{spec: spec, size: spec.Sizer(), modified: time.Now(), of: md5.Sum(b)}
}

// etag stands for the bytes of object i without making them: they follow from
// the spec and i.
func (g *generated) etag(i int) string {
	var sum [md5.Size]byte
	for half := range 2 {
		// the finalizer of SplitMix64, which takes different numbers to
		// different ones
		n := binary.LittleEndian.Uint64(g.of[8*half:]) + uint64(i)*0x9E3779B97F4A7C15
		n = (n ^ n>>30) * 0xBF58476D1CE4E5B9
		n = (n ^ n>>27) * 0x94D049BB133111EB
		binary.LittleEndian.PutUint64(sum[8*half:], n^n>>31)
	}
	e := make([]byte, 0, len(`"-1"`)+2*md5.Size)
	return string(append(hex.AppendEncode(append(e, '"'), sum[:]), `-1"`...))
}

// generatedBody is made again by each who reads it.
type generatedBody struct {
	of *generated
	i  int
}

func (g *generatedBody) open(offset, length int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(g.of.spec.Body(g.i), offset, length)), nil
}

func (g *generatedBody) free() {}

// mark adds the mark of a seed object to a version that is generated.
func (g *generatedBody) mark(v *version) {
	sum, _ := g.of.sum("MD5", g.i, v.size, func() (string, error) {
		h := md5.New()
		_, err := io.Copy(h, g.of.spec.Body(g.i))
		return hex.EncodeToString(h.Sum(nil)), err
	}) // it is made in memory: it cannot fail
	v.meta = marked(sum)
}

// checksumOf gives the checksum of a body that has not been read before.
func checksumOf(v *version) (string, error) {
	if g, ok := v.body.(*generatedBody); ok {
		return g.of.sum(v.algorithm.name, g.i, v.size, func() (string, error) { return readChecksum(v) })
	}
	return readChecksum(v)
}

// readChecksum reads the body for it.
func readChecksum(v *version) (string, error) {
	r, err := v.body.open(0, v.size)
	if err != nil {
		return "", err
	}
	h := v.algorithm.make()
	_, err = io.Copy(h, r)
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), errors.Join(err, r.Close())
}
