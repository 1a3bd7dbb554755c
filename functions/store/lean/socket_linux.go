package lean

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// socket is a TCP connection whose reads and writes the Go scheduler is not told
// of. The scheduler takes a system call for one that may block: while any is under
// way its monitor looks every 20 µs whether to give the processor to another thread,
// which took a fifth of lean's CPU time. These calls cannot block, since the socket
// does not. Where there is nothing to read or no room to write, the goroutine is
// parked as net does it; deadlines and Close are net's, too.
//
// One goroutine at a time reads, and one writes.
type socket struct {
	*net.TCPConn
	raw syscall.RawConn
	in  receiving
	out sending
	// Bound once, since each binding allocates.
	receive, send func(fd uintptr) bool
}

// quick makes a socket of a TCP connection, and leaves any other as it is.
func quick(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil { // it is closed: let the first use say so
		return c
	}
	s := &socket{TCPConn: tcp, raw: raw}
	s.receive, s.send = s.in.try, s.out.try
	return s
}

func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in = receiving{into: p}
	err := s.raw.Read(s.receive)
	n, errno := s.in.n, s.in.errno
	s.in.into = nil
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, s.failure("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (s *socket) Write(p []byte) (int, error) {
	s.out = sending{rest: p}
	err := s.raw.Write(s.send)
	n, errno := len(p)-len(s.out.rest), s.out.errno
	s.out.rest = nil
	if err == nil && errno != 0 {
		err = s.failure("write", errno)
	}
	return n, err
}

// failure words an error as net does.
func (s *socket) failure(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// receiving is one read.
type receiving struct {
	into  []byte
	n     int
	errno syscall.Errno
}

// try reads once; false: there is nothing yet.
func (r *receiving) try(fd uintptr) bool {
	r.n, r.errno = untold(syscall.SYS_READ, fd, r.into)
	return r.errno != syscall.EAGAIN
}

// sending is one write.
type sending struct {
	rest  []byte
	errno syscall.Errno
}

// try writes as much as there is room for; false: there is more.
func (w *sending) try(fd uintptr) bool {
	for len(w.rest) > 0 {
		var n int
		if n, w.errno = untold(syscall.SYS_WRITE, fd, w.rest); w.errno != 0 {
			return w.errno != syscall.EAGAIN
		}
		w.rest = w.rest[n:]
	}
	return true
}

// untold makes a system call with a buffer that the scheduler is not told of.
func untold(call, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
