package scan

import (
	"context"
	"encoding/json"
	"hash/maphash"
)

const (
	// maxElement is the longest entry of a ResultWriter file: 256 KiB of input and
	// of output each, with every quote in them escaped.
	maxElement = 2 << 20

	// lostBytes is how much input of lost batches is held at once.
	lostBytes = 16 << 20
)

// manifest is ResultWriter's manifest.json.
type manifest struct {
	ResultFiles struct {
		Succeeded []resultFile `json:"SUCCEEDED"`
		Failed    []resultFile `json:"FAILED"`
		Pending   []resultFile `json:"PENDING"`
	} `json:"ResultFiles"`
}

type resultFile struct {
	Key string `json:"Key"`
}

// child is one child execution in ResultWriter's files.
type child struct {
	ExecutionArn string `json:"ExecutionArn"`
	Name         string `json:"Name"`
	Input        string `json:"Input"` // JSON
}

// addLost reads the batches that ResultWriter's files have and that there is no
// part of, and adds them. It adds a part once more for each further batch that had
// the very same keys.
func (m *merger) addLost(ctx, reading context.Context) error {
	if m.request.Acks == nil {
		return nil
	}
	files, err := m.resultFiles(reading)
	if err != nil {
		return err
	}
	seen := &children{seed: maphash.MakeSeed(), known: map[uint64]bool{}, times: map[hash]int{}}
	for _, file := range files {
		for skip := 0; ; {
			lost, next, err := m.findLost(reading, file, skip, seen)
			if err != nil {
				return err
			}
			for _, l := range lost {
				if err := m.addBatch(ctx, reading, l); err != nil {
					return err
				}
			}
			if skip = next; skip < 0 {
				break
			}
		}
	}
	return nil
}

// resultFiles gives the keys of ResultWriter's files.
func (m *merger) resultFiles(ctx context.Context) ([]string, error) {
	var body buffer
	acks := m.request.Acks
	there, err := m.get(ctx, acks.Bucket, acks.Key, &body)
	if err != nil {
		return nil, m.inTime(ctx, err)
	}
	if !there {
		return nil, nil // then the error says how many keys are missing
	}
	var doc manifest
	if err := json.Unmarshal(body.Bytes(), &doc); err != nil {
		return nil, errorf(Incomplete, "s3://%s/%s is not a manifest: %v", acks.Bucket, acks.Key, err)
	}
	var keys []string
	for _, files := range [][]resultFile{doc.ResultFiles.Succeeded, doc.ResultFiles.Failed, doc.ResultFiles.Pending} {
		for _, f := range files {
			keys = append(keys, f.Key)
		}
	}
	return keys, nil
}

// children are the child executions seen so far.
type children struct {
	seed  maphash.Seed
	known map[uint64]bool // executions: one that was redriven can be in two files
	times map[hash]int    // how many of them had a batch
}

// again says whether the execution was seen before.
func (c *children) again(of child) bool {
	name := of.ExecutionArn + " " + of.Name
	if name == " " {
		return false
	}
	sum := maphash.String(c.seed, name)
	if c.known[sum] {
		return true
	}
	c.known[sum] = true
	return false
}

// lostBatch is a batch to read, or one whose part counts once more.
type lostBatch struct {
	Batch
	hash  hash
	twice bool
}

