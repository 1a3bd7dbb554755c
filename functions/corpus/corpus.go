// Package corpus makes the seed objects: the same [Spec] gives the same keys
// and bytes on every machine. [Spec.Put] brings a bucket to exactly that set,
// [Remove] takes it out again, and [Empty] takes out everything. Put and Remove
// touch seed objects only: whoever keeps an object of his own in the bucket
// finds it there afterwards. The deployed seeder, the sandbox and the
// tests all use this package, so that each of them can tell a right answer
// from a wrong one without reading the bucket first.
package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"unicode/utf8"

	"fanout/functions/fetch"
)

// Defaults of the published comparison: 1,000 objects of 1,000 to 50,000
// bytes, about 25.5 MB in all, one of them holding MyMagicString.
const (
	DefaultCount    = 1000
	DefaultMinBytes = 1000
	DefaultMaxBytes = 50_000
	DefaultSeed     = 1
	DefaultNeedle   = "MyMagicString"
	DefaultPrefix   = "objects/"
)

// MaxCount is the most objects a Spec may ask for: keys have six digits.
const MaxCount = 1_000_000

// maxObjectBytes is S3's limit for one PUT: 5 GiB.
const maxObjectBytes = 5 << 30

// Spec says which objects there are. The zero value is not valid; start from
// [Default].
type Spec struct {
	Count    int    `json:"objects"`
	MinBytes int64  `json:"min_bytes"`
	MaxBytes int64  `json:"max_bytes"`
	Seed     uint64 `json:"seed"`
	Needle   string `json:"needle"`
	Prefix   string `json:"prefix"`
}

// String says in words what the objects are; the zero value stands for objects
// that nobody here has made.
func (s Spec) String() string {
	if s == (Spec{}) {
		return "a bucket of one's own"
	}
	return fmt.Sprintf("%d objects of %d to %d bytes, seed %d, prefix %q, needle %q",
		s.Count, s.MinBytes, s.MaxBytes, s.Seed, s.Prefix, s.Needle)
}

// Default is the published comparison's set.
func Default() Spec {
	return Spec{
		Count: DefaultCount, MinBytes: DefaultMinBytes, MaxBytes: DefaultMaxBytes,
		Seed: DefaultSeed, Needle: DefaultNeedle, Prefix: DefaultPrefix,
	}
}

// Validate says what is wrong with s, naming the field, its value and what is
// allowed.
func (s Spec) Validate() error {
	switch {
	case s.Count < 1 || s.Count > MaxCount:
		return fmt.Errorf("objects %d: must be 1 to %d", s.Count, MaxCount)
	case s.Needle == "" || len(s.Needle) > fetch.MaxFindBytes:
		return fmt.Errorf("needle of %d bytes: must be 1 to %d", len(s.Needle), fetch.MaxFindBytes)
	case !utf8.ValidString(s.Needle):
		return fmt.Errorf("needle %q: must be UTF-8, since an event is JSON", s.Needle)
	case s.MinBytes < int64(len(s.Needle)):
		return fmt.Errorf("min-bytes %d: must be at least the needle's length, %d", s.MinBytes, len(s.Needle))
	case s.MaxBytes < s.MinBytes || s.MaxBytes > maxObjectBytes:
		return fmt.Errorf("max-bytes %d: must be min-bytes (%d) to %d", s.MaxBytes, s.MinBytes, int64(maxObjectBytes))
	case !utf8.ValidString(s.Prefix):
		return fmt.Errorf("prefix %q: must be UTF-8, since keys are", s.Prefix)
	case len(s.Prefix)+len(seedKey)+6 > 1024:
		return fmt.Errorf("prefix of %d bytes: a key must not exceed 1,024 bytes", len(s.Prefix))
	}
	return nil
}

// Key names object i, counting from 0. Keys in S3's list order are in the
// order of i.
func (s Spec) Key(i int) string { return fmt.Sprintf("%s%s%06d", s.Prefix, seedKey, i) }

// seedKey is how a seed object's key goes on after the prefix: six digits more.
const seedKey = "object-"

// number gives which object of a Spec with this prefix has a key; its Count
// does not matter.
func (s Spec) number(key string) (i int, ok bool) {
	rest, ok := strings.CutPrefix(key, s.Prefix)
	if !ok || len(rest) != len(seedKey)+6 || !isSeedKey(rest) {
		return 0, false
	}
	for _, digit := range []byte(rest[len(seedKey):]) {
		i = 10*i + int(digit-'0')
	}
	return i, true
}

