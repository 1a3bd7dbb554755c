package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/bench/internal/sandbox/cgroup"
	"fanout/functions/lambda"
)

// cpuControl reads the one group that there is: its quota, in microseconds of
// each 20 ms, and in how many of them it was reached.
func (f *fixture) cpuControl() (quota, throttled int64) {
	f.t.Helper()
	for _, dir := range f.cgroups.Dirs() {
		for _, file := range []string{"cpu.cfs_quota_us", "cpu.max"} {
			found, err := filepath.Glob(filepath.Join(dir, "*", file))
			if err != nil || len(found) > 1 {
				f.t.Fatalf("groups %v, %v: want one", found, err)
			}
			for _, path := range found {
				text, err := os.ReadFile(path)
				stat, err2 := os.ReadFile(filepath.Join(filepath.Dir(path), "cpu.stat"))
				if err := errors.Join(err, err2); err != nil {
					continue // it has ended meanwhile
				}
				_, _ = fmt.Sscan(string(text), &quota)
				_, rest, _ := strings.Cut(string(stat), "nr_throttled ")
				_, _ = fmt.Sscan(rest, &throttled)
			}
		}
	}
	return quota, throttled
}

// The share of the CPU is that of the memory: the quota is, it is reached, and
// never passed. Other work on the machine takes from the share, so that what a
// process gets of it may be less.
func TestCPUShare(t *testing.T) {
	for _, tt := range []struct {
		memory int
		quota  int64 // in microseconds of each 20 ms
	}{
		{128, 1447}, // the smallest: 128/1769 of 20,000
		{884, 9994}, // half a vCPU
	} {
		t.Run(strconv.Itoa(tt.memory), func(t *testing.T) {
			f := startTest(t, func(c *Config) { c.Functions[0].MemoryMB = tt.memory })
			f.needLimits()
			f.invoke(`{"mode":"echo"}`)
			quota, before := f.cpuControl()
			if quota != tt.quota {
				t.Errorf("quota %d: want %d", quota, tt.quota)
			}
			share, throttled := float64(tt.quota)/20_000, before
			for i := 0; i < 25 && throttled < before+10; i++ {
				r := f.invoke(`{"mode":"spin","n":1000}`)
				if got := r.CPU / r.Wall; got > 1.1*share {
					t.Errorf("share of the CPU %.4f as the function saw it: want %.4f, to a tenth", got, share)
				}
				// What the header says is what the function has used, with a
				// little for its runtime.
				ms, err := strconv.ParseFloat(r.header.Get("X-Fanout-Cpu-Ms"), 64)
				if err != nil || ms < 1000*r.CPU || ms > 1.1*1000*r.CPU+20 {
					t.Errorf("X-Fanout-Cpu-Ms %v, %v: the function has used %.1f ms", ms, err, 1000*r.CPU)
				}
				_, throttled = f.cpuControl()
			}
			if throttled < before+10 {
				t.Errorf("the quota was reached %d times only", throttled-before)
			}
		})
	}
}

// INIT is not held to the share: it has a vCPU. What it used is not the
// invocation's.
func TestInitShare(t *testing.T) {
	t.Parallel()
	f := startTestInit(t, time.Minute, func(c *Config) {
		c.Functions[0].MemoryMB = 128
		c.Functions[0].Env = map[string]string{"PROBE_INIT": "never"}
	})
	f.needLimits()
	if _, err := f.Invoke(t.Context(), &awslambda.InvokeInput{
		FunctionName: aws.String("probe"), InvocationType: types.InvocationTypeEvent,
	}); err != nil {
		t.Fatal(err)
	}
	var quota int64
	wait(t, "it is in INIT", func() bool { quota, _ = f.cpuControl(); return quota > 0 })
	if want := int64(20_000); quota != want {
		t.Errorf("quota %d in INIT: want %d", quota, want)
	}

	f = startTest(t, func(c *Config) {
		c.Functions[0].MemoryMB = 128
		c.Functions[0].Env = map[string]string{"PROBE_INIT": "spin"}
	})
	r := f.invoke(`{"mode":"echo"}`)
	if quota, _ := f.cpuControl(); quota != 1447 || r.header.Get("X-Fanout-Cpu-Limit") != "0.072" {
		t.Errorf("quota %d after INIT, limit %q: want 1447, 0.072", quota, r.header.Get("X-Fanout-Cpu-Limit"))
	}
	f.mu.Lock()
	p := f.functions["probe"].idle[0]
	f.mu.Unlock()
	var initCPU float64 // ms, as the probe logs it
	if _, err := fmt.Sscanf(r.tail, "probe: in INIT\nprobe: INIT used %f ms", &initCPU); err != nil || initCPU <= 0 {
		t.Fatalf("log %q: %v", r.tail, err)
	}
	all, err := p.cpu()
	cpu, err2 := strconv.ParseFloat(r.header.Get("X-Fanout-Cpu-Ms"), 64)
	if err := errors.Join(err, err2); err != nil || cpu > lambda.Milliseconds(all)-initCPU {
		t.Errorf("CPU of the invocation %v ms of %v, %v: INIT's %v must not be in it", cpu, all, err, initCPU)
	}
}

