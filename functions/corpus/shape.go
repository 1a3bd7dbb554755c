package corpus

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
	"unique"
)

// Shape is a distribution of object sizes, as a table of at most 40 ranges:
// [Lognormal] makes one from two figures, [ReadShape] from the sizes of a real
// bucket. The zero value is none. Two Shapes of the same table are equal by ==.
//
// A table, and not a formula, because floating-point arithmetic may differ in
// the last bit between processors: sizes are drawn from it by whole numbers
// alone, so that the seeder on one architecture and the reader on another agree.
type Shape struct{ table unique.Handle[shapeTable] }

// shapeTable is what a Shape stands for.
type shapeTable struct {
	name    string // the file's, or lognormalName and its figures
	objects int64  // whose sizes were read; 0: it is from a formula
	cut     int64  // of those, larger than the largest seed object
	n       int    // of bins
	bins    [maxBins]sizeBin
}

// sizeBin is a range of sizes. A size is drawn from it so that the sizes' mean
// is the range's, too: uniformly from one of the two sides of the mean, which
// is chosen in the right proportion.
type sizeBin struct{ weight, low, mean, high int64 }

const (
	maxBins = 40

	// shapeWeight is the sum of a shape's weights.
	shapeWeight = 1_000_000

	maxShapeName  = 100 // bytes
	lognormalName = "lognormal "
)

// Lognormal gives the shape of log-normally distributed sizes with this median
// and 99th percentile, in bytes.
func Lognormal(median, p99 int64) (Shape, error) {
	if median < 1 || p99 <= median || p99 > maxObjectBytes {
		return Shape{}, fmt.Errorf("lognormal %d,%d: must be a median from 1 and a larger 99th percentile of up to %d bytes",
			median, p99, int64(maxObjectBytes))
	}
	const points = 100_000 // to the percentile that the smallest bin begins at
	sigma := math.Log(float64(p99)/float64(median)) / (math.Sqrt2 * math.Erfinv(2*0.99-1))
	var h sizeHistogram
	for i := range points {
		quantile := math.Sqrt2 * math.Erfinv((2*float64(i)+1)/points-1)
		size := math.Round(float64(median) * math.Exp(sigma*quantile))
		h.add(max(1, int64(min(size, maxObjectBytes))))
	}
	t := h.table()
	t.objects, t.cut = 0, 0
	t.name = fmt.Sprintf("%s%d,%d", lognormalName, median, p99)
	return Shape{unique.Make(t)}, nil
}

// ParseLognormal reads the two figures of [Lognormal], each as [ParseSize] does:
// "12000,400000" or "12kB, 400kB".
func ParseLognormal(text string) (Shape, error) {
	first, second, ok := strings.Cut(text, ",")
	median, err := ParseSize(first)
	p99, err2 := ParseSize(second)
	if !ok || err != nil || err2 != nil {
		return Shape{}, fmt.Errorf("lognormal %q: must be a median and a 99th percentile in bytes, such as 12000,400000 or 12kB,400kB", text)
	}
	return Lognormal(median, p99)
}

// IsZero says whether there is no shape.
func (s Shape) IsZero() bool { return s == Shape{} }

// Name is the name of the file that the shape was read from, or "lognormal" and
// its two figures.
func (s Shape) Name() string { return s.table.Value().name }

// Lognormal gives the two figures of a shape that is from a formula, as the
// flag takes them: "12000,400000".
func (s Shape) Lognormal() (figures string, ok bool) {
	if s.IsZero() {
		return "", false
	}
	t := s.table.Value()
	figures, ok = strings.CutPrefix(t.name, lognormalName)
	return figures, ok && t.objects == 0
}

// CutWarning says how many of the sizes are larger than a seed object can be; empty:
// none.
func (s Shape) CutWarning() string {
	if s.IsZero() {
		return ""
	}
	n, cut := s.Objects()
	if cut == 0 {
		return ""
	}
	return fmt.Sprintf("shape %s: %d of %d sizes cut to 5 GiB, the largest object that one PUT can make", s.Name(), cut, n)
}

// Objects is how many sizes the shape was read from, and cut how many of them
// were larger than the largest seed object, 5 GiB, and are taken for as large.
// Both are 0 for a formula.
func (s Shape) Objects() (n, cut int64) {
	t := s.table.Value()
	return t.objects, t.cut
}

// Bounds are the smallest and the largest size, in bytes.
func (s Shape) Bounds() (least, most int64) {
	t := s.table.Value()
	return t.bins[0].low, t.bins[t.n-1].high
}

