package corpus

import (
	"strings"
	"testing"
)

// Sizes as people write them; a flag's and the CDK context's are the same.
func TestParseSize(t *testing.T) {
	for _, row := range []struct {
		text  string
		bytes float64 // -1: refused
		size  int64   // -1: refused
	}{
		{"0", 0, 0}, {"25000", 25_000, 25_000}, {"25kB", 25_000, 25_000}, {"25KB", 25_000, 25_000}, {"25k", 25_000, 25_000},
		{"25KiB", 25_600, 25_600}, {"1MiB", 1 << 20, 1 << 20}, {"1.5 MB", 1.5e6, 1.5e6}, {"2GiB", 2 << 30, 2 << 30}, {"1TB", 1e12, 1e12},
		{"1TiB", 1 << 40, 1 << 40}, {"100B", 100, 100}, {"1e3", 1000, 1000}, {"0.5kB", 500, 500}, {"1.1kB", 1.1 * 1e3, 1100},
		{" 7 ", 7, 7}, {"12.5", 12.5, -1}, {"0.1KiB", 0.1 * 1024, -1},
		{"", -1, -1}, {"kB", -1, -1}, {"-1kB", -1, -1}, {"25iB", -1, -1}, {"25ki", -1, -1}, {"25kBB", -1, -1}, {"25 kilobytes", -1, -1},
		{"1e30", -1, -1}, {"1e999", -1, -1}, {"Infinity", -1, -1}, {"NaN", -1, -1}, {"0x10", -1, -1}, {"1_000", -1, -1}, {"1PB", -1, -1},
	} {
		bytes, err := ParseBytes(row.text)
		if (err != nil) != (row.bytes < 0) || err == nil && bytes != row.bytes {
			t.Errorf("ParseBytes(%q) = %g, %v; want %g", row.text, bytes, err, row.bytes)
		}
		size, err := ParseSize(row.text)
		if (err != nil) != (row.size < 0) || err == nil && size != row.size {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", row.text, size, err, row.size)
		}
	}
}

func TestParseLognormal(t *testing.T) {
	for _, row := range []struct {
		text, want string // the figures, or part of the error
		wrong      bool
	}{
		{"12000,400000", "12000,400000", false},
		{"12000, 400000", "12000,400000", false},
		{"12kB,0.4MB", "12000,400000", false},
		{" 1KiB , 1 MiB ", "1024,1048576", false},
		{"12000", `lognormal "12000": must be a median and a 99th percentile`, true},
		{"", `lognormal ""`, true},
		{"1,2,3", `lognormal "1,2,3"`, true},
		{"1.5,300", `lognormal "1.5,300"`, true},
		{"1kX,300", `lognormal "1kX,300"`, true},
		{"2kB,1kB", "a larger 99th percentile", true},
		{"1kB,6GiB", "of up to 5368709120 bytes", true},
	} {
		shape, err := ParseLognormal(row.text)
		figures, _ := shape.Lognormal()
		switch {
		case row.wrong:
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%q: %v, want %q", row.text, err, row.want)
			}
		case err != nil || figures != row.want:
			t.Errorf("%q: %q, %v; want %q", row.text, figures, err, row.want)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, text := range []string{"25kB", "1.5 MiB", "1e3", "-1", "b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := ParseBytes(text); err == nil && !(v >= 0 && v <= maxParsedBytes) {
			t.Errorf("%q: %g", text, v)
		}
	})
}
