// Package fetch is the handler that every function of Fanout is built from: it
// lists a bucket, reads all objects with a bounded pool of goroutines, and
// answers with the first key whose body holds a string, or with their number.
//
// Start from [New]; one [Handler] serves a whole process. It knows S3 only
// through [Store].
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fanout/functions/lambda"
)

// Config is what a function is deployed with; an event can override Concurrency
// and Client.
type Config struct {
	Concurrency int    // goroutines; 0: auto
	Client      string // name of the store to read with
	MemoryMB    int    // the function's memory size, which is its CPU share; 0: not in Lambda
	Quota       bool   // its bandwidth grows with the memory size, as lambda.Bandwidth has it
	Bucket      string // the bucket that events are expected to name; empty: any
}

// ConfigFromEnv reads CONCURRENCY ("auto" or a number), CLIENT, BUCKET, BANDWIDTH
// ("flat" or "quota", see lambda.Bandwidth) and Lambda's own
// AWS_LAMBDA_FUNCTION_MEMORY_SIZE through getenv; defaultClient stands in for a
// missing CLIENT.
func ConfigFromEnv(getenv func(string) string, defaultClient string) (Config, error) {
	cfg := Config{Client: defaultClient, Bucket: getenv("BUCKET")}
	if v := getenv("CLIENT"); v != "" {
		cfg.Client = v
	}
	if v := getenv("CONCURRENCY"); v != "" && v != "auto" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > MaxConcurrency {
			return Config{}, fmt.Errorf("CONCURRENCY=%q: must be auto or 1 to %d", v, MaxConcurrency)
		}
		cfg.Concurrency = n
	}
	var err error
	if cfg.Quota, err = QuotaFromEnv(getenv); err != nil {
		return Config{}, err
	}
	if cfg.MemoryMB, err = MemoryFromEnv(getenv); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// MemoryFromEnv reads the function's memory size, in MB, as Lambda gives it; 0
// without an error outside Lambda.
func MemoryFromEnv(getenv func(string) string) (int, error) {
	v := getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
	if v == "" {
		return 0, nil
	}
	mb, err := strconv.Atoi(v)
	if err != nil || mb < 1 {
		return 0, fmt.Errorf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%q: must be a number of MB", v)
	}
	return mb, nil
}

// LimitThreads lets as many threads run Go code as the memory size's CPU share can
// keep busy, unless GOMAXPROCS says how many, or this is not in Lambda. Below two
// vCPUs Go would take two: with one, nobody is woken up only to find that there is
// nothing to do.
func (c Config) LimitThreads(getenv func(string) string) {
	if c.MemoryMB > 0 && getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), lambda.Threads(c.MemoryMB)))
	}
}

// QuotaFromEnv reads BANDWIDTH: whether the function's bandwidth grows with its
// memory size.
func QuotaFromEnv(getenv func(string) string) (bool, error) {
	v := getenv("BANDWIDTH")
	if v == "" {
		return false, nil
	}
	return v == lambda.QuotaBandwidth, lambda.CheckBandwidth(v)
}

// Handler answers events. It is safe for concurrent use, though Lambda sends a
// process one event at a time: cpu_ms and connections are the process's, and
// would then count for all.
type Handler struct {
	open    func(ctx context.Context, client string) (Store, error)
	cfg     Config
	invoked atomic.Bool

	// Switched, if set before the first event, is told the client of an event
	// that reads with another one than the event before.
	Switched func(client string)

	mu      sync.Mutex
	client  string // of the last event, or the function's own
	stores  map[string]Store
	workers map[string]int // that auto came to, by client and bucket
}

// New gives a handler that opens each client once, at its first use. open's
// error for a name it does not know should be an *[Error] of type
// [InvalidEvent].
func New(cfg Config, open func(ctx context.Context, client string) (Store, error)) *Handler {
	return &Handler{open: open, cfg: cfg, client: cfg.Client, stores: map[string]Store{}, workers: map[string]int{}}
}

// Open opens a client ahead of the first event, so that this is paid during
// INIT.
func (h *Handler) Open(ctx context.Context, client string) (Store, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.stores[client]; ok {
		return s, nil
	}
	s, err := h.open(ctx, client)
	if err != nil {
		return nil, err
	}
	h.stores[client] = s
	return s, nil
}

