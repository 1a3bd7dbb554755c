package scan

import (
	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

// Expect compares what was found with what the seed objects hold. Which objects
// match is known where the needle itself was looked for, or nothing at all.
// It generates every object once, at about 1 GB a second.
func Expect(spec corpus.Spec, event fetch.Event, found Summary) *Expected {
	bytes, digest := spec.Expect()
	e := &Expected{Objects: int64(spec.Count), Bytes: bytes, Digest: digest.String()}
	e.Right = found.Objects == e.Objects && found.Bytes == e.Bytes && found.Digest == e.Digest
	switch {
	case event.Find == nil:
		e.Right = e.Right && found.Matches == 0
	case *event.Find == spec.Needle:
		e.Match = spec.Key(spec.NeedleObject())
		e.Right = e.Right && found.Matches == 1 && found.First == e.Match
	}
	return e
}
