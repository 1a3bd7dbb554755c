package scan

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"fanout/functions/fetch"
)

// manyParts is a bucket of n parts of 1,000 keys each, made as they are read.
type manyParts struct {
	n     int
	reads atomic.Int64
	peak  atomic.Uint64 // of the heap, looked at every 1,000 parts
	part  []byte
}

func (s *manyParts) name(i int) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(i))
	sum := sha256.Sum256(b[:])
	binary.BigEndian.PutUint32(sum[:4], uint32(uint64(i)<<32/uint64(s.n))) // in order
	return PartsPrefix("j") + hex.EncodeToString(sum[:16]) + partSuffix
}

func (s *manyParts) Connections() int64 { return 0 }

func (s *manyParts) List(_ context.Context, _, _ string, page func([]fetch.Object) error) error {
	for first := 0; first < s.n; first += 1000 {
		objects := make([]fetch.Object, min(1000, s.n-first))
		for i := range objects {
			objects[i] = fetch.Object{Key: s.name(first + i), Size: int64(len(s.part))}
		}
		if err := page(objects); err != nil {
			return err
		}
	}
	return nil
}

func (s *manyParts) Get(_ context.Context, _, key string, sink fetch.Sink) (fetch.Read, error) {
	if !strings.HasPrefix(key, PartsPrefix("j")) {
		return fetch.Read{}, &fetch.Error{Type: fetch.NoSuchKey}
	}
	if s.reads.Add(1)%1000 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		for peak := s.peak.Load(); m.HeapAlloc > peak && !s.peak.CompareAndSwap(peak, m.HeapAlloc); peak = s.peak.Load() {
		}
	}
	_, err := sink.Write(s.part)
	return fetch.Read{}, err
}

func (s *manyParts) Put(context.Context, string, string, []byte) error { return nil }

// BenchmarkMerge: what a merge itself takes for a part of 1,000 keys, ten of which match,
// and the peak of its heap.
func BenchmarkMerge(b *testing.B) {
	p := Part{Keys: 1000, Objects: 1000, First: "a", Last: "z", Digest: "0123456789abcdef"}
	for i := range 10 {
		p.Matches = append(p.Matches, Match{Key: fmt.Sprintf("2026/07/01/logs/host-%04d.json", i)})
	}
	part, err := marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			total := int64(n) * 1000
			for range b.N {
				s := &manyParts{n: n, part: part}
				runtime.GC()
				if _, err := handlerOver(s).Merge(b.Context(), MergeRequest{
					Job: "j", Results: Results{"r"}, Event: &fetch.Event{Bucket: "b"}, Total: &total,
				}); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(s.peak.Load())/(1<<20), "peak-MB")
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/part")
		})
	}
}

// BenchmarkDispatch is what the deployed function adds to fetch's own event.
func BenchmarkDispatch(b *testing.B) {
	payload := []byte(`{"s3_bucket_name":"photos","folder":"small/","find":"MyMagicString"}`)
	for range b.N {
		if firstName(payload) == "merge" {
			b.Fatal("a merge")
		}
	}
}
