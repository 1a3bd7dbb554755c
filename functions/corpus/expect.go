package corpus

import (
	"context"
	"runtime"
	"sync"

	"fanout/functions/fetch"
)

// Expected is what a right reader of seed objects answers.
type Expected struct {
	Objects int
	Bytes   int64
	Digest  fetch.Digest
}

// Merge takes in the objects of another.
func (e *Expected) Merge(other Expected) {
	e.Objects, e.Bytes = e.Objects+other.Objects, e.Bytes+other.Bytes
	e.Digest.Merge(other.Digest)
}

// Expect gives what a right reader of the whole set answers: how many bytes
// it read, the digest of all keys and bodies. It generates every body once,
// at about 1 GB a second and core: 15 ms for the default set on two cores.
func (s Spec) Expect() (bytesRead int64, digest fetch.Digest) {
	all, _ := s.ExpectOf(context.Background(), 0, s.Count, nil) // without an end of ctx it cannot fail
	return all.Bytes, all.Digest
}

// TotalBytes sums the sizes of all objects.
func (s Spec) TotalBytes() int64 {
	size := s.Sizer()
	sum, _ := s.each(context.Background(), 0, s.Count, nil, func() func(int) Expected {
		return func(i int) Expected { return Expected{Bytes: size(i)} }
	})
	return sum.Bytes
}

// ExpectOf is [Spec.Expect] of the objects from up to but without to. Of
// neighbouring ranges the answers add up by [Expected.Merge], so that the parts
// of a scan can be checked one by one. It uses every core, and ends with ctx's
// error soon after ctx does. progress, unless nil, hears how many are done, from
// one goroutine at a time.
func (s Spec) ExpectOf(ctx context.Context, from, to int, progress func(done, total int)) (Expected, error) {
	m, size := s.maker(), s.Sizer()
	return s.each(ctx, from, to, progress, func() func(int) Expected {
		buf := make([]byte, expectBytes)
		return func(i int) Expected {
			crc, length := uint32(0), size(i)
			for off := int64(0); off < length && ctx.Err() == nil; off += expectBytes {
				part := buf[:min(length-off, expectBytes)]
				m.fill(i, part, off)
				crc = fetch.BodyCRC(crc, part)
			}
			e := Expected{Objects: 1, Bytes: length}
			e.Digest.Add(s.Key(i), crc)
			return e
		}
	})
}

const (
	// expectBytes is how much of a body is made at once: it stays in a core's
	// cache.
	expectBytes = 64 << 10

	// eachRange is how many objects a core takes at once, if that is not more than
	// eachBytes of them: of a few large ones every core has some, and each is heard of.
	eachRange = 256
	eachBytes = 64 << 20
)

// each adds up what there is to say of the objects from up to but without to.
// worker gives each goroutine its own function.
func (s Spec) each(
	ctx context.Context, from, to int, progress func(done, total int), worker func() func(i int) Expected,
) (sum Expected, err error) {
	var (
		mu   sync.Mutex // of all that follows
		next = from
		done int
		wait sync.WaitGroup
	)
	atOnce := int(min(max(eachBytes/max(s.MeanBytes(), 1), 1), eachRange))
	take := func(part Expected, n int) (start, end int) {
		mu.Lock()
		defer mu.Unlock()
		sum.Merge(part)
		if done += n; n > 0 && progress != nil {
			progress(done, to-from)
		}
		start = next
		next = min(next+atOnce, to)
		return start, next
	}
	for range min(runtime.GOMAXPROCS(0), (to-from)/atOnce+1) {
		wait.Go(func() {
			one := worker()
			start, end := take(Expected{}, 0)
			for start < end && ctx.Err() == nil {
				var part Expected
				for i := start; i < end && ctx.Err() == nil; i++ {
					part.Merge(one(i))
				}
				start, end = take(part, end-start)
			}
		})
	}
	wait.Wait()
	return sum, ctx.Err()
}
