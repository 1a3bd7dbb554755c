// Package cgroup holds processes to CPU and memory by Linux control groups, of
// version 1 or 2, whichever this machine has its controllers in. [Find] finds
// groups that this process may use; where that takes a delegated systemd scope,
// main calls [ReexecInScope] before anything else.
package cgroup

import (
	"os/exec"
	"time"
)

// Fork runs a function on the thread that forks: in cgroup v1 a child is born
// in the groups of that thread, which enters them for the fork.
type Fork func(func() error) error

// Parent is a group of this process's own, in which each process gets one.
type Parent interface {
	// Create makes a group that is held to memory, in bytes, and vcpu, and to
	// the ceiling.
	Create(memory int64, vcpu float64) (Group, error)
	// Ceiling is the most that a group gets here, whatever it is created with:
	// what the groups above have, and this machine. No CPU limit is +Inf.
	Ceiling() (vcpu float64, memory int64)
	// Dirs are its folders, one in each hierarchy.
	Dirs() []string
	// Close removes the parent, which must have no groups.
	Close() error
}

// Group holds one process, and what it starts, to its CPU and memory.
type Group interface {
	// Start starts cmd, which is in the group from its birth.
	Start(cmd *exec.Cmd) error
	SetCPU(vcpu float64) error
	// CPU is the CPU time that its processes have had, also those that ended.
	CPU() (time.Duration, error)
	// Peak is the most memory charged to the group, in bytes: with page cache.
	Peak() (int64, error)
	// OOMKills is how many of its processes the kernel has killed for memory.
	OOMKills() (int64, error)
	// PIDs lists its processes; none, if it is not there any more.
	PIDs() ([]int, error)
	// Kill kills all of its processes; it does not wait.
	Kill() error
	// Remove removes the group, killing what is in it, and waits for the kernel
	// to let it go.
	Remove() error
}