func TestClamped(t *testing.T) {
	t.Parallel()
	f := startTest(t, func(c *Config) { c.Functions[0].MemoryMB = lambda.MaxMemoryMB })
	f.needLimits()
	wantLimit, want := "5.788", f.Limits().String()
	if n := runtime.NumCPU(); n < 6 {
		wantLimit, want = fmt.Sprintf("%d.000", n), fmt.Sprintf("%s; clamped to %d vCPU", want, n)
	}
	r := f.invoke(`{"mode":"echo"}`)
	if got := r.header.Get("X-Fanout-Limits"); got != want {
		t.Errorf("X-Fanout-Limits %q, want %q", got, want)
	}
	if got := r.header.Get("X-Fanout-Cpu-Limit"); got != wantLimit {
		t.Errorf("X-Fanout-Cpu-Limit %q, want %q", got, wantLimit)
	}
}

// A sandbox in a group that has less than its functions' memory buys, as in a
// container.
func TestClampedByTheGroupAbove(t *testing.T) {
	t.Parallel()
	f := newForker()
	defer f.close()
	parent, limits := cgroup.Find(f.do, 1)
	if parent == nil {
		t.Fatalf("this test needs cgroups: %s", limits.Reason)
	}
	defer func() {
		if err := parent.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct {
		name      string
		memoryMB  int64 // of the group above
		vcpu      float64
		want      string // after the kind of limits
		cpuLimit  string
		allocates string // errorType of a function that takes 600 of its 1,769 MB
	}{
		{"half a CPU and 512 MB", 512, 0.5, "; clamped to 0.5 vCPU and 512 MB", "0.500", lambda.ExitError},
		{"a third of a CPU", 4096, 1.0 / 3, "; clamped to 0.333 vCPU", "0.333", ""},
		{"a CPU and 300 MB", 300, 1, "; clamped to 300 MB", "1.000", lambda.ExitError},
		{"enough of both", 4096, 1.5, "", "1.000", ""},
	} {
		group, err := parent.Create(tt.memoryMB<<20, tt.vcpu)
		if err != nil {
			t.Fatal(err)
		}
		helper := exec.CommandContext(t.Context(), "/proc/self/exe")
		var out bytes.Buffer
		helper.Env = append(os.Environ(), helperEnv+"=limits", probeEnv+"="+probe(t, lambda.X86), "TMPDIR="+t.TempDir())
		helper.Stdout, helper.Stderr = &out, t.Output()
		err = group.Start(helper)
		if err == nil {
			err = helper.Wait()
		}
		want := fmt.Sprintf("%s%s\n%s\n%s\n", limits.By, tt.want, tt.cpuLimit, tt.allocates)
		if limits.By == lambda.CgroupV2 { // as root its groups are at the top, with nothing above
			want = lambda.CgroupV2 + "\n1.000\n\n"
		}
		if err := errors.Join(err, group.Remove()); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v; want %q", tt.name, out.String(), err, want)
		}
	}
}

