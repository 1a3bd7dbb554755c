package main

import (
	"slices"
	"testing"
)

func TestCompleted(t *testing.T) {
	values := []string{"lean", "tuned", "stock"}
	for _, tc := range []struct {
		typed string
		list  bool
		want  []string
	}{
		{"", true, values},
		{"t", true, []string{"tuned"}},
		{"lean,", true, []string{"lean,tuned", "lean,stock"}}, // not twice
		{"lean,s", true, []string{"lean,stock"}},
		{"lean,", false, nil}, // one value only
		{"x", true, nil},
	} {
		if got := completed(values, tc.typed, tc.list); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.typed, got, tc.want)
		}
	}
}
