package sandbox

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// logTail is how much of a log Lambda gives with an invocation.
const logTail = 4 << 10

// processLog is what a process and its children write to their standard output
// and error: a pipe, of which the end is kept. So a log has no file, which
// would grow without bound and, on a tmpfs, count as the function's memory.
type processLog struct {
	read, write *os.File

	mu     sync.Mutex
	tail   []byte // the end of what came since it was last taken
	buf    []byte
	closed bool
}

func newProcessLog() (*processLog, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// The process is to wait where the pipe is full, not to meet an error.
	if err := syscall.SetNonblock(int(write.Fd()), false); err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	return &processLog{read: read, write: write, buf: make([]byte, 64<<10)}, nil
}

// follow reads until all who write are gone, or close.
func (l *processLog) follow() error {
	conn, err := l.read.SyscallConn()
	if err != nil {
		return err
	}
	err = conn.Read(func(fd uintptr) (done bool) {
		for {
			n, more := l.readSome(fd)
			if !more {
				return n == 0 // the end, or nothing now
			}
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	return err
}

// readSome reads what there is, up to a buffer; more says that there may be
// more. At the end n is 0, where there is nothing now it is negative.
func (l *processLog) readSome(fd uintptr) (n int, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		n, err := syscall.Read(int(fd), l.buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return -1, false
		case err != nil || n <= 0:
			return 0, false
		}
		l.tail = append(l.tail, l.buf[:n]...)
		l.tail = append(l.tail[:0], l.tail[max(0, len(l.tail)-logTail):]...)
		return n, true
	}
}

// pipeLimit is the most that a pipe of an unprivileged user holds (pipe(7)).
const pipeLimit = 1 << 20

// take gives the end of what was written since it was last taken, with all
// that the process wrote before this call.
func (l *processLog) take() ([]byte, error) {
	err := l.drain()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !l.closed {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	tail := l.tail
	l.tail = nil
	return tail, nil
}

// drain reads what is in the pipe.
func (l *processLog) drain() error {
	conn, err := l.read.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) {
		for sum := 0; sum < pipeLimit; { // another may write on and on
			n, more := l.readSome(fd)
			if !more {
				return
			}
			sum += n
		}
	})
}

// close leaves what is in the pipe to be taken, and ends follow.
func (l *processLog) close() error {
	err := l.drain()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return errors.Join(err, l.read.Close())
}
