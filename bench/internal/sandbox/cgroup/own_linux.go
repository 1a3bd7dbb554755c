package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// makeOwn makes a folder that is this process's as long as the file that it
// gives is open: see [Abandoned].
func makeOwn(dir string) (*os.File, error) {
	for {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		lock, err := Own(dir)
		if !errors.Is(err, os.ErrNotExist) {
			return lock, err
		} // swept away before it was locked
	}
}

// Own marks a folder as this process's, as long as the file that it gives is
// open. The error is [os.ErrNotExist] if the folder was taken for abandoned in
// between and removed.
func Own(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	// It waits for somebody who is looking whether it is abandoned. A file
	// system without locks is no reason to stop: processes are still told by
	// their number.
	if err := flock(f, unix.LOCK_EX); err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOLCK) {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	mine, err := f.Stat()
	there, err2 := os.Stat(dir)
	if err := errors.Join(err, err2); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !os.SameFile(mine, there) {
		return nil, errors.Join(os.ErrNotExist, f.Close())
	}
	return f, nil
}

// Abandoned opens and locks a folder, named PREFIX-PID-…, if the process that
// made it has ended: there is none of that number, and nobody holds its lock,
// which tells of processes that cannot be seen from here, as in another
// container. Else it gives nil.
func Abandoned(dir, prefix string) *os.File {
	rest, ok := strings.CutPrefix(filepath.Base(dir), prefix)
	number, _, found := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	if !ok || !found || err != nil || pid <= 0 || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	if flock(f, unix.LOCK_EX|unix.LOCK_NB) != nil {
		_ = f.Close()
		return nil
	}
	return f
}

// flock tries again when a signal came, as the Go runtime sends them.
func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// sweep kills what processes that ended have left in their groups below dir,
// and removes the groups. What cannot be removed stays: it may be another
// user's.
func sweep(dir string) {
	found, _ := filepath.Glob(filepath.Join(dir, groupPrefix+"*"))
	for _, path := range found {
		lock := Abandoned(path, groupPrefix)
		if lock == nil {
			continue
		}
		sweepTree(path)
		_ = lock.Close()
	}
}

// sweepTree removes a group and those below it.
func sweepTree(dir string) {
	children, _ := os.ReadDir(dir)
	for _, child := range children {
		if child.IsDir() {
			sweepTree(filepath.Join(dir, child.Name()))
		}
	}
	_ = removeGroup(dir, func() error { return killAll(dir) }) // see sweep
}
