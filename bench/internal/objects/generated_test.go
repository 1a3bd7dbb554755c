package objects

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"fanout/functions/corpus"
)

// What is stored is bounded by objects and by bytes.
func TestGeneratedSmall(t *testing.T) {
	for _, row := range []struct {
		name string
		spec corpus.Spec
		want bool
	}{
		{"the default", corpus.Default(), true},
		{"as many as are", corpus.Spec{Count: 10_000, MinBytes: 1, MaxBytes: 9}, true},
		{"one more", corpus.Spec{Count: 10_001, MinBytes: 1, MaxBytes: 9}, false},
		{"512 MB", corpus.Spec{Count: 512, MinBytes: 1 << 20, MaxBytes: 1 << 20}, true},
		{"513 MB", corpus.Spec{Count: 513, MinBytes: 1 << 20, MaxBytes: 1 << 20}, false},
		{"the largest there are", corpus.Spec{Count: corpus.MaxCount, MinBytes: 5 << 30, MaxBytes: 5 << 30}, false},
	} {
		if got := newGenerated(row.spec).small(); got != row.want {
			t.Errorf("%s: %t, want %t", row.name, got, row.want)
		}
	}
	// Of 100 sizes one is 5 GiB, so that nine of them have 480 MB in the mean: with
	// one of those, or without.
	shape, err := corpus.ReadShape("sizes", strings.NewReader(strings.Repeat("1 ", 99)+"5368709120"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[bool]bool{}
	for seed := range uint64(200) {
		s := corpus.Spec{Count: 9, Seed: seed, Needle: "n", Prefix: "p/"}.WithShape(shape)
		want := s.TotalBytes() < 1<<20
		if seen[want] = true; newGenerated(s).small() != want {
			t.Errorf("seed %d: %d bytes are stored: %t", seed, s.TotalBytes(), !want)
		}
	}
	if !seen[true] || !seen[false] {
		t.Errorf("seen %v", seen)
	}
}

// Bodies of more than is made at a time, whole, in part, and with a checksum.
func TestGeneratedLarge(t *testing.T) {
	spec := corpus.Spec{Count: 3, MinBytes: 300_000, MaxBytes: 400_000, Seed: 1, Needle: "needle", Prefix: "p/"}
	s := newServer(Config{}, t.TempDir())
	if err := s.CreateBucket("corpus"); err != nil {
		t.Fatal(err)
	}
	if err := s.store.edit("corpus", func(b *bucket) *apiError {
		b.generated = append(b.generated, newGenerated(spec))
		return nil
	}); err != nil {
		t.Fatal(err.message)
	}
	send := func(i int, name, value string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		if err := s.dispatch(&call{w: w, r: r, arrived: time.Now(), caller: &caller{}, bucket: "corpus", key: spec.Key(i)}); err != nil {
			t.Fatal(err.message)
		}
		return w
	}
	for i := range spec.Count {
		want, err := io.ReadAll(spec.Body(i))
		if err != nil {
			t.Fatal(err)
		}
		w := send(i, "X-Amz-Checksum-Mode", "ENABLED")
		d := newDigests(generatedAlgorithm)
		_, _ = d.Write(want)
		if w.Body.String() != string(want) || w.Header().Get("X-Amz-Checksum-Crc32") != d.checksum() ||
			w.Header().Get("Content-Length") != strconv.Itoa(len(want)) {
			t.Errorf("object %d: %d bytes, %v", i, w.Body.Len(), w.Header())
		}
		if w := send(i, "Range", "bytes=65530-200000"); w.Code != 206 || w.Body.String() != string(want[65530:200_001]) {
			t.Errorf("object %d: %d, %d bytes of a range", i, w.Code, w.Body.Len())
		}
		if w := send(i, "Range", "bytes=-7"); w.Body.String() != string(want[len(want)-7:]) {
			t.Errorf("object %d: its end is %q", i, w.Body)
		}
	}
}
