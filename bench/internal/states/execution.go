package states

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Where a server keeps what: DIR/executions/MACHINE:NAME/history.jsonl, and a
// folder beside it for each Map Run, named by its UUID.
const (
	executionsDir = "executions"
	historyFile   = "history.jsonl"
)

// Statuses of executions and of Map Runs.
const (
	running   = "RUNNING"
	succeeded = "SUCCEEDED"
	failed    = "FAILED"
	timedOut  = "TIMED_OUT"
	aborted   = "ABORTED"
	pending   = "PENDING"
)

// serverEnded is the error of an execution whose server ended before it. No
// error of the service is like it.
const serverEnded = "Fanout.ServerEnded"

// maxRedrives is how often one execution can be redriven
// (docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html).
const maxRedrives = 1000

// execution is one run of a state machine.
type execution struct {
	s           *Server
	arn         string
	name        string
	machineARN  string
	machineName string
	machine     *machine
	dir         string
	input       string          // as it was given
	data        json.RawMessage // the same on one line
	started     time.Time

	mu       sync.Mutex
	history  *history
	status   string
	stopped  time.Time
	output   json.RawMessage
	failure  *Failure // of the last attempt
	redrives int
	redriven time.Time
	cancel   context.CancelCauseFunc
	ended    chan struct{} // closed when the last attempt is through with everything

	at      string          // the state that runs, or that failed
	atInput json.RawMessage // what it got
	mapRuns []*mapRun
	open    *mapRun                      // the Map Run at that state, which a redrive goes on with
	kept    map[string][]json.RawMessage // results of iterations of an inline Map that failed
}

// newExecution makes an execution, ready to begin.
func (s *Server) newExecution(m *stateMachine, name, input string) (*execution, error) {
	x := &execution{
		s: s, arn: s.executionARN(m.name, name), name: name, machineARN: m.arn, machineName: m.name, machine: m.machine,
		dir: filepath.Join(s.dir, executionsDir, m.name+":"+name), input: input, data: compact(input), started: time.Now(), status: running,
		at: m.machine.startAt, atInput: compact(input), ended: make(chan struct{}),
	}
	close(x.ended)
	if err := os.Mkdir(x.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if x.history, err = openHistory(filepath.Join(x.dir, historyFile)); err != nil {
		return nil, err
	}
	if err := x.history.add(event{Type: executionStarted, Data: input, Machine: m.arn, Definition: m.definition}); err != nil {
		return nil, err
	}
	x.started = x.history.events[0].Time
	return x, syncDir(filepath.Dir(x.dir))
}

// syncDir makes what was made in a folder last.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *Server) executionARN(machine, name string) string {
	return s.arn("execution", machine+":"+name)
}

// load reads the executions that the folder has.
func (s *Server) load() error {
	all := filepath.Join(s.dir, executionsDir)
	entries, err := os.ReadDir(all)
	if err != nil {
		return fmt.Errorf("step functions: read %s: %w", all, err)
	}
	for _, e := range entries {
		x, err := s.loadExecution(filepath.Join(all, e.Name()))
		if err != nil {
			return fmt.Errorf("step functions: read the execution in %s: %w", e.Name(), err)
		}
		if x == nil {
			continue
		}
		s.executions[x.arn] = x
		for _, r := range x.mapRuns {
			s.mapRuns[r.arn] = r
		}
	}
	return nil
}

