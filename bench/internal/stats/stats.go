// Package stats says what a sample of measurements shows, and how sure that
// is, without assuming any distribution: [Summarise] gives the median with a
// confidence interval, [Compare] the Mann-Whitney U test, [Percentile] a
// percentile where there are enough values for one, [Drift] whether a sample
// moved while it was taken. The arithmetic is golang.org/x/perf/benchmath's,
// so that benchstat comes to the same figures.
//
// What a sample is too small to say is left out, never guessed; the least n
// stands beside it.
package stats

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"golang.org/x/perf/benchmath"
)

// Confidence is the level of every interval shown.
const Confidence = 0.95

// Alpha is the chance of a false alarm that a test, or a family of tests
// after [Holm], is allowed.
const Alpha = 0.05

// MinForInterval is the least n for which a median has an interval at
// [Confidence]: the extremes of five values hold it with 93.75% only, those of
// six with 96.9%.
const MinForInterval = 6

// Summary is what a sample says of itself. The zero Summary is the empty
// sample's.
type Summary struct {
	N           int       `json:"n"`
	Median      float64   `json:"median"`
	Lo          float64   `json:"lo"` // the interval around the median; 0 without one
	Hi          float64   `json:"hi"`
	HasInterval bool      `json:"has_interval"` // n is at least MinForInterval
	Level       float64   `json:"level"`        // what the interval really reaches, at least Confidence
	Lowest      float64   `json:"lowest"`       // of all values
	Highest     float64   `json:"highest"`      // of all values
	Values      []float64 `json:"-"`            // in the order given
}

// MarshalJSON gives null for what the sample is too small to say.
func (s Summary) MarshalJSON() ([]byte, error) {
	type plain Summary
	out := struct {
		N       int      `json:"n"`
		Median  *float64 `json:"median"`
		Lo      *float64 `json:"lo"`
		Hi      *float64 `json:"hi"`
		plain            // has_interval
		Level   *float64 `json:"level"`
		Lowest  *float64 `json:"lowest"`
		Highest *float64 `json:"highest"`
	}{N: s.N, plain: plain(s)}
	if s.N > 0 {
		out.Median, out.Lowest, out.Highest = &s.Median, &s.Lowest, &s.Highest
	}
	if s.HasInterval {
		out.Lo, out.Hi, out.Level = &s.Lo, &s.Hi, &s.Level
	}
	return json.Marshal(out)
}

// Summarise sums up values, which stay as they are.
func Summarise(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	s := Summary{N: len(values), Lowest: slices.Min(values), Highest: slices.Max(values), Values: slices.Clone(values)}
	if s.N == 1 {
		s.Median = values[0]
		return s
	}
	sum := benchmath.AssumeNothing.Summary(sample(values), Confidence)
	s.Median = sum.Center
	if !math.IsInf(sum.Lo, 0) && !math.IsInf(sum.Hi, 0) {
		s.HasInterval, s.Lo, s.Hi, s.Level = true, sum.Lo, sum.Hi, sum.Confidence
	}
	return s
}

// Precision is how far the interval reaches from the median, as a share of
// it: 0.03 reads as ±3%. It is +Inf without an interval.
func (s Summary) Precision() float64 {
	switch {
	case s.HasInterval && s.Lo == s.Hi: // the median may be 0, too
		return 0
	case !s.HasInterval || s.Median == 0:
		return math.Inf(1)
	}
	return max(s.Hi-s.Median, s.Median-s.Lo) / math.Abs(s.Median)
}

// sample sorts a copy: NewSample would sort the caller's.
func sample(values []float64) *benchmath.Sample {
	return benchmath.NewSample(slices.Clone(values), &benchmath.Thresholds{CompareAlpha: Alpha})
}

// Relation is what a comparison of two samples shows.
type Relation int

// Relations.
const (
	TooFew  Relation = iota // not even samples wholly apart would show a difference
	Tie                     // no difference was found
	Differs                 // p is at most Alpha
)

// String gives the words for a reader.
func (r Relation) String() string {
	return [...]string{"too few to tell", "no difference", "differs"}[r]
}

// Comparison is the Mann-Whitney U test of two samples, two-sided.
type Comparison struct {
	P        float64  `json:"p"`
	MinP     float64  `json:"min_p"` // the least that samples of these sizes can reach
	N1       int      `json:"n1"`
	N2       int      `json:"n2"`
	Relation Relation `json:"-"`
}

// MarshalJSON gives null for the p of a test that was not made.
func (c Comparison) MarshalJSON() ([]byte, error) {
	type plain Comparison
	out := struct {
		P *float64 `json:"p"`
		plain
	}{plain: plain(c)}
	if c.Relation != TooFew {
		out.P = &c.P
	}
	return json.Marshal(out)
}

// Compare tests whether two samples come from one distribution. Both equal
// throughout is a tie with p = 1.
func Compare(a, b []float64) Comparison {
	c := Comparison{P: 1, MinP: MinP(len(a), len(b)), N1: len(a), N2: len(b)}
	if c.MinP > Alpha {
		return c
	}
	c.P = min(benchmath.AssumeNothing.Compare(sample(a), sample(b)).P, 1)
	if c.Relation = Tie; c.P <= Alpha {
		c.Relation = Differs
	}
	return c
}

