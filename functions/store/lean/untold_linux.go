//go:build !race

package lean

import (
	"syscall"
	"unsafe"
)

// untoldRead reads from a socket once. The scheduler is not told.
func untoldRead(fd uintptr, p []byte) (int, syscall.Errno) { return untold(syscall.SYS_READ, fd, p) }

// untoldWrite writes to a socket once. The scheduler is not told.
func untoldWrite(fd uintptr, p []byte) (int, syscall.Errno) { return untold(syscall.SYS_WRITE, fd, p) }

func untold(call, fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
