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
	"sync"
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

// MaxCount is the most objects a Spec may ask for: keys have at most seven
// digits.
const MaxCount = 10_000_000

// maxObjectBytes is S3's limit for one PUT: 5 GiB.
const maxObjectBytes = 5 << 30

// Spec says which objects there are. The zero value is not valid; start from
// [Default].
type Spec struct {
	Count    int    `json:"objects"`
	MinBytes int64  `json:"min_bytes"` // of a Shape, its own bounds: see WithShape
	MaxBytes int64  `json:"max_bytes"`
	Shape    Shape  `json:"shape,omitzero"` // zero: sizes are uniform between the bounds
	Seed     uint64 `json:"seed"`
	Needle   string `json:"needle"`
	Prefix   string `json:"prefix"`
}

// WithShape gives s with the sizes of a shape.
func (s Spec) WithShape(shape Shape) Spec {
	s.Shape = shape
	s.MinBytes, s.MaxBytes = shape.Bounds()
	return s
}

// String says in words what the objects are; the zero value stands for objects
// that nobody here has made.
func (s Spec) String() string {
	if s == (Spec{}) {
		return "a bucket of one's own"
	}
	if !s.Shape.IsZero() {
		return fmt.Sprintf("%d objects of %d to %d bytes, shape %s, seed %d, prefix %q, needle %q",
			s.Count, s.MinBytes, s.MaxBytes, s.Shape, s.Seed, s.Prefix, s.Needle)
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
	case !s.Shape.IsZero():
		if wrong := s.validateShape(); wrong != nil {
			return wrong
		}
	case s.MinBytes < int64(len(s.Needle)):
		return fmt.Errorf("min-bytes %d: must be at least the needle's length, %d", s.MinBytes, len(s.Needle))
	case s.MaxBytes < s.MinBytes || s.MaxBytes > maxObjectBytes:
		return fmt.Errorf("max-bytes %d: must be min-bytes (%d) to %d", s.MaxBytes, s.MinBytes, int64(maxObjectBytes))
	}
	switch {
	case !utf8.ValidString(s.Prefix):
		return fmt.Errorf("prefix %q: must be UTF-8, since keys are", s.Prefix)
	case len(s.Prefix)+len(seedKey)+s.digits() > 1024:
		return fmt.Errorf("prefix of %d bytes: a key must not exceed 1,024 bytes", len(s.Prefix))
	}
	return nil
}

// validateShape says what is wrong with a Spec that has a shape.
func (s Spec) validateShape() error {
	least, most := s.Shape.Bounds()
	switch {
	case s.MinBytes != least || s.MaxBytes != most:
		return fmt.Errorf("min-bytes %d, max-bytes %d: must be left out where there is a shape, here of %d to %d bytes",
			s.MinBytes, s.MaxBytes, least, most)
	case most < int64(len(s.Needle)):
		return fmt.Errorf("shape %s: no size is at least the needle's length, %d", s.Shape.Name(), len(s.Needle))
	}
	return nil
}

// Key names object i, counting from 0. Keys in S3's list order are in the
// order of i.
func (s Spec) Key(i int) string {
	b := make([]byte, 0, len(s.Prefix)+len(seedKey)+maxDigits)
	b = append(append(b, s.Prefix...), seedKey...)
	for digit := pow10[s.digits()-1]; digit > 0; digit /= 10 {
		b = append(b, '0'+byte(i/digit%10))
	}
	return string(b)
}

// seedKey is how a seed object's key goes on after the prefix. Its number has
// minDigits digits, or maxDigits in a set that needs them.
const (
	seedKey   = "object-"
	minDigits = 6
	maxDigits = 7
)

var pow10 = [maxDigits]int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000}

// digits is how many the keys' numbers have: the same in all keys of a set, so
// that they are in order.
func (s Spec) digits() int {
	if s.Count > 1_000_000 {
		return maxDigits
	}
	return minDigits
}

// Number gives which object of s has a key.
func (s Spec) Number(key string) (i int, ok bool) {
	i, ok = s.numberOfAny(key)
	return i, ok && i < s.Count && len(key) == len(s.Prefix)+len(seedKey)+s.digits()
}

// numberOfAny gives the number in a key of a Spec with this prefix, whatever
// its Count.
func (s Spec) numberOfAny(key string) (i int, ok bool) {
	digits, ok := strings.CutPrefix(key, s.Prefix+seedKey)
	if !ok || len(digits) < minDigits || len(digits) > maxDigits || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	for _, digit := range []byte(digits) {
		i = 10*i + int(digit-'0')
	}
	return i, true
}

// isSeedKey says whether some Spec, with whatever prefix, has an object of that
// key.
func isSeedKey(key string) bool {
	name := strings.TrimRight(key, "0123456789")
	digits := len(key) - len(name)
	return strings.HasSuffix(name, seedKey) && digits >= minDigits && digits <= maxDigits
}