// isSeedKey says whether some Spec, with whatever prefix, has an object of that
// key.
func isSeedKey(key string) bool {
	digits := len(key) - 6
	return digits >= len(seedKey) && strings.HasSuffix(key[:digits], seedKey) && strings.Trim(key[digits:], "0123456789") == ""
}

// streams of randomness for one object, so that its size does not depend on
// how many bytes were drawn for its body.
const (
	streamSize uint64 = iota
	streamNeedle
	streamBody
)

func (s Spec) rng(object int, stream, block uint64) *rand.ChaCha8 {
	return rand.NewChaCha8(s.rngKey(object, stream, block))
}

func (s Spec) rngKey(object int, stream, block uint64) (key [32]byte) {
	binary.LittleEndian.PutUint64(key[0:], s.Seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(object))
	binary.LittleEndian.PutUint64(key[16:], stream)
	binary.LittleEndian.PutUint64(key[24:], block)
	return key
}

// Size gives object i's length in bytes, uniform between MinBytes and
// MaxBytes.
func (s Spec) Size(i int) int64 {
	return s.MinBytes + rand.New(s.rng(i, streamSize, 0)).Int64N(s.MaxBytes-s.MinBytes+1)
}

// TotalBytes sums the sizes of all objects.
func (s Spec) TotalBytes() int64 {
	var n int64
	for i := range s.Count {
		n += s.Size(i)
	}
	return n
}

// NeedleObject says which object holds the needle.
func (s Spec) NeedleObject() int {
	return rand.New(s.rng(0, streamNeedle, 0)).IntN(s.Count)
}

func (s Spec) needleOffset() int64 {
	size := s.Size(s.NeedleObject())
	return rand.New(s.rng(0, streamNeedle, 1)).Int64N(size - int64(len(s.Needle)) + 1)
}

// Body gives object i's bytes as a reader that can seek, so that a PUT can be
// signed and tried again without holding it.
func (s Spec) Body(i int) *io.SectionReader {
	b := &body{spec: s, object: i, alphabet: alphabetWithout(s.Needle[0]), needleAt: -1}
	if i == s.NeedleObject() {
		b.needleAt = s.needleOffset()
	}
	return io.NewSectionReader(b, 0, s.Size(i))
}

// Expect gives what a right reader of the whole set answers: how many bytes
// it read, the digest of all keys and bodies. It generates every body once,
// at about 1 GB a second and core: 30 ms for the default set.
func (s Spec) Expect() (bytesRead int64, digest fetch.Digest) {
	buf := make([]byte, 256<<10)
	for i := range s.Count {
		r, crc := s.Body(i), uint32(0)
		for {
			n, err := r.Read(buf)
			crc = fetch.BodyCRC(crc, buf[:n])
			bytesRead += int64(n)
			if err != nil {
				break // a section of generated bytes ends in io.EOF and nothing else
			}
		}
		digest.Add(s.Key(i), crc)
	}
	return bytesRead, digest
}

// blockBytes is how much one ChaCha8 stream fills: a read at any offset costs
// at most this much more than what it asked for.
const blockBytes = 4096

type body struct {
	spec     Spec
	object   int
	alphabet [64]byte
	needleAt int64 // -1: not in this object
}

// ReadAt fills p with the object's bytes from off. The size is the section
// reader's affair.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	var rng rand.ChaCha8
	var block [blockBytes]byte
	for n := 0; n < len(p); {
		at := off + int64(n)
		rng.Seed(b.spec.rngKey(b.object, streamBody, uint64(at/blockBytes)))
		if skip := at % blockBytes; skip == 0 && len(p)-n >= blockBytes {
			_, _ = rng.Read(p[n : n+blockBytes]) // ChaCha8.Read never fails
			n += blockBytes
		} else {
			_, _ = rng.Read(block[:])
			n += copy(p[n:], block[skip:])
		}
	}
	for i, c := range p {
		p[i] = b.alphabet[c&63]
	}
	if b.needleAt >= 0 {
		for i := range len(b.spec.Needle) {
			if at := b.needleAt + int64(i) - off; at >= 0 && at < int64(len(p)) {
				p[at] = b.spec.Needle[i]
			}
		}
	}
	return len(p), nil
}

// alphabetWithout gives 64 printable bytes, none of them first. A body built
// from them cannot hold a string that begins with first, except where it was
// put: an occurrence that began inside the needle and ended in the filler
// would have to have its own first byte in that filler.
func alphabetWithout(first byte) [64]byte {
	const printable = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -_"
	var a [64]byte
	copy(a[:], bytes.ReplaceAll([]byte(printable), []byte{first}, nil))
	return a
}
