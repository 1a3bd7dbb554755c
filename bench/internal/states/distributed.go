package states

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// distributed is a Map in distributed mode.
type distributed struct {
	iterated
	label             string
	concurrency       setting
	count, percentage setting
	reader            *reader  // nil: items of the input
	batcher           *batcher // nil: an item a child
	writer            object   // ResultWriter's Parameters; nil: none
}

// batcher is ItemBatcher.
type batcher struct {
	items, bytes setting
	input        template
}

// counts is DescribeMapRun's itemCounts or executionCounts.
type counts struct {
	pending, running, succeeded, failed, timedOut, aborted int64
	pendingRedrive, resultsWritten                         int64
}

func (c *counts) total() int64 {
	return c.pending + c.running + c.succeeded + c.failed + c.timedOut + c.aborted + c.pendingRedrive
}

func (c *counts) api() map[string]any {
	return map[string]any{
		"pending": c.pending, "running": c.running, "succeeded": c.succeeded, "failed": c.failed, "timedOut": c.timedOut,
		"aborted": c.aborted, "total": c.total(), "resultsWritten": c.resultsWritten,
		"failuresNotRedrivable": int64(0), "pendingRedrive": c.pendingRedrive,
	}
}

// of gives the count that a status adds to.
func (c *counts) of(status string) *int64 {
	switch status {
	case succeeded:
		return &c.succeeded
	case failed:
		return &c.failed
	case timedOut:
		return &c.timedOut
	}
	return &c.aborted
}

// mapRun is the run of a distributed Map.
type mapRun struct {
	s       *Server
	x       *execution
	arn, id string
	label   string
	kind    string // of the children
	dir     string
	started time.Time

	spool    *spool
	outcomes *os.File

	mu       sync.Mutex
	changed  *sync.Cond // a child ended, or the limits changed
	status   string
	stopped  time.Time
	redrives int
	redriven time.Time
	limits   mapRunLimits
	items    counts
	children counts
	again    []left // ended without success, in this attempt; what a redrive begins with
	written  int64  // bytes of outcomes
}

// mapRunLimits are what UpdateMapRun can change.
type mapRunLimits struct {
	MaxConcurrency             int64
	ToleratedFailureCount      int64
	ToleratedFailurePercentage float64
	CountOnly                  bool // only ToleratedFailureCount was set: no percentage holds
}

// left is a child that did not succeed, and where its outcome stands; -1:
// nowhere, for it never ran.
type left struct {
	child
	outcome int64
}

