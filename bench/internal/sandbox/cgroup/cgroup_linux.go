package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fanout/functions/lambda"
)

// cpuPeriod is the length of the periods in which a CPU quota is handed out,
// in microseconds. Lambda's is 20 ms.
const cpuPeriod = 20_000

// minQuota is the least that the kernel takes, in microseconds.
const minQuota = 1_000

// quotaMicros is the share of each period, not above the ceiling: a kernel with
// cgroup v1 refuses more than the group above has.
func quotaMicros(vcpu, ceiling float64) int64 {
	micros := math.Floor(vcpu*cpuPeriod + 0.5)
	if ceiling < vcpu {
		micros = math.Floor(ceiling * cpuPeriod)
	}
	return max(int64(micros), minQuota)
}

// ceiling is the most that a group gets.
type ceiling struct {
	vcpu   float64 // +Inf: no limit
	memory int64
}

// Ceiling gives both.
func (c *ceiling) Ceiling() (vcpu float64, memory int64) { return c.vcpu, c.memory }

// newCeiling begins with what this machine has.
func newCeiling() (ceiling, error) {
	c := ceiling{math.Inf(1), math.MaxInt64}
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return c, fmt.Errorf("find this machine's memory: %w", err)
	}
	if total := parseMemTotal(meminfo); total > 0 {
		c.memory = total
	}
	return c, nil
}

// parseMemTotal reads MemTotal of /proc/meminfo, in bytes; 0 where it has none.
func parseMemTotal(meminfo []byte) int64 {
	for line := range strings.Lines(string(meminfo)) {
		if v, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 53)
			if err == nil && kb > 0 {
				return kb << 10
			}
		}
	}
	return 0
}

// above lists a group's folder and those above it, up to where the hierarchy is
// mounted.
func above(dir, root string) (dirs []string) {
	for {
		dirs = append(dirs, dir)
		if dir == root || len(dir) <= len(root) {
			return dirs
		}
		dir = filepath.Dir(dir)
	}
}

// lower takes the limits of one more group.
func (c *ceiling) lower(quota, period, memory int64) {
	if quota > 0 && period > 0 {
		c.vcpu = min(c.vcpu, float64(quota)/float64(period))
	}
	if memory > 0 {
		c.memory = min(c.memory, memory)
	}
}

// groupPrefix begins the name of a sandbox's own group: fanout-PID-N.
const groupPrefix = "fanout-"

var sandboxes atomic.Int64

func ownGroupName() string {
	return fmt.Sprintf("%s%d-%d", groupPrefix, os.Getpid(), sandboxes.Add(1))
}

// Find finds cgroups that this process may use, v1 or v2, and tries them with
// the quota that will be the largest. Where there are none, Parent is nil and
// Limits says why.
func Find(fork Fork, vcpu float64) (Parent, lambda.Limits) {
	none := func(err error) (Parent, lambda.Limits) {
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

	var c Parent
	kind := ""
	if slices.ContainsFunc([]string{"cpu", "memory"}, func(name string) bool { return own.v1[name] != "" }) {
		kind = lambda.CgroupV1
		c, err = newParent1(fork, own, v1)
	} else if found2 {
		kind = lambda.CgroupV2
		c, err = findParent2(fork, v2, os.Geteuid() == 0)
	} else {
		return none(errors.New("no cgroup hierarchy is mounted"))
	}
	if err != nil {
		return none(fmt.Errorf("%s: %w", kind, err))
	}
	if err := try(c, vcpu); err != nil {
		return none(fmt.Errorf("%s: %w", kind, errors.Join(err, c.Close())))
	}
	return c, lambda.Limits{By: kind}
}

// try makes a group as it will be needed, goes in and out where that is the
// way, and removes it.
func try(c Parent, vcpu float64) error {
	g, err := c.Create(lambda.MinMemoryMB<<20, 0)
	if err != nil {
		return err
	}
	switch g := g.(type) {
	case *group1:
		err = g.fit(vcpu)
		if err == nil {
			err = g.inside(func() error { return nil })
		}
	default: // whether the kernel can fork into a v2 group (Linux 5.7) shows at the first start
		err = g.SetCPU(vcpu)
	}
	return errors.Join(err, g.Remove())
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

// Groups lists the folders of the groups that process pid has made for itself,
// in every hierarchy that is mounted here. When it has ended, they are what it
// left behind.
func Groups(pid int) ([]string, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroup mounts: %w", err)
	}
	v1, v2, found2 := parseMounts(mountinfo)
	roots := map[string]bool{}
	for _, m := range v1 {
		roots[m.point] = true
	}
	if found2 {
		roots[v2.point] = true
	}
	var found []string
	for root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && path != root: // it was removed meanwhile
				return nil
			case err != nil:
				return err
			case d.IsDir() && strings.HasPrefix(d.Name(), fmt.Sprintf("%s%d-", groupPrefix, pid)):
				found = append(found, path)
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for cgroups of process %d: %w", pid, err)
		}
	}
	slices.Sort(found)
	return found, nil
}
