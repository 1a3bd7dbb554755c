package sandbox

import (
	"os/exec"
	"time"
)

// cgroups makes one group a process, below one that is this sandbox's own.
type cgroups interface {
	create(memory int64, vcpu float64) (group, error)
	close() error
}

// group holds one process, and what it starts, to its CPU and memory.
type group interface {
	// start starts cmd, which is in the group from its birth.
	start(f *forker, cmd *exec.Cmd) error
	// try says whether start will be possible, as far as that can be told.
	try(f *forker) error
	setCPU(vcpu float64) error
	cpu() (time.Duration, error)
	// peak is the most memory charged to the group, in bytes: with page cache.
	peak() (int64, error)
	oomKilled() (bool, error)
	pids() ([]int, error)
	kill() error
	// remove removes the group, waiting for the kernel to let it go.
	remove() error
}
