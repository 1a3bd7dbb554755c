package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fanout/functions/lambda"
)

// What the test binary does when it is started as a helper.
const helperEnv = "CGROUP_TEST_HELPER"

func TestMain(m *testing.M) {
	switch kind := os.Getenv(helperEnv); kind {
	case "":
	case "end":
		os.Exit(0)
	case "stay": // until it is killed
		_ = syscall.Pause()
	case "reexec":
		fmt.Fprintln(os.Stderr, reexec([]string{"ignored", "run", "--memory", "128"}))
		os.Exit(1)
	default:
		fmt.Fprintf(os.Stderr, "no such helper: %q\n", kind)
		os.Exit(1)
	}
	ReexecInScope(os.Args)
	os.Exit(m.Run())
}

// helper is a command that runs this binary as one.
func helper(t *testing.T, kind string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{helperEnv + "=" + kind}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

var unlimited = ceiling{math.Inf(1), math.MaxInt64}

// direct is a [Fork] on the calling thread.
func direct(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return fn()
}

func TestParseMembership(t *testing.T) {
	for _, tt := range []struct {
		name string
		data string
		v1   map[string]string
		v2   string
	}{
		// v2 only, in a systemd scope.
		{"v2", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n", map[string]string{},
			"/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope"},
		// v1 with two controllers in one hierarchy, a named one, and an empty v2.
		{"hybrid", "5:cpu,cpuacct:/a\n4:memory:/b:c\n1:name=systemd:/\n0::/\n", map[string]string{"cpu": "/a", "cpuacct": "/a",
			"memory": "/b:c", "name=systemd": "/"}, "/"},
		{"nothing", "", map[string]string{}, ""},
		// Lines that are none.
		{"broken", "cpu\n3:cpu\n0::relative\n", map[string]string{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseMembership([]byte(tt.data)); !maps.Equal(got.v1, tt.v1) || got.v2 != tt.v2 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestParseMounts(t *testing.T) {
	const data = `22 1 0:21 / /sys rw shared:2 - sysfs sysfs rw
30 22 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
31 22 0:27 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 22 0:28 / /sys/fs/with\040space rw - cgroup cgroup rw,memory
33 22 0:29 broken
`
	v1, v2, found := parseMounts([]byte(data))
	if !found || v2.point != "/sys/fs/cgroup/unified" {
		t.Errorf("v2 %+v, %v", v2, found)
	}
	for _, tt := range []struct {
		what, got, want string
	}{
		// Controllers mounted together are in one folder.
		{"cpu", v1["cpu"].dir("/docker/abc/x"), "/sys/fs/cgroup/cpu,cpuacct/x"},
		{"cpuacct at the root", v1["cpuacct"].dir("/docker/abc"), "/sys/fs/cgroup/cpu,cpuacct"},
		// A name from outside the container has no place in it.
		{"elsewhere", v1["cpu"].dir("/docker/abcd"), "/sys/fs/cgroup/cpu,cpuacct"},
		{"space", v1["memory"].dir("/m"), "/sys/fs/with space/m"},
		{"v2", v2.dir("/user.slice"), "/sys/fs/cgroup/unified/user.slice"},
		{"v2 root", v2.dir("/"), "/sys/fs/cgroup/unified"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, tt.got, tt.want)
		}
	}
}

func FuzzParseProc(f *testing.F) {
	f.Add([]byte("5:cpu,cpuacct:/a\n0::/\n"))
	f.Add([]byte("30 22 0:26 / /sys rw - cgroup2 cgroup2 rw\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := parseMembership(data)
		v1, v2, _ := parseMounts(data)
		for name, group := range m.v1 {
			if !strings.HasPrefix(group, "/") {
				t.Errorf("%q: group %q of %q", data, group, name)
			}
			for _, mount := range v1 {
				_ = mount.dir(group)
			}
			_ = v2.dir(group)
		}
	})
}

// fakeGroup makes a folder with the files of a v2 group that has controllers.
func fakeGroup(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEnable(t *testing.T) {
	for _, tt := range []struct {
		name               string
		available, enabled string
		want               string // of subtree_control
		err                string
	}{
		// As systemd leaves the top: nothing to do, so nothing is written.
		{"enabled", "cpuset cpu io memory pids", "cpu memory pids\n", "cpu memory pids\n", ""},
		// A fresh delegated scope.
		{"to enable", "cpu memory pids", "", "+cpu +memory", ""},
		{"one to enable", "cpu memory", "memory", "+cpu", ""},
		// A systemd that delegates no CPU to users.
		{"no cpu", "memory pids", "", "", "Delegate=cpu memory pids"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := fakeGroup(t, map[string]string{"cgroup.controllers": tt.available, "cgroup.subtree_control": tt.enabled})
			err := enable(dir, controllers2)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v: want %q in it", err, tt.err)
				}
				return
			}
			got, err2 := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
			if err := errors.Join(err, err2); err != nil || string(got) != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// What is written to and read from a v2 group, on plain files.
func TestGroup2Files(t *testing.T) {
	dir := fakeGroup(t, map[string]string{
		"cpu.stat":      "usage_usec 1234567\nuser_usec 1000000\n",
		"memory.peak":   "41943040\n",
		"memory.events": "low 0\noom 2\noom_kill 1\noom_group_kill 0\n",
		"cgroup.procs":  "12\n34\n",
	})
	g := &group2{ceiling: &unlimited, dir: dir}
	if err := g.SetCPU(128.0 / 1769); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "cpu.max")); err != nil || string(got) != "1447 20000" {
		t.Errorf("cpu.max %q, %v", got, err)
	}
	if got, err := g.CPU(); err != nil || got != 1234567*time.Microsecond {
		t.Errorf("cpu %v, %v", got, err)
	}
	if got, err := g.Peak(); err != nil || got != 40<<20 {
		t.Errorf("peak %d, %v", got, err)
	}
	if got, err := g.OOMKills(); err != nil || got != 1 {
		t.Errorf("oom %v, %v", got, err)
	}
	if got, err := g.PIDs(); err != nil || len(got) != 2 || got[1] != 34 {
		t.Errorf("pids %v, %v", got, err)
	}
	// Before Linux 5.19.
	if err := os.Rename(filepath.Join(dir, "memory.peak"), filepath.Join(dir, "memory.current")); err != nil {
		t.Fatal(err)
	}
	if got, err := g.Peak(); err != nil || got != 40<<20 {
		t.Errorf("peak without memory.peak %d, %v", got, err)
	}

	c := &parent2{ceiling: unlimited, dir: dir}
	made, err := c.Create(128<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "134217728", "cpu.max": "20000 20000"} {
		if got, err := os.ReadFile(filepath.Join(made.(*group2).dir, file)); err != nil || string(got) != want {
			t.Errorf("%s %q, %v; want %q", file, got, err, want)
		}
	}
}

// A process is born in its v2 group, is killed and the group removed: in the
// real hierarchy, which needs no controllers for that.
func TestGroup2Birth(t *testing.T) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	_, v2, found := parseMounts(mountinfo)
	if !found {
		t.Fatal("this test needs cgroup v2 mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
	}
	base := v2.point
	if scopeGroup != "" {
		base = v2.dir(scopeGroup)
	}
	c, err := newParent2(direct, base, v2.point, nil)
	if err != nil {
		t.Fatalf("this test needs to write cgroup v2: run it as root, or with systemd-run and a user bus: %v; own group %s", err, self)
	}
	g := &group2{&unlimited, direct, filepath.Join(c.dir, "1")}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := helper(t, "stay")
	if err := g.Start(cmd); err != nil {
		t.Fatal(err)
	}
	in, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/cgroup")
	if want := strings.TrimPrefix(g.dir, v2.point); err != nil || v2.dir(parseMembership(in).v2) != g.dir {
		t.Errorf("born in %s, %v; want %s", in, err, want)
	}
	if pids, err := g.PIDs(); err != nil || len(pids) != 1 || pids[0] != cmd.Process.Pid {
		t.Errorf("pids %v, %v", pids, err)
	}

	// A scope's main process makes room for groups with controllers; the
	// hierarchy on a machine with v1 has none, which is the error then.
	roomErr := makeRoom(g.dir, cmd.Process.Pid)
	if pids, err := readPids(filepath.Join(g.dir, "main")); err != nil || len(pids) != 1 || pids[0] != cmd.Process.Pid {
		t.Errorf("make room: pids in main %v, %v; %v", pids, err, roomErr)
	}
	if roomErr != nil && !strings.Contains(roomErr.Error(), "no cpu controller") {
		t.Errorf("make room: %v", roomErr)
	}

	if err := g.Kill(); err != nil { // of the whole tree
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
	main := &group2{&unlimited, direct, filepath.Join(g.dir, "main")}
	if err := errors.Join(main.Remove(), g.Remove(), c.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left", c.dir)
	}
}

// Only what nobody owns any more is swept away.
func TestSweep(t *testing.T) {
	base := t.TempDir()
	ended := helper(t, "end")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	group := func(pid any, rest string) string {
		dir := filepath.Join(base, fmt.Sprint(groupPrefix, pid, rest))
		if err := os.MkdirAll(filepath.Join(dir, "1", "below"), 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dead := group(ended.Process.Pid, "-1")
	elsewhere := group(ended.Process.Pid, "-2") // of a process in another container, where this number is another's
	alive := group(os.Getpid(), "-1")
	other, other2 := group("x", "-1"), group("", "-1")
	lock, err := Own(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	sweep(base)
	for dir, want := range map[string]bool{dead: false, elsewhere: true, alive: true, other: true, other2: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v; want it there: %v", dir, err, want)
		}
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	sweep(base)
	if len(existing(elsewhere)) != 0 {
		t.Errorf("%s is left when its owner has ended", elsewhere)
	}
	// Somebody swept it away between its making and its lock.
	if _, err := Own(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("owned what is gone: %v", err)
	}
}

func existing(dir string) []os.DirEntry {
	entries, _ := os.ReadDir(filepath.Dir(dir))
	return slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() != filepath.Base(dir) })
}

// What is in an abandoned group is killed, however deep, and the group goes.
func TestSweepKills(t *testing.T) {
	c, limits := Find(direct, 1)
	if c == nil {
		t.Fatalf("this test needs cgroups: run it as root, or on cgroup v2 with systemd-run and a user bus: %s", limits.Reason)
	}
	ended := helper(t, "end")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	stay := helper(t, "stay")
	if err := stay.Start(); err != nil {
		t.Fatal(err)
	}
	var left []string
	var locks []*os.File // or a sandbox that another test starts sweeps them away too early
	for _, dir := range c.Dirs() {
		dead := filepath.Join(filepath.Dir(dir), fmt.Sprint(groupPrefix, ended.Process.Pid, "-1"))
		left = append(left, dead)
		lock, err := makeOwn(dead)
		if err != nil {
			t.Fatal(err)
		}
		locks = append(locks, lock)
		if err := os.Mkdir(filepath.Join(dead, "1"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := write(filepath.Join(dead, "1"), "cgroup.procs", strconv.Itoa(stay.Process.Pid)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(left)
	if found, err := Groups(ended.Process.Pid); err != nil || !slices.Equal(found, left) {
		t.Errorf("groups %v, %v: want %v", found, err, left)
	}
	go func() { _ = stay.Wait() }() // or it stays in its group
	for _, lock := range locks {
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
	}
	next, limits := Find(direct, 1)
	if next == nil {
		t.Fatal(limits.Reason)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // another sandbox may be at it, too
		found, err := Groups(ended.Process.Pid)
		if err == nil && len(found) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("groups %v, %v are left", found, err)
		}
	}
	if err := errors.Join(c.Close(), next.Close()); err != nil {
		t.Error(err)
	}
}

func TestReexec(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string // of systemd-run; empty: none
		want   []string
		err    string
	}{
		// The scope gets this executable and its arguments, and is told.
		{"works", `case "$*" in *" true") exit 0;; esac; echo "$@"; echo "$` + scopeEnv + `"`,
			[]string{"--user --scope --quiet -p Delegate=yes -- ", " run --memory 128\n1\n"}, ""},
		// A user bus that does not answer must not be the end of the command.
		{"no bus", `echo "Failed to connect to bus" >&2; echo more >&2; exit 1`, nil, "exit status 1: Failed to connect to bus\n"},
		{"missing", "", nil, "systemd-run: exec:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.script != "" {
				if err := os.WriteFile(filepath.Join(dir, "systemd-run"), []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := helper(t, "reexec")
			cmd.Env = append(cmd.Env, "PATH="+dir)
			out, err := cmd.CombinedOutput()
			if (err != nil) != (tt.err != "") || !strings.Contains(string(out), tt.err) {
				t.Errorf("%v: %s; want %q", err, out, tt.err)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("%q: want %q in it", out, want)
				}
			}
		})
	}
}

// Not as root, and not where v1 is: the process stays what it is.
func TestReexecNotNeeded(t *testing.T) {
	if os.Geteuid() != 0 && scopeGroup == "" && scopeProblem == nil {
		t.Error("a user on cgroup v2 got neither a scope nor a reason")
	}
	if slices.ContainsFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, scopeEnv+"=") }) {
		t.Errorf("%s is left in the environment", scopeEnv)
	}
}

// What the groups above have is the most that a group gets.
func TestCeiling(t *testing.T) {
	const v1CPU, v1Period, v1Memory = "cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes"
	for _, tt := range []struct {
		name   string
		files  map[string]string // below the root of the hierarchy; this process is in a/b
		vcpu   float64
		memory int64 // 0: no limit but the machine's
	}{
		{"none, v1", map[string]string{"a/b/" + v1CPU: "-1\n", "a/b/" + v1Period: "100000\n", "a/b/" + v1Memory: "9223372036854771712\n"},
			math.Inf(1), 0},
		{"none, v2", map[string]string{"a/b/cpu.max": "max 100000\n", "a/b/memory.max": "max\n"}, math.Inf(1), 0},
		{"half a CPU, v1", map[string]string{"a/b/" + v1CPU: "50000\n", "a/b/" + v1Period: "100000\n"}, 0.5, 0},
		{"half a CPU, v2", map[string]string{"a/b/cpu.max": "50000 100000\n"}, 0.5, 0},
		{"half a GB, v1", map[string]string{"a/b/" + v1Memory: "536870912\n"}, math.Inf(1), 512 << 20},
		{"half a GB, v2", map[string]string{"a/b/memory.max": "536870912\n"}, math.Inf(1), 512 << 20},
		{"the least of those above, v1", map[string]string{
			v1CPU: "150000", v1Period: "100000", "a/" + v1CPU: "30000", "a/" + v1Period: "20000", "a/b/" + v1CPU: "-1", "a/b/" + v1Period: "100000",
			"a/" + v1Memory: "1073741824", "a/b/" + v1Memory: "2147483648",
		}, 1.5, 1 << 30},
		{"the least of those above, v2", map[string]string{
			"a/cpu.max": "150000 100000", "a/b/cpu.max": "200000 100000", "a/memory.max": "1073741824", "a/b/memory.max": "max",
		}, 1.5, 1 << 30},
		{"that of another group", map[string]string{"a/c/cpu.max": "1000 100000", "a/c/" + v1CPU: "1000"}, math.Inf(1), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "a", "b")
			err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(filepath.Join(root, "a", "c"), 0o755))
			for name, text := range tt.files {
				err = errors.Join(err, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
			}
			if err != nil {
				t.Fatal(err)
			}
			machine, err := newCeiling()
			if err != nil || machine.memory <= 1<<30 || machine.memory == math.MaxInt64 || !math.IsInf(machine.vcpu, 1) {
				t.Fatalf("this machine has %+v, %v", machine, err)
			}
			want := ceiling{tt.vcpu, tt.memory}
			if tt.memory == 0 {
				want.memory = machine.memory
			}
			got := machine
			if strings.HasSuffix(tt.name, "v1") {
				c := &parent1{ceiling: machine}
				err = errors.Join(c.look("cpu", above(dir, root)), c.look("memory", above(dir, root)), c.look("cpuacct", above(dir, root)))
				got = c.ceiling
			} else {
				for _, d := range above(dir, root) {
					err = errors.Join(err, got.look2(d))
				}
			}
			if err != nil || got != want {
				t.Errorf("%+v, %v: want %+v", got, err, want)
			}
		})
	}
	if vcpu, memory := (&ceiling{2, 3}).Ceiling(); vcpu != 2 || memory != 3 {
		t.Errorf("%v, %v", vcpu, memory)
	}
}

// A quota in microseconds of each 20 ms, never above the ceiling by rounding.
func TestQuota(t *testing.T) {
	for _, tt := range []struct {
		vcpu, ceiling float64
		want          int64
	}{
		{128.0 / 1769, math.Inf(1), 1447},
		{1, 2, 20000},
		{1, 1, 20000},
		{1, 0.33333, 6666},          // 6667 would be above it
		{0, 1, minQuota},            // what the kernel takes at least
		{128.0 / 1769, 0.5, 1447},   // not clamped: rounded
		{128.0 / 1769, 0.07, 1_400}, // clamped
	} {
		if got := quotaMicros(tt.vcpu, tt.ceiling); got != tt.want {
			t.Errorf("%v of %v: %d, want %d", tt.vcpu, tt.ceiling, got, tt.want)
		}
	}
}

// Where the group above that has the limit is out of sight, as in a container,
// the kernel tells what it takes.
func TestCeilingOutOfSight(t *testing.T) {
	c, limits := Find(direct, 1)
	if c == nil {
		t.Fatalf("this test needs cgroups: run it as root, or on cgroup v2 with systemd-run and a user bus: %s", limits.Reason)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, ok := c.(*parent1)
	if !ok {
		return // a v2 group may have a quota above its parent's: TestCeiling
	}
	made, err := p.Create(lambda.MinMemoryMB<<20, 0.3)
	if err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(made.(*group1).cpuDir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	hidden := unlimited
	g := &group1{ceiling: &hidden, cpuDir: inner}
	if err := errors.Join(write(inner, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)), g.fit(1)); err != nil {
		t.Error(err)
	}
	if quota, err := readInt(inner, "cpu.cfs_quota_us"); err != nil || quota != 6000 || hidden.vcpu != 0.3 {
		t.Errorf("quota %d, ceiling %v, %v: want 6000, 0.3", quota, hidden.vcpu, err)
	}
	if err := errors.Join(removeGroup(inner, func() error { return nil }), made.Remove()); err != nil {
		t.Error(err)
	}
}

func FuzzControlFiles(f *testing.F) {
	f.Add("50000 100000\n")
	f.Add("max 100000")
	f.Add("MemTotal:       24684092 kB\n")
	f.Add("usage_usec 1234567\n")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		for _, file := range []string{"cpu.max", "memory.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes", "cgroup.procs"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c := &parent1{ceiling: unlimited}
		_ = c.look("cpu", []string{dir}) // what is no number is an error
		_ = c.look("memory", []string{dir})
		if err := c.look2(dir); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if !(c.vcpu > 0) || c.ceiling.memory <= 0 || parseMemTotal([]byte(text)) < 0 {
			t.Errorf("%q: %+v", text, c.ceiling)
		}
		pids, err := readPids(dir)
		_, err2 := readKey(dir, "cgroup.procs", "usage_usec")
		if err == nil && err2 == nil && len(pids) > 0 {
			t.Errorf("%q: processes %v, and a key", text, pids)
		}
	})
}
