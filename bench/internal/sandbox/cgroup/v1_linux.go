package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// parent1 are groups of the v1 hierarchies of cpu, cpuacct and memory, which
// may be one and the same.
type parent1 struct {
	fork                 Fork
	own                  []string // this process's folder in each hierarchy, no two the same
	cpu, cpuacct, memory string   // this sandbox's folder in each
	count                atomic.Int64
	name                 string
}

func newParent1(fork Fork, own membership, mounts map[string]mount) (*parent1, error) {
	c := &parent1{fork: fork, name: ownGroupName()}
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
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (c *parent1) Dirs() []string {
	var dirs []string
	for _, base := range c.own {
		dirs = append(dirs, filepath.Join(base, c.name))
	}
	return dirs
}

func (c *parent1) Close() error {
	var errs []error
	for _, dir := range c.Dirs() {
		errs = append(errs, removeGroup(dir, func() error { return nil }))
	}
	return errors.Join(errs...)
}

// group1 is a group in each hierarchy.
type group1 struct {
	fork                 Fork
	own                  []string // where to come back to
	dirs                 []string // no two the same, as own
	cpuDir, acct, memory string
}

func (c *parent1) Create(memory int64, vcpu float64) (_ Group, err error) {
	n := strconv.FormatInt(c.count.Add(1), 10)
	g := &group1{
		fork: c.fork, own: c.own,
		cpuDir: filepath.Join(c.cpu, n), acct: filepath.Join(c.cpuacct, n), memory: filepath.Join(c.memory, n),
	}
	for _, base := range c.own {
		g.dirs = append(g.dirs, filepath.Join(base, c.name, n))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a cgroup: %w", err), g.Remove())
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
	return g, g.SetCPU(vcpu)
}

func (g *group1) Start(cmd *exec.Cmd) error {
	err := g.inside(cmd.Start)
	if err != nil && cmd.Process != nil {
		// It runs, and the thread is where it should not be: the group goes,
		// and with it the child.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return err
}

// inside runs a function while the thread that forks is in the group.
func (g *group1) inside(do func() error) error {
	return g.fork(func() error {
		thread := strconv.Itoa(unix.Gettid())
		err := enter(g.dirs, thread)
		if err == nil {
			err = do()
		}
		return errors.Join(err, enter(g.own, thread))
	})
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

func (g *group1) SetCPU(vcpu float64) error {
	return write(g.cpuDir, "cpu.cfs_quota_us", strconv.FormatInt(quotaMicros(vcpu), 10))
}

func (g *group1) CPU() (time.Duration, error) {
	ns, err := readInt(g.acct, "cpuacct.usage")
	return time.Duration(ns), err
}

func (g *group1) Peak() (int64, error) { return readInt(g.memory, "memory.max_usage_in_bytes") }

func (g *group1) OOMKilled() (bool, error) {
	n, err := readKey(g.memory, "memory.oom_control", "oom_kill")
	return n > 0, err
}

func (g *group1) PIDs() ([]int, error) { return readPids(g.cpuDir) }

func (g *group1) Kill() error { return killAll(g.cpuDir) }

func (g *group1) Remove() error {
	var errs []error
	for _, dir := range g.dirs {
		errs = append(errs, removeGroup(dir, func() error { return killAll(dir) }))
	}
	return errors.Join(errs...)
}
