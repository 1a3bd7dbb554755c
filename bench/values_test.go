package main

import "testing"

func TestParseCount(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int64 // -1: refused
	}{
		{"0", 0}, {"1000", 1000}, {"100M", 1e8}, {"1e8", 1e8}, {"1E8", 1e8}, {"2.5k", 2500}, {"1G", 1e9}, {"1b", 1e9}, {"1,000,000", 1e6},
		{" 7 ", 7}, {"1T", 1e12}, {"1e+3", 1000},
		{"", -1}, {"-1", -1}, {"M", -1}, {"1MM", -1}, {"0x10", -1}, {"Inf", -1}, {"NaN", -1}, {"1e400", -1}, {"1e16", -1}, {"1 000", -1},
		{"1_000", -1}, {"100MB", -1},
	} {
		got, err := parseCount("objects", tc.text)
		if (err != nil) != (tc.want < 0) || err == nil && got != tc.want {
			t.Errorf("%q: %d, %v; want %d", tc.text, got, err, tc.want)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for _, tc := range []struct {
		text string
		want float64 // -1: refused
	}{
		{"0", 0}, {"25000", 25_000}, {"25kB", 25_000}, {"25KB", 25_000}, {"25k", 25_000}, {"25KiB", 25_600}, {"1MiB", 1 << 20}, {"1.5 MB", 1.5e6},
		{"2GiB", 2 << 30}, {"1TB", 1e12}, {"1TiB", 1 << 40}, {"100B", 100}, {"1e3", 1000}, {"0.5kB", 500},
		{"", -1}, {"kB", -1}, {"-1kB", -1}, {"25iB", -1}, {"25ki", -1}, {"25kBB", -1}, {"25 kilobytes", -1}, {"1e30", -1}, {"Infinity", -1},
	} {
		got, err := parseBytes("bytes", tc.text)
		if (err != nil) != (tc.want < 0) || err == nil && got != tc.want {
			t.Errorf("%q: %g, %v; want %g", tc.text, got, err, tc.want)
		}
	}
}
