package objects

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

// body is the bytes of an object or a part.
type body interface {
	// open gives the length bytes from offset, which are there. The error is
	// os.ErrNotExist where the body is gone.
	open(offset, length int64) (io.ReadCloser, error)
	// free gives back what the body takes. Those who read it read on.
	free()
}

// bodies keeps what is put: in memory as long as there is room, then in files.
type bodies struct {
	dir     string
	limit   int64 // bytes in memory
	used    atomic.Int64
	spilled atomic.Int64 // names the next file
}

// receive reads a body of size bytes.
func (b *bodies) receive(input io.Reader, size int64) (body, error) {
	if b.used.Add(size) > b.limit {
		b.used.Add(-size)
		return b.spill(input, size)
	}
	m := &memoryBody{data: make([]byte, size), of: b}
	if err := readWhole(input, m.data); err != nil {
		m.free()
		return nil, err
	}
	return m, nil
}

// readWhole fills p with all that input gives, no more and no less.
func readWhole(input io.Reader, p []byte) error {
	if _, err := io.ReadFull(input, p); err != nil {
		return shortBody(err)
	}
	return atEnd(input)
}

// shortBody tells a body that ends too early from one that cannot be read.
func shortBody(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &bodyRefusal{errIncomplete}
	}
	return err
}

// atEnd reads on to the end of input, where the readers of this package say
// what is wrong with a body as a whole.
func atEnd(input io.Reader) error {
	var one [1]byte
	for {
		n, err := input.Read(one[:])
		switch {
		case n > 0:
			return &bodyRefusal{errIncomplete}
		case err == io.EOF:
			return nil
		case err != nil:
			return shortBody(err)
		}
	}
}

func (b *bodies) spill(input io.Reader, size int64) (_ body, err error) {
	path := filepath.Join(b.dir, strconv.FormatInt(b.spilled.Add(1), 10))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spill a body: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path) // the first error is the one to report
		}
	}()
	if _, err = io.CopyN(f, input, size); err == nil {
		err = atEnd(input)
	} else {
		err = shortBody(err)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("spill a body to %s: %w", path, err)
	}
	return fileBody(path), nil
}

// memoryBody is a body in memory.
type memoryBody struct {
	data []byte
	of   *bodies
}

func (m *memoryBody) open(offset, length int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m.data[offset : offset+length])), nil
}

func (m *memoryBody) free() { m.of.used.Add(-int64(len(m.data))) }

// fileBody is a body in the file of that name.
type fileBody string

func (f fileBody) open(offset, length int64) (io.ReadCloser, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return nil, err
	}
	return readCloser{io.NewSectionReader(file, offset, length), file}, nil
}

// free removes the file: Close removes the folder, and so the rest.
func (f fileBody) free() { _ = os.Remove(string(f)) }

type readCloser struct {
	io.Reader
	io.Closer
}

// joinedBody is the parts of an upload, one after another.
type joinedBody []*part

func (j joinedBody) open(offset, length int64) (io.ReadCloser, error) {
	var readers []io.Reader
	var files closers
	for _, p := range j {
		if offset >= p.size {
			offset -= p.size
			continue
		}
		n := min(length, p.size-offset)
		r, err := p.body.open(offset, n)
		if err != nil {
			return nil, errors.Join(err, files.Close())
		}
		readers, files = append(readers, r), append(files, r)
		if offset, length = 0, length-n; length == 0 {
			break
		}
	}
	return readCloser{io.MultiReader(readers...), files}, nil
}

func (j joinedBody) free() {
	for _, p := range j {
		p.body.free()
	}
}

type closers []io.Closer

func (c closers) Close() (err error) {
	for _, each := range c {
		err = errors.Join(err, each.Close())
	}
	return err
}
