// Package sandbox is AWS Lambda on one machine: it serves the Lambda API on
// loopback over real bootstrap processes that speak the Runtime API, under the
// CPU and memory limits Lambda would give them. What a managed runtime would run
// is run by this machine's interpreter. [Start] it, point a Lambda
// client at [Sandbox.URL] with the credentials of the [Config], and [Sandbox.Close]
// it. Where cgroups need a delegated systemd scope, main calls
// [cgroup.ReexecInScope] before anything else.
//
// The API is signed (SigV4), so that another user of the machine cannot
// invoke. The Runtime API has no such thing, here as in Lambda: each process
// has its own port on loopback, and whoever can reach it can take its event or
// answer for it. No event or environment value is logged.
//
// Beside what Lambda answers, an invocation's response carries
//
//	X-Fanout-Cpu-Ms     CPU time of the function during this invocation, without INIT
//	X-Fanout-Cpu-Limit  vCPUs in force, such as 0.072, or none
//	X-Fanout-Limits     what held the process, as [lambda.Limits] has it: "cgroup-v1",
//	                    "cgroup-v2; clamped to 2 vCPU" where the machine, or the container
//	                    that this runs in, has less than the function's memory buys, or "none"
//	X-Fanout-Runtime    the managed runtime that was asked for, such as python3.13
//	X-Fanout-Ran-By     what ran it: "Python 3.11.7, awslambdaric 4.2.2"
package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/sandbox/cgroup"
	"fanout/functions/lambda"
)

// Lambda's limits (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	minTimeout  = time.Second
	maxTimeout  = 900 * time.Second
	maxEnvBytes = 4 << 10
	// maxPayload holds for the event and for the answer of a synchronous
	// invocation: 6 MB.
	maxPayload = 6 << 20
	// initLimit is how long INIT may take.
	initLimit = 10 * time.Second
)

// Function is one function to serve.
type Function struct {
	Name        string
	Code        string            // path of a bootstrap, or of a folder, zip or jar with one or with the handler
	Runtime     string            // one of lambda.Runtimes; empty: provided.al2023, of a bootstrap
	Handler     string            // of a managed runtime; else what the bootstrap gets as _HANDLER
	Arch        string            // x86_64 or arm64; must be what a bootstrap was built for
	MemoryMB    int               // 128 to 10240
	Timeout     time.Duration     // 1 s to 900 s, whole seconds
	Env         map[string]string // as in the function's configuration: any caller of the API can read it
	Description string
}

// LimitMode says whether to limit the processes.
type LimitMode int

// The modes.
const (
	LimitsAuto LimitMode = iota // cgroups where they can be used, else none
	LimitsNone                  // none
)

// Config is what [Start] needs.
type Config struct {
	Functions []Function

	// Credentials are the caller's: every API request must be signed with
	// them, for Region.
	Credentials aws.Credentials
	Region      string
	AccountID   string // twelve digits, for the ARNs

	// Dir holds the processes' home folders, in a folder of its own that Close
	// removes; empty means os.TempDir.
	Dir string

	// ProcessEnv, if set, is called for each new process and gives the
	// environment it gets beside Lambda's and the function's own, such as its
	// own access key. Release, if not nil, is called when the process ended.
	ProcessEnv func(function string) (env map[string]string, release func())

	// CPUFactor is the CPU time that the modelled Lambda takes for what takes 1
	// on this machine: each share of CPU is divided by it. 0: 1.
	CPUFactor float64

	// Concurrency is the account's: how many invocations of all functions may
	// run at once. What is more is answered with TooManyRequestsException. 0:
	// any number.
	Concurrency int

	// JavaOptions are passed to java by the managed runtimes, such as a trust
	// store.
	JavaOptions []string

	Limits LimitMode
	Log    *slog.Logger // nil: none
}

var (
	functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
)

// Validate says what is wrong with c, short of looking at the bootstraps.
func (c Config) Validate() error {
	switch {
	case len(c.Functions) == 0:
		return errors.New("no function to serve")
	case c.Credentials.AccessKeyID == "" || c.Credentials.SecretAccessKey == "":
		return errors.New("credentials: an access key and a secret are needed to verify requests")
	case c.Region == "" || strings.ContainsAny(c.Region, ":/ "):
		return fmt.Errorf("region %q: not a region's name", c.Region)
	case !accountID.MatchString(c.AccountID):
		return fmt.Errorf("account %q: must be twelve digits", c.AccountID)
	case c.Concurrency < 0:
		return fmt.Errorf("concurrency %d: must be at least 1, or 0 for any", c.Concurrency)
	}
	seen := map[string]bool{}
	for _, f := range c.Functions {
		if seen[f.Name] {
			return fmt.Errorf("function %s: named twice", f.Name)
		}
		seen[f.Name] = true
		if err := f.validate(); err != nil {
			return fmt.Errorf("function %q: %w", f.Name, err)
		}
	}
	return nil
}