// A function has as many file descriptors as on Lambda, whatever this process
// has: from its first instruction, with cgroups and without, as a script too.
func TestFiles(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nulimit -n >&2\nexec "+probe(t, lambda.X86)+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []LimitMode{LimitsAuto, LimitsNone} {
		f := startTest(t, func(c *Config) { c.Functions[0].Code, c.Limits = script, mode })
		r := f.invoke(`{"mode":"files"}`)
		if want := "1024 of 1024, opened true"; r.Text != want {
			t.Errorf("files %q: want %q", r.Text, want)
		}
		if !strings.HasPrefix(r.tail, "1024\n") {
			t.Errorf("log %q: want the limit that the first instruction sees", r.tail)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of whoever runs this")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	f := startTest(t, func(c *Config) {
		c.Functions[0].Env["GREETING"] = "hello"
		c.ProcessEnv = func(function string) (map[string]string, func()) {
			return map[string]string{"AWS_ACCESS_KEY_ID": "AKIA-" + function, "AWS_LAMBDA_RUNTIME_API": "elsewhere"}, nil
		}
	})
	env := f.invoke(`{"mode":"env"}`).Env
	home := env["HOME"]
	if !strings.HasPrefix(home, f.dir) {
		t.Errorf("HOME %q: not below %s", home, f.dir)
	}
	if _, port, err := net.SplitHostPort(env["AWS_LAMBDA_RUNTIME_API"]); err != nil || port == "" {
		t.Errorf("AWS_LAMBDA_RUNTIME_API %q", env["AWS_LAMBDA_RUNTIME_API"])
	}
	for _, name := range []string{"HOME", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "_X_AMZN_TRACE_ID"} {
		if env[name] == "" {
			t.Errorf("no %s", name)
		}
		delete(env, name) // different each time; the last one is aws-lambda-go's
	}
	want := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG": "en_US.UTF-8", "TZ": ":UTC",
		"_HANDLER": "bootstrap", "LAMBDA_TASK_ROOT": filepath.Dir(probe(t, lambda.X86)), "LAMBDA_RUNTIME_DIR": "/var/runtime",
		"AWS_REGION": testRegion, "AWS_DEFAULT_REGION": testRegion,
		"AWS_LAMBDA_FUNCTION_NAME": "probe", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/probe",
		"AWS_EC2_METADATA_DISABLED": "true", "GREETING": "hello", "AWS_ACCESS_KEY_ID": "AKIA-probe",
	}
	if !maps.Equal(env, want) {
		t.Errorf("environment %v,\nwant %v", env, want)
	}
}

// existing gives the paths that are there.
func existing(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	var begun, ended atomic.Int32
	dir := t.TempDir()
	f := startTest(t, func(c *Config) {
		c.Dir = dir
		c.ProcessEnv = func(string) (map[string]string, func()) {
			begun.Add(1)
			return nil, func() { ended.Add(1) }
		}
	})
	f.needLimits()
	parent := f.invoke(`{"mode":"spawn"}`) // a child in a session of its own
	runtimeAPI := f.invoke(`{"mode":"env"}`).Env["AWS_LAMBDA_RUNTIME_API"]
	if gone(parent.Child) {
		t.Fatal("the child is not there")
	}
	// One in the middle of an invocation, one at rest.
	failed := make(chan error)
	for range 2 {
		go func() {
			_, err := f.try(context.WithoutCancel(t.Context()), `{"mode":"sleep"}`)
			failed <- err
		}()
	}
	wait(t, "both are busy", func() bool { return begun.Load() == 2 && f.idle() == 0 })
	groups := f.cgroups.Dirs()
	if len(existing(groups)) == 0 {
		t.Error("no groups, so their removal will prove nothing")
	}

	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	for range 2 {
		if err := <-failed; err == nil {
			t.Error("an invocation ended well")
		}
	}
	if !gone(parent.PID) {
		t.Error("its process is left")
	}
	// Ended, or the group would be left; init may still have to collect it.
	wait(t, "the child is gone", func() bool { return gone(parent.Child) })
	if n := ended.Load(); n != begun.Load() {
		t.Errorf("%d of %d processes released", n, begun.Load())
	}
	if left := existing(groups); len(left) != 0 {
		t.Errorf("groups left: %v", left)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
	for _, addr := range []string{strings.TrimPrefix(f.URL(), "http://"), runtimeAPI} {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr); err == nil {
			t.Errorf("%s still listens", addr)
			_ = conn.Close()
		}
	}
	if _, err := f.try(t.Context(), `{}`); err == nil {
		t.Error("invoked a closed sandbox")
	}
}

