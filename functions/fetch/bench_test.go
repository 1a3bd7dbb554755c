package fetch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkInside prices the searches that are not for a plain string, in bodies of log
// lines that do not match.
func BenchmarkInside(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var log strings.Builder
	for log.Len() < 1<<20 {
		fmt.Fprintf(&log, "2026-07-01T12:%02d:%02d INFO request %08x took %d ms\n", rng.IntN(60), rng.IntN(60), rng.Uint32(), rng.IntN(999))
	}
	for _, tc := range []struct {
		name, find string
		ev         Event
	}{
		{"string/locate", "ERROR timeout", Event{Locate: true}},
		{"string/decompress", "ERROR timeout", Event{Decompress: true}},
		{"regexp/prefix", `ERROR .* timeout`, Event{FindRegexp: true}},
		{"regexp/noprefix", `[0-9]{3}ms .* timeout`, Event{FindRegexp: true}},
	} {
		for _, size := range []int{25_500, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", tc.name, size), func(b *testing.B) {
				ev := tc.ev
				ev.Find = &tc.find
				var p *pattern
				if ev.FindRegexp {
					var err error
					if p, err = compile(tc.find); err != nil {
						b.Fatal(err)
					}
				}
				in := newInside(ev, p, func() bool { return false })
				defer in.close()
				body := []byte(log.String()[:size])
				if ev.Decompress {
					in.key, body = "k.gz", []byte(packed(string(body)))
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for range b.N {
					in.reset()
					for rest := body; len(rest) > 0; rest = rest[min(len(rest), 16<<10):] {
						in.write(rest[:min(len(rest), 16<<10)])
					}
					if err := in.end(); err != nil || in.searcher.found() {
						b.Fatal(err, in.searcher.found())
					}
				}
			})
		}
	}
}