// findLost passes over skip entries of a file, and gives the batches to add of those
// that follow, as many as lostBytes hold; next is how many entries to pass over
// then, negative at the file's end.
func (m *merger) findLost(ctx context.Context, file string, skip int, seen *children) (lost []lostBatch, next int, err error) {
	held := 0
	sink := &elements{done: skip}
	sink.each = func(element []byte) (more bool, err error) {
		var c child
		if err := json.Unmarshal(element, &c); err != nil {
			return false, errorf(Incomplete, "s3://%s/%s: entry %d: %v", m.request.Acks.Bucket, file, sink.done, err)
		}
		if seen.again(c) {
			return true, nil
		}
		b, err := DecodeBatch([]byte(c.Input))
		if err != nil {
			return false, errorf(Incomplete, "s3://%s/%s: entry %d: the input of %s: %v", m.request.Acks.Bucket, file, sink.done, c.Name, err)
		}
		l := lostBatch{Batch: b, hash: b.hash()}
		seen.times[l.hash]++
		if _, ok := m.find(l.hash); ok || seen.times[l.hash] > 1 {
			if seen.times[l.hash] == 1 {
				return true, nil
			}
			l.twice = true
			l.Items = nil
		}
		lost = append(lost, l)
		held += len(c.Input)
		return held < lostBytes, nil
	}
	err = m.handler.persist(ctx, func() error {
		sink.Reset()
		_, err := m.store.Get(ctx, m.request.Acks.Bucket, file, sink)
		return err
	})
	if err != nil {
		return nil, 0, m.inTime(ctx, err)
	}
	switch {
	case sink.err != nil:
		return nil, 0, sink.err
	case sink.full:
		return lost, sink.done, nil
	case !sink.ended:
		return nil, 0, errorf(Incomplete, "s3://%s/%s: the list of child executions ends too early", m.request.Acks.Bucket, file)
	}
	return lost, -1, nil
}

// addBatch reads a lost batch, or adds a part once more.
func (m *merger) addBatch(ctx, reading context.Context, l lostBatch) error {
	if reading.Err() != nil {
		return nil // missing in the sum of keys
	}
	if l.twice {
		_, err := m.load(reading, partRef{hash: l.hash}, func(p Part) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.sums.Repeated += int64(p.Keys)
			return m.addLocked(p)
		})
		return err
	}
	b := l.Batch
	b.Input.Job, b.Input.Results = m.request.Job, m.request.Results
	_, p, err := m.handler.batch(ctx, reading, m.store, b)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sums.Repaired += int64(p.Objects)
	return m.addLocked(p)
}

// elements is a Sink that takes a JSON array of objects apart, one at a time.
type elements struct {
	each func(element []byte) (more bool, err error) // element is good until it returns
	done int                                         // elements passed over or handed out: after a Reset too
	full bool                                        // each wants no more
	err  error

	seen     int
	opened   bool // the array
	ended    bool
	depth    int // of braces and brackets within the array
	inString bool
	escaped  bool
	element  []byte
}

// Reset begins the array again; elements that were handed out are passed over.
func (e *elements) Reset() {
	*e = elements{each: e.each, done: e.done, full: e.full, err: e.err, element: e.element[:0]}
}

// Write takes the next bytes. It never fails, as a client would try again.
func (e *elements) Write(p []byte) (int, error) {
	for _, c := range p {
		if e.full || e.err != nil {
			break
		}
		e.next(c)
	}
	return len(p), nil
}

var errNotAnArray = errorf(Incomplete, "not a JSON array of objects")

func (e *elements) next(c byte) {
	switch {
	case e.depth > 0:
		e.inElement(c)
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
	case !e.opened && c == '[':
		e.opened = true
	case e.opened && !e.ended && c == ']':
		e.ended = true
	case e.opened && !e.ended && c == ',' && e.seen > 0:
	case e.opened && !e.ended && c == '{':
		e.inElement(c)
	default:
		e.err = errNotAnArray
	}
}

func (e *elements) inElement(c byte) {
	if len(e.element) == maxElement {
		e.err = errorf(Incomplete, "an entry of over %d bytes", maxElement)
		return
	}
	e.element = append(e.element, c)
	switch {
	case e.escaped:
		e.escaped = false
	case e.inString && c == '\\':
		e.escaped = true
	case c == '"':
		e.inString = !e.inString
	case e.inString:
	case c == '{' || c == '[':
		e.depth++
	case c == '}' || c == ']':
		if e.depth--; e.depth == 0 {
			e.handOut()
		}
	}
}

func (e *elements) handOut() {
	if e.seen++; e.seen > e.done {
		e.done++
		var more bool
		if more, e.err = e.each(e.element); !more {
			e.full = true
		}
	}
	e.element = e.element[:0]
}
