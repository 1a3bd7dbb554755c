package sandbox

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fanout/bench/internal/sandbox/cgroup"
)

// ownDir makes this sandbox's folder in parent.
func ownDir(parent string) (dir string, lock *os.File, err error) {
	for {
		if dir, err = os.MkdirTemp(parent, dirPrefix+strconv.Itoa(os.Getpid())+"-"); err != nil {
			return "", nil, err
		}
		lock, err = cgroup.Own(dir)
		switch {
		case err == nil:
			return dir, lock, nil
		case !os.IsNotExist(err): // else somebody else's sweep came first
			return "", nil, errors.Join(err, os.Remove(dir))
		}
	}
}

// sweep ends and removes what sandboxes that were killed have left: processes
// that no cgroup holds, wherever their folder was, and the folders in parent.
func (s *Sandbox) sweep(parent string) {
	s.killStrays(func(home string) bool {
		dir := sandboxDir(home)
		if dir == "" {
			return false
		}
		if _, err := os.Stat(dir); os.IsNotExist(err) { // it was swept away, and they stayed
			return deadPID(dir)
		}
		lock := cgroup.Abandoned(dir, dirPrefix)
		if lock == nil {
			return false
		}
		_ = lock.Close()
		return true
	})
	found, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, dir := range found {
		if lock := cgroup.Abandoned(dir, dirPrefix); lock != nil {
			_ = os.RemoveAll(dir) // what stays may be another user's
			_ = lock.Close()
		}
	}
}

// sandboxDir gives the part of a function's HOME that is its sandbox's folder;
// empty where it is nobody's.
func sandboxDir(home string) string {
	dir := filepath.Dir(home)
	if !filepath.IsAbs(home) || !strings.HasPrefix(filepath.Base(dir), dirPrefix) {
		return ""
	}
	return dir
}

// deadPID says whether the process that a folder is named for has ended.
func deadPID(dir string) bool {
	number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
	pid, err := strconv.Atoi(number)
	return err == nil && pid > 0 && unix.Kill(pid, 0) == unix.ESRCH
}

// killStrays kills the processes, of this user's and in this container, whose
// HOME is one of a function that is to end: those that left its process group
// keep it.
func (s *Sandbox) killStrays(ends func(home string) bool) {
	for range 10 { // those that it finds may be forking
		found := false
		processes, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range processes {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil || pid == os.Getpid() {
				continue
			}
			if killIf(pid, ends) {
				s.log.Warn("ended a process that a function left behind", "pid", pid)
				found = true
			}
		}
		if !found {
			return
		}
	}
}

// killIf kills a process by its HOME.
func killIf(pid int, ends func(home string) bool) bool {
	// Whatever has its number later, this is the process that is looked at.
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	home := homeOf(pid)
	if home == "" || !sameNamespaces(pid) || !ends(home) {
		return false
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// homeOf reads the HOME that a process was started with; empty, where that
// cannot be told.
func homeOf(pid int) string {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if home, ok := bytes.CutPrefix(v, []byte("HOME=")); ok {
			return string(home)
		}
	}
	return ""
}

// sameNamespaces says whether a process sees the same processes and files as
// this one.
func sameNamespaces(pid int) bool {
	return !slices.ContainsFunc([]string{"pid", "mnt"}, func(kind string) bool {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		its, err2 := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + kind)
		return err != nil || err2 != nil || own != its
	})
}
