package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"fanout/bench/internal/sandbox/cgroup"
)

// reservedEnv are the names that a function's configuration may not set
// (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).
var reservedEnv = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// defaultPath is where a function's programs are found, beside a managed
// runtime's own.
const defaultPath = "/usr/local/bin:/usr/bin:/bin:/opt/bin"

// environ is the whole environment of a process: nothing of this process's own
// is in it.
func (s *Sandbox) environ(p program, conf *settings, runtimeAPI, home string, extra map[string]string) []string {
	env := map[string]string{
		"PATH": defaultPath,
		"LANG": "en_US.UTF-8",
		"TZ":   ":UTC",
		"HOME": home,
	}
	if p.ranBy != "" { // a managed runtime
		env["TMPDIR"] = home // /tmp is this machine's, and not emptied afterwards
	}
	maps.Copy(env, p.env)
	maps.Copy(env, conf.Env)
	maps.Copy(env, map[string]string{
		"_HANDLER":                        cmp.Or(conf.Handler, "bootstrap"),
		"LAMBDA_TASK_ROOT":                p.root,
		"LAMBDA_RUNTIME_DIR":              cmp.Or(p.env["LAMBDA_RUNTIME_DIR"], "/var/runtime"),
		"AWS_REGION":                      s.cfg.Region,
		"AWS_DEFAULT_REGION":              s.cfg.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        conf.Name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(conf.MemoryMB),
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       logGroup(conf.Name),
		"AWS_LAMBDA_LOG_STREAM_NAME":      time.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + newHex(16),
	})
	maps.Copy(env, extra)
	env["AWS_LAMBDA_RUNTIME_API"] = runtimeAPI
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

// invocation is one event on its way through a process.
type invocation struct {
	id, arn, trace, clientContext string

	payload []byte
	timeout time.Duration  // of the settings it meets
	begun   chan time.Time // gets when the runtime took it; has room for it

	// Set before begun: when its time is over, and what is closed when all
	// extensions are through with it.
	deadline time.Time
	settled  chan struct{}

	done chan response // gets what the runtime made of it; has room for it
}

// response is what a runtime answered to an event, or said of its INIT.
type response struct {
	body   []byte
	failed bool
	at     time.Time // when it was there whole
}

// process is one execution environment: a bootstrap and its Runtime API.
type process struct {
	sb      *Sandbox
	fn      *function
	conf    *settings
	cmd     *exec.Cmd
	group   cgroup.Group // nil: no limits
	server  *http.Server
	home    string // its folder
	release func() // of Config.ProcessEnv
	log     *processLog
	spawned time.Time

	next   chan *invocation
	ready  chan struct{} // closed when runtime and extensions have asked for an event
	failed chan response // gets an error that ends the process: of INIT, or of an extension; has room for it

	mu         sync.Mutex
	current    *invocation // what the runtime has taken and not answered
	asked      bool        // the runtime has asked for an event
	readyAt    time.Time
	settled    chan struct{} // of the invocation that extensions are at
	extensions []*extension

	exited chan struct{} // closed after the end; then final is set
	final  struct {
		at       time.Time
		state    *os.ProcessState
		cpu      time.Duration
		peak     int64
		oomKills int64
	}
}

// spawn starts a process for f, in INIT. Whoever calls it invokes it, keeps it
// or kills it.
func (s *Sandbox) spawn(f *function, conf *settings) (_ *process, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	p := &process{
		sb: s, fn: f, conf: conf, release: func() {},
		next: make(chan *invocation), ready: make(chan struct{}), failed: make(chan response, 1), exited: make(chan struct{}),
	}
	var undo []func() error
	defer func() {
		if err == nil {
			return
		}
		for _, u := range slices.Backward(undo) {
			err = errors.Join(err, u())
		}
		err = fmt.Errorf("start %s of function %s: %w", conf.Code, conf.Name, err)
		s.wg.Done()
	}()

	if p.home, err = os.MkdirTemp(s.dir, conf.Name+"-"); err != nil {
		return nil, err
	}
	undo = append(undo, func() error { return os.RemoveAll(p.home) })
	if p.log, err = newProcessLog(); err != nil {
		return nil, err
	}
	undo = append(undo, func() error { return errors.Join(p.log.write.Close(), p.log.close()) })
	address, stop, err := p.serveRuntimeAPI()
	if err != nil {
		return nil, err
	}
	undo = append(undo, stop)
	var extra map[string]string
	if s.cfg.ProcessEnv != nil {
		var release func()
		if extra, release = s.cfg.ProcessEnv(conf.Name); release != nil {
			p.release = release
		}
	}
	undo = append(undo, func() error { p.release(); return nil })
	if err := p.start(s.environ(f.program, conf, address, p.home, extra)); err != nil {
		return nil, err
	}
	s.log.Debug("process started", "function", conf.Name, "pid", p.cmd.Process.Pid)
	if err := p.log.write.Close(); err != nil { // the process has it
		s.log.Warn("close the log of a process", "function", conf.Name, "error", err)
	}
	go func() {
		if err := p.log.follow(); err != nil {
			s.log.Warn("read the log of a process", "function", conf.Name, "error", err)
		}
	}()
	go p.supervise()
	return p, nil
}

// serveRuntimeAPI serves the Runtime API to this process on a port of its own.
func (p *process) serveRuntimeAPI() (address string, stop func() error, err error) {
	listener, err := new(net.ListenConfig).Listen(p.sb.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	p.server = p.sb.newServer(p.runtimeAPI())
	go func() { _ = p.server.Serve(listener) }() // ErrServerClosed, at the end
	stop = func() error {
		err := p.server.Close()
		// A server closed before Serve has the listener does not close it.
		if err2 := listener.Close(); !errors.Is(err2, net.ErrClosed) {
			err = errors.Join(err, err2)
		}
		return err
	}
	return listener.Addr().String(), stop, nil
}

// start starts the bootstrap, in a group where there are limits.
func (p *process) start(env []string) (err error) {
	s := p.sb
	p.spawned = time.Now()
	if s.cgroups != nil {
		// INIT has one vCPU at least, whatever the memory.
		p.group, err = s.cgroups.Create(s.memoryLimit(p.conf.MemoryMB), min(max(s.quota(p.conf.MemoryMB), s.share(1)), s.cpus))
		if err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, p.group.Remove())
			}
		}()
	}
	err = p.startIn(env, stopAtExec(childAttr()), true)
	if errors.Is(err, syscall.EPERM) { // a debugger has the child already, or nobody may trace
		err = p.startIn(env, childAttr(), false)
	}
	return err
}