// Warm opens the function's client and, where it can and the bucket is known,
// its connections: as many as an event without a concurrency starts with. It
// is for INIT, where a small function has a whole vCPU, and fails only where
// the client cannot be opened: what could not be done ahead is done later.
func (h *Handler) Warm(ctx context.Context) error {
	s, err := h.Open(ctx, h.cfg.Client)
	if err != nil {
		return err
	}
	w, ok := s.(Warmer)
	if !ok || h.cfg.Bucket == "" {
		return nil
	}
	workers := h.cfg.Concurrency
	if workers == 0 {
		workers = newController(h.cfg.MemoryMB, h.cfg.Quota, 0, true).size()
	}
	ctx, cancel := context.WithTimeout(ctx, warmWithin)
	defer cancel()
	_ = w.Warm(ctx, h.cfg.Bucket, workers) // the first event will meet the same error, and name it
	return nil
}

// warmWithin is how long Warm may take: Lambda ends INIT after 10 s.
const warmWithin = 2 * time.Second

// Handle answers one event. Its errors are *[Error]; ctx's deadline is the
// invocation's, and Handle stops shortly before it.
func (h *Handler) Handle(ctx context.Context, payload []byte) (Response, error) {
	began := h.begin()
	ev, err := DecodeEvent(payload)
	if err != nil {
		return Response{}, err
	}
	response, _, err := h.answer(ctx, ev, began, keep{matches: ev.Matches == MatchesAll})
	return response, err
}

// Collect reads the keys of one event with OnErrorContinue, whatever its
// on_error says, and gives all matches, as many as they may be, and all failures,
// in the order of the keys. Shortly before ctx's deadline it stops: what was not
// read by then is among the failures, with [DeadlineNear]. Its errors, such as
// [NoSuchBucket], are those that no key could be read with.
func (h *Handler) Collect(ctx context.Context, ev Event) (Response, []Failure, error) {
	began := h.begin()
	if ev.Keys == nil {
		return Response{}, nil, errorf(InvalidEvent, "event: no keys to collect")
	}
	if err := ev.Validate(); err != nil {
		return Response{}, nil, err
	}
	ev.OnError = OnErrorContinue
	return h.answer(ctx, ev, began, keep{matches: ev.Find != nil, failures: true})
}

// beginning is the state of the process as an event comes in.
type beginning struct {
	at   time.Time
	cpu  time.Duration
	cold bool
}

func (h *Handler) begin() beginning {
	return beginning{at: time.Now(), cpu: cpuTime(), cold: !h.invoked.Swap(true)}
}

// Client names the client that an event is read with.
func (h *Handler) Client(ev Event) string { return cmp.Or(ev.Client, h.cfg.Client) }

func (h *Handler) answer(ctx context.Context, ev Event, began beginning, keep keep) (Response, []Failure, error) {
	j := job{event: ev, client: h.Client(ev), workers: h.cfg.Concurrency, memoryMB: h.cfg.MemoryMB, queue: newQueue(), keep: keep}
	j.room.Store(maxAnswerBytes)
	var err error
	if ev.FindRegexp {
		if j.pattern, err = compile(*ev.Find); err != nil {
			return Response{}, nil, errorf(InvalidEvent, "event: find as a regular expression: %v", err)
		}
	}
	if keep.failures {
		j.tried = make([]bool, len(*ev.Keys))
	}
	if ev.Concurrency != nil {
		j.workers = *ev.Concurrency
	}
	if j.store, err = h.Open(ctx, j.client); err != nil {
		return Response{}, nil, err
	}
	h.use(j.client)
	if j.workers == 0 {
		_, warmer := j.store.(Warmer)
		j.controller = newController(j.memoryMB, h.cfg.Quota, h.previousWorkers(j.client, ev.Bucket), warmer && ev.Bucket == h.cfg.Bucket)
		j.workers = j.controller.size()
		defer func() { h.keepWorkers(j.client, ev.Bucket, j.controller.size()) }()
	}
	connections := j.store.Connections()
	total, err := j.run(ctx)
	if err != nil {
		return Response{}, nil, err
	}
	response := Response{
		Lang:   "go",
		Detail: j.client,
		Result: total.result(ev.Find != nil),
		Time:   math.Round(time.Since(began.at).Seconds()*1000) / 1000,
		Stats: Stats{
			Objects: total.objects, Bytes: total.bytes, Errors: total.failures, Retries: total.retries,
			Connections: j.store.Connections() - connections,
			ListMS:      milliseconds(j.listing),
			TTFBP50MS:   total.firstByte.quantileMS(0.50, 1),
			TTFBP99MS:   total.firstByte.quantileMS(0.99, 100),
			CPUMS:       milliseconds(cpuTime() - began.cpu),
			MaxRSSMB:    float64(maxRSS()) / (1 << 20),
			Digest:      total.digest.String(), Cold: began.cold,
			Concurrency: j.size(), Client: j.client,
		},
	}
	if c, ok := j.store.(Connector); ok {
		if fastest := c.FastestConnect(); fastest > 0 {
			ms := milliseconds(fastest)
			response.Stats.ConnectMinMS = &ms
		}
	}
	if keep.matches {
		response.Matches = inOrder(total.matches)
	}
	return response, inOrder(total.errors), nil
}

