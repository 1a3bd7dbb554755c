package corpus

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Files as the AWS CLI, S3 Inventory and people write them, and what is odd.
func TestReadShape(t *testing.T) {
	const listing = `{"Contents": [{"Key": "a", "LastModified": "2026-01-01T00:00:00+00:00", "ETag": "\"e\"", "Size": 5,
		"StorageClass": "STANDARD"}, {"Key": "{[", "Size": 7}], "RequestCharged": null, "Prefix": ""}`
	for _, row := range []struct {
		name, text string
		want       string // sizes, or part of the error
		wrong      bool
	}{
		{"list-objects-v2", listing, "5 7", false},
		{"the same, gzipped", gzipped(t, listing), "5 7", false},
		{"two pages, one after the other", listing + "\n" + listing, "5 5 7 7", false},
		{"with a byte order mark", "\uFEFF" + listing, "5 7", false},
		{"only the objects", `[{"Size": 1}, {"Key": "k", "Size": 2}]`, "1 2", false},
		{"only the sizes", "[\n 12,\n 0\n]\n", "0 12", false},
		{"list-object-versions", `{"Versions": [{"Size": 1, "IsLatest": true}, {"Size": 9, "IsLatest": false}],
			"DeleteMarkers": [{}]}`, "1", false},
		{"an empty bucket's listing", `{"RequestCharged": null}`, "no sizes", true},
		{"an empty bucket's, queried", "null\n", "no sizes", true},
		{"an empty array", "[]", "no sizes", true},
		{"other JSON", `{"Reservations": []}`, "no Contents", true},
		{"Contents that are none", `{"Contents": 3}`, "must be an array", true},
		{"JSON text", `["12"]`, `"\"12\"": must be a size`, true},
		{"objects without sizes", `{"Contents": [{"Key": "a"}]}`, "has no Size", true},
		{"an array in an array", `[[1]]`, `"[1]": must be a size`, true},
		{"a fraction", `[1.5]`, `"1.5": must be a size in bytes, a whole number`, true},
		{"an exponent", `[1e3]`, `"1e3"`, true},
		{"negative JSON", `[4, -1]`, `"-1": must be a size in bytes, 0 or more`, true},
		{"cut off", listing[:60], "JSON, at byte", true},
		{"cut off between objects", `[1,`, "JSON", true},

		{"inventory", `"bucket","a%20b","12","2026-01-01T00:00:00.000Z"` + "\n" +
			`"bucket","c,d","0","2026-01-01T00:00:00.000Z"` + "\n", "0 12", false},
		{"inventory, gzipped", gzipped(t, "\"b\",\"k\",\"3\"\n\"b\",\"l\",\"4\"\n"), "3 4", false},
		{"inventory of two gzip members", gzipped(t, "\"b\",\"k\",\"3\"\n") + gzipped(t, "\"b\",\"l\",\"4\"\n"), "3 4", false},
		{"not quoted", "b,k,3\r\nb,l,4\r\n", "3 4", false},
		{"inventory of versions", `"b","k","v1","true","false","8"` + "\n" + `"b","k","v0","false","false","9"` + "\n" +
			`"b","l","v2","true","true",""` + "\n", "8", false},
		{"header line", "key,last_modified,Size\na,2026,6\nb,2026,5\n", "5 6", false},
		{"header line with versions", "is_latest,size,is_delete_marker\ntrue,1,false\nfalse,2,false\ntrue,,true\n", "1", false},
		{"header without a size", "Bucket,Key,ETag\nb,k,3\n", "line 1: it does not say which column", true},
		{"a size with commas", `"b","k","1,200"` + "\n", `line 1: it does not say which column is the size, and column 3 has "1,200"`, true},
		{"a size with a unit", "b,k,12KB\n", `column 3 has "12KB"`, true},
		{"a size with a space", "b,k, 12\n", `column 3 has " 12"`, true},
		{"a negative one first", "b,k,-3\n", `column 3 has "-3"`, true},
		{"no size in the first line", "b,k,\n", `column 3 has ""`, true},
		{"two columns", "k,3\n", "line 1: it does not say which column is the size: must begin", true},
		{"sizes with commas between them", "1200,5,70000\n", "line 1: its first columns are numbers: a list of sizes", true},
		{"two of them", "1200,5", "its first columns are numbers", true},
		{"a bucket and a key of digits, after a header line", "bucket,key,size\n1234,5,70000\n", "70000", false},
		{"inventory without a size", `"b","k","2026-01-01T00:00:00.000Z"` + "\n", "which column", true},
		{"a size that is none", "b,k,3\nb,l,x\n", `line 2, column 3: "x": must be a size`, true},
		{"a negative size", "b,k,3\nb,l,-3\n", `line 2, column 3: "-3"`, true},
		{"no size in a line", "b,k,3\nb,l,\n", `line 2, column 3: ""`, true},
		{"columns that are missing", "b,k,3\nb,l\n", "line 2: wrong number of fields", true},
		{"a quotation mark that is missing", "\"b\",\"k\",\"3\"\n\"b\",\"" + strings.Repeat("x\n", maxRecord), "quotation mark missing", true},

		{"sizes", "12\n5\n\n7", "5 7 12", false},
		{"sizes on one line, as --output text has them", "12\t5\t7\n", "5 7 12", false},
		{"lines that end in CR LF", "1\r\n2\r\n", "1 2", false},
		{"a header", "Size\n1\n2\n", "1 2", false},
		{"a header in the middle", "1\nSize\n2\n", `line 2: "Size"`, true},
		{"with units", "1\n12KB\n", `line 2: "12KB": must be a size in bytes, a whole number`, true},
		{"aws s3 ls", "2026-01-01 12:00:00   123 key\n", "it is the output of aws s3 ls", true},
		{"aws s3 ls of a key with a comma", "2026-01-01 12:00:00   123 a,\"b\"\n", "it is the output of aws s3 ls", true},
		{"aws s3 ls of prefixes", "                           PRE logs/\n", "it is the output of aws s3 ls", true},
		{"aws s3 ls, human-readable", "\n2026-01-01 12:00:00    1.2 KiB key\n", "it is the output of aws s3 ls", true},
		{"counts and sizes, as uniq -c has them", "      3 1200\n     10 5\n", "line 1: two numbers: is it a count and a size", true},
		{"the same, after a header", "Size\n3 1200\n", "line 2: two numbers", true},
		{"the same, in the middle, CR LF", "1200\n5\n3 1200\r\n7\n", "line 3: two numbers", true},
		{"the same, with tabs", "3\t1200\n10\t5\n", "line 2: two numbers", true},
		{"the same of one size", "      3 1200", "line 1: two numbers", true},
		{"two sizes", "3 1200\n\n", "3 1200", false},
		{"pages of --output text, two on the last", "1\t2\t3\n4\t5\n", "1 2 3 4 5", false},
		{"sizes with spaces at both ends", " 1 \n 2 \n", "1 2", false},
		{"three on a line", "1 2 3\n", "1 2 3", false},
		{"negative", "3\n-3\n", `line 2: "-3": must be a size in bytes, 0 or more`, true},
		{"a sign", "+3\n", `"+3": must be a size in bytes, a whole number`, true},
		{"larger than S3 has", "53687091200001\n", "at most 53687091200000 bytes", true},
		{"larger than any number", "99999999999999999999\n", "at most 53687091200000 bytes", true},
		{"a word that does not end", strings.Repeat("1", 100_000), "must be a size", true},

		{"empty", "", "no sizes", true},
		{"white space", " \n\t\n", "no sizes", true},
		{"Parquet", "PAR1\x15\x04", "it is Parquet", true},
		{"ORC", "ORC\x08", "it is ORC", true},
		{"a zip", "PK\x03\x04", "it is a zip", true},
		{"UTF-16", "\xff\xfe1\x00", "it is UTF-16", true},
		{"gzip twice", gzipped(t, gzipped(t, "1")), "gzip in gzip", true},
		{"gzip that is cut off", gzipped(t, "1\n2\n")[:12], "unexpected EOF", true},
	} {
		var got []int64
		read := sizeReader{add: func(size int64) { got = append(got, size) }}
		err := read.all(strings.NewReader(row.text))
		if err == nil && read.n == 0 {
			_, err = ReadShape("f", strings.NewReader(row.text))
		}
		slices.Sort(got)
		switch {
		case row.wrong:
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: %v, want %q", row.name, err, row.want)
			}
		case err != nil || strings.Trim(fmt.Sprint(got), "[]") != row.want:
			t.Errorf("%s: %v, %v; want %s", row.name, got, err, row.want)
		}
	}
}

