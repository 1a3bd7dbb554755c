package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"fanout/functions/lambda"
)

// returnLimit is how long a process may take from its answer back to /next,
// before the next event goes to a new process instead.
const returnLimit = 5 * time.Second

// outcome is what an invocation came to.
type outcome struct {
	body   []byte
	failed bool
	tail   []byte // of the log, the last 4 KB
	report lambda.Report
	cpu    time.Duration
	vcpu   float64 // the quota in force
}

// errGone means that a warm process ended or got stuck before it took the
// event.
var errGone = errors.New("the process took no event")

// invoke runs inv in an idle process of f, or in a new one. The error is not
// the function's. When ctx ends, so does the process.
func (s *Sandbox) invoke(ctx context.Context, f *function, inv *invocation) (outcome, error) {
	for {
		p, conf := s.take(f)
		cold := p == nil
		if cold {
			var err error
			if p, err = s.spawn(f, conf); err != nil {
				return outcome{}, err
			}
		}
		inv.timeout = p.conf.Timeout
		out, err := p.invoke(ctx, inv, cold)
		if errors.Is(err, errGone) {
			continue // each time there is one idle process less
		}
		return out, err
	}
}

// invoke runs inv in p, which is in INIT when cold. Afterwards p is idle again,
// or ended.
func (p *process) invoke(ctx context.Context, inv *invocation, cold bool) (outcome, error) {
	e := &execution{p: p, inv: inv}
	e.report = lambda.Report{RequestID: inv.id, MemoryMB: p.conf.MemoryMB}
	if cold {
		if over, err := e.init(ctx); err != nil {
			return outcome{}, err
		} else if over {
			return e.end(false)
		}
	}
	return e.run(ctx, cold)
}

// execution is one invocation in one process.
type execution struct {
	outcome
	p   *process
	inv *invocation

	initTime time.Duration // INIT
	duration time.Duration // from the event to the whole of the response
	oomKills int64         // of the process before
	initLog  []byte        // what the process wrote in INIT
	note     []byte        // what Lambda adds to the log
}

// abandon kills the process and waits for its end.
func (e *execution) abandon(err error) error {
	e.p.kill()
	<-e.p.exited
	return err
}

// init sees the process through INIT. Over means that the invocation ended
// there, as a function error.
func (e *execution) init(ctx context.Context) (over bool, err error) {
	p := e.p
	limit := time.NewTimer(p.sb.initLimit)
	defer limit.Stop()
	select {
	case <-p.ready:
		p.mu.Lock()
		e.initTime = p.readyAt.Sub(p.spawned)
		p.mu.Unlock()
		if p.group != nil {
			if err := p.group.SetCPU(p.sb.quota(p.conf.MemoryMB)); err != nil {
				select {
				case <-p.exited: // and its group with it: run will see
				default:
					return false, e.abandon(err)
				}
			}
		}
		if e.initLog, err = p.log.take(); err != nil {
			return false, e.abandon(fmt.Errorf("read the log of function %s: %w", p.conf.Name, err))
		}
		if n := len(e.initLog); n > 0 && e.initLog[n-1] != '\n' {
			e.initLog = append(e.initLog, '\n')
		}
		e.initLog = append(e.initLog, p.extensionLines()...)
		return false, nil
	case a := <-p.failed:
		e.gaveUp(a)
	case <-p.exited:
		select {
		case a := <-p.failed: // said so, then ended
			e.gaveUp(a)
		default:
			e.exited()
		}
	case <-limit.C:
		e.timedOut(fmt.Sprintf("Init phase timed out after %.2f seconds", p.sb.initLimit.Seconds()))
	case <-ctx.Done():
		return false, e.abandon(fmt.Errorf("invoke function %s: %w", p.conf.Name, ctx.Err()))
	}
	e.initTime = time.Since(p.spawned)
	if err := e.measure(0); err != nil {
		return false, e.abandon(err)
	}
	e.cpu = 0 // INIT's is not the invocation's
	return true, nil
}

// run hands the event over and waits for what comes of it.
func (e *execution) run(ctx context.Context, cold bool) (outcome, error) {
	p, inv := e.p, e.inv
	before, err := p.cpu()
	if err == nil && !cold { // in INIT nobody was killed before
		e.oomKills, err = p.oomKills()
	}
	if err != nil {
		return outcome{}, e.abandon(err)
	}
	if !cold && len(p.failed) > 0 { // an extension did, at rest
		return outcome{}, e.abandon(errGone)
	}
	back := time.NewTimer(p.sb.backLimit)
	defer back.Stop()
	select {
	case p.next <- inv:
	case <-p.exited:
		if !cold {
			return outcome{}, errGone
		}
		e.exited()
		if err := e.measure(before); err != nil {
			return outcome{}, err
		}
		return e.end(false)
	case <-back.C:
		p.sb.log.Warn("a process did not come back for the next event: killed", "function", p.conf.Name)
		if !cold {
			return outcome{}, e.abandon(errGone)
		}
		return outcome{}, e.abandon(fmt.Errorf("function %s: the runtime asked for an event and did not take it", p.conf.Name))
	case <-ctx.Done():
		return outcome{}, e.abandon(fmt.Errorf("invoke function %s: %w", p.conf.Name, ctx.Err()))
	}

	alive, err := e.await(ctx, <-inv.begun)
	if err != nil {
		return outcome{}, e.abandon(fmt.Errorf("invoke function %s: %w", p.conf.Name, err))
	}
	if err := e.measure(before); err != nil {
		return outcome{}, e.abandon(err)
	}
	return e.end(alive)
}

