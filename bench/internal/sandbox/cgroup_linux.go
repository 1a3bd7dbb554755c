package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fanout/functions/lambda"
)

// cpuPeriod is the length of the periods in which a CPU quota is handed out,
// in microseconds. Lambda's is 20 ms.
const cpuPeriod = 20_000

// quotaMicros is the share of each period.
func quotaMicros(vcpu float64) int64 { return int64(vcpu*cpuPeriod + 0.5) }

// groupPrefix begins the name of a sandbox's own group: fanout-PID-N.
const groupPrefix = "fanout-"

var sandboxes atomic.Int64

func ownGroupName() string {
	return fmt.Sprintf("%s%d-%d", groupPrefix, os.Getpid(), sandboxes.Add(1))
}

// findCgroups finds cgroups that this process may use, v1 or v2, and tries
// them with the quota that will be the largest.
func findCgroups(f *forker, vcpu float64) (cgroups, lambda.Limits) {
	none := func(err error) (cgroups, lambda.Limits) {
		return nil, lambda.Limits{By: lambda.Unlimited, Reason: strings.ReplaceAll(err.Error(), "\n", "; ")} // for a row
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return none(fmt.Errorf("find this process's cgroup: %w", err))
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return none(fmt.Errorf("find cgroup mounts: %w", err))
	}
	own := parseMembership(self)
	v1, v2, found2 := parseMounts(mountinfo)

	var c cgroups
	kind := ""
	if slices.ContainsFunc([]string{"cpu", "memory"}, func(name string) bool { return own.v1[name] != "" }) {
		kind = lambda.CgroupV1
		c, err = newCgroups1(own, v1)
	} else if found2 {
		kind = lambda.CgroupV2
		c, err = findCgroups2(v2, os.Geteuid() == 0)
	} else {
		return none(errors.New("no cgroup hierarchy is mounted"))
	}
	if err != nil {
		return none(fmt.Errorf("%s: %w", kind, err))
	}
	if err := tryCgroups(c, f, vcpu); err != nil {
		return none(fmt.Errorf("%s: %w", kind, errors.Join(err, c.close())))
	}
	return c, lambda.Limits{By: kind}
}

// tryCgroups makes a group as it will be needed, has the forker's thread go
// in and out where that is the way, and removes it.
func tryCgroups(c cgroups, f *forker, vcpu float64) error {
	g, err := c.create(lambda.MinMemoryMB<<20, vcpu)
	if err != nil {
		return err
	}
	return errors.Join(g.try(f), g.remove())
}

// sweep removes what sandboxes that were killed have left in dir. Groups with
// processes in them stay: the kernel does not let them go.
func sweep(dir string) {
	stale, _ := filepath.Glob(filepath.Join(dir, groupPrefix+"*"))
	for _, path := range stale {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), groupPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid <= 0 || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		children, _ := os.ReadDir(path)
		for _, child := range children {
			if child.IsDir() {
				_ = unix.Rmdir(filepath.Join(path, child.Name()))
			}
		}
		_ = unix.Rmdir(path) // best effort: it is not ours
	}
}

// write sets a control file.
func write(dir, file, value string) error {
	if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s to %s: %w", file, value, err)
	}
	return nil
}

// readInt reads a control file that holds a number.
func readInt(dir, file string) (int64, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", file, err)
	}
	return n, nil
}

