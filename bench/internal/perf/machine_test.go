package perf

import (
	"strings"
	"testing"
	"time"
)

func TestQuietness(t *testing.T) {
	at := func(spin, load float64, steal, all uint64) look { return look{time.Time{}, spin, load, steal, all} }
	for _, tc := range []struct {
		name  string
		looks []look
		want  string // a part
	}{
		{"nobody looked", nil, ""},
		{"quiet", []look{at(20, 0.1, 5, 100), at(21, 3, 6, 1100)},
			"The machine was quiet: load 0.10 before, steal 0.1%, a fixed spin 20.5 ms ±2% (n=2)."},
		{"others ran before", []look{at(20, 0.6, 5, 100), at(20, 0, 5, 1100)}, "was not quiet: load 0.60 before"},
		{"the host ran others", []look{at(20, 0, 5, 100), at(20, 0, 25, 1100)}, "was not quiet: load 0.00 before, steal 2.0%"},
		{"the same work took longer", []look{at(20, 0, 5, 100), at(30, 0, 5, 1100)}, "was not quiet: load 0.00 before, steal 0.0%, " +
			"a fixed spin 25.0 ms ±20% (n=2)"},
		{"one look", []look{at(20, 0, 5, 100)}, "was quiet: load 0.00 before, steal 0.0%"},
		{"no /proc", []look{at(20, 0, 0, 0), at(20, 0, 0, 0)}, "was quiet"},
		{"ticks that went back", []look{at(20, 0, 5, 100), at(20, 0, 0, 0)}, "was quiet: load 0.00 before, steal 0.0%"},
	} {
		if got := quietness(tc.looks); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		steal, all uint64
	}{
		{"two processors", "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 9 9 9 9 9 9 9 9 9 9\n", 8, 36},
		{"without guests", "cpu 1 2 3 4 5 6 7 8", 8, 36},
		{"an old kernel, without steal", "cpu  1 2 3 4 5 6 7\n", 0, 0},
		{"another file", "intr 1 2 3 4 5 6 7 8\n", 0, 0},
		{"no number", "cpu  1 2 3 4 5 6 7 x\n", 0, 0},
		{"too large a number", "cpu  1 2 3 4 5 6 7 99999999999999999999\n", 0, 0},
		{"nothing", "", 0, 0},
	} {
		if steal, all := parseStat([]byte(tc.text)); steal != tc.steal || all != tc.all {
			t.Errorf("%s: %d of %d, want %d of %d", tc.name, steal, all, tc.steal, tc.all)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("cpu  1 2 3 4 5 6 7 8 9 10\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if steal, all := parseStat(text); steal > all {
			t.Errorf("%d of %d", steal, all)
		}
	})
}

func TestParseSet(t *testing.T) {
	for _, tc := range []struct {
		text string
		want string // "": it is refused
	}{
		{"1x1GB", "1x1GB"},
		{"1x1000MB", "1x1GB"},
		{"8x256MB", "8x256MB"},
		{"100x64MB", "100x64MB"},
		{"1x5GB", "1x5GB"},
		{"1x6GB", ""}, // S3 takes no more than 5 GiB at once
		{"0x1GB", ""},
		{"1x0MB", ""},
		{"-1x1MB", ""},
		{"1x1", ""},
		{"1x1mb", ""},
		{"1 x 1GB", ""},
		{"99999x1MB", ""},
		{"", ""},
	} {
		got, err := ParseSet(tc.text)
		if (err == nil) != (tc.want != "") || err == nil && got.String() != tc.want {
			t.Errorf("%q: %v, %v; want %q", tc.text, got, err, tc.want)
		}
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add("8x256MB")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSet(text)
		if err != nil {
			return
		}
		if again, err := ParseSet(s.String()); err != nil || again != s {
			t.Errorf("%q: %v, then %v, %v", text, s, again, err)
		}
	})
}