// Mean is the mean size, in bytes.
func (s Shape) Mean() int64 {
	t := s.table.Value()
	var sum float64
	for _, b := range t.bins[:t.n] {
		sum += float64(b.weight) * float64(b.mean)
	}
	return int64(sum / shapeWeight)
}

// Quantile gives the size, in bytes, that a share of the sizes, 0 to 1, are at
// or below; to the table's precision, which is 2% for the median and the 99th
// percentile.
func (s Shape) Quantile(share float64) int64 {
	t := s.table.Value()
	wanted, below := share*shapeWeight, int64(0)
	for _, b := range t.bins[:t.n] {
		if below += b.weight; float64(below) >= wanted {
			return b.high
		}
	}
	return t.bins[t.n-1].high
}

// ShapePoint says which share of the objects, and of their bytes, 0 to 1, are
// those of at most Size bytes.
type ShapePoint struct {
	Size           int64
	Objects, Bytes float64
}

// Cumulative gives the points of a shape in rising order, from the smallest size
// on, which no object is below; to draw it.
func (s Shape) Cumulative() []ShapePoint {
	t := s.table.Value()
	var all float64
	for _, b := range t.bins[:t.n] {
		all += float64(b.weight) * float64(b.mean)
	}
	points := []ShapePoint{{Size: t.bins[0].low}}
	var objects, bytes float64
	for _, b := range t.bins[:t.n] {
		objects += float64(b.weight) / shapeWeight
		if all > 0 {
			bytes += float64(b.weight) * float64(b.mean) / all
		}
		points = append(points, ShapePoint{b.high, objects, bytes})
	}
	return points
}

// String says in words what the shape is.
func (s Shape) String() string {
	if s.IsZero() {
		return "none"
	}
	text := fmt.Sprintf("%s: median %d, p99 %d, largest %d bytes", s.Name(), s.Quantile(0.5), s.Quantile(0.99), s.Quantile(1))
	switch n, cut := s.Objects(); {
	case cut > 0:
		text += fmt.Sprintf(", from %d sizes (%d larger than %d bytes cut to that)", n, cut, int64(maxObjectBytes))
	case n > 0:
		text += fmt.Sprintf(", from %d sizes", n)
	}
	return text
}

// draw gives one size.
func (t *shapeTable) draw(rng *rand.Rand) int64 {
	at := rng.Int64N(shapeWeight)
	k := 0
	for at -= t.bins[0].weight; at >= 0 && k < t.n-1; at -= t.bins[k].weight {
		k++
	}
	b := t.bins[k]
	switch {
	case b.low == b.high:
		return b.low
	case rng.Int64N(b.high-b.low) < b.high-b.mean:
		return b.low + rng.Int64N(b.mean-b.low+1)
	default:
		return b.mean + rng.Int64N(b.high-b.mean+1)
	}
}

// shapeJSON is a Shape as JSON. Of a bin it has weight in millionths, smallest,
// mean and largest size.
type shapeJSON struct {
	Name    string     `json:"name"`
	Objects int64      `json:"objects,omitempty"`
	Cut     int64      `json:"cut,omitempty"`
	Bins    [][4]int64 `json:"bins"`
}

// MarshalJSON gives the table.
func (s Shape) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	t := s.table.Value()
	j := shapeJSON{Name: t.name, Objects: t.objects, Cut: t.cut}
	for _, b := range t.bins[:t.n] {
		j.Bins = append(j.Bins, [4]int64{b.weight, b.low, b.mean, b.high})
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON gives, and refuses what could not be
// drawn from.
func (s *Shape) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*s = Shape{}
		return nil
	}
	var j shapeJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return fmt.Errorf("shape: %w", err)
	}
	t := shapeTable{name: j.Name, objects: j.Objects, cut: j.Cut, n: len(j.Bins)}
	if t.n > maxBins {
		return fmt.Errorf("shape: %d bins: must be 1 to %d", t.n, maxBins)
	}
	for i, b := range j.Bins {
		t.bins[i] = sizeBin{b[0], b[1], b[2], b[3]}
	}
	if err := t.validate(); err != nil {
		return fmt.Errorf("shape: %w", err)
	}
	*s = Shape{unique.Make(t)}
	return nil
}

// printable puts U+FFFD in the place of what a name, shown on a terminal, should
// not have.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(name, string(utf8.RuneError)))
}

