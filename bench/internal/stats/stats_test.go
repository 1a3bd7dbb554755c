package stats

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(b)) }

func TestSummarise(t *testing.T) {
	for _, tc := range []struct {
		name           string
		values         []float64
		median, lo, hi float64
		interval       bool
	}{
		{"none", nil, 0, 0, 0, false},
		{"one has a median, and no interval", []float64{5}, 5, 0, 0, false},
		{"an even number", []float64{4, 1, 3, 2}, 2.5, 0, 0, false},
		{"five reach 93.75% only", []float64{1, 2, 3, 4, 5}, 3, 0, 0, false},
		{"six: the extremes reach 96.9%", []float64{6, 5, 4, 3, 2, 1}, 3.5, 1, 6, true},
		{"nine: the second and the eighth", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 5, 2, 8, true},
	} {
		in := slices.Clone(tc.values)
		s := Summarise(in)
		if s.N != len(in) || s.Median != tc.median || s.Lo != tc.lo || s.Hi != tc.hi || s.HasInterval != tc.interval {
			t.Errorf("%s: %+v", tc.name, s)
		}
		if s.HasInterval && s.Level < Confidence {
			t.Errorf("%s: the interval reaches %v only", tc.name, s.Level)
		}
		if !slices.Equal(in, tc.values) || !slices.Equal(s.Values, tc.values) {
			t.Errorf("%s: the values' order was lost", tc.name)
		}
	}
	if p := Summarise([]float64{1, 2, 3, 4, 5, 6}).Precision(); !near(p, 2.5/3.5) {
		t.Errorf("precision %v", p)
	}
	if p := Summarise(make([]float64, 8)).Precision(); p != 0 {
		t.Errorf("eight times 0: ±%v, want none", p)
	}
	if p := Summarise([]float64{1, 2}).Precision(); !math.IsInf(p, 1) {
		t.Errorf("precision %v of two values", p)
	}
}

// The interval holds the true median at least as often as it says.
func TestIntervalCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const trials = 4000
	for _, n := range []int{MinForInterval, 10, 25} {
		missed := 0
		for range trials {
			v := make([]float64, n)
			for i := range v {
				v[i] = math.Exp(rng.NormFloat64()) // median 1, far from normal
			}
			if s := Summarise(v); s.Lo > 1 || s.Hi < 1 {
				missed++
			}
		}
		if share := float64(missed) / trials; share > 0.055 {
			t.Errorf("n=%d: %.1f%% of the intervals miss the median", n, share*100)
		}
	}
}

func TestCompare(t *testing.T) {
	up := func(from float64, n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = from + float64(i)
		}
		return v
	}
	for _, tc := range []struct {
		name string
		a, b []float64
		want Relation
		p    float64
		text string
	}{
		{"nothing to compare", nil, up(0, 9), TooFew, 1, "n=0+9, p=1.00"},
		{"one against five, wholly apart: p cannot be below 1/3", up(0, 1), up(50, 5), TooFew, 1, "n=1+5, p=1.00"},
		{"three against three: p cannot be below 0.1", up(0, 3), up(50, 3), TooFew, 1, "n=3, p=1.00"},
		{"four against four, wholly apart", up(0, 4), up(50, 4), Differs, 2.0 / 70, "n=4, p=0.029"},
		{"six against six, wholly apart", up(50, 6), up(0, 6), Differs, 2.0 / 924, "n=6, p=0.002"},
		{"the same values", up(0, 10), up(0, 10), Tie, 1, "n=10, p=1.00"},
		{"all equal", []float64{5, 5, 5, 5, 5}, []float64{5, 5, 5, 5, 5}, Tie, 1, "n=5, p=1.00"},
	} {
		c := Compare(tc.a, tc.b)
		if c.Relation != tc.want || !near(c.P, tc.p) || c.String() != tc.text {
			t.Errorf("%s: %+v, %s", tc.name, c, c)
		}
	}
	for p, want := range map[float64]string{0.0004: "p<0.001", 0.0123: "p=0.012", 0.31: "p=0.31", 0.0996: "p=0.10"} {
		if got := FormatP(p); got != want {
			t.Errorf("%v: %s, want %s", p, got, want)
		}
	}
}

