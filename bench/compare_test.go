package main

import (
	"strings"
	"testing"
)

func TestParseShare(t *testing.T) {
	for _, tc := range []struct {
		text    string
		want    float64
		message string // not empty: refused with it
	}{
		{"5%", 0.05, ""},
		{" 2.5% ", 0.025, ""},
		{"5 %", 0.05, ""},
		{"0.05", 0.05, ""},
		{".5", 0.5, ""},
		{"0%", 0, ""},
		{"0", 0, ""},
		{"150%", 1.5, ""},
		{"5", 0, "did you mean 5%?"}, // it was taken for 500%, and passed a run three times as slow
		{"1", 0, "did you mean 1%?"},
		{"1.0", 0, "did you mean 1.0%?"},
		{"10", 0, "did you mean 10%?"},
		{"2.5", 0, "did you mean 2.5%?"},
		{"500", 0, "did you mean 500%?"},
		{"1000%", 0, "below 1000%"},
		{"5000", 0, "below 1000%"},
		{"-1%", 0, "must be a share such as 5% or 0.05"},
		{"-5", 0, "must be a share such as 5% or 0.05"},
		{"5%%", 0, "must be a share such as 5% or 0.05"},
		{"0,05", 0, "must be a share such as 5% or 0.05"},
		{"five", 0, "must be a share such as 5% or 0.05"},
		{"NaN", 0, "must be a share such as 5% or 0.05"},
		{"NaN%", 0, "must be a share such as 5% or 0.05"},
		{"Inf", 0, "below 1000%"},
		{"%", 0, "must be a share such as 5% or 0.05"},
		{"", 0, "must be a share such as 5% or 0.05"},
	} {
		got, err := parseShare(tc.text)
		if (err == nil) != (tc.message == "") || got != tc.want || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%q: %v, %v; want %v, %q", tc.text, got, err, tc.want, tc.message)
		}
	}
}

func FuzzParseShare(f *testing.F) {
	f.Add("5%")
	f.Add("5")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseShare(text)
		if err == nil && (!(v >= 0 && v < 10) || v >= 1 && !strings.Contains(text, "%")) {
			t.Errorf("%q: %v", text, v)
		}
	})
}
