package scan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"fanout/functions/fetch"
)

// writingTime is what of a time limit is kept for writing what was read: a tenth,
// and never more than that.
const writingTime = 5 * time.Second

// beforeLimit gives a context that ends early enough before ctx's deadline, and
// before longest is over, to write what was read.
func beforeLimit(ctx context.Context, longest time.Duration) (context.Context, context.CancelFunc) {
	left := longest
	if deadline, ok := ctx.Deadline(); ok {
		if until := time.Until(deadline); left == 0 || until < left {
			left = until
		}
	}
	if left == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, left-min(left/10, writingTime))
}

// Batch reads a batch, puts its [Part], and gives the [Ack]. It fails only where no
// key could be read or no part be written; what time does not suffice for is among
// the part's failures.
func (h *Handler) Batch(ctx context.Context, b Batch) (any, error) {
	s, err := h.open(ctx, b.Input.Event)
	if err != nil {
		return nil, err
	}
	// Nobody waits for a part that is put later, and it might be put over that of the next try, which may have read more.
	ctx, end := context.WithTimeout(ctx, BatchTimeout)
	defer end()
	reading, cancel := beforeLimit(ctx, BatchTimeout)
	defer cancel()
	name, p, err := h.batch(ctx, reading, s, b)
	if err != nil {
		return nil, err
	}
	return Ack{Part: name, Keys: p.Keys, Objects: p.Objects, Errors: len(p.Failures)}, nil
}

// batch reads within reading, writes within ctx.
func (h *Handler) batch(ctx, reading context.Context, s store, b Batch) (name string, p Part, err error) {
	started := time.Now()
	keys, invalid := b.keys()
	p = Part{Keys: len(b.Items), Digest: fetch.Digest(0).String()}
	if len(b.Items) > 0 {
		p.First, p.Last = b.keyOf(0), b.keyOf(len(b.Items)-1)
	}
	if err := h.readThrottled(reading, b.Input.Event, &p, keys); err != nil {
		return "", Part{}, err
	}
	p.Failures = append(p.Failures, invalid...)
	p.Started, p.Ended = started.UnixMilli(), time.Now().UnixMilli()
	name = partName(b.Input.Job, b.hash())
	return name, p, h.putJSON(ctx, s, b.Input.Results.Bucket, name, p)
}

// How a batch goes on where S3 asks for fewer requests: all functions of a job
// together can be faster than a prefix is, and one of them knows only that its own
// requests are refused. What was refused is read again after a pause of at least
// half of throttlePause, which doubles up to mostThrottlePause, by half as many
// goroutines each time. A batch gives up after idleRounds in which nothing was read.
const (
	throttlePause     = 250 * time.Millisecond
	mostThrottlePause = 4 * time.Second
	idleRounds        = 5
	fewestWorkers     = 4
)

// readThrottled reads keys like read, and again what S3 was too busy for.
func (h *Handler) readThrottled(ctx context.Context, ev fetch.Event, p *Part, keys []string) error {
	pause, idle, workers := h.pause, 0, 0
	for {
		before := p.Objects
		used, err := h.read(ctx, ev, p, keys)
		if err != nil {
			return err
		}
		if keys = nil; p.Objects > before {
			idle = 0
		} else if idle++; idle > idleRounds {
			return nil
		}
		var others []Failure
		for _, f := range p.Failures {
			if f.Error == fetch.SlowDown {
				keys = append(keys, f.Key)
			} else {
				others = append(others, f)
			}
		}
		if len(keys) == 0 || !waitFor(ctx, pause/2+rand.N(pause/2+1)) {
			return nil
		}
		p.Failures = others
		pause = min(2*pause, mostThrottlePause)
		if workers == 0 {
			workers = used
		}
		workers = max(workers/2, fewestWorkers)
		ev.Concurrency = &workers
	}
}

