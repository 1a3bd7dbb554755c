package stats

import (
	"math"
	"testing"
)

func TestRank(t *testing.T) {
	for _, row := range []struct {
		name     string
		a, b     []float64
		tau, rho float64
		swapped  int
		known    bool
	}{
		{"the same order", []float64{1, 2, 3, 4}, []float64{10, 20, 30, 99}, 1, 1, 0, true},
		{"reversed", []float64{1, 2, 3}, []float64{3, 2, 1}, -1, -1, 3, true},
		{"one pair swapped: 1 - 2·1/6 and 1 - 6·2/60", []float64{1, 2, 3, 4}, []float64{1, 3, 2, 4}, 2. / 3, 0.8, 1, true},
		// tau-b: (5 - 0) / sqrt(5 · 6); ranks 1, 2.5, 2.5, 4: rho 4.5 / sqrt(4.5 · 5)
		{"a tie", []float64{1, 2, 2, 4}, []float64{1, 2, 3, 4}, 5 / math.Sqrt(30), 4.5 / math.Sqrt(22.5), 0, true},
		{"all alike", []float64{1, 1}, []float64{1, 2}, 0, math.NaN(), 0, false},
		{"one", []float64{1}, []float64{1}, 0, math.NaN(), 0, false},
		{"none", nil, nil, 0, math.NaN(), 0, false},
	} {
		tau, swapped, known := Kendall(row.a, row.b)
		rho := Spearman(row.a, row.b)
		if math.Abs(tau-row.tau) > 1e-9 || swapped != row.swapped || known != row.known ||
			!(math.Abs(rho-row.rho) < 1e-9 || math.IsNaN(rho) && math.IsNaN(row.rho)) {
			t.Errorf("%s: tau %g, rho %g, %d swapped, %t", row.name, tau, rho, swapped, known)
		}
	}
}
