package states

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// spool keeps the inputs of a Map Run's children in a file, one a line, so that
// the dataset is read once and ahead of the children, whatever its size, and is
// the same for a redrive. A line is a spoolHead, a tab, and the input; the
// last one is a head that says that the dataset has ended.
type spool struct {
	mu    sync.Mutex
	more  *sync.Cond // there is another line, or no more to come
	file  *os.File
	size  int64 // bytes of whole lines
	count int64 // inputs
	items int64 // in them
	after string
	ended bool  // the dataset was read to its end
	err   error // no more comes in this attempt

	reader *bufio.Reader // of its own descriptor, from the first input that was not taken
	source *os.File
	taken  int64 // inputs
	offset int64 // of the first that was not taken
}

type spoolHead struct {
	Items int64  `json:"items,omitempty"`
	After string `json:"after,omitempty"` // where reading goes on after this input: the last key, of a listing
	End   bool   `json:"end,omitempty"`
}

// child is one input of a spool.
type child struct {
	index  int64
	offset int64 // of the input
	size   int64
	items  int64
	input  json.RawMessage // nil: it has to be read
}

func openSpool(path string) (_ *spool, err error) {
	q := &spool{}
	q.more = sync.NewCond(&q.mu)
	if q.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if q.source, err = os.Open(path); err != nil {
		return nil, errors.Join(err, q.file.Close())
	}
	return q, nil
}

func (q *spool) close() error { return errors.Join(q.file.Close(), q.source.Close()) }

// scan reads what an earlier server left, calls each with every child, without
// its input, and takes off a line that was cut short.
func (q *spool) scan(each func(c child)) error {
	q.size, q.count, q.items, q.after, q.ended = 0, 0, 0, "", false
	err := eachLine(q.file, func(line []byte, offset int64) error {
		head, input, _ := bytes.Cut(line, []byte{'\t'})
		var h spoolHead
		if err := json.Unmarshal(head, &h); err != nil {
			return fmt.Errorf("%s: %w", q.file.Name(), err)
		}
		if h.End {
			q.ended = true
		} else {
			each(child{index: q.count, offset: offset + int64(len(head)) + 1, size: int64(len(input)), items: h.Items})
			q.count, q.items, q.after = q.count+1, q.items+h.Items, h.After
		}
		q.size = offset + int64(len(line)) + 1
		return nil
	})
	if err != nil {
		return err
	}
	return cutTo(q.file, q.size)
}

// add appends an input.
func (q *spool) add(input []byte, items int64, after string) error {
	head, err := json.Marshal(spoolHead{Items: items, After: after})
	if err != nil {
		return err
	}
	line := append(append(append(append(make([]byte, 0, len(head)+len(input)+2), head...), '\t'), input...), '\n')
	if _, err := q.file.Write(line); err != nil {
		return fmt.Errorf("keep a batch: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size += int64(len(line))
	q.count, q.items, q.after = q.count+1, q.items+items, after
	q.more.Broadcast()
	return nil
}

// end says that no more is added in this attempt. nil: the dataset has ended.
func (q *spool) end(err error) error {
	if err == nil {
		head, _ := json.Marshal(spoolHead{End: true}) // it always can
		n, err := q.file.Write(append(head, '\n'))
		if err == nil {
			err = q.file.Sync()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("keep the end of the batches: %w", err), q.end(err))
		}
		q.size += int64(n)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended, q.err = err == nil, err
	q.more.Broadcast()
	return nil
}

// errNoMore is the end of what a spool gives.
var errNoMore = errors.New("no more inputs")

// take gives the next input, as soon as there is one. It gives errNoMore at the
// end, or why no more come.
func (q *spool) take() (child, error) {
	q.mu.Lock()
	for q.taken == q.count && !q.ended && q.err == nil {
		q.more.Wait()
	}
	there, err := q.taken < q.count, q.err
	q.mu.Unlock()
	switch {
	case err != nil:
		return child{}, err
	case !there:
		return child{}, errNoMore
	}
	return q.read()
}

// tail reads a file that grows: its end is none while there are bytes.
type tail struct {
	file   *os.File
	offset int64
}

func (t *tail) Read(p []byte) (int, error) {
	n, err := t.file.ReadAt(p, t.offset)
	t.offset += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// read gives the input at the offset.
func (q *spool) read() (child, error) {
	if q.reader == nil {
		q.reader = bufio.NewReaderSize(&tail{q.source, q.offset}, 64<<10)
	}
	line, err := q.reader.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		// subtle: it is the end that the reader came to when it filled its buffer;
		// the rest of the line was added since.
		var rest []byte
		rest, err = q.reader.ReadBytes('\n')
		line = append(line, rest...)
	}
	if err != nil {
		return child{}, fmt.Errorf("read a batch: %w", err)
	}
	head, input, _ := bytes.Cut(line[:len(line)-1], []byte{'\t'})
	var h spoolHead
	if err := json.Unmarshal(head, &h); err != nil {
		return child{}, fmt.Errorf("read a batch: %w", err)
	}
	c := child{index: q.taken, offset: q.offset + int64(len(head)) + 1, size: int64(len(input)), items: h.Items, input: input}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken++
	q.offset += int64(len(line))
	return c, nil
}

// load reads the input of a child that has none with it.
func (q *spool) load(c *child) error {
	if c.input != nil {
		return nil
	}
	input := make([]byte, c.size)
	if _, err := q.source.ReadAt(input, c.offset); err != nil {
		return fmt.Errorf("read a batch: %w", err)
	}
	c.input = input
	return nil
}