// loadExecution reads one, nil where it had not begun. One that was running
// has failed now.
func (s *Server) loadExecution(dir string) (*execution, error) {
	h, err := openHistory(filepath.Join(dir, historyFile))
	if err != nil {
		return nil, err
	}
	if len(h.events) == 0 || h.events[0].Type != executionStarted {
		return nil, errors.Join(h.file.Close(), os.RemoveAll(dir))
	}
	first := h.events[0]
	m, err := parse(first.Definition)
	if err != nil {
		return nil, errors.Join(err, h.file.Close())
	}
	machineName, name, _ := strings.Cut(filepath.Base(dir), ":")
	x := &execution{
		s: s, arn: s.executionARN(machineName, name), name: name, machineARN: first.Machine, machineName: machineName, machine: m,
		dir: dir, input: first.Data, data: compact(first.Data), started: first.Time, history: h, status: running,
		at: m.startAt, atInput: compact(first.Data), ended: make(chan struct{}),
	}
	close(x.ended)
	for _, e := range h.events {
		if err := x.replay(e); err != nil {
			return nil, errors.Join(err, x.close())
		}
	}
	if x.status == running {
		if r := x.open; r != nil && r.status == running {
			r.status, r.stopped = failed, time.Now()
			if err := x.note(event{Type: mapRunFailed, MapRun: r.arn, Error: serverEnded}); err != nil {
				return nil, errors.Join(err, x.close())
			}
		}
		x.finish(failed, nil, fail(serverEnded, "the server ended while the execution ran; RedriveExecution goes on with it"))
	}
	return x, nil
}

// replay does to x what the event did.
func (x *execution) replay(e event) error {
	switch e.Type {
	case executionSucceeded:
		x.status, x.stopped, x.output = succeeded, e.Time, json.RawMessage(e.Data)
	case executionFailed, executionTimedOut, executionAborted:
		x.status = map[string]string{executionFailed: failed, executionTimedOut: timedOut, executionAborted: aborted}[e.Type]
		x.stopped, x.failure = e.Time, &Failure{e.Error, e.Cause}
	case executionRedriven:
		x.status, x.failure, x.redrives, x.redriven = running, nil, e.Redrives, e.Time
	case mapRunStarted:
		r, err := x.loadMapRun(e)
		if err != nil {
			return err
		}
		if r != nil {
			x.mapRuns, x.open = append(x.mapRuns, r), r
		}
	case mapRunRedriven:
		if x.open != nil {
			x.open.redrives, x.open.redriven, x.open.status = e.Redrives, e.Time, running
		}
	case mapRunSucceeded, mapRunFailed, mapRunAborted:
		if x.open == nil {
			break
		}
		x.open.status = map[string]string{mapRunSucceeded: succeeded, mapRunFailed: failed, mapRunAborted: aborted}[e.Type]
		x.open.stopped = e.Time
		if e.Type == mapRunSucceeded || startsAnew(e.Error) {
			x.open = nil
		}
	default:
		switch {
		case strings.HasSuffix(e.Type, "StateEntered"):
			x.at, x.atInput = e.State, json.RawMessage(e.Data)
		case strings.HasSuffix(e.Type, "StateExited"):
			x.open = nil
		}
	}
	return nil
}

// startsAnew says whether a Map Run that failed so is not redriven: another
// one takes its place
// (docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html).
func startsAnew(failure string) bool { return failure == errDataLimit || failure == errRuntime }

// begin runs x, from its first state or from the one that failed.
func (s *Server) begin(x *execution) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return errClosed
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	x.mu.Lock()
	if x.status != running { // stopped before it began
		x.mu.Unlock()
		cancel(nil)
		return nil
	}
	x.cancel, x.ended = cancel, make(chan struct{})
	at, input, ended := x.at, x.atInput, x.ended
	x.mu.Unlock()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer close(ended)
		defer cancel(nil)
		x.attempt(ctx, at, input)
	}()
	return nil
}

// attempt runs the states, and keeps how they ended.
func (x *execution) attempt(ctx context.Context, at string, input any) {
	if t := x.machine.timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, x.s.seconds(float64(t)), &Failure{Name: errTimeout})
		defer cancel()
	}
	w := &workflow{s: x.s, x: x, machine: x.machine, context: x.contextObject()}
	out, err := w.run(ctx, at, input)
	switch {
	case err == nil:
		x.finish(succeeded, encodeValue(out), nil)
	case errors.Is(err, errStopped), errors.Is(err, errClosed): // told already; to be told by a later server
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		x.finish(timedOut, nil, asFailure(context.Cause(ctx)))
	default:
		x.finish(failed, nil, asFailure(err))
	}
}

