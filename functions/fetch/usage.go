package fetch

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// cpuTime is the user and system time that this process has used so far.
func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0 // only possible for a bad argument
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// maxRSS is the process's peak resident memory in bytes. On Linux it is VmHWM:
// ru_maxrss survives exec, and so begins with the peak of whoever started us.
func maxRSS() int64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		if _, rest, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
			line, _, _ := bytes.Cut(rest, []byte("kB"))
			if kb, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(ru.Maxrss) // bytes there, kilobytes elsewhere
	}
	return int64(ru.Maxrss) << 10
}

// maxConnections bounds [MaxConnections] where the process may open any number of
// files.
const maxConnections = 1 << 16

// MaxConnections is how many connections a [Store] may hold: as many as this
// process may open files (RLIMIT_NOFILE: Lambda gives 1,024) but for 64, or a
// quarter where that is less, which are for everything else.
func MaxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return MaxConcurrency // only possible for a bad argument
	}
	files := int(min(limit.Cur, maxConnections))
	return max(files-min(64, files/4), 1)
}

// wakeMonitor makes a system call that does nothing, but that the Go scheduler is told
// of. Its monitor, which has goroutines that compute for long take turns, sleeps while
// all wait for the network, and only such a call wakes it; a [Store] may make others
// (see package lean).
func wakeMonitor() {
	var none syscall.Stat_t
	_ = syscall.Fstat(-1, &none) // of no file
}
