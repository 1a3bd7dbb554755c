package scan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"fanout/functions/fetch"
)

const (
	// groupsAbove is how many items a job has whose parts are added up in groups
	// first: the Choice of the state machine, which a test compares.
	groupsAbove = 1_000_000

	// mergeReaders is how many parts are read at once, and mergeBytes how many
	// bytes of them are held: parsed, they take up to three times that.
	mergeReaders = 64
	mergeBytes   = 16 << 20

	// maxPartBytes is the longest part there can be: 256 KiB of the shortest keys,
	// each with 1 KB of its line escaped, are less.
	maxPartBytes = 64 << 20

	// repairers is how many parts are repaired at once, each with up to
	// repairWorkers keys at once.
	repairers     = 8
	repairWorkers = 32

	// maxAnswerBytes is what of the 256 KiB of a state's output the answer may
	// take: Lambda's integration wraps it.
	maxAnswerBytes = 200_000

	// named is how many unread keys an error names.
	named = 3
)

// Merge adds a job's parts up, or one group of them. It reads what their batches
// have not: the keys that failed, and the batches that have left no part, which
// ResultWriter's files say. If keys stay unread, it fails with [Incomplete].
func (h *Handler) Merge(ctx context.Context, r MergeRequest) (any, error) {
	var ev fetch.Event
	if r.Event != nil {
		ev = *r.Event
	}
	s, err := h.open(ctx, ev)
	if err != nil {
		return nil, err
	}
	reading, cancel := beforeLimit(ctx, 0)
	defer cancel()
	m := &merger{handler: h, store: s, request: r, event: ev, held: semaphore.NewWeighted(mergeBytes)}
	if err := m.list(reading); err != nil {
		return nil, err
	}
	if r.Group != "" {
		if err := m.addParts(reading, m.parts); err != nil {
			return nil, err
		}
		g := m.group()
		if err := h.putJSON(ctx, s, r.Results.Bucket, groupName(r.Job, r.Group), g); err != nil {
			return nil, err
		}
		return groupAnswer{Group: r.Group, Parts: g.Parts, Keys: g.Keys}, nil
	}
	if err := m.addGroups(reading); err != nil {
		return nil, err
	}
	if err := m.repair(ctx, reading); err != nil {
		return nil, err
	}
	if m.keys() < *r.Total {
		if err := m.addLost(ctx, reading); err != nil {
			return nil, err
		}
	}
	if err := m.incomplete(); err != nil {
		return nil, err
	}
	result := Result{Job: r.Job, Sums: m.sums.final()}
	if err := h.putJSON(ctx, s, r.Results.Bucket, ResultName(r.Job), result); err != nil {
		return nil, err
	}
	return result.bounded(maxAnswerBytes)
}

// groupAnswer is the answer to a group, whose sums are in its file.
type groupAnswer struct {
	Group string `json:"group"`
	Parts int    `json:"parts"`
	Keys  int64  `json:"keys"`
}

// merger adds up one job's parts. Its memory grows by some 40 bytes a part.
type merger struct {
	handler *Handler
	store   store
	request MergeRequest
	event   fetch.Event
	held    *semaphore.Weighted // bytes of parts

	parts []partRef // that are listed, by hash

	mu         sync.Mutex
	sums       adder
	unfinished []unfinished // parts with failed keys, not in sums
	broken     []hash       // parts that cannot be parsed: as if they were not there
	unread     int64        // keys in parts that are done with
	first      []Failure    // of the unread ones, by key
}

type partRef struct {
	hash hash
	size int64
}

// unfinished is a part with keys to read again.
type unfinished struct {
	Hash     hash `json:"hash"`
	Keys     int  `json:"keys"`
	Failures int  `json:"failures"`
}

// list lists the parts, in the order of their names.
func (m *merger) list(ctx context.Context) error {
	r := m.request
	err := m.handler.persist(ctx, func() error {
		m.parts = nil
		return m.store.List(ctx, r.Results.Bucket, PartsPrefix(r.Job)+r.Group, func(page []fetch.Object) error {
			for _, o := range page {
				if of, ok := partHash(r.Job, o.Key); ok {
					m.parts = append(m.parts, partRef{of, o.Size})
				}
			}
			return nil
		})
	})
	return m.inTime(ctx, err)
}

