package main

import (
	"testing"
)

func TestParsePercent(t *testing.T) {
	for _, tc := range []struct {
		text string
		want float64
		ok   bool
	}{
		{"5%", 0.05, true},
		{" 2.5% ", 0.025, true},
		{"0.05", 0.05, true},
		{"0%", 0, true},
		{"5", 5, true}, // a share of five: 500%
		{"10", 0, false},
		{"-1%", 0, false},
		{"NaN", 0, false},
		{"", 0, false},
	} {
		got, err := parsePercent(tc.text)
		if (err == nil) != tc.ok || got != tc.want {
			t.Errorf("%q: %v, %v", tc.text, got, err)
		}
	}
}

func FuzzParsePercent(f *testing.F) {
	f.Add("5%")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := parsePercent(text); err == nil && !(v >= 0 && v < 10) {
			t.Errorf("%q: %v", text, v)
		}
	})
}
