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
	body    []byte
	failed  bool
	tail    []byte // of the log, the last 4 KB
	report  lambda.Report
	cpu     time.Duration
	vcpu    float64 // the quota in force
	clamped bool    // it is less than the memory buys
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
	v := &visit{p: p, inv: inv}
	v.report = lambda.Report{RequestID: inv.id, MemoryMB: p.conf.MemoryMB}
	if cold {
		if over, err := v.init(ctx); err != nil {
			return outcome{}, err
		} else if over {
			return v.end(false)
		}
	} else if err := p.trimLog(); err != nil {
		return outcome{}, v.abandon(fmt.Errorf("empty the log of function %s: %w", p.conf.Name, err))
	}
	return v.run(ctx, cold)
}

// visit is one invocation in one process.
type visit struct {
	outcome
	p   *process
	inv *invocation

	initTime time.Duration // INIT
	duration time.Duration // from the event to the whole of the answer
	initLog  []byte        // what the process wrote in INIT
	note     []byte        // what Lambda adds to the log
}

// abandon kills the process and waits for its end.
func (v *visit) abandon(err error) error {
	v.p.kill()
	<-v.p.exited
	return err
}

// init sees the process through INIT. Over means that the invocation ended
// there, as a function error.
func (v *visit) init(ctx context.Context) (over bool, err error) {
	p := v.p
	limit := time.NewTimer(p.sb.initLimit)
	defer limit.Stop()
	select {
	case <-p.ready:
		p.mu.Lock()
		v.initTime = p.readyAt.Sub(p.spawned)
		p.mu.Unlock()
		if p.group != nil {
			if err := p.group.setCPU(p.sb.quota(p.conf.MemoryMB)); err != nil {
				select {
				case <-p.exited: // and its group with it: run will see
				default:
					return false, v.abandon(err)
				}
			}
		}
		if v.initLog, err = p.readLog(); err != nil {
			return false, v.abandon(fmt.Errorf("read the log of function %s: %w", p.conf.Name, err))
		}
		if n := len(v.initLog); n > 0 && v.initLog[n-1] != '\n' {
			v.initLog = append(v.initLog, '\n')
		}
		return false, nil
	case a := <-p.init:
		v.body, v.failed = a.body, true
		v.report.ErrorType = errorType(a.body)
	case <-p.exited:
		select {
		case a := <-p.init: // said so, then ended
			v.body, v.failed = a.body, true
			v.report.ErrorType = errorType(a.body)
		default:
			v.exited()
		}
	case <-limit.C:
		v.timedOut(fmt.Sprintf("Init phase timed out after %.2f seconds", p.sb.initLimit.Seconds()))
	case <-ctx.Done():
		return false, v.abandon(fmt.Errorf("invoke function %s: %w", p.conf.Name, ctx.Err()))
	}
	v.initTime = time.Since(p.spawned)
	if v.report.Status == "" {
		v.report.Status = "error"
	}
	if err := v.measure(0); err != nil {
		return false, v.abandon(err)
	}
	v.cpu = 0 // INIT's is not the invocation's
	return true, nil
}

// run hands the event over and waits for what comes of it.
func (v *visit) run(ctx context.Context, cold bool) (outcome, error) {
	p, inv := v.p, v.inv
	before, err := p.cpu()
	if err != nil {
		return outcome{}, v.abandon(err)
	}
	back := time.NewTimer(returnLimit)
	defer back.Stop()
	select {
	case p.next <- inv:
	case <-p.exited:
		if !cold {
			return outcome{}, errGone
		}
		v.exited()
		if err := v.measure(before); err != nil {
			return outcome{}, err
		}
		return v.end(false)
	case <-back.C:
		p.sb.log.Warn("a process did not come back for the next event: killed", "function", p.conf.Name)
		if !cold {
			return outcome{}, v.abandon(errGone)
		}
		return outcome{}, v.abandon(fmt.Errorf("function %s: the runtime asked for an event and did not take it", p.conf.Name))
	case <-ctx.Done():
		return outcome{}, v.abandon(fmt.Errorf("invoke function %s: %w", p.conf.Name, ctx.Err()))
	}

	begun := <-inv.begun
	limit := time.NewTimer(time.Until(begun.Add(inv.timeout)))
	defer limit.Stop()
	alive := true
	select {
	case a := <-inv.done:
		v.answered(a, begun)
	case <-p.exited:
		alive = false
		select {
		case a := <-inv.done: // answered, then ended
			v.answered(a, begun)
		default:
			v.duration = p.final.at.Sub(begun)
			v.exited()
		}
	case <-limit.C:
		alive = false
		v.duration = inv.timeout
		v.timedOut(fmt.Sprintf("Task timed out after %.2f seconds", inv.timeout.Seconds()))
	case <-ctx.Done():
		return outcome{}, v.abandon(fmt.Errorf("invoke function %s: %w", p.conf.Name, ctx.Err()))
	}
	if err := v.measure(before); err != nil {
		return outcome{}, v.abandon(err)
	}
	return v.end(alive)
}