// startIn starts the bootstrap with attr, and gives it its limit of files:
// before it runs, if it is stopped at its exec.
func (p *process) startIn(env []string, attr *syscall.SysProcAttr, stopped bool) error {
	command := p.fn.program.command(p.conf, p.home)
	p.cmd = &exec.Cmd{
		Path: command[0], Args: command, Dir: p.fn.program.root, Env: env,
		Stdout: p.log.write, Stderr: p.log.write, SysProcAttr: attr,
	}
	start := func() error { return p.sb.forker.do(p.cmd.Start) }
	if p.group != nil {
		start = func() error { return p.group.Start(p.cmd) }
	}
	if err := start(); err != nil {
		return err
	}
	err := p.sb.forker.do(func() error { return limitFiles(p.cmd.Process.Pid, stopped) })
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	return err
}

// supervise waits for the end of the process, takes down what it left, and
// cleans up. It kills the process when the sandbox closes.
func (p *process) supervise() {
	defer p.sb.wg.Done()
	defer p.release()
	stop := context.AfterFunc(p.sb.ctx, p.kill)
	warn := func(what string, err error) {
		if err != nil {
			p.sb.log.Warn(what, "function", p.conf.Name, "error", err)
		}
	}
	err := p.cmd.Wait()
	p.final.at = time.Now()
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		warn("wait for a process", err)
	}
	stop()
	p.final.state = p.cmd.ProcessState
	p.kill() // what it has started itself
	if p.group == nil {
		p.sb.killStrays(func(home string) bool { return home == p.home })
	}

	// An answer that it sent just before its end is still to be read.
	grace, cancel := context.WithTimeout(context.WithoutCancel(p.sb.ctx), time.Second)
	if err := p.server.Shutdown(grace); err != nil {
		warn("close the Runtime API", p.server.Close())
	}
	cancel()

	p.final.cpu, p.final.peak = rusage(p.final.state)
	if p.group != nil {
		var errs [3]error
		p.final.cpu, errs[0] = p.group.CPU()
		p.final.peak, errs[1] = p.group.Peak()
		p.final.oomKills, errs[2] = p.group.OOMKills()
		warn("read the last figures of a cgroup", errors.Join(errs[:]...))
	}
	warn("close the log of a process", p.log.close())
	close(p.exited)

	p.sb.drop(p)
	if p.group != nil {
		warn("remove a cgroup", p.group.Remove())
	}
	warn("remove the folder of a process", os.RemoveAll(p.home))
}

