package cgroup

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
)

// parent2 are groups of the v2 hierarchy.
type parent2 struct {
	ceiling
	fork  Fork
	dir   string   // this sandbox's
	lock  *os.File // of dir
	count atomic.Int64
}

var controllers2 = []string{"cpu", "memory"}

// findParent2 uses the scope that ReexecInScope has prepared or, as root, the
// top of the hierarchy.
func findParent2(fork Fork, m mount, root bool) (Parent, error) {
	switch {
	case scopeGroup != "":
		// A scope ends with its last process: those that were left behind are
		// in scopes of their own, beside this one.
		scopes, _ := filepath.Glob(filepath.Join(filepath.Dir(m.dir(scopeGroup)), "*.scope"))
		for _, dir := range scopes {
			sweep(dir)
		}
		return newParent2(fork, m.dir(scopeGroup), m.point, controllers2)
	case root:
		return newParent2(fork, m.point, m.point, controllers2)
	}
	if scopeProblem != nil {
		return nil, fmt.Errorf("not root, and no delegated scope: %w", scopeProblem)
	}
	return nil, errors.New("not root, and not in a delegated systemd scope")
}

// newParent2 makes the sandbox's group below base, and has the controllers
// work in both.
func newParent2(fork Fork, base, root string, controllers []string) (*parent2, error) {
	top, err := newCeiling()
	if err != nil {
		return nil, err
	}
	for _, dir := range above(base, root) {
		if err := top.look2(dir); err != nil {
			return nil, err
		}
	}
	sweep(base)
	if err := enable(base, controllers); err != nil {
		return nil, err
	}
	c := &parent2{ceiling: top, fork: fork, dir: filepath.Join(base, ownGroupName())}
	if c.lock, err = makeOwn(c.dir); err != nil {
		return nil, err
	}
	if err := enable(c.dir, controllers); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// look2 lowers the ceiling to what a v2 group has. The root of the hierarchy
// has no such files.
func (c *ceiling) look2(dir string) error {
	var text [2]string
	for i, file := range []string{"cpu.max", "memory.max"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		text[i] = string(data)
	}
	quota, period := parseCPUMax(text[0])
	memory, err := strconv.ParseInt(strings.TrimSpace(text[1]), 10, 64)
	if err != nil {
		memory = 0 // "max", or no file
	}
	c.lower(quota, period, memory)
	return nil
}

// parseCPUMax reads cpu.max, "QUOTA PERIOD" or "max PERIOD"; 0: no quota.
func parseCPUMax(text string) (quota, period int64) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0, 0
	}
	quota, err := strconv.ParseInt(fields[0], 10, 64)
	period, err2 := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || err2 != nil || quota <= 0 || period <= 0 {
		return 0, 0
	}
	return quota, period
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
	err = write(dir, "cgroup.subtree_control", strings.Join(missing, " "))
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w (there are processes in %s itself, as in a container: move them into a group below it)", err, dir)
	}
	return err
}

func (c *parent2) Dirs() []string { return []string{c.dir} }

func (c *parent2) Close() error {
	return errors.Join(removeGroup(c.dir, func() error { return nil }), c.lock.Close())
}

type group2 struct {
	ceiling *ceiling
	fork    Fork
	dir     string
}

func (c *parent2) Create(memory int64, vcpu float64) (_ Group, err error) {
	g := &group2{&c.ceiling, c.fork, filepath.Join(c.dir, strconv.FormatInt(c.count.Add(1), 10))}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a cgroup: %w", err), g.Remove())
		}
	}()
	if err := write(g.dir, "memory.max", strconv.FormatInt(min(memory, c.memory), 10)); err != nil {
		return nil, err
	}
	// Where the kernel does not count swap there is no such file.
	if _, err := os.Stat(filepath.Join(g.dir, "memory.swap.max")); err == nil {
		if err := write(g.dir, "memory.swap.max", "0"); err != nil {
			return nil, err
		}
	}
	return g, g.SetCPU(vcpu)
}

func (g *group2) Start(cmd *exec.Cmd) (err error) {
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
	return g.fork(cmd.Start)
}

func (g *group2) SetCPU(vcpu float64) error {
	return write(g.dir, "cpu.max", fmt.Sprintf("%d %d", quotaMicros(vcpu, g.ceiling.vcpu), cpuPeriod))
}

func (g *group2) CPU() (time.Duration, error) {
	us, err := readKey(g.dir, "cpu.stat", "usage_usec")
	return time.Duration(us) * time.Microsecond, err
}

func (g *group2) Peak() (int64, error) {
	n, err := readInt(g.dir, "memory.peak")
	if errors.Is(err, os.ErrNotExist) { // before Linux 5.19
		n, err = readInt(g.dir, "memory.current")
	}
	return n, err
}

func (g *group2) OOMKills() (int64, error) { return readKey(g.dir, "memory.events", "oom_kill") }

func (g *group2) PIDs() ([]int, error) { return readPids(g.dir) }

func (g *group2) Kill() error {
	if _, err := os.Stat(filepath.Join(g.dir, "cgroup.kill")); err != nil { // before Linux 5.14, or removed
		return killAll(g.dir)
	}
	err := write(g.dir, "cgroup.kill", "1")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func (g *group2) Remove() error { return removeGroup(g.dir, g.Kill) }