func (f Function) validate() error {
	switch {
	case !functionName.MatchString(f.Name):
		return errors.New("a name has 1 to 64 letters, digits, - and _")
	case lambda.CheckMemory(f.MemoryMB) != nil:
		return lambda.CheckMemory(f.MemoryMB)
	case f.checkRuntime() != nil:
		return f.checkRuntime()
	case f.Timeout < minTimeout || f.Timeout > maxTimeout || f.Timeout%time.Second != 0:
		return fmt.Errorf("timeout %v: must be 1 to 900 whole seconds", f.Timeout)
	case len(f.Description) > 256:
		return fmt.Errorf("description of %d bytes: must be 256 at most", len(f.Description))
	}
	return CheckEnv(f.Env)
}

// checkRuntime says what is wrong with a function's runtime and handler.
func (f Function) checkRuntime() error {
	rt, err := lambda.ParseRuntime(f.Runtime)
	if err != nil {
		return err
	}
	return rt.CheckHandler(f.Handler)
}

var envName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)

// CheckEnv says what Lambda does not accept of a function's environment.
func CheckEnv(env map[string]string) error {
	size := 0
	for k, v := range env {
		if slices.Contains(reservedEnv, k) {
			return fmt.Errorf("environment variable %s: reserved by Lambda", k)
		}
		if !envName.MatchString(k) || strings.ContainsRune(v, 0) {
			return fmt.Errorf("environment variable %q: not a name and value that Lambda accepts", k)
		}
		size += len(k) + len(v)
	}
	if size > maxEnvBytes {
		return fmt.Errorf("environment of %d bytes: must be %d at most", size, maxEnvBytes)
	}
	return nil
}

// Sandbox is a running Lambda service.
type Sandbox struct {
	cfg       Config
	log       *slog.Logger
	dir       string
	dirLock   *os.File
	url       string
	server    *http.Server
	forker    *forker
	cgroups   cgroup.Parent // nil: no limits
	limits    lambda.Limits
	cpus      float64       // what the machine and the groups above have
	memory    int64         // the same, in bytes; 0: no limits
	initLimit time.Duration // of INIT
	backLimit time.Duration // from a response to the next request for an event
	stopLimit time.Duration // from a SIGTERM to the end of a process that has extensions

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // processes, API requests and asynchronous invocations

	running atomic.Int64 // invocations

	mu        sync.Mutex
	closed    bool
	functions map[string]*function
	names     []string // sorted

	closeOnce sync.Once
	closeErr  error
}

// function is a Function being served. conf and idle are guarded by
// Sandbox.mu.
type function struct {
	arn     string
	pack    pack
	program program

	conf *settings
	idle []*process // most recently used last
}

// settings are one revision of a function's configuration; they never change.
type settings struct {
	Function
	revision string
	modified time.Time
}

// Start serves cfg's functions. It fails where the configuration is wrong,
// where a bootstrap is missing, not executable or not built for its
// architecture, and where an emulator it needs is not installed: see [hint.Of]
// for what to do then. It does not fail for want of limits: see
// [Sandbox.Limits].
func Start(cfg Config) (*Sandbox, error) {
	return start(cfg, initLimit)
}