func (v *visit) answered(a answer, begun time.Time) {
	v.body, v.failed = a.body, a.failed
	v.duration = a.at.Sub(begun)
}

// exited words the end of the process in the middle of an invocation.
func (v *visit) exited() {
	const kind = "Runtime.ExitError"
	text := exitText(v.p.final.state)
	v.fail(kind, text)
	v.report.Status, v.report.ErrorType = "error", kind
	if v.p.final.oom {
		v.report.ErrorType = "Runtime.OutOfMemory"
	}
	v.note = fmt.Appendf(v.note, "RequestId: %s Error: %s\n%s\n", v.inv.id, text, kind)
}

// timedOut words a time-out. The process is still there to be measured.
func (v *visit) timedOut(text string) {
	v.fail("Sandbox.Timedout", text)
	v.report.Status = "timeout"
	v.note = fmt.Appendf(v.note, "%s %s %s\n\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), v.inv.id, text)
}

// fail makes an error of Lambda's own, not the function's, the body.
func (v *visit) fail(kind, text string) {
	v.failed = true
	v.body, _ = json.Marshal(map[string]string{ // strings always can
		"errorType":    kind,
		"errorMessage": "RequestId: " + v.inv.id + " Error: " + text,
	})
}

// errorType is the one that a function's error names.
func errorType(body []byte) string {
	var e struct{ ErrorType string }
	if err := json.Unmarshal(body, &e); err != nil || e.ErrorType == "" {
		return "Runtime.Unknown"
	}
	return e.ErrorType
}

// measure takes the process's figures, before being the CPU time it had.
func (v *visit) measure(before time.Duration) error {
	p := v.p
	v.vcpu = p.sb.quota(p.conf.MemoryMB)
	v.clamped = v.vcpu < float64(p.conf.MemoryMB)/lambda.VCPUMemoryMB
	after, err := p.cpu()
	if err != nil {
		return fmt.Errorf("measure function %s: %w", p.conf.Name, err)
	}
	peak, err := p.peakMemory()
	if err != nil {
		return fmt.Errorf("measure function %s: %w", p.conf.Name, err)
	}
	v.cpu = after - before
	v.report.MaxMemoryMB = math.Ceil(float64(peak) / (1 << 20))
	v.report.DurationMS, v.report.InitMS = lambda.Milliseconds(v.duration), lambda.Milliseconds(v.initTime)
	v.report.BilledMS = lambda.BilledMS(v.duration + v.initTime)
	return nil
}

// end writes the log tail, and keeps the process or ends it.
func (v *visit) end(keep bool) (outcome, error) {
	p := v.p
	if !keep {
		p.kill()
		<-p.exited
	}
	lines, err := p.readLog()
	if err != nil {
		return outcome{}, v.abandon(fmt.Errorf("read the log of function %s: %w", p.conf.Name, err))
	}
	tail := fmt.Appendf(v.initLog, "START RequestId: %s Version: $LATEST\n", v.inv.id)
	tail = append(tail, lines...)
	if tail[len(tail)-1] != '\n' {
		tail = append(tail, '\n')
	}
	tail = append(tail, v.note...)
	tail = fmt.Appendf(tail, "END RequestId: %s\n%s\n", v.inv.id, v.report)
	v.tail = tail[max(0, len(tail)-logTail):]
	if keep {
		p.sb.keep(p)
	}
	return v.outcome, nil
}