func TestMinForTest(t *testing.T) {
	for alpha, want := range map[float64]int{
		0.05:      4, // 2/C(8,4) = 0.029
		0.05 / 10: 6, // 2/C(12,6) = 0.0022; five reach 0.0079
		0.05 / 24: 7, // 0.0021: six just miss it
	} {
		if got := MinForTest(alpha); got != want {
			t.Errorf("alpha %v: n=%d, want %d", alpha, got, want)
		}
	}
	if !CanDiffer(4, 4) || CanDiffer(3, 3) || CanDiffer(1, 30) || !CanDiffer(1, 39) {
		t.Error("who can differ")
	}
}

func TestHolm(t *testing.T) {
	for _, tc := range []struct {
		name     string
		ps, want []float64
	}{
		{"none", nil, []float64{}},
		{"one stays", []float64{0.03}, []float64{0.03}},
		{"in any order; never below a smaller one's", []float64{0.04, 0.01, 0.03, 0.005}, []float64{0.06, 0.03, 0.06, 0.02}},
		{"at most 1", []float64{0.9, 0.8}, []float64{1, 1}},
	} {
		in := slices.Clone(tc.ps)
		if got := Holm(in); !slices.EqualFunc(got, tc.want, near) || !slices.Equal(in, tc.ps) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	v := make([]float64, 100)
	for i := range v {
		v[i] = float64(100 - i)
	}
	for _, tc := range []struct {
		name    string
		values  []float64
		percent float64
		want    float64
		need    int // 0: it has one
	}{
		{"p90 of ten", v[:10], 90, 99, 0},
		{"p90 of nine", v[:9], 90, 0, 10},
		{"p95 of twenty", v[:20], 95, 99, 0},
		{"p99 of a hundred", v, 99, 99, 0},
		{"p99 of ninety-nine", v[:99], 99, 0, 100},
		{"none", nil, 90, 0, 10},
	} {
		got, err := Percentile(tc.values, tc.percent)
		var few *TooFewError
		if errors.As(err, &few) != (tc.need > 0) || got != tc.want || few != nil && few.Need != tc.need {
			t.Errorf("%s: %v, %v", tc.name, got, err)
		}
	}
	if _, err := Percentile(v[:5], 99); err.Error() != "p99 needs n of 100, has 5" {
		t.Error(err)
	}
}

func TestDrift(t *testing.T) {
	at := func(values ...float64) []Timed {
		v := make([]Timed, len(values))
		for i := range v {
			v[i] = Timed{time.Unix(int64(i), 0), values[i]}
		}
		return v
	}
	for _, tc := range []struct {
		name   string
		values []Timed
		change float64
		found  bool
	}{
		{"too few to tell", at(1, 1.1, 2, 2.1), 0.9523809523809523, false},
		{"slower in the second half", at(10, 10.1, 9.9, 10.2, 99, 12, 12.1, 11.9, 12.2), 0.19900497512437809, true},
		{"sure, but not worth a word", at(10, 10.01, 10.02, 10.03, 10.04, 10.05, 10.06, 10.07), 0.003994008986520225, false},
		{"up and down", at(10, 12, 11, 13, 12, 10, 13, 11), 0, false},
	} {
		v := slices.Clone(tc.values)
		slices.Reverse(v) // by time, not by place
		d := Drift(v)
		if !near(d.Change, tc.change) || d.Found(d.Test.P) != tc.found {
			t.Errorf("%s: %+v", tc.name, d)
		}
	}
	// Three settings of two values each: none shows it alone.
	var samples [][]Timed
	for i := range 6 {
		samples = append(samples, at(float64(100*(i+1)), float64(120*(i+1))))
	}
	if d := DriftOfAll(samples); !d.Found(d.Test.P) || !near(d.Change, 0.2) {
		t.Errorf("together: %+v", d)
	}
	if d := DriftOfAll([][]Timed{at(1), nil}); d.Found(d.Test.P) {
		t.Errorf("nothing: %+v", d)
	}
}

func TestFisherWorse(t *testing.T) {
	for _, tc := range []struct {
		name               string
		bad1, n1, bad2, n2 int
		want               float64
	}{
		{"Fisher's tea: three of four", 1, 4, 3, 4, 17.0 / 70},
		{"all failed, none before", 0, 6, 6, 6, 1.0 / 924},
		{"none failed", 0, 6, 0, 6, 1},
		{"fewer than before", 3, 6, 0, 6, 1},
		{"nothing measured", 0, 0, 0, 0, 1},
	} {
		if got := FisherWorse(tc.bad1, tc.n1, tc.bad2, tc.n2); !near(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// JSON says null for what a sample cannot say, never 0.
func TestJSON(t *testing.T) {
	for _, tc := range []struct {
		name string
		of   any
		want string
	}{
		{"no values", Summarise(nil),
			`{"n":0,"median":null,"lo":null,"hi":null,"has_interval":false,"level":null,"lowest":null,"highest":null}`},
		{"one value", Summarise([]float64{5}),
			`{"n":1,"median":5,"lo":null,"hi":null,"has_interval":false,"level":null,"lowest":5,"highest":5}`},
		{"a median of 0", Summarise([]float64{0, 0}),
			`{"n":2,"median":0,"lo":null,"hi":null,"has_interval":false,"level":null,"lowest":0,"highest":0}`},
		{"six values", Summarise([]float64{1, 2, 3, 4, 5, 6}),
			`{"n":6,"median":3.5,"lo":1,"hi":6,"has_interval":true,"level":0.96875,"lowest":1,"highest":6}`},
		{"too few to test", Compare([]float64{1, 2}, []float64{3, 4}), `{"p":null,"min_p":0.3333333333333333,"n1":2,"n2":2}`},
		{"no test", Comparison{}, `{"p":null,"min_p":0,"n1":0,"n2":0}`},
		{"a test", Compare([]float64{1, 1, 1, 1}, []float64{1, 1, 1, 1}), `{"p":1,"min_p":0.02857142857142857,"n1":4,"n2":4}`},
	} {
		text, err := json.Marshal(tc.of)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal([]byte(tc.want), &want)); err != nil ||
			!reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s, want %s, %v", tc.name, text, tc.want, err)
		}
	}
}

// What is at a bound belongs to it.
func TestBounds(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  bool
		want bool
	}{
		{"a drift of exactly the least", Drifted{Change: driftLeast}.Found(Alpha), true},
		{"the same the other way", Drifted{Change: -driftLeast}.Found(Alpha), true},
		{"a drift of less", Drifted{Change: driftLeast * 0.999}.Found(Alpha), false},
		{"a drift that may be chance", Drifted{Change: 1}.Found(Alpha * 1.001), false},
		{"one against 39 can just differ", CanDiffer(1, 39), true}, // 2/40
		{"one against 38 cannot", CanDiffer(1, 38), false},
		{"and is compared", Compare([]float64{100}, ramp(39)).Relation == TooFew, false},
		{"one against 38 is not", Compare([]float64{100}, ramp(38)).Relation == TooFew, true},
		{"n for the least p that four reach", MinForTest(MinP(4, 4)) == 4, true},
		{"n for less", MinForTest(MinP(4, 4)*0.999) == 5, true},
		{"n for what no sample reaches", MinForTest(-1) == 1000, true},
		{"nothing against something", MinP(0, 5) == 1 && MinP(5, 0) == 1, true},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %v", tc.name, tc.got)
		}
	}
}

func ramp(n int) []float64 {
	var all []float64
	for i := range n {
		all = append(all, float64(i+1))
	}
	return all
}

// A sample that is too short for halves does not end the others' drift, and the
// middle value of an odd number is in neither half.
func TestDriftOfAllHalves(t *testing.T) {
	timed := func(values ...float64) []Timed {
		var all []Timed
		for i, v := range values {
			all = append(all, Timed{At: time.Unix(int64(i), 0), Value: v})
		}
		return all
	}
	odd := timed(1, 1, 9, 2, 2)
	d := DriftOfAll([][]Timed{timed(7), timed(0, 0), odd, odd, odd})
	if d.Test.N1 != 6 || d.Test.N2 != 6 || !near(d.Change, 1) {
		t.Errorf("%+v", d)
	}
}