// inTime gives an error its name where the reason is the time limit.
func (m *merger) inTime(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return errorf(fetch.DeadlineNear, "merge of job %s stopped just before the time limit: %d of at least %d parts added up; "+
			"raise the function's timeout or memory", m.request.Job, m.sums.Parts+len(m.unfinished)+len(m.broken), len(m.parts))
	}
	return err
}

// find says whether there is a part of that hash that can be parsed.
func (m *merger) find(of hash) (partRef, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := slices.BinarySearchFunc(m.parts, of, func(p partRef, of hash) int { return bytes.Compare(p.hash[:], of[:]) })
	if !ok || slices.Contains(m.broken, of) {
		return partRef{}, false
	}
	return m.parts[i], true
}

// load reads one part, and gives it to use, which must not keep it. A part that
// cannot be parsed, or has gone meanwhile, is no error: ok is then false.
func (m *merger) load(ctx context.Context, ref partRef, use func(Part) error) (ok bool, err error) {
	weight := min(max(ref.size, 1), mergeBytes)
	if err := m.held.Acquire(ctx, weight); err != nil {
		return false, err
	}
	defer m.held.Release(weight)
	var body buffer
	there, err := m.get(ctx, m.request.Results.Bucket, partName(m.request.Job, ref.hash), &body)
	if !there || body.over {
		return false, err
	}
	p, err := DecodePart(body.Bytes())
	if err != nil {
		return false, nil
	}
	return true, use(p)
}

// get reads an object; false: there is none, or err says why not.
func (m *merger) get(ctx context.Context, bucket, key string, body *buffer) (there bool, err error) {
	err = m.handler.persist(ctx, func() error {
		body.Reset()
		_, err := m.store.Get(ctx, bucket, key, body)
		return err
	})
	var typed *fetch.Error
	if errors.As(err, &typed) && typed.Type == fetch.NoSuchKey {
		return false, nil
	}
	return err == nil, err
}

// buffer is a Sink that keeps a body of up to maxPartBytes.
type buffer struct {
	bytes.Buffer
	over bool // it was longer
}