func start(cfg Config, initLimit time.Duration) (_ *Sandbox, err error) {
	cfg.Functions = slices.Clone(cfg.Functions)
	for i, f := range cfg.Functions {
		cfg.Functions[i].Runtime = cmp.Or(f.Runtime, lambda.ProvidedAL2023)
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if runtime.GOOS != "linux" {
		return nil, hint.Failed("run it on Linux, or measure on AWS", "sandbox: Lambda's binaries run on Linux only")
	}
	s := &Sandbox{
		cfg: cfg, log: cfg.Log, initLimit: initLimit, backLimit: returnLimit, stopLimit: shutdownLimit,
		cpus:      float64(runtime.NumCPU()),
		functions: map[string]*function{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	interpreters := map[string]interpreter{}
	for _, f := range cfg.Functions {
		if err := s.addFunction(f, interpreters); err != nil {
			return nil, fmt.Errorf("function %s: %w", f.Name, err)
		}
	}
	slices.Sort(s.names)

	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.load(interpreters); err != nil {
		return nil, err
	}
	s.forker = newForker()
	s.findLimits()
	if err := s.serveAPI(); err != nil {
		return nil, err
	}
	return s, nil
}

// addFunction takes a function to serve, if there is its code and, for a
// managed runtime, an interpreter.
func (s *Sandbox) addFunction(f Function, interpreters map[string]interpreter) error {
	rt, err := lambda.ParseRuntime(f.Runtime)
	if err != nil {
		return err
	}
	if rt.Managed() && f.Arch != lambda.HostArchitecture() {
		return hint.Failed("run it as the architecture of this machine",
			"runtime %s: there is one for this machine's %s only, not for %s", rt.Name, lambda.HostArchitecture(), f.Arch)
	}
	if _, found := interpreters[rt.Name]; rt.Managed() && !found {
		if interpreters[rt.Name], err = findInterpreter(rt); err != nil {
			return err
		}
	}
	code, err := openPack(f.Code, rt)
	if err != nil {
		return err
	}
	f.Code, f.Env = code.path, maps.Clone(f.Env)
	fn := &function{
		arn:  fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", s.cfg.Region, s.cfg.AccountID, f.Name),
		pack: code, conf: &settings{Function: f, revision: newUUID(), modified: time.Now()},
	}
	s.functions[f.Name] = fn
	s.names = append(s.names, f.Name)
	if rt.Managed() || code.kind == archive { // to be loaded when there is a folder for it
		return nil
	}
	root, err := code.open("")
	if err != nil {
		return err
	}
	return fn.loadBootstrap(root)
}

// load unpacks what is packed, and finds out how to start what is not known
// yet.
func (s *Sandbox) load(interpreters map[string]interpreter) error {
	l := loader{s, interpreters, map[string]string{}, map[[2]string]program{}}
	for _, name := range s.names {
		fn := s.functions[name]
		if fn.program.command != nil {
			continue
		}
		if err := l.load(fn); err != nil {
			return fmt.Errorf("function %s: %w", name, err)
		}
	}
	return nil
}

// loader loads each package once, however many functions have it.
type loader struct {
	s            *Sandbox
	interpreters map[string]interpreter
	roots        map[string]string     // by path
	programs     map[[2]string]program // by path and runtime
}

func (l *loader) load(fn *function) (err error) {
	rt, err := lambda.ParseRuntime(fn.conf.Runtime)
	if err != nil {
		return err
	}
	path := fn.pack.path
	root, ok := l.roots[path]
	if !ok {
		if root, err = fn.pack.open(filepath.Join(l.s.dir, fmt.Sprintf("task-%d", len(l.roots)))); err != nil {
			return err
		}
		l.roots[path] = root
	}
	if !rt.Managed() {
		return fn.loadBootstrap(root)
	}
	key := [2]string{path, rt.Name}
	if fn.program, ok = l.programs[key]; !ok {
		fn.program, err = l.s.managedProgram(rt, root, l.interpreters[rt.Name])
		l.programs[key] = fn.program
	}
	return err
}

// loadBootstrap finds out how to start the bootstrap in root.
func (fn *function) loadBootstrap(root string) error {
	path, err := fn.pack.bootstrapIn(root)
	if err != nil {
		return err
	}
	command, code, err := inspect(path, fn.conf.Arch)
	if err != nil {
		return err
	}
	if fn.pack.kind == single {
		fn.pack.codeFacts = code
	}
	fn.program = program{
		root: filepath.Dir(path), command: func(*settings, string) []string { return command }, runtime: lambda.ProvidedAL2023,
	}
	return nil
}

// makeDir makes the folder for what processes write.
func (s *Sandbox) makeDir() error {
	parent, err := filepath.Abs(cmp.Or(s.cfg.Dir, os.TempDir()))
	if err != nil {
		return fmt.Errorf("sandbox: folder: %w", err)
	}
	s.sweep(parent)
	if s.dir, s.dirLock, err = ownDir(parent); err != nil {
		return fmt.Errorf("sandbox: make a folder: %w", err)
	}
	return nil
}

// dirPrefix begins the name of a sandbox's folder: fanout-sandbox-PID-RANDOM.
const dirPrefix = "fanout-sandbox-"

// findLimits finds what will hold the processes, and tries it with the largest
// share.
func (s *Sandbox) findLimits() {
	if s.cfg.Limits == LimitsNone {
		s.limits = lambda.Limits{By: lambda.Unlimited, Reason: lambda.SwitchedOff}
		return
	}
	largest := 0
	for _, f := range s.functions {
		largest = max(largest, f.conf.MemoryMB)
	}
	s.cgroups, s.limits = cgroup.Find(s.forker.do, s.quota(largest))
	if s.cgroups != nil {
		var vcpu float64
		vcpu, s.memory = s.cgroups.Ceiling()
		s.cpus = min(s.cpus, vcpu)
	}
}

// serveAPI serves the Lambda API on a port of loopback.
func (s *Sandbox) serveAPI() error {
	listener, err := new(net.ListenConfig).Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("sandbox: listen for the Lambda API: %w", err)
	}
	s.url = "http://" + listener.Addr().String()
	s.server = s.newServer(s.api())
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("lambda API stopped", "error", err)
		}
	}()
	return nil
}