// readKey reads the number after a key in a control file of such lines.
func readKey(dir, file, key string) (int64, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == key {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s of %s: %w", key, file, err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("read %s: no %s in it", file, key)
}

// readPids lists the processes of a group; none, if it is not there any more.
func readPids(dir string) ([]int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) { // the latter if it went between open and read
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("read cgroup.procs: %w", err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// removeLimit is how long the kernel may take to let go of a group whose
// processes were killed.
const removeLimit = 5 * time.Second

// removeGroup removes a group's folder as soon as the kernel lets it go,
// killing what is in it.
func removeGroup(dir string, kill func() error) error {
	end := time.NewTimer(removeLimit)
	defer end.Stop()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		err = fmt.Errorf("remove %s: %w", dir, err)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		if err := kill(); err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-end.C:
			return err
		}
	}
}

// cgroups1 are groups of the v1 hierarchies of cpu, cpuacct and memory, which
// may be one and the same.
type cgroups1 struct {
	own                  []string // this process's folder in each hierarchy, no two the same
	cpu, cpuacct, memory string   // this sandbox's folder in each
	count                atomic.Int64
	name                 string
}

func newCgroups1(own membership, mounts map[string]mount) (*cgroups1, error) {
	c := &cgroups1{name: ownGroupName()}
	for controller, dir := range map[string]*string{"cpu": &c.cpu, "cpuacct": &c.cpuacct, "memory": &c.memory} {
		m, ok := mounts[controller]
		if !ok || own.v1[controller] == "" {
			return nil, fmt.Errorf("the %s controller is not mounted", controller)
		}
		base := m.dir(own.v1[controller])
		*dir = filepath.Join(base, c.name)
		if !slices.Contains(c.own, base) {
			c.own = append(c.own, base)
		}
	}
	for _, base := range c.own {
		sweep(base)
		if err := os.Mkdir(filepath.Join(base, c.name), 0o755); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *cgroups1) close() error {
	var errs []error
	for _, base := range c.own {
		errs = append(errs, removeGroup(filepath.Join(base, c.name), func() error { return nil }))
	}
	return errors.Join(errs...)
}

// group1 is a group in each hierarchy.
type group1 struct {
	own                  []string // where to come back to
	dirs                 []string // no two the same, as own
	cpuDir, acct, memory string
}

func (c *cgroups1) create(memory int64, vcpu float64) (_ group, err error) {
	n := strconv.FormatInt(c.count.Add(1), 10)
	g := &group1{
		own:    c.own,
		cpuDir: filepath.Join(c.cpu, n), acct: filepath.Join(c.cpuacct, n), memory: filepath.Join(c.memory, n),
	}
	for _, base := range c.own {
		g.dirs = append(g.dirs, filepath.Join(base, c.name, n))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a cgroup: %w", err), g.remove())
		}
	}()
	for _, dir := range g.dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	limit := strconv.FormatInt(memory, 10)
	if err := write(g.memory, "memory.limit_in_bytes", limit); err != nil {
		return nil, err
	}
	// Memory and swap together. Where the kernel does not count swap there is
	// no such file.
	const memsw = "memory.memsw.limit_in_bytes"
	if _, err := os.Stat(filepath.Join(g.memory, memsw)); err == nil {
		if err := write(g.memory, memsw, limit); err != nil {
			return nil, err
		}
	}
	if err := write(g.cpuDir, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)); err != nil {
		return nil, err
	}
	return g, g.setCPU(vcpu)
}