// idle counts the processes at rest.
func (s *Sandbox) idle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.functions {
		n += len(f.idle)
	}
	return n
}

func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	r := f.invoke(`{"mode":"echo"}`)
	wait(t, "it is at rest", func() bool { return f.idle() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := f.try(ctx, `{"mode":"sleep"}`)
		failed <- err
	}()
	wait(t, "it is busy", func() bool { return f.idle() == 0 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the client's error %v", err)
	}
	wait(t, "its process ends", func() bool { return gone(r.PID) })
	if next := f.invoke(`{"mode":"echo"}`); next.PID == r.PID {
		t.Error("its process was used again")
	}
}

// A process that ends at rest is not used.
func TestIdleProcessEnds(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	r := f.invoke(`{"mode":"echo"}`)
	if err := killGroup(r.PID); err != nil {
		t.Fatal(err)
	}
	wait(t, "it is forgotten", func() bool { return f.idle() == 0 })
	if next := f.invoke(`{"mode":"echo","text":"x"}`); next.Text != "x" || !next.report.Cold() {
		t.Errorf("next: %+v", next)
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		err    string
		hint   string
	}{
		{"no functions", func(c *Config) { c.Functions = nil }, "no function", ""},
		{"twice", func(c *Config) { c.Functions = append(c.Functions, c.Functions[0]) }, "named twice", ""},
		{"name", func(c *Config) { c.Functions[0].Name = "a.b" }, "a name has", ""},
		{"memory", func(c *Config) { c.Functions[0].MemoryMB = 127 }, "memory 127: must be 128 to 10240 MB", ""},
		{"timeout", func(c *Config) { c.Functions[0].Timeout = 1500 * time.Millisecond }, "timeout 1.5s: must be 1 to 900 whole seconds", ""},
		{"reserved", func(c *Config) { c.Functions[0].Env = map[string]string{"AWS_REGION": "x"} }, "AWS_REGION: reserved", ""},
		{"large", func(c *Config) { c.Functions[0].Env = map[string]string{"LARGE": strings.Repeat("x", 5000)} }, "must be 4096 at most", ""},
		// Requests could not be told from anybody's.
		{"credentials", func(c *Config) { c.Credentials.SecretAccessKey = "" }, "credentials", ""},
		{"account", func(c *Config) { c.AccountID = "1" }, "twelve digits", ""},
		{"missing", func(c *Config) { c.Functions[0].Code = filepath.Join(dir, "none") }, "no such file", ""},
		{"not executable", func(c *Config) { c.Functions[0].Code = plain }, "not executable", "chmod +x"},
		{"architecture", func(c *Config) { c.Functions[0].Arch = "riscv" }, "must be x86_64 or arm64", ""},
		// A binary for the other machine would only fail when invoked.
		{"arm64 as x86_64", func(c *Config) { c.Functions[0].Code = probe(t, lambda.ARM) }, "built for EM_AARCH64, not for x86_64", ""},
		{"x86_64 as arm64", func(c *Config) { c.Functions[0].Arch = "arm64" }, "built for EM_X86_64, not for arm64", ""},
		// No emulator on an empty PATH.
		{"emulator", func(c *Config) {
			if runtime.GOARCH == "amd64" {
				c.Functions[0].Arch, c.Functions[0].Code = lambda.ARM, probe(t, lambda.ARM)
			}
		}, "needs qemu-", "apt-get install qemu-user-static"},
		{"dir", func(c *Config) { c.Dir = filepath.Join(dir, "none") }, "make a folder", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "emulator" {
				t.Setenv("PATH", "")
			}
			cfg := testConfig(t)
			tt.change(&cfg)
			s, err := Start(cfg)
			if err == nil {
				t.Fatal(errors.Join(errors.New("started"), s.Close()))
			}
			if !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v: want %q in it", err, tt.err)
			}
			hint := ""
			if h := (interface{ Hint() string })(nil); errors.As(err, &h) {
				hint = h.Hint()
			}
			if !strings.Contains(hint, tt.hint) {
				t.Errorf("hint %q: want %q in it", hint, tt.hint)
			}
		})
	}
}

