package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forker runs functions, one after another, on an OS thread of its own.
//
// subtle: two things are tied to the thread that forks. A child is born in that
// thread's cgroups, so the thread can visit a child's cgroup v1 for the fork
// and come back without the rest of this process going along. And Pdeathsig is
// sent when that thread, not the process, ends: on a thread that Go may retire
// it would kill the children at random.
type forker struct{ work chan func() }

func newForker() *forker {
	f := &forker{make(chan func())}
	started := make(chan struct{})
	var run func()
	run = func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == os.Getpid() {
			// Not the main thread: a cgroup v1 counts the memory of the
			// whole process where its main thread is. It is locked now, so
			// that the next goroutine gets another.
			other := make(chan struct{})
			go func() { defer close(other); run() }()
			<-other
			runtime.UnlockOSThread()
			return
		}
		close(started)
		for fn := range f.work {
			fn()
		}
	}
	go run()
	<-started
	return f
}

// do runs fn on the thread.
func (f *forker) do(fn func() error) error {
	done := make(chan error)
	f.work <- func() { done <- fn() }
	return <-done
}

// close ends the thread, and with it every child it has.
func (f *forker) close() { close(f.work) }

// childAttr makes a child the leader of a process group, and makes it die with
// the forker.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// maxFiles is how many file descriptors Lambda gives a function
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxFiles = 1024

// stopAtExec makes a child stop before its first instruction, for limitFiles. A
// process that is traced itself, or not allowed to trace, cannot start such a
// child.
func stopAtExec(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	attr.Ptrace = true
	return attr
}

// limitFiles gives a process that has just started its limit of files. One that
// is stopped at its exec runs from then on: to be called on the thread that
// forked it.
func limitFiles(pid int, stopped bool) error {
	if stopped {
		// Whichever comes first: its stop, or its end by a signal, which is for
		// somebody else to collect.
		err := ignoringEINTR(func() error {
			return unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		})
		if err != nil {
			return fmt.Errorf("wait for process %d to stop: %w", pid, err)
		}
	}
	limit := unix.Rlimit{Cur: maxFiles, Max: maxFiles}
	err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil)
	if stopped {
		err = errors.Join(err, unix.PtraceDetach(pid))
	}
	if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
		return fmt.Errorf("limit the files of process %d: %w", pid, err)
	}
	return nil
}

func ignoringEINTR(fn func() error) error {
	for {
		if err := fn(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// killGroup kills the process group that pid leads. That there is none left is
// no error.
func killGroup(pid int) error {
	if err := unix.Kill(-pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", pid, err)
	}
	return nil
}

// processCPU is the CPU time that a running process has had, with all of its
// threads, also those that ended.
func processCPU(pid int) (time.Duration, error) {
	// The clock of a process: see clock_getcpuclockid(3); 2 is CPUCLOCK_SCHED.
	clock := int32(^pid<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("cpu clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// rusage is what a process that ended has used. The kernel starts its peak
// memory from that of the process that forked it, so that it can be too high.
func rusage(state *os.ProcessState) (cpu time.Duration, peak int64) {
	cpu = state.UserTime() + state.SystemTime()
	if ru, ok := state.SysUsage().(*syscall.Rusage); ok {
		peak = ru.Maxrss << 10
	}
	return cpu, peak
}

// killed says whether a process ended by a SIGKILL.
func killed(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// exitText is how Lambda words the end of a runtime.
func exitText(state *os.ProcessState) string {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return fmt.Sprintf("Runtime exited with error: signal: %v", status.Signal())
	case state.ExitCode() != 0:
		return fmt.Sprintf("Runtime exited with error: exit status %d", state.ExitCode())
	}
	return "Runtime exited without providing a reason"
}