// outcome is how a child ended: a line of a Map Run's outcomes.
type outcome struct {
	Status   string          `json:"status"`
	Index    int64           `json:"index"`
	Offset   int64           `json:"offset"`
	Size     int64           `json:"size"`
	Items    int64           `json:"items"`
	ID       string          `json:"id"`
	Started  time.Time       `json:"started"`
	Stopped  time.Time       `json:"stopped"`
	Redrives int             `json:"redrives,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
	Error    string          `json:"error,omitempty"`
	Cause    string          `json:"cause,omitempty"`
}

// Files of a Map Run's folder.
const (
	spoolFile    = "batches"
	outcomesFile = "outcomes.jsonl"
	limitsFile   = "limits.json"
)

// newMapRun starts one for the state at which x is.
func (x *execution) newMapRun(d *distributed, state string, l mapRunLimits) (_ *mapRun, err error) {
	r := &mapRun{
		s: x.s, x: x, id: newID(), label: d.labelFor(x.machineARN, state), kind: d.processor.kind, status: running, started: time.Now(),
		limits: l,
	}
	r.changed = sync.NewCond(&r.mu)
	r.arn = x.s.arn("mapRun", x.machineName+"/"+r.label+":"+r.id)
	r.dir = filepath.Join(x.dir, r.id)
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return nil, err
	}
	if err := r.openFiles(); err != nil {
		return nil, err
	}
	if err = r.writeLimits(l); err == nil {
		err = syncDir(x.dir)
	}
	if err == nil {
		err = x.note(event{Type: mapRunStarted, State: state, MapRun: r.arn})
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	x.mu.Lock()
	x.mapRuns, x.open = append(x.mapRuns, r), r
	x.mu.Unlock()
	x.s.mu.Lock()
	x.s.mapRuns[r.arn] = r
	x.s.mu.Unlock()
	return r, nil
}

// labelFor is the label of the Map's runs. The service makes one up where the
// definition has none; here it is the state's name, as far as it can be one.
func (d *distributed) labelFor(machine, state string) string {
	if d.label != "" {
		return d.label
	}
	if len(state) <= maxLabel && validName(state, false) {
		return state
	}
	return nameID(machine + "/" + state)
}

func (r *mapRun) openFiles() (err error) {
	if r.spool, err = openSpool(filepath.Join(r.dir, spoolFile)); err != nil {
		return err
	}
	if r.outcomes, err = os.OpenFile(filepath.Join(r.dir, outcomesFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return errors.Join(err, r.spool.close())
	}
	return nil
}

func (r *mapRun) close() error { return errors.Join(r.spool.close(), r.outcomes.Close()) }

// loadMapRun reads what a Map Run left. The event is its start.
func (x *execution) loadMapRun(e event) (*mapRun, error) {
	d := x.machine.states[e.State]
	if d == nil || d.distributed == nil {
		return nil, errors.New("the history has a Map Run of a state that is no distributed Map")
	}
	id := e.MapRun[len(e.MapRun)-len(newID()):]
	r := &mapRun{
		s: x.s, x: x, arn: e.MapRun, id: id, label: d.distributed.labelFor(x.machineARN, e.State), kind: d.distributed.processor.kind,
		dir: filepath.Join(x.dir, id), status: running, started: e.Time,
	}
	r.changed = sync.NewCond(&r.mu)
	text, err := os.ReadFile(filepath.Join(r.dir, limitsFile))
	if err == nil {
		err = json.Unmarshal(text, &r.limits)
	}
	if err != nil {
		return nil, err
	}
	if err := r.openFiles(); err != nil {
		return nil, err
	}
	if err := r.restore(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// errCutOff ends the reading of outcomes at one whose batch is not there.
var errCutOff = errors.New("cut off")

// restore finds out which children have succeeded. The rest of those that were
// begun are left to be run again.
func (r *mapRun) restore() error {
	q := r.spool
	if err := q.scan(func(child) {}); err != nil {
		return err
	}
	type end struct {
		left
		status string
	}
	ended := map[int64]end{} // without success
	done := bits{}
	most := int64(-1)
	err := eachLine(r.outcomes, func(line []byte, offset int64) error {
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return err
		}
		if o.Offset+o.Size > q.size { // a machine's end keeps no order between files; what comes after runs again
			return errCutOff
		}
		r.written = offset + int64(len(line)) + 1
		most = max(most, o.Index)
		if o.Status == succeeded {
			done.set(o.Index)
			delete(ended, o.Index)
			r.items.succeeded, r.children.succeeded = r.items.succeeded+o.Items, r.children.succeeded+1
		} else {
			ended[o.Index] = end{left{child{index: o.Index, offset: o.Offset, size: o.Size, items: o.Items}, offset}, o.Status}
		}
		return nil
	})
	if err == nil || errors.Is(err, errCutOff) {
		err = cutTo(r.outcomes, r.written)
	}
	if err != nil {
		return err
	}
	err = q.scan(func(c child) {
		switch {
		case c.index > most: // never begun
			r.items.pending, r.children.pending = r.items.pending+c.items, r.children.pending+1
			return
		case !done.has(c.index):
			e, ok := ended[c.index]
			if !ok {
				e = end{left{c, -1}, aborted} // it ran when the server ended
			}
			r.again = append(r.again, e.left)
			*r.items.of(e.status) += c.items
			*r.children.of(e.status)++
		}
		q.taken = c.index + 1
		q.offset = c.offset + c.size + 1
	})
	return err
}

// bits is a set of small numbers.
type bits []uint64

func (b *bits) set(n int64) {
	for int(n/64) >= len(*b) {
		*b = append(*b, make([]uint64, len(*b)+1)...)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b *bits) has(n int64) bool { return int(n/64) < len(*b) && (*b)[n/64]&(1<<(n%64)) != 0 }

// distribute runs a distributed Map: its Map Run, or what a failed one left.
func (w *workflow) distribute(ctx context.Context, st *state, sc scope) (any, error) {
	d := st.distributed
	limits, err := d.limits(sc)
	if err != nil {
		return nil, err
	}
	if w.x == nil {
		return nil, fail(errRuntime, "a distributed Map does not run in a child")
	}
	job := &mapJob{w: w, d: d, sc: sc}
	if err := job.prepare(); err != nil {
		return nil, err
	}
	r, err := w.x.continueMapRun(d, st.name, limits)
	if err != nil {
		return nil, err
	}
	job.r = r
	err = job.run(ctx)
	if errors.Is(err, errClosed) {
		return nil, err
	}
	var out any
	written := r.writeResults(w.s.ctx, d, job.to, err != nil)
	if written != nil && err == nil {
		err = written
	}
	if err == nil {
		out, err = r.output(d, job.to)
	}
	return out, r.finish(ctx, err)
}

// limits evaluates the numbers of a Map for its input.
func (d *distributed) limits(sc scope) (l mapRunLimits, err error) {
	concurrency, err := d.concurrency.in(sc)
	if err != nil {
		return l, err
	}
	count, err := d.count.in(sc)
	if err != nil {
		return l, err
	}
	if l.ToleratedFailurePercentage, err = d.percentage.in(sc); err != nil {
		return l, err
	}
	l.MaxConcurrency, l.ToleratedFailureCount = int64(concurrency), int64(count)
	l.CountOnly = d.count.set && !d.percentage.set
	return l, nil
}

// continueMapRun gives the Map Run that a redrive goes on with, or a new one.
func (x *execution) continueMapRun(d *distributed, state string, limits mapRunLimits) (*mapRun, error) {
	x.mu.Lock()
	r := x.open
	x.mu.Unlock()
	if r == nil {
		return x.newMapRun(d, state, limits)
	}
	r.mu.Lock()
	r.status, r.redrives, r.redriven = running, r.redrives+1, time.Now()
	n := r.redrives
	for _, c := range []*counts{&r.items, &r.children} {
		c.pendingRedrive += c.failed + c.timedOut + c.aborted
		c.failed, c.timedOut, c.aborted = 0, 0, 0
	}
	r.mu.Unlock()
	return r, x.note(event{Type: mapRunRedriven, MapRun: r.arn, Redrives: n})
}

// finish ends the Map Run. It passes err on.
func (r *mapRun) finish(ctx context.Context, err error) error {
	e := event{Type: mapRunSucceeded, MapRun: r.arn}
	status := succeeded
	switch {
	case err == nil:
	case ctx.Err() != nil:
		e.Type, status = mapRunAborted, aborted
	default:
		f := asFailure(err)
		e.Type, e.Error, e.Cause, status = mapRunFailed, f.Name, f.Cause, failed
	}
	r.mu.Lock()
	r.status, r.stopped = status, time.Now()
	for _, c := range []*counts{&r.items, &r.children} { // its count of those that wait for a redrive is 0 now
		c.aborted, c.pendingRedrive = c.aborted+c.pendingRedrive, 0
	}
	r.mu.Unlock()
	sync := r.outcomes.Sync()
	if noted := r.x.note(e); err == nil {
		err = errors.Join(sync, noted)
	}
	if startsAnew(e.Error) || err == nil {
		r.x.mu.Lock()
		r.x.open = nil
		r.x.mu.Unlock()
	}
	return err
}

// describe is DescribeMapRun's answer.
func (r *mapRun) describe() map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]any{
		"mapRunArn": r.arn, "executionArn": r.x.arn, "status": r.status, "startDate": epoch{r.started},
		"maxConcurrency": r.limits.MaxConcurrency, "toleratedFailureCount": r.limits.ToleratedFailureCount,
		"toleratedFailurePercentage": r.limits.ToleratedFailurePercentage,
		"itemCounts":                 r.items.api(), "executionCounts": r.children.api(), "redriveCount": r.redrives,
	}
	if r.status != running {
		out["stopDate"] = epoch{r.stopped}
	}
	if r.redrives > 0 {
		out["redriveDate"] = epoch{r.redriven}
	}
	return out
}

func (r *mapRun) isRunning() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status == running
}

// update is UpdateMapRun, of a running Map Run.
func (r *mapRun) update(change func(*mapRunLimits)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.limits
	change(&l)
	if err := r.writeLimits(l); err != nil {
		return err
	}
	r.limits = l
	r.changed.Broadcast()
	return nil
}

// writeLimits keeps the limits, as a whole or not at all.
func (r *mapRun) writeLimits(l mapRunLimits) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(r.dir, limitsFile+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(r.dir, limitsFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(r.dir)
}

// mapJob is one attempt at a Map Run.
type mapJob struct {
	w  *workflow
	d  *distributed
	sc scope
	r  *mapRun

	from   source      // of the items
	to     destination // of the results
	head   []byte      // of a child's input, before its items
	most   int64       // items a child
	bytes  int64       // of a child's input
	listed bool        // the whole dataset is known
	cancel context.CancelCauseFunc
	busy   sync.WaitGroup
}

// prepare evaluates what the attempt needs of the state's input, before a Map
// Run is there.
func (j *mapJob) prepare() (err error) {
	j.most, j.bytes = 1, MaxData
	if b := j.d.batcher; b != nil {
		j.head = []byte(`{"Items":[`)
		if b.input != nil {
			if j.head, err = b.input.append([]byte(`{"BatchInput":`), j.sc); err != nil {
				return err
			}
			j.head = append(j.head, `,"Items":[`...)
		}
		items, err := b.items.in(j.sc)
		if err != nil {
			return err
		}
		bytes, err := b.bytes.in(j.sc)
		if err != nil {
			return err
		}
		if b.items.set && items < 1 || b.bytes.set && bytes < 1 {
			return fail(errRuntime, "MaxItemsPerBatch and MaxInputBytesPerBatch must be positive integers")
		}
		if j.most = int64(items); !b.items.set {
			j.most = maxItems
		}
		if b.bytes.set {
			j.bytes = int64(bytes)
		}
	}
	if j.from, err = j.d.source(j.w.s, j.sc); err != nil {
		return err
	}
	j.to, err = j.d.destination(j.sc)
	return err
}

// run reads the dataset and runs the children, until all have ended or too
// many failed.
func (j *mapJob) run(parent context.Context) error {
	r := j.r
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	j.cancel = cancel
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
	defer stop()
	j.listed = r.spool.ended
	read := make(chan struct{})
	if !j.listed {
		r.spool.err = nil
		go func() {
			defer close(read)
			j.read(ctx)
		}()
	} else {
		close(read)
	}
	if err := j.dispatch(ctx); !errors.Is(err, errNoMore) {
		cancel(err)
	}
	j.busy.Wait()
	<-read
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return j.exceeded()
}

// dispatch starts the children: first those that a redrive runs again, then
// the rest in their order. It gives errNoMore when all are started, or why not.
func (j *mapJob) dispatch(ctx context.Context) error {
	r := j.r
	r.mu.Lock()
	again := r.again
	r.again = nil
	r.mu.Unlock()
	for i, l := range again {
		if err := j.wait(ctx); err != nil {
			r.mu.Lock()
			r.again = append(r.again, again[i:]...)
			r.mu.Unlock()
			return err
		}
		j.start(ctx, l, true)
	}
	for {
		if err := j.wait(ctx); err != nil {
			return err
		}
		c, err := r.spool.take()
		if err != nil {
			return err
		}
		j.start(ctx, left{c, -1}, false)
	}
}

// wait waits until another child may run.
func (j *mapJob) wait(ctx context.Context) error {
	r := j.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for ctx.Err() == nil {
		limit := int64(j.w.s.cfg.Children)
		if m := r.limits.MaxConcurrency; m > 0 {
			limit = min(limit, m)
		}
		if r.children.running < limit {
			return nil
		}
		r.changed.Wait()
	}
	return context.Cause(ctx)
}

func (j *mapJob) start(ctx context.Context, l left, again bool) {
	r := j.r
	r.mu.Lock()
	if again {
		r.items.pendingRedrive, r.children.pendingRedrive = r.items.pendingRedrive-l.items, r.children.pendingRedrive-1
	} else {
		r.items.pending, r.children.pending = r.items.pending-l.items, r.children.pending-1
	}
	r.items.running, r.children.running = r.items.running+l.items, r.children.running+1
	r.mu.Unlock()
	j.busy.Add(1)
	go func() {
		defer j.busy.Done()
		j.child(ctx, l)
	}()
}

// child runs one child and keeps how it ended.
func (j *mapJob) child(ctx context.Context, l left) {
	r := j.r
	o := outcome{
		Status: succeeded, Index: l.index, Offset: l.offset, Size: l.size, Items: l.items, ID: newID(), Started: time.Now(), Redrives: r.redrives,
	}
	output, err := j.runChild(ctx, &l.child, o)
	o.Stopped = time.Now()
	switch f := new(Failure); {
	case err == nil:
		o.Output = output
	case ctx.Err() != nil:
		o.Status = aborted
	default:
		if f = asFailure(err); errors.Is(err, errChildTimeout) {
			o.Status = timedOut
		} else {
			o.Status = failed
		}
		o.Error, o.Cause = f.Name, f.Cause
	}
	line, err := marshal(o)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.changed.Broadcast()
	at, n := r.written, 0
	if err == nil {
		n, err = r.outcomes.Write(append(line, '\n'))
	}
	if err != nil {
		j.cancel(fmt.Errorf("keep a child's outcome: %w", err))
	}
	r.written += int64(n)
	r.items.running, r.children.running = r.items.running-l.items, r.children.running-1
	*r.items.of(o.Status) += l.items
	*r.children.of(o.Status)++
	if o.Status == succeeded {
		return
	}
	l.input = nil
	l.outcome = at
	r.again = append(r.again, l)
	if err := j.exceeded(); err != nil {
		j.cancel(err)
	}
}

// errChildTimeout is the end of an Express child after five minutes.
var errChildTimeout = &Failure{Name: errTimeout, Cause: "an Express workflow runs for at most five minutes"}

func (j *mapJob) runChild(ctx context.Context, c *child, o outcome) ([]byte, error) {
	r := j.r
	if err := r.spool.load(c); err != nil {
		return nil, err
	}
	if r.kind == Express {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, j.w.s.seconds(expressLimit), errChildTimeout)
		defer cancel()
	}
	w := &workflow{s: j.w.s, machine: j.d.processor, context: map[string]any{
		"Execution": map[string]any{
			"Id": r.childARN(o.ID), "Input": c.input, "Name": o.ID, "RoleArn": r.s.role(), "StartTime": stamp(o.Started), "RedriveCount": r.redrives,
		},
		"StateMachine": map[string]any{"Id": r.machineARN(), "Name": r.x.machineName + "/" + r.label},
	}}
	out, err := w.run(ctx, w.machine.startAt, c.input)
	if err != nil {
		return nil, err
	}
	return encodeValue(out), nil
}

// childARN names a child's execution.
func (r *mapRun) childARN(id string) string {
	kind := "execution"
	if r.kind == Express {
		kind = "express"
	}
	return r.s.arn(kind, r.x.machineName+"/"+r.label+":"+id)
}

// machineARN is the qualified ARN of the children's state machine.
func (r *mapRun) machineARN() string { return r.x.machineARN + "/" + r.label }

// exceeded says whether too many items failed, with r.mu held. A percentage is
// one of all items, so it is judged when all are known; of none at all, the
// first failure is too much. See
// docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html#maprun-fail-threshold.
func (j *mapJob) exceeded() error {
	r := j.r
	lost := r.items.failed + r.items.timedOut
	if lost == 0 {
		return nil
	}
	l := r.limits
	over := l.ToleratedFailureCount > 0 && lost > l.ToleratedFailureCount
	switch {
	case l.CountOnly:
		over = lost > l.ToleratedFailureCount
	case l.ToleratedFailurePercentage > 0:
		over = over || j.listed && float64(lost)*100 > l.ToleratedFailurePercentage*float64(r.items.total())
	case l.ToleratedFailureCount == 0:
		over = true
	}
	if !over {
		return nil
	}
	return fail(errThreshold, "The specified tolerated failure threshold was exceeded")
}

// read adds the batches of the dataset to the spool, from where an earlier
// attempt came to.
func (j *mapJob) read(ctx context.Context) {
	r := j.r
	b := &batching{job: j, context: maps.Clone(j.sc.context.(map[string]any)), index: r.spool.items}
	err := j.from.each(ctx, r.spool.after, r.spool.items, b.add)
	if err == nil {
		err = b.flush()
	}
	if err != nil && ctx.Err() == nil {
		if f := new(Failure); !errors.As(err, &f) {
			err = &Failure{errItemReader, err.Error()}
		}
		j.cancel(err)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		r.mu.Lock()
		j.listed = true
		if over := j.exceeded(); over != nil { // now that the total is known
			err = over
			j.cancel(over)
		}
		r.mu.Unlock()
	}
	if err := r.spool.end(err); err != nil {
		j.cancel(err)
	}
}

// batching puts items together to the inputs of children.
type batching struct {
	job     *mapJob
	context map[string]any
	index   int64
	batch   []byte
	n       int64
	item    []byte
	last    string // position of the last item in the batch
}

// errEnough ends the reading at MaxItems.
var errEnough = errors.New("enough items")

// add takes one item, and where reading goes on after it.
func (b *batching) add(item any, source, after string) (err error) {
	j := b.job
	sc := scope{j.sc.input, withItem{b.context, &mapItem{b.index, item, source}}}
	if j.d.selector == nil {
		b.item = appendValue(b.item[:0], item)
	} else if b.item, err = j.d.selector.append(b.item[:0], sc); err != nil {
		return err
	}
	b.index++
	if j.d.batcher == nil {
		if len(b.item) > MaxData {
			return tooLarge(b.index-1, len(b.item), MaxData)
		}
		return b.give(b.item, 1, after)
	}
	const tail = len("]}")
	if b.n > 0 && (b.n >= j.most || int64(len(b.batch)+len(",")+len(b.item)+tail) > j.bytes) {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if b.n == 0 {
		b.batch = append(b.batch[:0], j.head...)
	} else {
		b.batch = append(b.batch, ',')
	}
	b.batch = append(b.batch, b.item...)
	if size := int64(len(b.batch) + tail); size > j.bytes {
		return tooLarge(b.index-1, int(size), int(j.bytes))
	}
	b.n, b.last = b.n+1, after
	return nil
}

func tooLarge(index int64, size, most int) error {
	return fail(errDataLimit, "The input of a child with nothing but item %d has %d bytes: at most %d", index, size, most)
}

func (b *batching) flush() error {
	if b.n == 0 {
		return nil
	}
	n := b.n
	b.n = 0
	return b.give(append(b.batch, "]}"...), n, b.last)
}

func (b *batching) give(input []byte, n int64, after string) error {
	r := b.job.r
	r.mu.Lock() // before it can be taken
	r.items.pending, r.children.pending = r.items.pending+n, r.children.pending+1
	r.mu.Unlock()
	return r.spool.add(input, n, after)
}
