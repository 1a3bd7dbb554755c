package fetch

import "strconv"

// tally is what one worker has read; at the end all of them are merged. It is
// the [Sink] of the body being read.
type tally struct {
	finder *finder // nil: only count
	crc    uint32  // of the current body

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
}

func newTally(find *string) *tally {
	t := &tally{}
	if find != nil {
		t.finder = newFinder(*find)
	}
	return t
}

// Write takes the next bytes of the current body.
func (t *tally) Write(p []byte) (int, error) {
	t.crc = BodyCRC(t.crc, p)
	if t.finder != nil {
		t.finder.write(p)
	}
	return len(p), nil
}

// Reset begins a body.
func (t *tally) Reset() {
	t.crc = 0
	if t.finder != nil {
		t.finder.reset()
	}
}

// read counts the current body in.
func (t *tally) read(it item, r Read) {
	t.objects++
	t.bytes += r.Bytes
	t.digest.Add(it.key, t.crc)
	t.firstByte.add(r.FirstByte)
	if t.finder != nil && t.finder.found {
		t.matchAt(it)
	}
}

func (t *tally) matchAt(it item) {
	if !t.matched || it.index < t.match.index {
		t.matched, t.match = true, it
	}
}

func (t *tally) fail(it item, err error) {
	if t.failures == 0 || it.index < t.failed.index {
		t.failed, t.failure = it, err
	}
	t.failures++
}

func (t *tally) merge(o *tally) {
	t.objects += o.objects
	t.bytes += o.bytes
	t.retries += o.retries
	t.digest.Merge(o.digest)
	t.firstByte.merge(&o.firstByte)
	if o.matched {
		t.matchAt(o.match)
	}
	if o.failures > 0 {
		if t.failures == 0 || o.failed.index < t.failed.index {
			t.failed, t.failure = o.failed, o.failure
		}
		t.failures += o.failures
	}
}

func (t *tally) result(find bool) string {
	switch {
	case !find:
		return strconv.Itoa(t.objects)
	case t.matched:
		return t.match.key
	}
	return NotFound
}