func (g *group1) start(f *forker, cmd *exec.Cmd) error {
	return f.do(func() error {
		err := g.visit(cmd.Start)
		if err != nil && cmd.Process != nil {
			// It runs, and the thread is where it should not be: the group
			// goes, and with it the child.
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		return err
	})
}

func (g *group1) try(f *forker) error {
	return f.do(func() error { return g.visit(func() error { return nil }) })
}

// visit does what there is to do while this thread is in the group.
func (g *group1) visit(do func() error) error {
	thread := strconv.Itoa(unix.Gettid())
	err := enter(g.dirs, thread)
	if err == nil {
		err = do()
	}
	return errors.Join(err, enter(g.own, thread))
}

// enter moves a thread into v1 groups.
func enter(dirs []string, thread string) error {
	for _, dir := range dirs {
		if err := write(dir, "tasks", thread); err != nil {
			return fmt.Errorf("enter %s: %w", dir, err)
		}
	}
	return nil
}

func (g *group1) setCPU(vcpu float64) error {
	return write(g.cpuDir, "cpu.cfs_quota_us", strconv.FormatInt(quotaMicros(vcpu), 10))
}

func (g *group1) cpu() (time.Duration, error) {
	ns, err := readInt(g.acct, "cpuacct.usage")
	return time.Duration(ns), err
}

func (g *group1) peak() (int64, error) { return readInt(g.memory, "memory.max_usage_in_bytes") }

func (g *group1) oomKilled() (bool, error) {
	n, err := readKey(g.memory, "memory.oom_control", "oom_kill")
	return n > 0, err
}

func (g *group1) pids() ([]int, error) { return readPids(g.cpuDir) }

func (g *group1) kill() error { return killAll(g.cpuDir) }

// killAll kills what is in a group, one by one.
func killAll(dir string) error {
	pids, err := readPids(dir)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return nil
}

func (g *group1) remove() error {
	var errs []error
	for _, dir := range g.dirs {
		errs = append(errs, removeGroup(dir, func() error { return killAll(dir) }))
	}
	return errors.Join(errs...)
}

// cgroups2 are groups of the v2 hierarchy.
type cgroups2 struct {
	dir   string // this sandbox's
	count atomic.Int64
}

var controllers2 = []string{"cpu", "memory"}

// findCgroups2 uses the scope that ReexecInScope has prepared or, as root, the
// top of the hierarchy.
func findCgroups2(m mount, root bool) (cgroups, error) {
	switch {
	case scopeGroup != "":
		return newCgroups2(m.dir(scopeGroup), controllers2)
	case root:
		return newCgroups2(m.point, controllers2)
	}
	if scopeProblem != nil {
		return nil, fmt.Errorf("not root, and no delegated scope: %w", scopeProblem)
	}
	return nil, errors.New("not root, and not in a delegated systemd scope")
}

// newCgroups2 makes the sandbox's group below base, and has the controllers
// work in both.
func newCgroups2(base string, controllers []string) (*cgroups2, error) {
	sweep(base)
	if err := enable(base, controllers); err != nil {
		return nil, err
	}
	c := &cgroups2{dir: filepath.Join(base, ownGroupName())}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil, err
	}
	if err := enable(c.dir, controllers); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// enable makes controllers available to the groups below dir.
func enable(dir string, controllers []string) error {
	read := func(file string) ([]string, error) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		return strings.Fields(string(data)), err
	}
	available, err := read("cgroup.controllers")
	if err != nil {
		return err
	}
	enabled, err := read("cgroup.subtree_control")
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range controllers {
		if !slices.Contains(available, name) {
			return fmt.Errorf("%s has no %s controller (delegate it: systemctl edit user@.service, [Service] Delegate=cpu memory pids)", dir, name)
		}
		if !slices.Contains(enabled, name) {
			missing = append(missing, "+"+name)
		}
	}
	if missing == nil {
		return nil
	}
	return write(dir, "cgroup.subtree_control", strings.Join(missing, " "))
}

func (c *cgroups2) close() error {
	return removeGroup(c.dir, func() error { return nil })
}

type group2 struct{ dir string }

func (c *cgroups2) create(memory int64, vcpu float64) (_ group, err error) {
	g := &group2{filepath.Join(c.dir, strconv.FormatInt(c.count.Add(1), 10))}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a cgroup: %w", err), g.remove())
		}
	}()
	if err := write(g.dir, "memory.max", strconv.FormatInt(memory, 10)); err != nil {
		return nil, err
	}
	// Where the kernel does not count swap there is no such file.
	if _, err := os.Stat(filepath.Join(g.dir, "memory.swap.max")); err == nil {
		if err := write(g.dir, "memory.swap.max", "0"); err != nil {
			return nil, err
		}
	}
	return g, g.setCPU(vcpu)
}

func (g *group2) start(f *forker, cmd *exec.Cmd) (err error) {
	dir, err := os.Open(g.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = int(dir.Fd())
	return f.do(cmd.Start)
}

// try has nothing to try: whether the kernel can fork into a group (Linux 5.7)
// shows at the first start.
func (g *group2) try(*forker) error { return nil }

func (g *group2) setCPU(vcpu float64) error {
	return write(g.dir, "cpu.max", fmt.Sprintf("%d %d", quotaMicros(vcpu), cpuPeriod))
}

func (g *group2) cpu() (time.Duration, error) {
	us, err := readKey(g.dir, "cpu.stat", "usage_usec")
	return time.Duration(us) * time.Microsecond, err
}

func (g *group2) peak() (int64, error) {
	n, err := readInt(g.dir, "memory.peak")
	if errors.Is(err, os.ErrNotExist) { // before Linux 5.19
		n, err = readInt(g.dir, "memory.current")
	}
	return n, err
}

func (g *group2) oomKilled() (bool, error) {
	n, err := readKey(g.dir, "memory.events", "oom_kill")
	return n > 0, err
}

func (g *group2) pids() ([]int, error) { return readPids(g.dir) }

func (g *group2) kill() error {
	if _, err := os.Stat(filepath.Join(g.dir, "cgroup.kill")); err != nil { // before Linux 5.14, or removed
		return killAll(g.dir)
	}
	err := write(g.dir, "cgroup.kill", "1")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func (g *group2) remove() error { return removeGroup(g.dir, g.kill) }