// validate says what is wrong with a table that came from elsewhere.
func (t *shapeTable) validate() error {
	if len(t.name) > maxShapeName || t.name != printable(t.name) {
		return fmt.Errorf("name of %d bytes: must be printable UTF-8 of up to %d", len(t.name), maxShapeName)
	}
	if t.objects < 0 || t.cut < 0 || t.cut > t.objects {
		return fmt.Errorf("%d sizes, %d of them cut: must not be negative, or more", t.objects, t.cut)
	}
	var weight, last int64
	for i, b := range t.bins[:t.n] {
		switch {
		case b.weight < 1 || b.weight > shapeWeight:
			return fmt.Errorf("bin %d: weight %d: must be 1 to %d", i, b.weight, shapeWeight)
		case b.low < last || b.mean < b.low || b.high < b.mean || b.high > maxObjectBytes:
			return fmt.Errorf("bin %d: sizes %d, %d, %d: must rise from %d to at most %d", i, b.low, b.mean, b.high, last, int64(maxObjectBytes))
		}
		weight, last = weight+b.weight, b.high
	}
	if weight != shapeWeight {
		return fmt.Errorf("weights sum to %d: must be %d", weight, shapeWeight)
	}
	return nil
}

// sizeHistogram counts sizes in constant memory, however many: exactly below
// 128 bytes, and in 64 buckets for each doubling above, so that a bucket's sizes
// differ by 1.6% at most.
type sizeHistogram struct {
	buckets [128 + 64*(maxSizeBits-7)]sizeBucket
	cut     int64
}

// maxSizeBits is the length of the largest seed object's size.
const maxSizeBits = 33

type sizeBucket struct {
	count, least, most int64
	sum                float64
}

func (b *sizeBucket) merge(o sizeBucket) {
	if b.count == 0 {
		b.least = o.least
	}
	b.count, b.sum, b.least, b.most = b.count+o.count, b.sum+o.sum, min(b.least, o.least), max(b.most, o.most)
}

// add counts a size; one that is larger than a seed object may be as that.
func (h *sizeHistogram) add(size int64) {
	if size > maxObjectBytes {
		size = maxObjectBytes
		h.cut++
	}
	i := int(size)
	if size >= 128 {
		exponent := bits.Len64(uint64(size)) - 1
		i = 128 + 64*(exponent-7) + int(size>>(exponent-6))&63
	}
	h.buckets[i].merge(sizeBucket{1, size, size, float64(size)})
}

// binEdges are the shares of the sizes that bins end at, if there are more than
// maxBins buckets: steps of 5%, then finer where most of the bytes are.
var binEdges = func() []float64 {
	var edges []float64
	for i := 1; i < 20; i++ {
		edges = append(edges, float64(i)/20)
	}
	edges = append(edges, 0.975)
	for rest := 0.01; rest > 1e-5; rest /= 2 {
		edges = append(edges, 1-rest)
	}
	return edges
}()

// table gives the ranges.
func (h *sizeHistogram) table() shapeTable {
	var filled []sizeBucket
	var all int64
	for _, b := range h.buckets {
		if b.count > 0 {
			filled = append(filled, b)
			all += b.count
		}
	}
	if len(filled) > maxBins {
		filled = grouped(filled, all)
	}
	t := shapeTable{objects: all, cut: h.cut}
	var below, given int64
	var group sizeBucket // what is too rare for a weight goes with its neighbour
	for _, b := range filled {
		group.merge(b)
		below += b.count
		weight := int64(math.Round(float64(below)/float64(all)*shapeWeight)) - given
		if weight > 0 {
			t.bins[t.n] = group.bin(weight)
			t.n, given, group = t.n+1, given+weight, sizeBucket{}
		}
	}
	if last := &t.bins[t.n-1]; group.count > 0 {
		rare := float64(group.count) / float64(all) * shapeWeight // less than one
		last.high = group.most
		last.mean += int64(rare / float64(last.weight) * (group.sum/float64(group.count) - float64(last.mean)))
	}
	return t
}

// bin gives the range of a bucket's sizes.
func (b *sizeBucket) bin(weight int64) sizeBin {
	mean := int64(math.Round(b.sum / float64(b.count)))
	return sizeBin{weight, b.least, min(max(mean, b.least), b.most), b.most}
}

// grouped merges neighbours so that ranges end at binEdges.
func grouped(filled []sizeBucket, all int64) []sizeBucket {
	var groups []sizeBucket
	var group sizeBucket
	var below int64
	edges := binEdges
	for _, b := range filled {
		group.merge(b)
		below += b.count
		if len(edges) == 0 || float64(below) < edges[0]*float64(all) {
			continue
		}
		groups, group = append(groups, group), sizeBucket{}
		for len(edges) > 0 && float64(below) >= edges[0]*float64(all) {
			edges = edges[1:]
		}
	}
	if group.count > 0 {
		groups = append(groups, group)
	}
	return groups
}