// await waits for what comes of the event, and for the extensions to be through
// with it. Alive means that the process can take another.
func (e *execution) await(ctx context.Context, begun time.Time) (alive bool, err error) {
	p, inv := e.p, e.inv
	limit := time.NewTimer(time.Until(inv.deadline))
	defer limit.Stop()
	select {
	case a := <-inv.done:
		e.answered(a, begun)
	case a := <-p.failed:
		select {
		case a := <-inv.done: // answered, then gave up
			e.answered(a, begun)
		default:
			e.duration = a.at.Sub(begun)
			e.gaveUp(a)
		}
		return false, nil
	case <-p.exited:
		select {
		case a := <-inv.done: // answered, then ended
			e.answered(a, begun)
		default:
			e.duration = p.final.at.Sub(begun)
			e.exited()
		}
		return false, nil
	case <-limit.C:
		e.duration = inv.timeout
		e.timedOut(fmt.Sprintf("Task timed out after %.2f seconds", inv.timeout.Seconds()))
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-inv.settled:
		return true, nil
	default:
	}
	// The response stands whatever the extensions do with the rest of the time.
	// Lambda sends it at once; here it waits, for the report to have theirs.
	select {
	case <-inv.settled:
		e.duration = time.Since(begun)
		return true, nil
	case <-p.failed:
	case <-p.exited:
	case <-limit.C:
		e.report.Status = "timeout"
	case <-ctx.Done():
		return false, ctx.Err()
	}
	e.duration = min(time.Since(begun), inv.timeout)
	return false, nil
}

// gaveUp takes an error after which the process ends.
func (e *execution) gaveUp(a response) {
	e.body, e.failed = a.body, true
	e.report.Status, e.report.ErrorType = "error", errorType(a.body)
}

func (e *execution) answered(a response, begun time.Time) {
	e.body, e.failed = a.body, a.failed
	e.duration = a.at.Sub(begun)
}

// exited words the end of the process in the middle of an invocation.
func (e *execution) exited() {
	const kind = lambda.ExitError
	text := exitText(e.p.final.state)
	e.fail(kind, text)
	e.report.Status, e.report.ErrorType = "error", kind
	if e.outOfMemory() {
		e.report.ErrorType = lambda.OutOfMemory
	}
	e.note = fmt.Appendf(e.note, "RequestId: %s Error: %s\n%s\n", e.inv.id, text, kind)
}

// outOfMemory says whether the process ended because the kernel killed it for
// memory in this execution. A SIGKILL from elsewhere is none, nor is the end of
// a child that it survived.
func (e *execution) outOfMemory() bool {
	return killed(e.p.final.state) && e.p.final.oomKills > e.oomKills
}

// timedOut words a time-out. The process is still there to be measured.
func (e *execution) timedOut(text string) {
	e.fail(lambda.TimedOut, text)
	e.report.Status = "timeout"
	e.note = fmt.Appendf(e.note, "%s %s %s\n\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), e.inv.id, text)
}

// fail makes an error of Lambda's own, not the function's, the body.
func (e *execution) fail(kind, text string) {
	e.failed = true
	e.body, _ = json.Marshal(map[string]string{ // strings always can
		"errorType":    kind,
		"errorMessage": "RequestId: " + e.inv.id + " Error: " + text,
	})
}

// errorType is the one that a function's error names.
func errorType(body []byte) string {
	if t := lambda.ParseError(body).Type; t != lambda.UnknownError {
		return t
	}
	return unknownRuntimeError
}

// measure takes the process's figures, before being the CPU time it had.
func (e *execution) measure(before time.Duration) error {
	p := e.p
	e.vcpu = p.sb.quota(p.conf.MemoryMB)
	after, err := p.cpu()
	if err != nil {
		return fmt.Errorf("measure function %s: %w", p.conf.Name, err)
	}
	peak, err := p.peakMemory()
	if err != nil {
		return fmt.Errorf("measure function %s: %w", p.conf.Name, err)
	}
	e.cpu = after - before
	if p.group != nil {
		limit := p.sb.memoryLimit(p.conf.MemoryMB)
		if peak = min(peak, limit); e.report.ErrorType == lambda.OutOfMemory {
			peak = limit
		}
	}
	e.report.MaxMemoryMB = math.Ceil(float64(peak) / (1 << 20))
	e.report.DurationMS, e.report.InitMS = lambda.Milliseconds(e.duration), lambda.Milliseconds(e.initTime)
	e.report.BilledMS = lambda.BilledMS(e.duration + e.initTime)
	return nil
}

// end writes the log tail, and keeps the process or ends it.
func (e *execution) end(keep bool) (outcome, error) {
	p := e.p
	if !keep {
		p.kill()
		<-p.exited
	}
	lines, err := p.log.take()
	if err != nil {
		return outcome{}, e.abandon(fmt.Errorf("read the log of function %s: %w", p.conf.Name, err))
	}
	tail := fmt.Appendf(e.initLog, "START RequestId: %s Version: $LATEST\n", e.inv.id)
	tail = append(tail, lines...)
	if tail[len(tail)-1] != '\n' {
		tail = append(tail, '\n')
	}
	tail = append(tail, e.note...)
	tail = fmt.Appendf(tail, "END RequestId: %s\n%s\n", e.inv.id, e.report)
	e.tail = tail[max(0, len(tail)-logTail):]
	if keep {
		p.sb.keep(p)
	}
	return e.outcome, nil
}