func (s *Sandbox) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// URL is where the Lambda API is, for AWS_ENDPOINT_URL_LAMBDA.
func (s *Sandbox) URL() string { return s.url }

// Limits tells what holds the processes; it does not change.
func (s *Sandbox) Limits() lambda.Limits { return s.limits }

// quota is the vCPUs that memoryMB buys, but not more than there are.
func (s *Sandbox) quota(memoryMB int) float64 {
	return min(s.share(lambda.VCPU(memoryMB)), s.cpus)
}

// share is the vCPUs of this machine that do as much as that many of the Lambda
// that is modelled.
func (s *Sandbox) share(vcpu float64) float64 { return vcpu / cmp.Or(s.cfg.CPUFactor, 1) }

// memoryLimit is how much a function of memoryMB may use, in bytes, where there
// are limits.
func (s *Sandbox) memoryLimit(memoryMB int) int64 { return min(int64(memoryMB)<<20, s.memory) }

// limitsOf says what holds a process of a function of memoryMB: the limits in
// force, and where they are less than the memory size.
func (s *Sandbox) limitsOf(memoryMB int) lambda.Limits {
	l := lambda.Limits{By: s.limits.By} // without the reason: it stands on every response
	if s.cgroups == nil {
		return l
	}
	if s.cpus < s.share(lambda.VCPU(memoryMB)) {
		l.VCPU = math.Floor(s.cpus*1000) / 1000
	}
	if limit := s.memoryLimit(memoryMB); limit < int64(memoryMB)<<20 {
		l.MemoryMB = int(limit >> 20)
	}
	return l
}

// Close kills every process and waits for it, and removes the cgroups, ports
// and files. It may be called more than once, also at the same time; each call
// gives the same error.
func (s *Sandbox) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		// First the connections: that a process was killed here is not to be
		// taken for how an invocation ended.
		var errs []error
		if s.server != nil {
			errs = append(errs, s.server.Close())
		}
		s.cancel() // kills the processes: see process.supervise
		s.wg.Wait()
		if s.cgroups != nil {
			errs = append(errs, s.cgroups.Close())
		}
		if s.forker != nil {
			s.forker.close()
		}
		if s.dir != "" {
			errs = append(errs, os.RemoveAll(s.dir), s.dirLock.Close())
		}
		if err := errors.Join(errs...); err != nil {
			s.closeErr = fmt.Errorf("close the sandbox: %w", err)
		}
	})
	return s.closeErr
}

// enter counts one more thing for Close to wait for, unless it is too late.
func (s *Sandbox) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the sandbox is closed")
	}
	s.wg.Add(1)
	return nil
}

// function finds one by name; the settings are those of now.
func (s *Sandbox) function(name string) (*function, *settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions[name]
	if f == nil {
		return nil, nil
	}
	return f, f.conf
}

// take gives an idle process of f with its present settings, or nil and the
// settings to start one with.
func (s *Sandbox) take(f *function) (*process, *settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(f.idle); n > 0 {
		p := f.idle[n-1]
		f.idle = f.idle[:n-1]
		return p, f.conf
	}
	return nil, f.conf
}

// keep makes p available again, or kills it when its settings are old.
func (s *Sandbox) keep(p *process) {
	s.mu.Lock()
	current := p.conf == p.fn.conf && !s.closed
	if current {
		p.fn.idle = append(p.fn.idle, p)
	}
	s.mu.Unlock()
	if !current {
		p.retire()
	}
}

// update replaces f's settings by what change makes of them, so that each
// later start is cold.
func (s *Sandbox) update(f *function, change func(*settings) error) (*settings, error) {
	s.mu.Lock()
	next := *f.conf
	if err := change(&next); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	next.revision, next.modified = newUUID(), time.Now()
	f.conf = &next
	old := f.idle
	f.idle = nil
	s.mu.Unlock()
	for _, p := range old {
		p.retire()
	}
	return &next, nil
}

// list gives the settings of up to n functions whose names come after marker,
// and the marker for the next ones.
func (s *Sandbox) list(marker string, n int) (page []*function, confs []*settings, next string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := slices.BinarySearchFunc(s.names, marker, cmp.Compare[string])
	if found {
		i++
	}
	for ; i < len(s.names); i++ {
		if len(page) == n {
			return page, confs, s.names[i-1]
		}
		f := s.functions[s.names[i]]
		page, confs = append(page, f), append(confs, f.conf)
	}
	return page, confs, ""
}