// What a sandbox leaves that was ended outright, the next one ends and removes:
// its groups, the processes that its functions have started, its folder.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		signal syscall.Signal
		limits string
	}{
		{syscall.SIGKILL, "auto"},
		{syscall.SIGKILL, "none"}, // no group holds what is left
		{syscall.SIGHUP, "auto"},  // a lost ssh session, where main does not handle it
		{syscall.SIGQUIT, "none"},
	} {
		t.Run(fmt.Sprint(tt.signal, " ", tt.limits), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			helper := exec.CommandContext(t.Context(), "/proc/self/exe")
			helper.Env = append(os.Environ(), helperEnv+"=sandbox", probeEnv+"="+probe(t, lambda.X86), limitsEnv+"="+tt.limits, "TMPDIR="+dir)
			out, err := helper.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := helper.Start(); err != nil {
				t.Fatal(err)
			}
			var r probeResult
			if err := json.NewDecoder(out).Decode(&r); err != nil || gone(r.PID) || gone(r.Child) {
				t.Errorf("the helper says %+v: %v", r, err)
			}
			// A sandbox that is there loses nothing to another one's start.
			startTest(t, func(c *Config) { c.Dir = dir })
			if gone(r.PID) || gone(r.Child) {
				t.Error("processes of a live sandbox were ended")
			}
			if err := helper.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			_ = helper.Wait() // by the signal
			if t.Failed() {
				return
			}
			wait(t, "its process ends", func() bool { return gone(r.PID) })
			if before, err := filepath.Glob(filepath.Join(dir, dirPrefix+strconv.Itoa(helper.Process.Pid)+"-*")); err != nil || len(before) != 1 {
				t.Errorf("folders %v, %v: want one to be removed", before, err)
			}

			f := startTest(t, func(c *Config) { c.Dir = dir })
			f.needLimits()
			wait(t, "its child ends", func() bool { return gone(r.Child) })
			// Another sandbox that starts at the same time may be at it.
			wait(t, "its groups are removed", func() bool {
				left, err := cgroup.Groups(helper.Process.Pid)
				return err == nil && len(left) == 0
			})
			if folders, err := filepath.Glob(filepath.Join(dir, dirPrefix+strconv.Itoa(helper.Process.Pid)+"-*")); err != nil || len(folders) != 0 {
				t.Errorf("folders left: %v, %v", folders, err)
			}
			if left := existing(f.cgroups.Dirs()); len(left) != len(f.cgroups.Dirs()) {
				t.Errorf("of its own groups, %v are left", left)
			}
		})
	}
}

// The bootstraps of a sandbox that is killed end with it, not only when another
// one starts: here no other sees them. This one is in INIT, where it does not
// see the end of its Runtime API.
func TestKilledWithItsBootstraps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	helper := exec.CommandContext(t.Context(), "/proc/self/exe")
	helper.Env = append(os.Environ(), helperEnv+"=init", probeEnv+"="+probe(t, lambda.X86), limitsEnv+"=none", "TMPDIR="+dir)
	helper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		helper.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "its bootstrap starts", func() bool { return len(strays(t, dir)) > 0 })
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait() // killed
	defer func() {
		for _, left := range strays(t, dir) { // if the test failed
			if pid, err := strconv.Atoi(filepath.Base(left)); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}()
	wait(t, "its bootstrap ends", func() bool { return len(strays(t, dir)) == 0 })
}

