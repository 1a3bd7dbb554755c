package lean

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
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
	s.in.into = p
	err := s.raw.Read(s.receive)
	n, errno := s.in.n, s.in.errno
	s.in.into = nil
	switch {
	case err != nil:
		return 0, renamed("read", err)
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
	switch {
	case err != nil:
		return n, renamed("write", err)
	case errno != 0:
		return n, s.failure("write", errno)
	}
	return n, nil
}

// failure words an error as net does.
func (s *socket) failure(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// renamed words an error of RawConn, which has names of its own for what it does, as
// net does.
func renamed(op string, err error) error {
	var failed *net.OpError
	if errors.As(err, &failed) {
		failed.Op = op
	}
	return err
}

// receiving is one read.
type receiving struct {
	into   []byte
	n      int
	errno  syscall.Errno
	streak int // reads since the goroutine was last parked here
}

// toldEvery is after how many reads without a pause the scheduler is told of one. A
// goroutine that always finds bytes must be preempted, so that others and their
// deadlines have their turn; the monitor, which does it, sleeps until it hears of a
// call. 16 reads are 8 MB at most, some 5 ms.
const toldEvery = 16

// try reads once; false: there is nothing yet.
func (r *receiving) try(fd uintptr) bool {
	if r.streak++; r.streak == toldEvery {
		r.streak = 0
		r.n, r.errno = told(syscall.Read(int(fd), r.into))
	} else {
		r.n, r.errno = untoldRead(fd, r.into)
	}
	switch r.errno {
	case syscall.EAGAIN:
		r.streak = 0
		return false
	case syscall.EINTR:
		return r.try(fd)
	}
	return true
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
		switch n, w.errno = untoldWrite(fd, w.rest); w.errno {
		case 0:
			w.rest = w.rest[n:]
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			return true
		}
	}
	w.errno = 0
	return true
}

// told is what a call of package syscall gave, as untoldRead and untoldWrite give it.
func told(n int, err error) (int, syscall.Errno) {
	var errno syscall.Errno
	if err != nil && errors.As(err, &errno) {
		return 0, errno
	}
	return n, 0
}