// contextObject is what $$ has of an execution:
// docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html.
func (x *execution) contextObject() map[string]any {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := map[string]any{
		"Id": x.arn, "Input": x.data, "Name": x.name, "RoleArn": x.s.role(), "StartTime": stamp(x.started), "RedriveCount": x.redrives,
	}
	if x.redrives > 0 {
		e["RedriveTime"] = stamp(x.redriven)
	}
	return map[string]any{"Execution": e, "StateMachine": map[string]any{"Id": x.machineARN, "Name": x.machineName}}
}

// finish ends the attempt, unless it was stopped meanwhile.
func (x *execution) finish(status string, output json.RawMessage, f *Failure) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.status != running {
		return
	}
	e := event{Type: executionSucceeded, Data: string(output)}
	if f != nil {
		e = event{Type: executionFailed, Error: f.Name, Cause: f.Cause}
		switch status {
		case timedOut:
			e.Type = executionTimedOut
		case aborted:
			e.Type = executionAborted
		}
	}
	if err := x.history.add(e); err != nil {
		x.s.log.Error("step functions", "execution", x.arn, "error", err)
	}
	x.status, x.output, x.failure, x.stopped = status, output, f, time.Now()
}

// note adds an event to the history of a running execution.
func (x *execution) note(e event) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.history.events) >= maxEvents-1 {
		return fail(errRuntime, "The execution reached the maximum number of history events (%d).", maxEvents)
	}
	return x.history.add(e)
}

// entered notes that a state begins. Of children and iterations there is no
// history.
func (x *execution) entered(st *state, input any) error {
	if x == nil {
		return nil
	}
	data := encodeValue(input)
	if err := x.note(event{Type: st.kind + "StateEntered", State: st.name, Data: string(data)}); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.at, x.atInput = st.name, data
	return nil
}

// exited notes a state's output: it does not run again.
func (x *execution) exited(st *state, output any) error {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	x.open, x.kept = nil, nil
	x.mu.Unlock()
	return x.note(event{Type: st.kind + "StateExited", State: st.name, Data: string(encodeValue(output))})
}

// forget is for a Retry of a Map, which begins it from the start.
func (x *execution) forget() {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open, x.kept = nil, nil
}

// keptResults are those of an inline Map's iterations that need not run again.
func (x *execution) keptResults(state string, n int) []json.RawMessage {
	if x != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		if kept := x.kept[state]; len(kept) == n {
			return slices.Clone(kept)
		}
	}
	return make([]json.RawMessage, n)
}

func (x *execution) keepResults(state string, results []json.RawMessage) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kept = map[string][]json.RawMessage{state: results}
}

// stop ends a running execution as ABORTED. It gives when the execution ended.
func (x *execution) stop(name, cause string) time.Time {
	x.finish(aborted, nil, &Failure{name, cause})
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cancel != nil && x.status == aborted {
		x.cancel(errStopped)
	}
	return x.stopped
}

// redrivable says why x cannot be redriven; empty: it can.
func (x *execution) redrivable() string {
	switch {
	case x.status == running || x.status == succeeded:
		return "Execution is " + x.status + " and cannot be redriven"
	case x.redrives >= maxRedrives, len(x.history.events) >= maxEvents-1:
		return "Execution history event limit exceeded"
	}
	return ""
}

// redrive runs a failed execution again, from the state that failed.
func (x *execution) redrive(ctx context.Context) (time.Time, error) {
	x.mu.Lock()
	ended := x.ended
	x.mu.Unlock()
	select { // a Map Run may still write its results
	case <-ended:
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	x.mu.Lock()
	if reason := x.redrivable(); reason != "" {
		x.mu.Unlock()
		return time.Time{}, &apiError{400, "ExecutionNotRedrivable", reason}
	}
	err := x.history.add(event{Type: executionRedriven, Redrives: x.redrives + 1})
	if err == nil {
		x.redrives++
		x.status, x.failure, x.output, x.redriven = running, nil, nil, time.Now()
	}
	at := x.redriven
	x.mu.Unlock()
	if err != nil {
		return time.Time{}, err
	}
	return at, x.s.begin(x)
}

// close closes x's files.
func (x *execution) close() error {
	var errs []error
	for _, r := range x.mapRuns {
		errs = append(errs, r.close())
	}
	if err := x.history.file.Close(); !errors.Is(err, fs.ErrClosed) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