// use notes the client of an event.
func (h *Handler) use(client string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != client && h.Switched != nil {
		h.Switched(client)
	}
	h.client = client
}

// previousWorkers is what auto came to for this client and bucket; 0: not known.
func (h *Handler) previousWorkers(client, bucket string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.workers[client+" "+bucket]
}

func (h *Handler) keepWorkers(client, bucket string, workers int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.workers[client+" "+bucket] = workers
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// job is one invocation's work.
type job struct {
	event      Event
	client     string
	workers    int         // to start with
	controller *controller // says when to add some; nil: the number was given
	memoryMB   int
	store      Store
	queue      *queue
	listing    time.Duration // spent waiting for pages
	pattern    *pattern      // the event's regular expression
	keep       keep
	tried      []bool       // by the object's place, if each must be accounted for: read, or failed
	room       atomic.Int64 // bytes that the answer still has for matches
}

func (j *job) run(parent context.Context) (*accumulator, error) {
	ctx, stop := stopBefore(parent, j.memoryMB)
	defer stop()
	// A failure of the bucket itself ends every worker.
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)

	var listErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer j.queue.end()
		if listErr = j.list(ctx); listErr != nil {
			abort(listErr)
		}
	})
	var mu sync.Mutex
	var accumulators []*accumulator
	var spawn func(workers int)
	spawn = func(workers int) {
		for range workers {
			a := j.accumulator(ctx)
			mu.Lock()
			accumulators = append(accumulators, a)
			mu.Unlock()
			wg.Go(func() { j.read(ctx, a, spawn, abort) })
		}
	}
	spawn(j.workers)
	wg.Wait()

	total := newAccumulator(nil)
	for _, a := range accumulators {
		total.merge(a)
	}
	complete := listErr == nil && total.objects+total.failures == j.queue.put
	// The cause may tell of another deadline than this one: a connection's.
	cause, late := context.Cause(ctx), errors.Is(ctx.Err(), context.DeadlineExceeded)
	switch {
	case !complete && j.tried != nil && late:
		j.nameUnread(total)
	case !complete:
		return nil, j.stopped(parent, cause, late, total)
	}
	if total.failures > 0 && j.event.OnError != OnErrorContinue {
		return nil, &Error{
			Type:    ObjectReadFailed,
			Message: fmt.Sprintf("%d of %d objects failed; first %q", total.failures, j.queue.put, total.failed.key),
			Err:     total.failure,
		}
	}
	return total, nil
}

// accumulator gives one for a worker.
func (j *job) accumulator(ctx context.Context) *accumulator {
	find, in := j.event.Find, newInside(j.event, j.pattern, func() bool { return ctx.Err() != nil })
	if in != nil {
		find = nil
	}
	a := newAccumulator(find)
	a.inside, a.keep = in, j.keep
	return a
}

// nameUnread makes a failure of each key that there was no time for.
func (j *job) nameUnread(total *accumulator) {
	total.keep = j.keep
	err := errorf(DeadlineNear, "not read before the time limit")
	for i, tried := range j.tried {
		if !tried {
			total.fail(item{i, (*j.event.Keys)[i]}, err)
		}
	}
}

// size is how many workers the job has come to.
func (j *job) size() int {
	if j.controller != nil {
		return j.controller.size()
	}
	return j.workers
}

