package stats

import (
	"cmp"
	"math"
	"slices"
)

// Kendall is Kendall's tau-b of pairs (a[i], b[i]): 1 where both are in the same
// order, -1 where one is in the other's reverse; ties count for neither. swapped is
// how many pairs of values are in opposite orders. known is false where all values
// of one are alike, or there are fewer than two.
func Kendall(a, b []float64) (tau float64, swapped int, known bool) {
	same, tiedA, tiedB := 0, 0, 0
	for i := range a {
		for k := range i {
			x, y := cmp.Compare(a[i], a[k]), cmp.Compare(b[i], b[k])
			switch {
			case x == 0 || y == 0:
				if x == 0 {
					tiedA++
				}
				if y == 0 {
					tiedB++
				}
			case x == y:
				same++
			default:
				swapped++
			}
		}
	}
	pairs := len(a) * (len(a) - 1) / 2
	root := math.Sqrt(float64(pairs-tiedA) * float64(pairs-tiedB))
	if root == 0 {
		return 0, swapped, false
	}
	return float64(same-swapped) / root, swapped, true
}

// Spearman is Spearman's rho: the correlation of the ranks, of which equal values
// have their mean. NaN where all values of one are alike.
func Spearman(a, b []float64) float64 {
	x, y := ranks(a), ranks(b)
	mean := float64(len(a)+1) / 2
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mean) * (y[i] - mean)
		xx += (x[i] - mean) * (x[i] - mean)
		yy += (y[i] - mean) * (y[i] - mean)
	}
	return xy / math.Sqrt(xx*yy)
}

// ranks gives the place of each value in order, from 1; equal ones share the mean.
func ranks(v []float64) []float64 {
	sorted := slices.Sorted(slices.Values(v))
	all := make([]float64, len(v))
	for i, x := range v {
		first, _ := slices.BinarySearch(sorted, x)
		last := first
		for last < len(sorted) && sorted[last] == x {
			last++
		}
		all[i] = float64(first+last+1) / 2
	}
	return all
}
