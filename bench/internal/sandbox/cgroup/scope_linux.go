package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// scopeEnv tells the process that ReexecInScope starts that it is that one.
const scopeEnv = "FANOUT_IN_SCOPE"

// What ReexecInScope came to: the v2 group of a scope to use, or why there is
// none.
var (
	scopeGroup   string
	scopeProblem error
)

// ReexecInScope makes limits possible where cgroups are not this user's to
// write: on cgroup v2, not as root, with systemd-run and a user bus, it
// replaces this process by itself in a delegated scope, once. Call it first
// thing in main with os.Args, before there are goroutines or open files that
// matter. It returns in all other cases, and in the scope; what stands in the
// way of limits is then in [lambda.Limits].Reason.
func ReexecInScope(args []string) {
	if os.Getenv(scopeEnv) != "" {
		// Not for what this process starts.
		scopeProblem = errors.Join(os.Unsetenv(scopeEnv), enterScope())
		return
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || os.Geteuid() == 0 {
		return
	}
	if own := parseMembership(self); own.v1["cpu"] != "" || own.v2 == "" {
		return
	}
	scopeProblem = reexec(args)
}

// scopeCommand runs what follows it in a delegated scope of the user's systemd.
var scopeCommand = []string{"systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes", "--"}

// reexec only returns with an error.
func reexec(args []string) error {
	path, err := exec.LookPath(scopeCommand[0])
	if err != nil {
		return fmt.Errorf("systemd-run: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this executable: %w", err)
	}
	// systemd-run would not come back: see first whether it can do it.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	probe := append(append([]string{}, scopeCommand[1:]...), "true")
	if out, err := exec.CommandContext(ctx, path, probe...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemd-run --user --scope: %w: %s", err, firstLine(out))
	}
	argv := append(append([]string{}, scopeCommand...), self)
	if len(args) > 0 {
		argv = append(argv, args[1:]...)
	}
	err = syscall.Exec(path, argv, append(os.Environ(), scopeEnv+"=1"))
	return fmt.Errorf("run %s: %w", path, err)
}

func firstLine(out []byte) string {
	for i, b := range out {
		if b == '\n' {
			return string(out[:i])
		}
	}
	return string(out)
}

// enterScope makes room in the scope that this process is in: the processes of
// a group that has controllers for its children must be in a child themselves.
func enterScope() error {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	_, v2, found := parseMounts(mountinfo)
	group := parseMembership(self).v2
	if !found || group == "" || group == "/" {
		return errors.New("in no scope of cgroup v2")
	}
	if err := makeRoom(v2.dir(group), os.Getpid()); err != nil {
		return err
	}
	scopeGroup = group
	return nil
}

// makeRoom moves process pid from the group at dir into a new one below it,
// and enables the controllers for dir's other children.
func makeRoom(dir string, pid int) error {
	leaf := filepath.Join(dir, "main")
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := write(leaf, "cgroup.procs", strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("enter %s: %w", leaf, err)
	}
	return enable(dir, controllers2)
}
