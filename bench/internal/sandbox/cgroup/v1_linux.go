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
	ceiling
	fork                 Fork
	own                  []string // this process's folder in each hierarchy, no two the same
	cpu, cpuacct, memory string   // this sandbox's folder in each
	count                atomic.Int64
	name                 string
	locks                []*os.File // of its folders
}

func newParent1(fork Fork, own membership, mounts map[string]mount) (*parent1, error) {
	top, err := newCeiling()
	if err != nil {
		return nil, err
	}
	c := &parent1{ceiling: top, fork: fork, name: ownGroupName()}
	for controller, dir := range map[string]*string{"cpu": &c.cpu, "cpuacct": &c.cpuacct, "memory": &c.memory} {
		m, ok := mounts[controller]
		if !ok || own.v1[controller] == "" {
			return nil, fmt.Errorf("the %s controller is not mounted", controller)
		}
		base := m.dir(own.v1[controller])
		*dir = filepath.Join(base, c.name)
		if err := c.look(controller, above(base, m.point)); err != nil {
			return nil, err
		}
		if !slices.Contains(c.own, base) {
			c.own = append(c.own, base)
		}
	}
	for _, base := range c.own {
		sweep(base)
		lock, err := makeOwn(filepath.Join(base, c.name))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.locks = append(c.locks, lock)
	}
	return c, nil
}

// look lowers the ceiling to what a controller has in folders. The root of a
// hierarchy has no such files.
func (c *parent1) look(controller string, dirs []string) error {
	read := func(dir, file string) (int64, error) {
		n, err := readInt(dir, file)
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		return n, err
	}
	for _, dir := range dirs {
		var quota, period, memory int64
		var errs [3]error
		switch controller {
		case "cpu":
			quota, errs[0] = read(dir, "cpu.cfs_quota_us")
			period, errs[1] = read(dir, "cpu.cfs_period_us")
		case "memory":
			memory, errs[2] = read(dir, "memory.limit_in_bytes")
		}
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		c.lower(quota, period, memory)
	}
	return nil
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
	for _, lock := range c.locks {
		errs = append(errs, lock.Close())
	}
	return errors.Join(errs...)
}

// group1 is a group in each hierarchy.
type group1 struct {
	fork                 Fork
	ceiling              *ceiling
	own                  []string // where to come back to
	dirs                 []string // no two the same, as own
	cpuDir, acct, memory string
}

func (c *parent1) Create(memory int64, vcpu float64) (_ Group, err error) {
	n := strconv.FormatInt(c.count.Add(1), 10)
	g := &group1{
		fork: c.fork, ceiling: &c.ceiling, own: c.own,
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
	limit := strconv.FormatInt(min(memory, c.ceiling.memory), 10)
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
	return g.setQuota(quotaMicros(vcpu, g.ceiling.vcpu))
}

func (g *group1) setQuota(micros int64) error {
	return write(g.cpuDir, "cpu.cfs_quota_us", strconv.FormatInt(micros, 10))
}

// fit sets the share or, where the kernel refuses it, the largest that it
// takes, which is the ceiling then: in a container, the group above that has
// the limit may be out of sight.
func (g *group1) fit(vcpu float64) error {
	micros := quotaMicros(vcpu, g.ceiling.vcpu)
	err := g.setQuota(micros)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	low, high := int64(minQuota-1), micros // taken, refused
	for high-low > 1 {
		middle := (low + high) / 2
		if g.setQuota(middle) == nil {
			low = middle
		} else {
			high = middle
		}
	}
	if low < minQuota {
		return err
	}
	g.ceiling.vcpu = float64(low) / cpuPeriod
	return g.setQuota(low)
}

func (g *group1) CPU() (time.Duration, error) {
	ns, err := readInt(g.acct, "cpuacct.usage")
	return time.Duration(ns), err
}

func (g *group1) Peak() (int64, error) { return readInt(g.memory, "memory.max_usage_in_bytes") }

func (g *group1) OOMKills() (int64, error) {
	return readKey(g.memory, "memory.oom_control", "oom_kill")
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
