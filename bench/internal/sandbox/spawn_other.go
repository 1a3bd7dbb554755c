//go:build !linux

package sandbox

import (
	"errors"
	"os"
	"syscall"
	"time"
)

var errNotLinux = errors.New("there are no cgroups and no Linux processes")

type forker struct{}

func newForker() *forker { return nil }

func (*forker) do(func() error) error { return errNotLinux }

func (*forker) close() {}

func childAttr() *syscall.SysProcAttr { return nil }

func stopAtExec(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }

func limitFiles(int, bool) error { return errNotLinux }

func killGroup(int) error { return errNotLinux }

func processCPU(int) (time.Duration, error) { return 0, errNotLinux }

func rusage(state *os.ProcessState) (time.Duration, int64) {
	return state.UserTime() + state.SystemTime(), 0
}

func killed(*os.ProcessState) bool { return false }

func exitText(state *os.ProcessState) string { return state.String() }

func ownDir(string) (string, *os.File, error) {
	return "", nil, errNotLinux
}

func (*Sandbox) sweep(string) {}

func (*Sandbox) killStrays(func(string) bool) {}