// drop takes a process out of the idle ones, and says whether it was one.
func (s *Sandbox) drop(p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(p.fn.idle)
	p.fn.idle = slices.DeleteFunc(p.fn.idle, func(q *process) bool { return p == q })
	return len(p.fn.idle) < n
}

// kill ends the process and all it has started; it does not wait.
func (p *process) kill() {
	select {
	case <-p.exited:
		return // its number may be another's by now
	default:
	}
	err := killGroup(p.cmd.Process.Pid)
	if p.group != nil {
		err = errors.Join(err, p.group.Kill())
	}
	if err != nil {
		p.sb.log.Warn("kill a process", "function", p.conf.Name, "error", err)
	}
}

// cpu is the CPU time so far, or all of it when the process ended.
func (p *process) cpu() (time.Duration, error) {
	if p.group == nil {
		if cpu, err := processCPU(p.cmd.Process.Pid); err == nil {
			return cpu, nil
		}
		<-p.exited // there is no such process any more
		return p.final.cpu, nil
	}
	cpu, err := p.group.CPU()
	select {
	case <-p.exited: // and so may be the group
		return p.final.cpu, nil
	default:
		return cpu, err
	}
}

// oomKills is how many of its processes have been killed for memory so far, or
// in all when it ended.
func (p *process) oomKills() (int64, error) {
	if p.group == nil {
		return 0, nil
	}
	n, err := p.group.OOMKills()
	select {
	case <-p.exited: // and so may be the group
		return p.final.oomKills, nil
	default:
		return n, err
	}
}

// peakMemory is the most that the process and its children have had resident,
// in bytes.
func (p *process) peakMemory() (int64, error) {
	pids := []int{p.cmd.Process.Pid}
	var charged int64 // to the group; 0: there is none
	if p.group != nil {
		var err error
		if pids, err = p.group.PIDs(); err != nil {
			return 0, err
		}
		if charged, err = p.group.Peak(); err != nil {
			charged = 0 // it has ended meanwhile
		}
	}
	var peaks []int64
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			peaks = append(peaks, parseHWM(status))
		} // else it has ended meanwhile
	}
	if peak := jointPeak(peaks, charged); peak > 0 {
		return peak, nil
	}
	<-p.exited // only what has ended has no memory
	return p.final.peak, nil
}

// jointPeak bounds the peak of some processes together, of which each has its
// own: the sum, but pages that they share are in it once for each, and their
// peaks may have been at different times. So it is not more than what was ever
// charged to their group, and not less than the largest; where there is no
// group, charged is 0.
func jointPeak(peaks []int64, charged int64) int64 {
	var sum, largest int64
	for _, p := range peaks {
		sum, largest = sum+p, max(largest, p)
	}
	if charged > 0 {
		sum = min(sum, charged)
	}
	return max(sum, largest)
}

// parseHWM reads VmHWM, in bytes, from /proc/PID/status; 0 where it has none,
// as a zombie.
func parseHWM(status []byte) int64 {
	for line := range bytes.Lines(status) {
		if v, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(v)), " kB"), 10, 53)
			if err == nil && kb > 0 {
				return kb << 10
			}
		}
	}
	return 0
}
