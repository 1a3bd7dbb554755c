package corpus

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// MarkName is the metadata of a seed object, x-amz-meta-fanout-md5: that it is
// one, and the MD5 of its bytes, since not every bucket's ETags tell (SSE-KMS,
// directory buckets). Objects that were put before there was such a mark are
// known by their bytes.
const MarkName = "fanout-md5"

// ForeignError says that a bucket holds objects that are not seed objects
// where only those may be. Nothing was sent or deleted.
type ForeignError struct {
	Bucket string
	Keys   []string // those that were seen, sorted; there may be more
	Prefix string   // under which there may be no such thing

	// Idle says that there was nothing else to do: every seed object that is
	// not replaced by one of these is right, and none is too many.
	Idle bool
}

// foreignKeys is how many keys a ForeignError names.
const foreignKeys = 5

func (e *ForeignError) Error() string {
	verb := "is"
	if len(e.Keys) > 1 {
		verb = "are"
	}
	return fmt.Sprintf("%s %s in the way: only seed objects may be under %q", e.Named(), verb, e.Prefix)
}

// Named lists the first of the objects.
func (e *ForeignError) Named() string {
	named := make([]string, 0, foreignKeys)
	for _, key := range e.Keys[:min(len(e.Keys), foreignKeys)] {
		named = append(named, fmt.Sprintf("s3://%s/%s", e.Bucket, key))
	}
	text := strings.Join(named, ", ")
	if more := len(e.Keys) - len(named); more > 0 {
		text += fmt.Sprintf(" and %d or more others", more)
	}
	return text
}

// object is one version of an object, as a listing has it.
type object struct {
	key     string
	version string // "": there are none
	size    int64
	etag    string // without quotes
	deleted bool   // a delete marker
}

func (o object) identifier() types.ObjectIdentifier {
	id := types.ObjectIdentifier{Key: aws.String(o.key)}
	if o.version != "" {
		id.VersionId = aws.String(o.version)
	}
	return id
}

// owner tells the seed objects in a bucket from everybody else's.
type owner struct {
	client *s3.Client
	bucket string
	specs  []Spec // whose objects are known by their bytes
}

// owns says whether an object is a seed object: it has the key of one, and
// carries the mark or has the size and bytes of a Spec's. sum is the MD5 of
// the mark. A delete marker of such a key holds nothing, and may go. What is
// gone by now is nobody's.
func (w owner) owns(ctx context.Context, o object) (own bool, sum string, err error) {
	if !isSeedKey(o.key) {
		return false, "", nil
	}
	if o.deleted {
		return true, "", nil
	}
	in := s3.HeadObjectInput{Bucket: &w.bucket, Key: &o.key}
	if o.version != "" {
		in.VersionId = &o.version
	}
	head, err := w.client.HeadObject(ctx, &in)
	var refused *awshttp.ResponseError
	if errors.As(err, &refused) && refused.HTTPStatusCode() == http.StatusNotFound {
		return true, "", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("look at s3://%s/%s: %w", w.bucket, o.key, err)
	}
	// The mark of what was listed, not of what took its place meanwhile.
	if sum := head.Metadata[MarkName]; len(sum) == hex.EncodedLen(md5.Size) && plainETag(head.ETag) == o.etag {
		return true, sum, nil
	}
	return slices.ContainsFunc(w.specs, func(s Spec) bool { return s.made(o) }), "", nil
}

// made says whether an object is, by its size and MD5, one of s.
func (s Spec) made(o object) bool {
	i, ok := s.Number(o.key)
	return ok && o.size == s.Size(i) && o.etag == s.sum(i)
}

// sum is the MD5 of object i's body.
func (s Spec) sum(i int) string {
	h := md5.New()
	_, _ = io.Copy(h, s.Body(i)) // a body is generated: it cannot fail
	return hex.EncodeToString(h.Sum(nil))
}

// plainETag gives an ETag without its quotes, which not every answer has.
func plainETag(s *string) string { return strings.Trim(aws.ToString(s), `"`) }

// numbers is a set of objects' numbers: a bit each, for there may be millions.
type numbers struct {
	words []uint64
	n     int // in the set
}

func makeNumbers(count int) numbers { return numbers{words: make([]uint64, (count+63)/64)} }

func (s *numbers) has(i int) bool { return s.words[i/64]>>(i%64)&1 != 0 }

func (s *numbers) add(i int) {
	if !s.has(i) {
		s.words[i/64] |= 1 << (i % 64)
		s.n++
	}
}

// inspection is what a look at the objects under a Spec's prefix found.
type inspection struct {
	kept    numbers                  // right already
	taken   int                      // numbers that have a foreign object
	stale   []types.ObjectIdentifier // seed objects that are too many
	foreign []string
}

// survey looks at everything under s.Prefix. Whatever is not a seed object, of
// any Spec that o knows, is foreign.
func (s Spec) survey(ctx context.Context, o owner) (inspection, error) {
	found := inspection{kept: makeNumbers(s.Count)}
	var mu sync.Mutex // of found
	err := eachPageUnversioned(ctx, o.client, o.bucket, s.Prefix, func(page []object) error {
		return each(ctx, page, func(ctx context.Context, one object) error {
			_, here := s.numberOfAny(one.key)
			i, wanted := s.Number(one.key)
			keep := wanted && s.made(one)
			own := keep
			if !own && o.within(one.key) {
				var sum string
				var err error
				if own, sum, err = o.owns(ctx, one); err != nil {
					return err
				}
				keep = wanted && one.size == s.Size(i) && sum != "" && sum == s.sum(i)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case keep:
				found.kept.add(i)
			case !own:
				found.foreign = append(found.foreign, one.key)
				if wanted {
					found.taken++
				}
			case here && !wanted:
				found.stale = append(found.stale, one.identifier())
			}
			return nil
		})
	})
	return found, err
}

// within says whether one of the Specs could have made a key: an object in a
// folder below that none of them names is not ours to judge.
func (w owner) within(key string) bool {
	return slices.ContainsFunc(w.specs, func(s Spec) bool {
		_, ok := s.numberOfAny(key)
		return ok
	})
}

// surveyEarlier finds the seed objects directly under s.Prefix, all versions.
func (s Spec) surveyEarlier(ctx context.Context, o owner) (stale []types.ObjectIdentifier, err error) {
	var mu sync.Mutex // of stale
	err = eachPage(ctx, o.client, o.bucket, s.Prefix, func(page []object) error {
		return each(ctx, page, func(ctx context.Context, one object) error {
			if _, ok := s.numberOfAny(one.key); !ok {
				return nil
			}
			own, _, err := o.owns(ctx, one)
			if own {
				mu.Lock()
				defer mu.Unlock()
				stale = append(stale, one.identifier())
			}
			return err
		})
	})
	return stale, err
}

// each looks at several objects at once.
func each(ctx context.Context, page []object, look func(context.Context, object) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(putWorkers)
	for _, one := range page {
		group.Go(func() error { return look(ctx, one) })
	}
	return group.Wait()
}
