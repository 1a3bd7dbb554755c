package network

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	for _, row := range []struct {
		in string
		ok bool
	}{
		{"s3-standard", true},
		{"s3-express", true},
		{"none", true},
		{"", false},            // the flag left empty is a mistake, not None
		{"S3-Standard", false}, // names are exact
	} {
		m, err := Find(row.in)
		if (err == nil) != row.ok || row.ok && m.Name != row.in {
			t.Errorf("%q: %q, %v", row.in, m.Name, err)
		}
	}
	_, err := Find("wifi")
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "s3-standard, s3-express, none, or a model file") {
		t.Errorf("the error does not say which there are: %v", err)
	}
	if _, err := Find(t.TempDir()); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("a folder: %v", err)
	}
}

// What the documentation says of each network is what it is.
func TestModelsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range Models {
		if want := fmt.Sprintf("`%s`: %s", m.Name, m); !strings.Contains(string(text), want) {
			t.Errorf("docs/architecture.md does not say %q", want)
		}
		if found, ok := Named(m.Name); m.About == "" || !ok || !reflect.DeepEqual(found, m) {
			t.Errorf("%s is %+v", m.Name, found)
		}
	}
}

// A limit that there is not is not one of 0, and a CPU factor is said of any network.
func TestString(t *testing.T) {
	const first = "first byte 20 ms (99th percentile 100 ms)"
	latency := Model{FirstByteMedian: 20 * time.Millisecond, FirstByteP99: 100 * time.Millisecond}
	for _, row := range []struct {
		change func(*Model)
		want   string
	}{
		{func(*Model) {}, first + ", no limit of bandwidth, no limit of GETs"},
		{func(m *Model) { m.Quota = true }, first + ", no limit of bandwidth, no limit of GETs"},
		{func(m *Model) { m.Bandwidth, m.Quota = 625e6/8, true }, first + ", 625 Mbit/s per process, 3000 at 10240 MB, no limit of GETs"},
		{func(m *Model) { m.GetLimit = 5500 }, first + ", no limit of bandwidth, 5500 GET/s per prefix"},
		{func(m *Model) { *m = Model{} }, "no latency, no limit"},
		{func(m *Model) { *m = Model{CPUFactor: 1.5} },
			"first byte 0 ms (99th percentile 0 ms), no limit of bandwidth, no limit of GETs, 1.5 times this machine's CPU time"},
	} {
		m := latency
		row.change(&m)
		if got := m.String(); got != row.want {
			t.Errorf("%+v: %q, want %q", m, got, row.want)
		}
	}
}

// Between two sizes the figures lie between theirs, and beyond the ends they are
// the ends'.
func TestFirstByteOf(t *testing.T) {
	m := Model{Sizes: []FirstByte{
		{1_000, 10 * time.Millisecond, 40 * time.Millisecond},
		{100_000, 40 * time.Millisecond, 160 * time.Millisecond},
	}}
	for _, row := range []struct {
		bytes       int64
		median, p99 time.Duration
	}{
		{0, 10 * time.Millisecond, 40 * time.Millisecond}, // a listing
		{1_000, 10 * time.Millisecond, 40 * time.Millisecond},
		{10_000, 20 * time.Millisecond, 80 * time.Millisecond}, // halfway, by the logarithm
		{100_000, 40 * time.Millisecond, 160 * time.Millisecond},
		{1e9, 40 * time.Millisecond, 160 * time.Millisecond},
	} {
		median, p99 := m.FirstByteOf(row.bytes)
		if (median-row.median).Abs() > time.Microsecond || (p99-row.p99).Abs() > time.Microsecond {
			t.Errorf("%d bytes: %v, %v", row.bytes, median, p99)
		}
	}
	if median, p99 := S3Standard.FirstByteOf(5); median != 20*time.Millisecond || p99 != 100*time.Millisecond {
		t.Errorf("one size for all: %v, %v", median, p99)
	}
}

// A listing's first byte has a median of its own, and the spread of the smallest
// objects'.
func TestFirstByteOfList(t *testing.T) {
	if median, p99 := S3Standard.FirstByteOfList(); median != S3Standard.FirstByteMedian || p99 != S3Standard.FirstByteP99 {
		t.Errorf("nobody knows: %v, %v", median, p99)
	}
	m := S3Standard
	m.List = 60 * time.Millisecond
	if median, p99 := m.FirstByteOfList(); median != m.List || (p99-300*time.Millisecond).Abs() > time.Microsecond {
		t.Errorf("%v, %v", median, p99)
	}
	m = Model{List: 60 * time.Millisecond} // nothing else takes time
	if median, p99 := m.FirstByteOfList(); median != m.List || p99 != m.List {
		t.Errorf("%v, %v", median, p99)
	}
}

const valid = `{"fanout_model": 1, "name": "aws-1", "first_byte": [{"median_ms": 23.5, "p99_ms": 90}],
	"bandwidth_mbit_per_s": 610, "bandwidth": "quota", "gets_per_s_and_prefix": 5500, "connect_ms": 12.5, "list_ms": 61.25,
	"cpu_factor": 1.3,
	"calibrated": {"runs": ["r"], "backend": "aws", "region": "eu-west-1", "residual": 0.031, "settings": 12,
		"measured": "2026-11-25T01:02:03Z"}}`