// stopped says why not every object was tried: late says that it was for the time limit.
func (j *job) stopped(parent context.Context, cause error, late bool, total *accumulator) *Error {
	var typed *Error
	switch {
	case errors.As(cause, &typed) && (typed.Type == NoSuchBucket || typed.Type == AccessDenied || typed.Type == ResponseTooLarge):
		return typed
	case late && j.queue.put == 0:
		return errorf(DeadlineNear, "stopped just before the time limit: no page of s3://%s/%s was listed; "+
			"can the function reach S3 (in a VPC: through a gateway endpoint)?", j.event.Bucket, j.event.Folder)
	case late:
		return errorf(DeadlineNear, "stopped just before the time limit: %d of at least %d objects read; "+
			"raise the timeout, the memory or the concurrency", total.objects, j.queue.put)
	case parent.Err() != nil:
		return errorf(Canceled, "canceled: %d of at least %d objects read", total.objects, j.queue.put)
	}
	tried := fmt.Sprintf("list s3://%s/%s", j.event.Bucket, j.event.Folder)
	if errors.Is(cause, context.DeadlineExceeded) {
		tried += " (can the function reach S3? In a VPC it takes a gateway endpoint)"
	}
	return &Error{Type: ListFailed, Message: tried, Err: cause}
}

// stopBefore gives a context that ends early enough before ctx's deadline to
// still answer: a tenth of what is left, at most 1 s, but never less than it
// takes to wind up the workers on this memory's share of a CPU (100 ms of CPU
// time, in 200 ms to 1.5 s: at 128 MB, 64 workers still shaking hands were seen
// to miss the limit with 200 ms, and to make it with 1 s), and never more than
// half of what is left.
func stopBefore(ctx context.Context, memoryMB int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	windUp := 200 * time.Millisecond
	if memoryMB > 0 {
		windUp = max(windUp, min(100*time.Millisecond*lambda.VCPUMemoryMB/time.Duration(memoryMB), 1500*time.Millisecond))
	}
	left := time.Until(deadline)
	margin := min(max(min(left/10, time.Second), windUp), left/2)
	return context.WithDeadline(ctx, deadline.Add(-margin))
}

// list queues every object to read, in order.
func (j *job) list(ctx context.Context) error {
	if j.event.Keys != nil {
		page := make([]Object, len(*j.event.Keys))
		for i, key := range *j.event.Keys {
			page[i].Key = key
		}
		return j.queue.add(ctx, page)
	}
	waiting := time.Now()
	err := j.store.List(ctx, j.event.Bucket, j.event.Folder, func(page []Object) error {
		j.listing += time.Since(waiting)
		if err := j.queue.add(ctx, page); err != nil {
			return err
		}
		waiting = time.Now()
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx) // the reason, not what it did to a request
	}
	return err
}

// read is one worker: it takes objects until there are no more.
func (j *job) read(ctx context.Context, a *accumulator, spawn func(workers int), abort context.CancelCauseFunc) {
	if a.inside != nil {
		defer a.inside.close()
	}
	for {
		it, ok := j.queue.take()
		if !ok || ctx.Err() != nil {
			return
		}
		if a.inside != nil {
			a.inside.key = it.key
		}
		a.Reset()
		r, err := j.store.Get(ctx, j.event.Bucket, it.key, a)
		a.retries += r.Retries
		if err == nil {
			err = a.join(r.Bytes)
		}
		if err == nil && a.inside != nil {
			if err = a.inside.end(); ctx.Err() != nil {
				return // the search may have been, too
			}
		}
		if err == nil {
			a.add(it, r)
			j.account(it)
			if j.keep.matches && !j.keep.failures && !j.fits(a) {
				abort(tooManyMatches(len(a.matches)))
				return
			}
			if j.controller != nil {
				spawn(j.controller.observe(r.Bytes, r.FirstByte))
			}
			continue
		}
		if ctx.Err() != nil {
			return // interrupted, not failed
		}
		var typed *Error
		if errors.As(err, &typed) && typed.Type == NoSuchBucket {
			abort(typed)
			return
		}
		a.fail(it, err)
		j.account(it)
	}
}

// fits says whether the answer has room for a's current match, if there is one.
func (j *job) fits(a *accumulator) bool {
	if !a.hit() {
		return true
	}
	m := a.matches[len(a.matches)-1].about
	size := len(`{"key":""},`) + len(m.Key)
	if m.Line != nil {
		size += len(*m.Line)
	}
	return j.room.Add(-int64(size)) >= 0
}

// account notes that an object was read, or has failed.
func (j *job) account(it item) {
	if j.tried != nil {
		j.tried[it.index] = true
	}
}
