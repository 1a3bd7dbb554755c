package scan

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"fanout/functions/fetch"
)

// adder adds parts up.
type adder struct {
	Sums   // but for Digest, and Matches in any order
	digest fetch.Digest
}

func (a *adder) add(p Part) error {
	digest, err := fetch.ParseDigest(p.Digest)
	if err != nil {
		return err
	}
	a.merge(Sums{
		Parts: 1, Keys: int64(p.Keys), Objects: int64(p.Objects), Bytes: p.Bytes, Matched: int64(len(p.Matches)), Matches: p.Matches,
		Started: p.Started, Ended: p.Ended, CPUMS: p.CPUMS, Retries: int64(p.Retries),
	}, digest)
	return nil
}

func (a *adder) merge(s Sums, digest fetch.Digest) {
	if a.Parts == 0 || s.Parts > 0 && s.Started < a.Started {
		a.Started = s.Started
	}
	a.Parts += s.Parts
	a.Keys += s.Keys
	a.Objects += s.Objects
	a.Bytes += s.Bytes
	a.digest.Merge(digest)
	a.Matched += s.Matched
	a.Matches = append(a.Matches, s.Matches...)
	if len(a.Matches) > 2*MaxMatches {
		a.Matches = firstMatches(a.Matches)
	}
	a.Ended = max(a.Ended, s.Ended)
	a.CPUMS += s.CPUMS
	a.Retries += s.Retries
	a.Repaired += s.Repaired
	a.Repeated += s.Repeated
}

// firstMatches gives the first MaxMatches by key.
func firstMatches(all []Match) []Match {
	slices.SortStableFunc(all, func(a, b Match) int { return cmp.Compare(a.Key, b.Key) })
	clear(all[min(len(all), MaxMatches):]) // their strings are not needed any more
	return all[:min(len(all), MaxMatches)]
}

// final gives the sums of what was added.
func (a *adder) final() Sums {
	s := a.Sums
	s.Digest = a.digest.String()
	if s.Matches = firstMatches(s.Matches); s.Matches == nil {
		s.Matches = []Match{}
	}
	return s
}

// bounded gives r with as many matches as fit into that many bytes of JSON.
func (r Result) bounded(most int) (Result, error) {
	all := r.Matches
	r.Matches = []Match{}
	rest, err := marshal(r)
	if err != nil {
		return Result{}, err
	}
	size := len(rest)
	for i, match := range all {
		line, err := marshal(match)
		if err != nil {
			return Result{}, err
		}
		if size += len(line) + 1; size > most {
			r.Matches = all[:i]
			return r, nil
		}
	}
	r.Matches = all
	return r, nil
}

// groupFile is an object at jobs/JOB/groups/DIGIT.json: the sums of the parts that
// have no key to read again, which stay as they are, and the names of the others,
// which a merge reads itself. So it is out of date only if there are other parts now.
type groupFile struct {
	Sums
	Names      string       `json:"names"` // see fingerprint
	Unfinished []unfinished `json:"unfinished,omitempty"`
	Broken     []hash       `json:"broken,omitempty"`
	Unread     int64        `json:"unread,omitempty"`
	First      []Failure    `json:"first,omitempty"`
}

// fingerprint stands for the names of parts, in their order.
func fingerprint(parts []partRef) string {
	sum := sha256.New()
	for i := range parts {
		sum.Write(parts[i].hash[:])
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// group gives what has been added as one group's file.
func (m *merger) group() groupFile {
	return groupFile{
		Sums: m.sums.final(), Names: fingerprint(m.parts),
		Unfinished: m.unfinished, Broken: m.broken, Unread: m.unread, First: m.first,
	}
}

// addGroup adds the parts of one group by its file; false: there is none that fits
// the parts.
func (m *merger) addGroup(ctx context.Context, digit string, parts []partRef) (ok bool, err error) {
	var body buffer
	there, err := m.get(ctx, m.request.Results.Bucket, groupName(m.request.Job, digit), &body)
	if !there {
		return false, err
	}
	var g groupFile
	if json.Unmarshal(body.Bytes(), &g) != nil || g.Names != fingerprint(parts) {
		return false, nil
	}
	digest, err := fetch.ParseDigest(g.Digest)
	if err != nil {
		return false, nil
	}
	m.sums.merge(g.Sums, digest)
	m.unfinished = append(m.unfinished, g.Unfinished...)
	m.missLocked(int(g.Unread), g.First...)
	var again []partRef // they may have been written over since
	for _, of := range g.Broken {
		if ref, ok := m.find(of); ok {
			again = append(again, ref)
		}
	}
	return true, m.addParts(ctx, again)
}