// String reads "n=10, p=0.31", or "n=10+9, p<0.001".
func (c Comparison) String() string {
	n := fmt.Sprintf("n=%d", c.N1)
	if c.N1 != c.N2 {
		n += fmt.Sprintf("+%d", c.N2)
	}
	return n + ", " + FormatP(c.P)
}

// FormatP reads "p=0.31", "p=0.002" or "p<0.001".
func FormatP(p float64) string {
	switch {
	case p < 0.001:
		return "p<0.001"
	case p < 0.0995:
		return fmt.Sprintf("p=%.3f", p)
	}
	return fmt.Sprintf("p=%.2f", p)
}

// CanDiffer says whether samples of these sizes, wholly apart, would differ.
func CanDiffer(n, m int) bool { return MinP(n, m) <= Alpha }

// MinP is the least p of the two-sided U test: all of one sample below all of
// the other, in one of C(n+m, n) orders, or the other way round.
func MinP(n, m int) float64 {
	if n == 0 || m == 0 {
		return 1
	}
	orders, _ := new(big.Float).SetInt(new(big.Int).Binomial(int64(n+m), int64(n))).Float64()
	return min(2/orders, 1)
}

// MinForTest is the least n of two equal samples with which a U test can come
// to a p of at most alpha, such as the strictest that [Holm] asks of a family.
func MinForTest(alpha float64) int {
	for n := 1; ; n++ {
		if p := MinP(n, n); p <= alpha || n == 1000 {
			return n
		}
	}
}

// Holm adjusts the p values of a family of tests, so that the chance of any
// false alarm among those with an adjusted p of at most alpha is at most
// alpha, however the tests depend on each other. The order is kept.
func Holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	adjusted := make([]float64, len(ps))
	highest := 0.0
	for rank, i := range order {
		highest = max(highest, min(ps[i]*float64(len(ps)-rank), 1))
		adjusted[i] = highest
	}
	return adjusted
}

// TooFewError says that a sample is too small for a percentile.
type TooFewError struct {
	Percent float64
	N, Need int
}

func (e *TooFewError) Error() string {
	return fmt.Sprintf("p%g needs n of %d, has %d", e.Percent, e.Need, e.N)
}

// Percentile gives the value that percent of the sample, above 50 and below
// 100, do not exceed (nearest rank). Where on average not one value would lie
// beyond it the error is a [*TooFewError]: p90 needs 10, p99 needs 100.
func Percentile(values []float64, percent float64) (float64, error) {
	if need := int(math.Ceil(100/(100-percent) - 1e-9)); len(values) < need {
		return 0, &TooFewError{percent, len(values), need}
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(percent/100*float64(len(sorted))-1e-9))-1], nil
}

// Timed is a value and when it was measured.
type Timed struct {
	At    time.Time
	Value float64
}

// driftLeast is the change below which a drift is not worth a word.
const driftLeast = 0.02

// Drifted is how a sample moved: the second half's median over the first's,
// less one, and the test of the two.
type Drifted struct {
	Change float64 // 0.1: the second half took a tenth longer
	Test   Comparison
}

// Drift compares the first half of a sample, by time, with the second; the
// middle one of an odd number belongs to neither.
func Drift(values []Timed) Drifted {
	v := slices.Clone(values)
	slices.SortStableFunc(v, func(a, b Timed) int { return a.At.Compare(b.At) })
	half := len(v) / 2
	return driftOf(plain(v[:half]), plain(v[len(v)-half:]))
}

// DriftOfAll asks the same of many samples at once, taken interleaved: each
// value over its own sample's median, so that samples of few values each show
// together what none shows alone.
func DriftOfAll(samples [][]Timed) Drifted {
	var first, second []float64
	for _, s := range samples {
		if len(s) < 2 {
			continue
		}
		v := slices.Clone(s)
		slices.SortStableFunc(v, func(a, b Timed) int { return a.At.Compare(b.At) })
		median, half := Summarise(plain(v)).Median, len(v)/2
		if median == 0 {
			continue
		}
		for i := range half {
			first = append(first, v[i].Value/median)
			second = append(second, v[len(v)-half+i].Value/median)
		}
	}
	return driftOf(first, second)
}

func driftOf(first, second []float64) Drifted {
	d := Drifted{Test: Compare(first, second)}
	if before := Summarise(first).Median; before != 0 {
		d.Change = Summarise(second).Median/before - 1
	}
	return d
}

// Found says whether a drift is sure, and large enough for a word; p is the
// test's, or what [Holm] made of it.
func (d Drifted) Found(p float64) bool { return p <= Alpha && math.Abs(d.Change) >= driftLeast }

func plain(values []Timed) []float64 {
	v := make([]float64, len(values))
	for i := range values {
		v[i] = values[i].Value
	}
	return v
}

// FisherWorse is the one-sided exact test of failures: the chance of at least
// bad2 failures among the second n2 if both had failed alike, given
// bad1 + bad2 in all.
func FisherWorse(bad1, n1, bad2, n2 int) float64 {
	bad := bad1 + bad2
	all := new(big.Int).Binomial(int64(n1+n2), int64(bad))
	if all.Sign() == 0 {
		return 1
	}
	tail := new(big.Int)
	for k := bad2; k <= min(bad, n2); k++ {
		ways := new(big.Int).Binomial(int64(n2), int64(k))
		tail.Add(tail, ways.Mul(ways, new(big.Int).Binomial(int64(n1), int64(bad-k))))
	}
	p, _ := new(big.Rat).SetFrac(tail, all).Float64()
	return p
}
