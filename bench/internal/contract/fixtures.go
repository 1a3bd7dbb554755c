package contract

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

// Fixtures is what lies in the bucket beside the corpus.
type Fixtures struct {
	lab    *lab.Lab
	corpus corpus.Spec
	faulty corpus.Spec // read while things go wrong
	bodies map[string]map[string][]byte
}

// Prefixes of the fixtures; nothing lies under emptyPrefix.
const (
	orderPrefix  = "order/"
	borderPrefix = "border/"
	pagesPrefix  = "pages/"
	oddPrefix    = "odd/"
	largePrefix  = "large/"
	emptyPrefix  = "empty/"
)

// Sizes of the fixtures.
const (
	pageObjects = 2500 // three pages
	orderBytes  = 2 << 20
	largeBytes  = 192 << 20 // more than smallMB
	blockBytes  = 1024      // the longest string to find
	blocks      = 128
)

// oddNames are keys that some program lists, escapes or signs wrong.
var oddNames = []string{
	"plain", "with space", "plus+plus", "percent%41%zz", "ünï/çødé-日本", "/leading", "trailing/", "double//slash",
	"eq=amp&q?hash#;", "quote'(a)!*~$,:@[]", "new\tline\n", "tags <&> \"x\"", "high\u2028\U0001F600", "a/../b/./c", "ctl\x01",
}

// word is a string that is in one place only: the n-th of its kind.
func word(kind string, n int) string { return fmt.Sprintf("<%s-%d>", kind, n) }

// Put puts the objects that the cases read into a seeded lab's bucket.
func Put(ctx context.Context, l *lab.Lab, spec corpus.Spec) (*Fixtures, error) {
	faulty := spec
	faulty.Count, faulty.Prefix = 300, "faults/"
	f := &Fixtures{lab: l, corpus: spec, faulty: faulty, bodies: map[string]map[string][]byte{}}
	put := func(prefix, name string, body []byte) {
		if f.bodies[prefix] == nil {
			f.bodies[prefix] = map[string][]byte{}
		}
		f.bodies[prefix][prefix+name] = body
	}
	for i := range 40 {
		body := []byte("nothing")
		switch i {
		case 7: // the first in list order comes last: its string is at the end of a long body
			body = append(bytes.Repeat([]byte("x"), orderBytes), word("order", 0)...)
		case 30:
			body = []byte(word("order", 0))
		}
		put(orderPrefix, fmt.Sprintf("%02d", i), body)
	}
	var border bytes.Buffer
	for i := range blocks { // no two blocks are alike, nor are any blockBytes in a row
		fmt.Fprintf(&border, "%-*s", blockBytes, word("block", i))
	}
	put(borderPrefix, "body", border.Bytes())
	for i := range pageObjects {
		put(pagesPrefix, fmt.Sprintf("%04d", i), []byte(word("page", i)))
	}
	for i, name := range oddNames {
		put(oddPrefix, name, []byte(word("odd", i)))
	}
	put(oddPrefix, "empty", nil)
	put(largePrefix, "body", append(bytes.Repeat([]byte("0123456789abcdef"), largeBytes/16), word("large", 0)...))

	client := l.S3Client()
	if _, err := faulty.Put(ctx, client, lab.Bucket, nil); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, bodies := range f.bodies {
		for key, body := range bodies {
			g.Go(func() error {
				_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(lab.Bucket), Key: &key, Body: bytes.NewReader(body)})
				return err
			})
		}
	}
	return f, g.Wait()
}

// expect is the right answer for everything under a prefix.
func (f *Fixtures) expect(prefix, result string) trial.Expected {
	return expectBodies(f.bodies[prefix], result)
}

// expectBodies is the right answer for these objects.
func expectBodies(bodies map[string][]byte, result string) trial.Expected {
	want := trial.Expected{Result: result, Objects: len(bodies)}
	var digest fetch.Digest
	for key, body := range bodies {
		want.Bytes += int64(len(body))
		digest.Add(key, fetch.BodyCRC(0, body))
	}
	want.Digest = digest.String()
	return want
}

// body finds an object's, under whatever prefix.
func (f *Fixtures) body(key string) []byte {
	for _, prefix := range slices.Sorted(maps.Keys(f.bodies)) {
		if body, ok := f.bodies[prefix][key]; ok {
			return body
		}
	}
	return nil
}