// Documents that are no models, and a mark that editors put in front of one.
func TestReadOther(t *testing.T) {
	for _, row := range []struct{ name, text, says string }{
		{"null", "null", "must be a JSON object"}, {"an array", "[]", "must be a JSON object"}, {"a number", "1", "must be a JSON object"},
		{"nothing", "", "not one JSON document"}, {"an empty object", "{}", "it has no fanout_model"},
		{"two marks", "\uFEFF\uFEFF" + valid, "not one JSON document"},
		{"a byte order mark", "\uFEFF" + valid, ""},
	} {
		_, err := Read(strings.NewReader(row.text))
		if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q", row.name, err, row.says)
		}
	}
}

// A model file is read as it was written, and says by what it was calibrated.
func TestModelFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.json")
	if err := os.WriteFile(path, []byte(valid), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Find(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.FirstByteMedian != 23500*time.Microsecond || m.Bandwidth != 610e6/8 || !m.Quota ||
		m.Connect != 12500*time.Microsecond || m.List != 61250*time.Microsecond || m.Factor() != 1.3 {
		t.Errorf("%+v", m)
	}
	if got, want := m.Calibration.String(), "run r on AWS, eu-west-1, of 2026-11-25, residual 3.1% over 12 settings"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&b)
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Errorf("read again: %+v, %v; was %+v", again, err, m)
	}
}

// What no model has is refused, with the name of the figure.
func TestModelFileRefused(t *testing.T) {
	for _, row := range []struct{ name, old, new, says string }{
		{"a newer format", `"fanout_model": 1`, `"fanout_model": 2`, "fanout_model 2: the file is of a newer fanout"},
		{"another file", `"fanout_model": 1`, `"fanout_results": 1`, "it has no fanout_model"},
		{"a newer format with a field of its own", `"fanout_model": 1`, `"fanout_model": 2, "jitter_ms": 3`, "is of a newer fanout"},
		{"a format that is no number", `"fanout_model": 1`, `"fanout_model": "one"`, `fanout_model "one": must be 1`},
		{"a format below the first", `"fanout_model": 1`, `"fanout_model": 0`, "fanout_model 0: must be 1"},
		{"a format that is null", `"fanout_model": 1`, `"fanout_model": null`, "must be 1"},
		{"a backend there is none of", `"backend": "aws"`, `"backend": "moon"`,
			`calibrated.backend "moon": must be one of aws, endpoint, sandbox`},
		{"no backend", `"backend": "aws", `, ``, `calibrated.backend ""`},
		{"an unknown field of this format", `"fanout_model": 1`, `"fanout_model": 1, "jitter_ms": 3`, "unknown field"},
		{"no format", `"fanout_model": 1, `, ``, "it has no fanout_model"},
		{"a built-in name", `"aws-1"`, `"s3-standard"`, "built-in"},
		{"a name for a terminal", `"aws-1"`, `"\u001b[2J"`, "lower-case"},
		{"no name", `"aws-1"`, `""`, "lower-case"},
		{"a percentile below the median", `"p99_ms": 90`, `"p99_ms": 9`, "first_byte 1"},
		{"a negative time", `"median_ms": 23.5`, `"median_ms": -1`, "first_byte 1"},
		{"a time that would be written as none", `"median_ms": 23.5`, `"median_ms": 0.0004`, "must be 0, or 0.001 to 60000"},
		{"no first byte", `[{"median_ms": 23.5, "p99_ms": 90}]`, `[]`, "first_byte: 0 entries"},
		{"sizes in no order", `[{"median_ms": 23.5, "p99_ms": 90}]`,
			`[{"bytes": 9, "median_ms": 1, "p99_ms": 2}, {"bytes": 9, "median_ms": 1, "p99_ms": 2}]`, "above the one before"},
		{"a factor of nothing", `"cpu_factor": 1.3`, `"cpu_factor": 0`, "cpu_factor 0"},
		{"a negative bandwidth", `610`, `-1`, "bandwidth_mbit_per_s -1"},
		{"another way of bandwidth", `"quota"`, `"most"`, "must be flat or quota"},
		{"a listing of an hour", `61.25`, `3600000`, "list_ms"},
		{"a set-up of an hour", `12.5`, `3600000`, "connect_ms"},
		{"two documents", `12:03Z"}}`, `12:03Z"}}{}`, ""},
	} {
		text := strings.Replace(valid, row.old, row.new, 1)
		if row.says == "" {
			text, row.says = valid+"{}", "not one JSON document"
		}
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: error %v, want %q", row.name, err, row.says)
		}
	}
	if _, err := Read(strings.NewReader(strings.Repeat(" ", maxFileBytes+1))); err == nil {
		t.Error("a file without end was read")
	}
}

// Whatever a model file holds, reading it ends, and what was read is a model that
// can be written and read again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(`{"fanout_model":1,"name":"a","first_byte":[{"bytes":1,"median_ms":1,"p99_ms":1},` +
		`{"bytes":2,"median_ms":1e-9,"p99_ms":1}],"cpu_factor":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, size := range []int64{0, 1, 1 << 40} {
			if median, p99 := m.FirstByteOf(size); median < 0 || p99 < median {
				t.Errorf("%d bytes: %v, %v", size, median, p99)
			}
		}
		if m.BandwidthOf(10_240) < 0 || m.Factor() <= 0 {
			t.Errorf("%+v", m)
		}
		var b bytes.Buffer
		if err := m.Write(&b); err != nil {
			t.Fatal(err)
		}
		if b.Len() > maxFileBytes { // it is indented, and was nearly as long before
			return
		}
		if _, err := Read(&b); err != nil {
			t.Errorf("%+v, written and read again: %v", m, err)
		}
	})
}