// streams of randomness for one object, so that its size does not depend on
// how many bytes were drawn for its body.
const (
	streamSize uint64 = iota
	streamNeedle
	streamBody
)

// generators are used again: there is one for each object's size and each block of
// its bytes, so that those of a million would be garbage of half a gigabyte.
var generators = sync.Pool{New: func() any { return new(rand.ChaCha8) }}

// rng gives the generator of a stream, to be put back.
func (s Spec) rng(object int, stream, block uint64) *rand.ChaCha8 {
	g := generators.Get().(*rand.ChaCha8)
	g.Seed(s.rngKey(object, stream, block))
	return g
}

func (s Spec) rngKey(object int, stream, block uint64) (key [32]byte) {
	binary.LittleEndian.PutUint64(key[0:], s.Seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(object))
	binary.LittleEndian.PutUint64(key[16:], stream)
	binary.LittleEndian.PutUint64(key[24:], block)
	return key
}

// Size gives object i's length in bytes: uniform between MinBytes and MaxBytes,
// or drawn from the shape. The needle's object is never too small for it.
func (s Spec) Size(i int) int64 { return s.Sizer()(i) }

// Sizer gives [Spec.Size] for many objects, from any number of goroutines.
func (s Spec) Sizer() func(i int) int64 {
	if s.Shape.IsZero() {
		return func(i int) int64 {
			g := s.rng(i, streamSize, 0)
			defer generators.Put(g)
			return s.MinBytes + rand.New(g).Int64N(s.MaxBytes-s.MinBytes+1)
		}
	}
	table, needleIn := s.Shape.table.Value(), s.NeedleObject()
	return func(i int) int64 {
		g := s.rng(i, streamSize, 0)
		defer generators.Put(g)
		size := table.draw(rand.New(g))
		if i == needleIn {
			size = max(size, int64(len(s.Needle)))
		}
		return size
	}
}

// MeanBytes is the mean size that the sizes are drawn with.
func (s Spec) MeanBytes() int64 {
	if s.Shape.IsZero() {
		return (s.MinBytes + s.MaxBytes) / 2
	}
	return s.Shape.Mean()
}

// NeedleObject says which object holds the needle.
func (s Spec) NeedleObject() int {
	g := s.rng(0, streamNeedle, 0)
	defer generators.Put(g)
	return rand.New(g).IntN(s.Count)
}

func (s Spec) needleOffset() int64 {
	size := s.Size(s.NeedleObject())
	g := s.rng(0, streamNeedle, 1)
	defer generators.Put(g)
	return rand.New(g).Int64N(size - int64(len(s.Needle)) + 1)
}

// Body gives object i's bytes as a reader that can seek, so that a PUT can be
// signed and tried again without holding it.
func (s Spec) Body(i int) *io.SectionReader {
	b := &body{maker: s.makerWithout(), object: i}
	if i == b.needleIn {
		b.needleAt = s.needleOffset()
	}
	return io.NewSectionReader(b, 0, s.Size(i))
}

// maker is what the bodies of a Spec have in common.
type maker struct {
	spec     Spec
	alphabet [64]byte
	needleIn int // object
	needleAt int64
}

func (s Spec) maker() maker {
	m := s.makerWithout()
	m.needleAt = s.needleOffset()
	return m
}

// makerWithout leaves out where the needle is, which matters in one object only.
func (s Spec) makerWithout() maker {
	return maker{spec: s, alphabet: alphabetWithout(s.Needle[0]), needleIn: s.NeedleObject()}
}

// blockBytes is how much one ChaCha8 stream fills: a read at any offset costs
// at most this much more than what it asked for.
const blockBytes = 4096

type body struct {
	maker
	object int
}

// ReadAt fills p with the object's bytes from off. The size is the section
// reader's affair.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	b.fill(b.object, p, off)
	return len(p), nil
}

// fill fills p with the bytes of an object from off.
func (m *maker) fill(object int, p []byte, off int64) {
	rng := generators.Get().(*rand.ChaCha8)
	defer generators.Put(rng)
	for n := 0; n < len(p); {
		at := off + int64(n)
		skip := int(at % blockBytes)
		part := p[n:min(n+blockBytes-skip, len(p))]
		rng.Seed(m.spec.rngKey(object, streamBody, uint64(at/blockBytes)))
		if skip == 0 {
			_, _ = rng.Read(part) // ChaCha8.Read never fails
		} else {
			var block [blockBytes]byte
			_, _ = rng.Read(block[:skip+len(part)])
			copy(part, block[skip:])
		}
		n += len(part)
	}
	for i, c := range p {
		p[i] = m.alphabet[c&63]
	}
	if object == m.needleIn {
		for i := range len(m.spec.Needle) {
			if at := m.needleAt + int64(i) - off; at >= 0 && at < int64(len(p)) {
				p[at] = m.spec.Needle[i]
			}
		}
	}
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