// waitFor waits, and says whether there is time left after it.
func waitFor(ctx context.Context, pause time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 2*pause {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// read reads keys, adds what came of them to p, and says with how many goroutines.
func (h *Handler) read(ctx context.Context, ev fetch.Event, p *Part, keys []string) (workers int, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ev.Folder, ev.Keys = "", &keys
	r, failures, err := h.fetch.Collect(ctx, ev)
	if err != nil {
		return 0, err
	}
	before, err := fetch.ParseDigest(p.Digest)
	if err != nil {
		return 0, err
	}
	read, err := fetch.ParseDigest(r.Stats.Digest)
	if err != nil {
		return 0, err
	}
	before.Merge(read)
	p.Digest = before.String()
	p.Objects += r.Stats.Objects
	p.Bytes += r.Stats.Bytes
	p.Matches = append(p.Matches, r.Matches...)
	p.Failures = append(p.Failures, failures...)
	p.CPUMS += r.Stats.CPUMS
	p.Retries += r.Stats.Retries
	return r.Stats.Concurrency, nil
}

// keyOf gives the key of an item or, where it is none, what the item has.
func (b Batch) keyOf(i int) string {
	key, err := b.decode(b.Items[i].Key)
	if err != nil {
		return b.Items[i].Key
	}
	return key
}

func (b Batch) decode(key string) (string, error) {
	if b.Input.URLEncoded {
		plain, err := url.QueryUnescape(key) // an inventory has a space as +
		if err != nil {
			return "", err
		}
		key = plain
	}
	switch {
	case key == "":
		return "", fmt.Errorf("an item without a key")
	case !utf8.ValidString(key):
		return "", fmt.Errorf("key %q is not UTF-8", key)
	}
	return key, nil
}

// keys gives the keys to read, and a failure for each item that has none.
func (b Batch) keys() (keys []string, invalid []Failure) {
	keys = make([]string, 0, len(b.Items))
	for _, it := range b.Items {
		key, err := b.decode(it.Key)
		if err != nil {
			invalid = append(invalid, Failure{Key: it.Key, Error: InvalidKey, Message: err.Error()})
			continue
		}
		keys = append(keys, key)
	}
	return keys, invalid
}

// hash is a batch's identity: all its keys, in order.
type hash [16]byte

func (b Batch) hash() hash {
	sum := sha256.New()
	var length [8]byte
	for i := range b.Items {
		key := b.keyOf(i)
		binary.BigEndian.PutUint64(length[:], uint64(len(key)))
		sum.Write(length[:])
		sum.Write([]byte(key))
	}
	return hash(sum.Sum(nil)[:len(hash{})])
}

// MarshalText gives 32 hexadecimal digits.
func (h hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText gives.
func (h *hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) || bytes.ContainsAny(text, "ABCDEF") {
		return fmt.Errorf("hash %.40q: must be %d hexadecimal digits", text, 2*len(h))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

const digits = "0123456789abcdef"

// group is the first digit of a part's name.
func (h hash) group() int { return int(h[0] >> 4) }

// Places of a job's files in the results bucket.

func jobPrefix(job string) string { return JobsPrefix + job + "/" }

// PartsPrefix gives the common prefix of a job's parts.
func PartsPrefix(job string) string { return jobPrefix(job) + "parts/" }

// ResultName gives the key of a job's [Result].
func ResultName(job string) string { return jobPrefix(job) + "result.json" }

func groupName(job, group string) string { return jobPrefix(job) + "groups/" + group + ".json" }

const partSuffix = ".json"

func partName(job string, of hash) string {
	return PartsPrefix(job) + hex.EncodeToString(of[:]) + partSuffix
}

// partHash gives the hash in a part's name; false: it is no part's.
func partHash(job, name string) (of hash, ok bool) {
	text, ok := strings.CutPrefix(name, PartsPrefix(job))
	if !ok {
		return hash{}, false
	}
	if text, ok = strings.CutSuffix(text, partSuffix); !ok {
		return hash{}, false
	}
	return of, of.UnmarshalText([]byte(text)) == nil
}

// DecodePart parses a part, and fails where it contradicts itself.
func DecodePart(data []byte) (Part, error) {
	var p Part
	if err := json.Unmarshal(data, &p); err != nil {
		return Part{}, fmt.Errorf("part: %w", err)
	}
	_, err := fetch.ParseDigest(p.Digest)
	switch {
	case err != nil:
		return Part{}, fmt.Errorf("part: %w", err)
	case p.Objects < 0 || p.Bytes < 0 || p.Retries < 0:
		return Part{}, fmt.Errorf("part: a negative count")
	case p.Keys != p.Objects+len(p.Failures):
		return Part{}, fmt.Errorf("part: %d keys, but %d objects and %d failures", p.Keys, p.Objects, len(p.Failures))
	case len(p.Matches) > p.Objects:
		return Part{}, fmt.Errorf("part: %d matches in %d objects", len(p.Matches), p.Objects)
	}
	return p, nil
}

func (h *Handler) putJSON(ctx context.Context, s store, bucket, name string, v any) error {
	body, err := marshal(v)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	return h.persist(ctx, func() error { return s.Put(ctx, bucket, name, body) })
}

// persistent is how often a file of a job is put or read, beside the client's own
// tries: the client may have none left, after many GETs that S3 was too busy for.
const persistent = 6

// persist does that again where it may succeed in a moment.
func (h *Handler) persist(ctx context.Context, do func() error) error {
	for tries, pause := 1, h.pause; ; tries, pause = tries+1, min(2*pause, mostThrottlePause) {
		err := do()
		if err == nil || tries == persistent || !passing(err) || !waitFor(ctx, pause/2+rand.N(pause/2+1)) {
			return err
		}
	}
}

// passing says whether S3 may do the same in a moment: it was busy, an answer broke
// off, or a connection came to nothing, which has no name.
func passing(err error) bool {
	var typed *fetch.Error
	if !errors.As(err, &typed) {
		return true
	}
	switch typed.Type {
	case fetch.SlowDown, fetch.ShortBody, "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted":
		return true
	}
	return false
}
