package fetch

import (
	"cmp"
	"slices"
	"strconv"
)

// accumulator adds up what one worker has read; at the end all of them are
// merged. It is the [RangeSink] of the body being read.
type accumulator struct {
	body   stretch // the current one, or its beginning until its ranges are joined
	ranges ranges  // of it, which came beside its beginning
	inside *inside // nil: only count, or find a plain string

	objects   int
	bytes     int64
	retries   int
	digest    Digest
	firstByte latencies

	matched bool
	match   item // the earliest in list order

	failures int
	failed   item // the earliest in list order
	failure  error

	keep    keep
	matches []indexed[Match]
	errors  []indexed[Failure]
}

// keep says what an accumulator keeps of each object, beside the counts.
type keep struct{ matches, failures bool }

// indexed is something about the object at a place in list order.
type indexed[T any] struct {
	index int
	about T
}

// inOrder gives what is known about objects in list order.
func inOrder[T any](all []indexed[T]) []T {
	slices.SortFunc(all, func(a, b indexed[T]) int { return cmp.Compare(a.index, b.index) })
	about := make([]T, len(all))
	for i := range all {
		about[i] = all[i].about
	}
	return about
}

func newAccumulator(find *string) *accumulator {
	return &accumulator{body: newStretch(find), ranges: ranges{find: find}}
}

// Write takes the next bytes of the current body.
func (a *accumulator) Write(p []byte) (int, error) {
	a.body.write(p)
	if a.inside != nil {
		a.inside.write(p)
	}
	return len(p), nil
}

// InAnyOrder says whether the current body can come in any order.
func (a *accumulator) InAnyOrder() bool { return a.inside == nil }

// Range begins a range of the current body.
func (a *accumulator) Range(offset int64) RangeWriter { return a.ranges.begin(offset) }

// join makes one body of all that came of the current one.
func (a *accumulator) join(size int64) error { return a.ranges.joinTo(&a.body, size) }

// ContentEncoding takes the current body's.
func (a *accumulator) ContentEncoding(value string) {
	if a.inside != nil {
		a.inside.encoding = value
	}
}

// Reset begins a body.
func (a *accumulator) Reset() {
	a.body.reset(0)
	a.ranges.reset()
	if a.inside != nil {
		a.inside.reset()
	}
}

// add counts the current body in.
func (a *accumulator) add(it item, r Read) {
	a.objects++
	a.bytes += r.Bytes
	a.digest.Add(it.key, a.body.crc)
	a.firstByte.add(r.FirstByte)
	if a.hit() {
		a.matchAt(it)
	}
}

// hit says whether the current body, read whole, holds what is searched for.
func (a *accumulator) hit() bool {
	return a.body.found() || a.inside != nil && a.inside.searcher.found()
}

func (a *accumulator) matchAt(it item) {
	if !a.matched || it.index < a.match.index {
		a.matched, a.match = true, it
	}
	if a.keep.matches {
		m := Match{Key: it.key}
		if a.inside != nil {
			m = a.inside.match(it.key)
		}
		a.matches = append(a.matches, indexed[Match]{it.index, m})
	}
}

func (a *accumulator) fail(it item, err error) {
	if a.failures == 0 || it.index < a.failed.index {
		a.failed, a.failure = it, err
	}
	a.failures++
	if a.keep.failures {
		a.errors = append(a.errors, indexed[Failure]{it.index, newFailure(it.key, err)})
	}
}

func (a *accumulator) merge(other *accumulator) {
	a.objects += other.objects
	a.bytes += other.bytes
	a.retries += other.retries
	a.digest.Merge(other.digest)
	a.firstByte.merge(&other.firstByte)
	if other.matched && (!a.matched || other.match.index < a.match.index) {
		a.matched, a.match = true, other.match
	}
	a.matches = append(a.matches, other.matches...)
	a.errors = append(a.errors, other.errors...)
	if other.failures > 0 {
		if a.failures == 0 || other.failed.index < a.failed.index {
			a.failed, a.failure = other.failed, other.failure
		}
		a.failures += other.failures
	}
}

func (a *accumulator) result(find bool) string {
	switch {
	case !find:
		return strconv.Itoa(a.objects)
	case a.matched:
		return a.match.key
	}
	return NotFound
}
