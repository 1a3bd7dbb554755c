package scan

import (
	"context"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

// Expect compares what was found with what the seed objects hold. Which objects
// match is known where the needle itself was looked for, or nothing at all.
// It generates every object once, at about 1 GB a second and core, and ends with
// ctx's error soon after ctx does. progress, unless nil, hears how many are done,
// from one goroutine at a time.
func Expect(
	ctx context.Context, spec corpus.Spec, event fetch.Event, found Summary, progress func(done, total int),
) (*Expected, error) {
	all, err := spec.ExpectOf(ctx, 0, spec.Count, progress)
	if err != nil {
		return nil, err
	}
	e := &Expected{Objects: int64(all.Objects), Bytes: all.Bytes, Digest: all.Digest.String()}
	e.Right = found.Objects == e.Objects && found.Bytes == e.Bytes && found.Digest == e.Digest
	switch {
	case event.Find == nil:
		e.Right = e.Right && found.Matches == 0
	case *event.Find == spec.Needle:
		e.Match = spec.Key(spec.NeedleObject())
		e.Right = e.Right && found.Matches == 1 && found.First == e.Match
	}
	return e, nil
}