// A file that is not there, and names that a result file could not have.
func TestReadShapeFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadShapeFile(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "read shape: open") {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadShapeFile(""); err == nil || err.Error() != "shape: no file is named" {
		t.Errorf("no name: %v", err)
	}
	for _, name := range []string{"sizes.txt", "a\xffb", "\x1b[31mred\n", strings.Repeat("é", 70)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("3 4"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := ReadShapeFile(path)
		if err != nil || strings.Contains(s.Name(), dir) || len(s.Name()) > maxShapeName {
			t.Errorf("%q: name %q, %v", name, s.Name(), err)
		}
	}
}

// shapeOf gives the shape of these sizes.
func shapeOf(t testing.TB, sizes []int64) Shape {
	t.Helper()
	s, err := ReadShape("sizes", strings.NewReader(strings.Trim(fmt.Sprint(sizes), "[]")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Sizes that are drawn have the mean, median and 99th percentile of those that
// were read, also where a few objects hold most of the bytes.
func TestShapeIsLikeItsSource(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int, one func(i int) int64) []int64 {
		sizes := make([]int64, n)
		for i := range sizes {
			sizes[i] = one(i)
		}
		return sizes
	}
	for _, row := range []struct {
		name   string
		sizes  []int64
		within float64 // of the mean
	}{
		{"one", []int64{7}, 0},
		{"all alike", fill(1000, func(int) int64 { return 4096 }), 0},
		{"three", []int64{1, 1000, 1_000_000}, 0.02},
		{"half of them folders", fill(1000, func(i int) int64 { return int64(i%2) << 20 }), 0.02},
		{"uniform", fill(10_000, func(int) int64 { return rng.Int64N(100_000) }), 0.02},
		{"lognormal", fill(50_000, func(int) int64 { return int64(20_000 * math.Exp(1.5*rng.NormFloat64())) }), 0.05},
		{"a few hold most", fill(50_000, func(i int) int64 {
			if i%1000 == 0 {
				return 50_000_000 + rng.Int64N(50_000_000)
			}
			return 1000 + rng.Int64N(1000)
		}), 0.1},
	} {
		shape := shapeOf(t, row.sizes)
		slices.Sort(row.sizes)
		s := Spec{Count: 200_000, Seed: 3, Needle: "n", Prefix: "p/"}.WithShape(shape)
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		var want, got float64
		for _, size := range row.sizes {
			want += float64(size) / float64(len(row.sizes))
		}
		drawn := make([]int64, s.Count)
		for i := range drawn {
			drawn[i] = s.Size(i)
			got += float64(drawn[i]) / float64(s.Count)
		}
		slices.Sort(drawn)
		if math.Abs(got-want) > (row.within+1e-9)*want || math.Abs(float64(shape.Mean())-want) > 0.001*want+1 {
			t.Errorf("%s: mean %.1f, of the shape %d, want %.1f", row.name, got, shape.Mean(), want)
		}
		for _, q := range []float64{0.01, 0.25, 0.5, 0.9} {
			// Between the neighbours in the source; a bucket is 1.6% wide.
			low := float64(row.sizes[int(max(0, q-0.055)*float64(len(row.sizes)))])
			high := float64(row.sizes[int(min(0.9999, q+0.055)*float64(len(row.sizes)))])
			if x := float64(drawn[int(q*float64(s.Count))]); x < 0.98*low-1 || x > 1.02*high+1 {
				t.Errorf("%s: quantile %v is %.0f, want %.0f to %.0f", row.name, q, x, low, high)
			}
		}
		if least, most := shape.Bounds(); least != row.sizes[0] || most != row.sizes[len(row.sizes)-1] ||
			drawn[0] < least || drawn[len(drawn)-1] > most {
			t.Errorf("%s: drawn %d to %d, of %d to %d, source %d to %d", row.name, drawn[0], drawn[len(drawn)-1],
				least, most, row.sizes[0], row.sizes[len(row.sizes)-1])
		}
		points := shape.Cumulative()
		for i, p := range points[1:] {
			if p.Size < points[i].Size || p.Objects <= points[i].Objects || p.Bytes < points[i].Bytes {
				t.Errorf("%s: %+v after %+v", row.name, p, points[i])
			}
		}
		if last := points[len(points)-1]; math.Abs(last.Objects-1) > 1e-9 || math.Abs(last.Bytes-1) > 1e-9 {
			t.Errorf("%s: the last point is %+v", row.name, last)
		}
		again := shapeJSONOf(t, shape)
		var same Shape
		if err := json.Unmarshal(again, &same); err != nil || same != shape || len(again) > 2048 {
			t.Errorf("%s: after JSON of %d bytes %v, was %v, %v", row.name, len(again), same, shape, err)
		}
	}
}

func shapeJSONOf(t testing.TB, s Shape) []byte {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Of very many sizes the rarest still count, and of those that no PUT could
// send it is said that they are cut.
func TestShapeOfRareSizes(t *testing.T) {
	var h sizeHistogram
	for i := range int64(3_000_000) {
		h.add(1 + i%200)
	}
	h.add(40 << 30)
	table := h.table()
	if err := table.validate(); err != nil {
		t.Fatal(err)
	}
	if last := table.bins[table.n-1]; last.high != maxObjectBytes || table.cut != 1 || table.objects != 3_000_001 {
		t.Errorf("last %v, %d of %d cut", last, table.cut, table.objects)
	}
	var mean float64
	for _, b := range table.bins[:table.n] {
		mean += float64(b.weight) * float64(b.mean) / shapeWeight
	}
	if want := 100.5 + float64(maxObjectBytes)/3_000_001; math.Abs(mean-want) > 0.01*want {
		t.Errorf("mean %.1f, want %.1f", mean, want)
	}
}

// The tables of formulas are the same on every processor.
func TestLognormalIsPinned(t *testing.T) {
	const golden = "testdata/lognormal.golden"
	var got strings.Builder
	for _, figures := range [][2]int64{{12_000, 400_000}, {1, 2}, {1_000_000, 5 << 30}, {100, 101}} {
		shape, err := Lognormal(figures[0], figures[1])
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := shape.Lognormal(); !ok || f != fmt.Sprintf("%d,%d", figures[0], figures[1]) {
			t.Errorf("figures %q, %t", f, ok)
		}
		median, p99 := float64(shape.Quantile(0.5)), float64(shape.Quantile(0.99))
		if math.Abs(median-float64(figures[0])) > 0.02*median+1 || math.Abs(p99-float64(figures[1])) > 0.02*p99+1 {
			t.Errorf("lognormal %v: median %.0f, p99 %.0f", figures, median, p99)
		}
		s := Spec{Count: 2000, Seed: 1, Needle: "MyMagicString", Prefix: "objects/"}.WithShape(shape)
		fmt.Fprintf(&got, "%s\n%s\n%d bytes\n", shape, shapeJSONOf(t, shape), s.TotalBytes())
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	for _, figures := range [][2]int64{{0, 5}, {5, 5}, {5, 4}, {-1, 5}, {5, maxObjectBytes + 1}} {
		if _, err := Lognormal(figures[0], figures[1]); err == nil {
			t.Errorf("lognormal %v: no error", figures)
		}
	}
}

// The needle is there once also where most objects are too small for it.
func TestNeedleInShape(t *testing.T) {
	shape := shapeOf(t, []int64{0, 0, 0, 0, 0, 3, 5000})
	for seed := range uint64(20) {
		s := Spec{Count: 30, Seed: seed, Needle: "MyMagicString", Prefix: "p/"}.WithShape(shape)
		needles(t, s)
		if size := s.Size(s.NeedleObject()); size != s.Body(s.NeedleObject()).Size() || size < 13 {
			t.Errorf("needle's object has %d bytes", size)
		}
		if n, _ := s.Expect(); n != s.TotalBytes() {
			t.Errorf("read %d bytes, the sizes sum to %d", n, s.TotalBytes())
		}
	}
	for _, row := range []struct {
		name string
		spec Spec
		want string
	}{
		{"too small for the needle", Spec{Count: 3, Needle: "MyMagicString"}.WithShape(shapeOf(t, []int64{1, 12})), "needle's length"},
		{"bounds of its own", Spec{Count: 3, Needle: "n", MinBytes: 1, MaxBytes: 3, Shape: shape}, "must be left out"},
		{"right", Spec{Count: 3, Needle: "n"}.WithShape(shape), ""},
	} {
		if err := row.spec.Validate(); (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

// A table that nothing could be drawn from is refused, wherever it comes from.
func TestShapeJSON(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"one size", `{"name":"f","bins":[[1000000,5,5,5]]}`, ""},
		{"none", `null`, ""},
		{"no bins", `{"name":"f"}`, "weights sum to 0"},
		{"weights too small", `{"bins":[[1,5,5,5]]}`, "weights sum to 1"},
		{"negative weight", `{"bins":[[-1,5,5,5],[1000001,6,6,6]]}`, "weight -1"},
		{"weights that overflow", `{"bins":[[9223372036854775807,5,5,5],[9223372036854775807,6,6,6]]}`, "weight 9223372036854775807"},
		{"negative size", `{"bins":[[1000000,-5,5,5]]}`, "must rise from 0"},
		{"falling", `{"bins":[[500000,5,6,7],[500000,6,6,7]]}`, "must rise from 7"},
		{"mean outside", `{"bins":[[1000000,5,4,7]]}`, "bin 0"},
		{"too large", `{"bins":[[1000000,5,5,9223372036854775807]]}`, "at most 5368709120"},
		{"too many bins", `{"bins":[` + strings.Repeat(`[1,1,1,1],`, 40) + `[1,1,1,1]]}`, "41 bins"},
		{"name too long", `{"name":"` + strings.Repeat("n", 101) + `","bins":[[1000000,5,5,5]]}`, "name of 101 bytes"},
		{"name that colours a terminal", `{"name":"\u001b[31m","bins":[[1000000,5,5,5]]}`, "must be printable"},
		{"more cut than there are", `{"objects":1,"cut":2,"bins":[[1000000,5,5,5]]}`, "2 of them cut"},
		{"text", `"lognormal"`, "cannot unmarshal"},
	} {
		var s Shape
		err := json.Unmarshal([]byte(row.text), &s)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	plain, err := json.Marshal(Default())
	if err != nil || strings.Contains(string(plain), "shape") {
		t.Errorf("a spec without a shape: %s, %v", plain, err)
	}
}

func FuzzReadShape(f *testing.F) {
	f.Add([]byte(`{"Contents": [{"Size": 5}, {"Size": 7}]}`))
	f.Add([]byte(`[1, {"Size": 2}]`))
	f.Add([]byte("\"b\",\"k\",\"12\"\n\"b\",\"l\",\"0\"\n"))
	f.Add([]byte("\"b\",\"k\",\"v\",\"true\",\"false\",\"12\"\n"))
	f.Add([]byte("key,size\na,3\n"))
	f.Add([]byte("Size\n1 2\t3\r\n"))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, text []byte) {
		shape, err := ReadShape("f", bytes.NewReader(text))
		if err != nil {
			return
		}
		var again Shape
		if err := json.Unmarshal(shapeJSONOf(t, shape), &again); err != nil || again != shape {
			t.Fatalf("%v, then %v, %v", shape, again, err)
		}
		s := Spec{Count: 20, Needle: "n"}.WithShape(shape)
		if s.Validate() != nil {
			return
		}
		for i := range s.Count {
			if size := s.Size(i); size < s.MinBytes && i != s.NeedleObject() || size > s.MaxBytes {
				t.Fatalf("object %d has %d bytes, not %d to %d", i, size, s.MinBytes, s.MaxBytes)
			}
		}
	})
}

func FuzzShapeJSON(f *testing.F) {
	f.Add([]byte(`{"name":"f","bins":[[1000000,5,5,5]]}`))
	f.Add([]byte(`{"name":"f","objects":3,"cut":1,"bins":[[400000,0,1,5],[600000,6,7,9]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var shape Shape
		if json.Unmarshal(text, &shape) != nil || shape.IsZero() {
			return
		}
		s := Spec{Count: 20, Needle: "n"}.WithShape(shape)
		_ = shape.String()
		if s.Validate() != nil {
			return
		}
		for i := range s.Count {
			if size := s.Size(i); size < s.MinBytes && i != s.NeedleObject() || size > s.MaxBytes {
				t.Fatalf("object %d has %d bytes, not %d to %d", i, size, s.MinBytes, s.MaxBytes)
			}
		}
	})
}
