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

// Of sizes functions/corpus tests the rest.
func TestParseBytes(t *testing.T) {
	const refused = `bytes "25 kilobytes": must be a size such as 25000, 25kB or 25KiB`
	if got, err := parseBytes("bytes", "25.5kB"); err != nil || got != 25_500 {
		t.Errorf("25.5kB: %g, %v", got, err)
	}
	if _, err := parseBytes("bytes", "25 kilobytes"); err == nil || err.Error() != refused {
		t.Errorf("%v, want %s", err, refused)
	}
}