func (b *buffer) Write(p []byte) (int, error) {
	if b.over = b.over || b.Len()+len(p) > maxPartBytes; b.over {
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

func (b *buffer) Reset() {
	b.Buffer.Reset()
	b.over = false
}

// addGroups adds all parts: where there are many, by the sums of their groups, in as
// far as these are there and up to date.
func (m *merger) addGroups(ctx context.Context) error {
	if *m.request.Total <= m.handler.groupsAbove {
		return m.addParts(ctx, m.parts)
	}
	for rest := m.parts; len(rest) > 0; {
		group := rest[0].hash.group()
		n := 0
		for n < len(rest) && rest[n].hash.group() == group {
			n++
		}
		ok, err := m.addGroup(ctx, digits[group:group+1], rest[:n])
		if err == nil && !ok {
			err = m.addParts(ctx, rest[:n])
		}
		if err != nil {
			return m.inTime(ctx, err)
		}
		rest = rest[n:]
	}
	return nil
}

// addParts adds parts that are complete, and notes the others.
func (m *merger) addParts(ctx context.Context, refs []partRef) error {
	g, readCtx := errgroup.WithContext(ctx)
	g.SetLimit(mergeReaders)
	for _, ref := range refs {
		if readCtx.Err() != nil {
			break
		}
		g.Go(func() error {
			ok, err := m.load(readCtx, ref, func(p Part) error {
				m.mu.Lock()
				defer m.mu.Unlock()
				if again := repairable(p.Failures); again > 0 {
					m.unfinished = append(m.unfinished, unfinished{ref.hash, p.Keys, len(p.Failures)})
					return nil
				}
				return m.addLocked(p)
			})
			if err == nil && !ok {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.broken = append(m.broken, ref.hash)
			}
			return err
		})
	}
	err := g.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return m.inTime(ctx, err)
}

// addLocked adds one part for good.
func (m *merger) addLocked(p Part) error {
	for _, f := range p.Failures {
		m.missLocked(1, f)
	}
	return m.sums.add(p)
}

// missLocked counts keys that stay unread.
func (m *merger) missLocked(n int, examples ...Failure) {
	m.unread += int64(n)
	m.first = append(m.first, examples...)
	slices.SortStableFunc(m.first, func(a, b Failure) int { return cmp.Compare(a.Key, b.Key) })
	m.first = m.first[:min(len(m.first), named)]
}

// repairable counts the failures that another try can help.
func repairable(failures []Failure) (n int) {
	for _, f := range failures {
		if f.Error != InvalidKey {
			n++
		}
	}
	return n
}

// keys is how many keys all parts have.
func (m *merger) keys() int64 { return m.sums.Keys }

// repair reads the failed keys of unfinished parts again, writes these parts over,
// and adds them.
func (m *merger) repair(ctx, reading context.Context) error {
	todo := m.unfinished
	m.unfinished = nil
	g, readCtx := errgroup.WithContext(reading)
	g.SetLimit(repairers)
	for _, u := range todo {
		g.Go(func() error { return m.repairPart(ctx, readCtx, u) })
	}
	return g.Wait()
}

func (m *merger) repairPart(ctx, reading context.Context, u unfinished) error {
	leave := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sums.Keys += int64(u.Keys)
		m.missLocked(u.Failures, Failure{Key: partName(m.request.Job, u.Hash), Error: fetch.DeadlineNear,
			Message: fmt.Sprintf("%d failed keys of this part were not read again before the time limit", u.Failures)})
	}
	if reading.Err() != nil {
		leave()
		return nil
	}
	ref, _ := m.find(u.Hash)
	ok, err := m.load(reading, ref, func(p Part) error {
		failed := p.Failures
		p.Failures = nil
		var keys []string
		for _, f := range failed {
			if f.Error == InvalidKey {
				p.Failures = append(p.Failures, f)
			} else {
				keys = append(keys, f.Key)
			}
		}
		if err := m.handler.readThrottled(reading, m.limited(len(keys)), &p, keys); err != nil {
			return err
		}
		if err := m.handler.putJSON(ctx, m.store, m.request.Results.Bucket, partName(m.request.Job, u.Hash), p); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sums.Repaired += int64(len(failed) - len(p.Failures))
		return m.addLocked(p)
	})
	switch {
	case err != nil && errors.Is(context.Cause(reading), context.DeadlineExceeded):
		leave()
	case err != nil:
		return err
	case !ok:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.broken = append(m.broken, u.Hash)
	}
	return nil
}

// limited gives the event with no more workers than keys, as several parts are
// read at once.
func (m *merger) limited(keys int) fetch.Event {
	ev := m.event
	workers := repairWorkers
	if ev.Concurrency != nil {
		workers = min(workers, *ev.Concurrency)
	}
	workers = max(min(workers, keys), 1)
	ev.Concurrency = &workers
	return ev
}

// incomplete is the error of a job that not every key was read of.
func (m *merger) incomplete() error {
	total, keys := *m.request.Total, m.keys()
	if keys > total {
		return errorf(Incomplete, "the parts of job %s hold %d keys, but its Map Run had %d items: "+
			"are there parts of an older job of that name below %s?", m.request.Job, keys, total, PartsPrefix(m.request.Job))
	}
	missing := total - keys
	if m.unread == 0 && missing == 0 {
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d keys were not read", m.unread+missing, total)
	if missing > 0 {
		fmt.Fprintf(&text, "; %d of them are in batches without a part", missing)
	}
	for i, f := range m.first {
		fmt.Fprintf(&text, "%s %q: %s: %s", []string{"; first", ",", ","}[min(i, 2)], f.Key, f.Error, f.Message)
	}
	text.WriteString("; redrive the execution to read them again")
	return errorf(Incomplete, "%s", text.String())
}