// A sandbox killed at any of twenty moments leaves nothing that the next one
// does not put right.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var pids []int
	for moment := range 20 {
		helper := exec.CommandContext(t.Context(), "/proc/self/exe")
		helper.Env = append(os.Environ(), helperEnv+"=busy", probeEnv+"="+probe(t, lambda.X86), "TMPDIR="+dir)
		if moment%2 == 1 {
			helper.Env = append(helper.Env, limitsEnv+"=none")
		}
		out, err := helper.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := helper.Start(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, helper.Process.Pid)
		lines := bufio.NewScanner(out)
		for range moment {
			if !lines.Scan() {
				t.Fatalf("the helper ended by itself: %v", helper.Wait())
			}
		}
		if err := helper.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = helper.Wait()
	}
	f := startTest(t, func(c *Config) { c.Dir = dir })
	f.needLimits()
	for _, pid := range pids {
		prefix := filepath.Join(dir, dirPrefix+strconv.Itoa(pid)+"-")
		wait(t, "all processes end, and their groups", func() bool { // another sandbox may be at it, too
			groups, err := cgroup.Groups(pid)
			return err == nil && len(groups)+len(strays(t, prefix)) == 0
		})
		if left, err := filepath.Glob(prefix + "*"); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
	}
}

// strays lists the processes whose HOME begins with something.
func strays(t *testing.T, prefix string) (found []string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range processes {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && strings.HasPrefix(homeOf(pid), prefix) {
			found = append(found, dir)
		}
	}
	return found
}

// Without groups, what a function has started ends with it all the same.
func TestStrays(t *testing.T) {
	t.Parallel()
	f := startTest(t, func(c *Config) { c.Limits = LimitsNone })
	r := f.invoke(`{"mode":"spawn"}`)
	other := f.invoke(`{"mode":"env"}`)
	if gone(r.Child) || other.report.Cold() {
		t.Fatalf("child %d is gone, or %+v is another process", r.Child, other.report)
	}
	if _, err := f.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("probe"), Description: aws.String("now cold"),
	}); err != nil {
		t.Fatal(err)
	}
	wait(t, "its child ends", func() bool { return gone(r.Child) })
}

// A process with an extension is told of its end, and ends even if it does not
// listen; another is not told.
func TestRetire(t *testing.T) {
	t.Parallel()
	for extension, want := range map[string]string{"sigterm": "warned", "quick": "", "deaf": "", "": ""} {
		file := filepath.Join(t.TempDir(), "warned")
		f := startTest(t, func(c *Config) {
			c.Functions[0].Env = map[string]string{"PROBE_EXTENSION": extension, "PROBE_FILE": file}
		})
		if want != "" { // it does not end by itself, but is to have the time to write, however busy this machine is
			f.stopLimit = 5 * time.Second
		}
		r := f.invoke(`{"mode":"echo"}`)
		if _, err := f.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{
			FunctionName: aws.String("probe"), Description: aws.String("changed"),
		}); err != nil {
			t.Fatal(err)
		}
		wait(t, "it ends", func() bool { return gone(r.PID) })
		if got, err := os.ReadFile(file); string(got) != want || want == "" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: %q, %v; want %q", extension, got, err, want)
		}
	}
}

// A process that answers and does not ask for another event is not waited for:
// the next invocation gets a new one.
func TestStuckAfterTheResponse(t *testing.T) {
	t.Parallel()
	f := startTest(t, func(c *Config) { c.Functions[0].Env = map[string]string{"PROBE_INIT": "once"} })
	f.backLimit = 2 * time.Second // a new one has to be back within it, too
	first := f.invoke(`{}`)
	second := f.invoke(`{}`)
	if second.PID == first.PID || !second.report.Cold() || second.failed != "" {
		t.Errorf("pids %d and %d, report %+v", first.PID, second.PID, second.report)
	}
	wait(t, "the first one ends", func() bool { return gone(first.PID) })
}

