//go:build race

package lean

import "syscall"

// The race detector learns from package syscall alone that what one end of a
// connection wrote happened before the other end read it.

func untoldRead(fd uintptr, p []byte) (int, syscall.Errno) { return told(syscall.Read(int(fd), p)) }

func untoldWrite(fd uintptr, p []byte) (int, syscall.Errno) { return told(syscall.Write(int(fd), p)) }