// A process that was busy when the configuration changed does not take another
// event with the old one.
func TestBusyProcessOfOldSettings(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	first := f.invoke(`{"mode":"echo"}`)
	busy := make(chan reply)
	go func() {
		r, err := f.try(t.Context(), `{"mode":"spin","n":2000}`)
		if err != nil {
			t.Error(err)
		}
		busy <- r
	}()
	wait(t, "it is busy", func() bool { return f.idle() == 0 })
	if _, err := f.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("probe"), Description: aws.String("changed"),
	}); err != nil {
		t.Fatal(err)
	}
	if r := <-busy; r.PID != first.PID || r.failed != "" {
		t.Errorf("the invocation under way: %+v", r)
	}
	if next := f.invoke(`{"mode":"echo"}`); next.PID == first.PID || !next.report.Cold() {
		t.Errorf("pid %d again, report %+v", next.PID, next.report)
	}
}

// An extension that fails between invocations costs its process, and no
// invocation.
func TestExtensionFailsAtRest(t *testing.T) {
	t.Parallel()
	f := startTest(t, func(c *Config) { c.Functions[0].Env = map[string]string{"PROBE_EXTENSION": "quick"} })
	atRest := func() *process {
		wait(t, "it is at rest", func() bool { return f.idle() == 1 })
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.functions["probe"].idle[0]
	}
	r := f.invoke(`{"mode":"env"}`)
	p := atRest()
	req, err := http.NewRequestWithContext(t.Context(), "POST",
		"http://"+r.Env["AWS_LAMBDA_RUNTIME_API"]+"/2020-01-01/extension/exit/error", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	req.Header.Set(extensionIDHeader, p.extensions[0].id)
	p.mu.Unlock()
	req.Header.Set(extensionErrorHeader, "Test.AtRest")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Errorf("%s, %v", resp.Status, err)
	}
	<-p.exited
	second := f.invoke(`{"mode":"echo"}`)
	// The same while an invocation is on its way to it.
	p = atRest()
	p.giveUp([]byte(`{}`))
	third := f.invoke(`{"mode":"echo"}`)
	if !second.report.Cold() || !third.report.Cold() || third.failed != "" {
		t.Errorf("reports %+v, %+v", second.report, third.report)
	}
}

// A stray of another container is left to whoever can see its sandbox.
func TestStraysElsewhere(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), dirPrefix+"99999999-1", "probe-1") // of a sandbox that is not there
	start := func(attr *syscall.SysProcAttr) *exec.Cmd {
		helper := exec.CommandContext(t.Context(), "/proc/self/exe")
		helper.Env = []string{helperEnv + "=stay", "HOME=" + home}
		helper.SysProcAttr = attr
		if err := helper.Start(); err != nil {
			t.Fatalf("start a process in namespaces of its own: %v", err)
		}
		return helper
	}
	apart := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		apart.Cloneflags |= syscall.CLONE_NEWUSER
	}
	elsewhere, here := start(apart), start(nil)
	startTest(t, nil)
	if err := here.Wait(); err == nil {
		t.Error("the stray ended well")
	}
	// It is ours to collect: it would be a zombie.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", elsewhere.Process.Pid))
	if err != nil || bytes.Contains(status, []byte("State:\tZ")) {
		t.Errorf("the other one has ended: %s, %v", status, err)
	}
	if err := elsewhere.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = elsewhere.Wait()
}

// Whose a process is, by its HOME.
func TestSandboxDir(t *testing.T) {
	for home, want := range map[string]string{
		"/tmp/fanout-sandbox-12-x/probe-1":             "/tmp/fanout-sandbox-12-x",
		"/a b/fanout-lab-1-2/fanout-sandbox-12-x/fn-1": "/a b/fanout-lab-1-2/fanout-sandbox-12-x",
		"/home/fanout-sandbox-12-x/somebody/below":     "", // not a function's
		"/home/me":                  "",
		"fanout-sandbox-12-x/probe": "",
		"/tmp/fanout-sandbox-12-x":  "",
		"":                          "",
	} {
		if got := sandboxDir(home); got != want {
			t.Errorf("%q: %q, want %q", home, got, want)
		}
	}
	for dir, want := range map[string]bool{
		"/x/fanout-sandbox-" + strconv.Itoa(os.Getpid()) + "-1": false,
		"/x/fanout-sandbox-0-1":                                 false,
		"/x/fanout-sandbox--1":                                  false,
		"/x/fanout-sandbox-99999999-1":                          true, // above the largest number
	} {
		if got := deadPID(dir); got != want {
			t.Errorf("%s: dead %v", dir, got)
		}
	}
}

// What the test binary does when it is started as a helper.
const (
	helperEnv = "SANDBOX_TEST_HELPER"
	probeEnv  = "SANDBOX_TEST_PROBE"
	limitsEnv = "SANDBOX_TEST_LIMITS"
)

func help(kind string) error {
	switch kind {
	case "stay": // until it is killed
		return syscall.Pause()
	case "limits": // print what holds a function of 1,769 MB, and how one ends that takes 600
		cfg := helperConfig()
		cfg.Functions[0].MemoryMB = 1769
		s, err := Start(cfg)
		if err != nil {
			return err
		}
		ctx, name := context.Background(), "probe"
		out, err := client(s, testCredentials).Invoke(ctx, &awslambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"mode":"echo"}`)})
		if err != nil {
			return err
		}
		if raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
			fmt.Printf("%s\n%s\n", raw.Header.Get("X-Fanout-Limits"), raw.Header.Get("X-Fanout-Cpu-Limit"))
		}
		out, err = client(s, testCredentials).Invoke(ctx, &awslambda.InvokeInput{FunctionName: &name,
			Payload: []byte(`{"mode":"alloc","n":600}`)})
		if err != nil {
			return err
		}
		var e lambda.Error
		if out.FunctionError != nil {
			e = lambda.ParseError(out.Payload)
		}
		fmt.Println(e.Type)
		if err := s.Close(); err != nil {
			return err
		}
		os.Exit(0)
	case "sandbox": // start one, have its function start a child, print both their numbers, stay
		// Under nohup a SIGHUP is ignored, and this process would stay for ever.
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		go func() { <-hangup; os.Exit(1) }()
		s, err := Start(helperConfig())
		if err != nil {
			return err
		}
		out, err := client(s, testCredentials).Invoke(context.Background(), &awslambda.InvokeInput{
			FunctionName: aws.String("probe"), Payload: []byte(`{"mode":"spawn"}`),
		})
		if err != nil {
			return err
		}
		fmt.Println(string(out.Payload))
		select {}
	case "init": // start one, and a process that stays in INIT
		cfg := helperConfig()
		cfg.Functions[0].Env = map[string]string{"PROBE_INIT": "never"}
		s, err := start(cfg, time.Hour)
		if err != nil {
			return err
		}
		_, err = client(s, testCredentials).Invoke(context.Background(), &awslambda.InvokeInput{
			FunctionName: aws.String("probe"), InvocationType: types.InvocationTypeEvent,
		})
		if err != nil {
			return err
		}
		select {}
	case "busy": // start one, and cold processes with children again and again, with a line of each step
		fmt.Println("to start")
		cfg := helperConfig()
		cfg.Log = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s, err := Start(cfg)
		if err != nil {
			return err
		}
		fmt.Println("started")
		api, ctx := client(s, testCredentials), context.Background()
		for i := 0; ; i++ {
			_, err := api.Invoke(ctx, &awslambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"mode":"spawn"}`)})
			if err != nil {
				return err
			}
			fmt.Println("invoked")
			_, err = api.UpdateFunctionConfiguration(ctx, &awslambda.UpdateFunctionConfigurationInput{
				FunctionName: aws.String("probe"), Description: aws.String(strconv.Itoa(i)),
			})
			if err != nil {
				return err
			}
			fmt.Println("updated")
		}
	}
	return fmt.Errorf("no such helper: %q", kind)
}

// helperConfig is the sandbox of a helper, as its environment says.
func helperConfig() Config {
	cfg := Config{
		Functions: []Function{{
			Name: "probe", Code: os.Getenv(probeEnv), Arch: lambda.HostArchitecture(), MemoryMB: 512, Timeout: time.Minute,
		}},
		Credentials: testCredentials, Region: testRegion, AccountID: testAccount,
	}
	if os.Getenv(limitsEnv) == "none" {
		cfg.Limits = LimitsNone
	}
	return cfg
}
