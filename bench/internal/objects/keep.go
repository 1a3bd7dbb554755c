package objects

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// keeper writes a bucket's objects to a file as they are put, so that they
// outlive the server: one line of JSON for each write, the last one of a key
// counts. It is for buckets of small objects.
type keeper struct{ file *os.File }

// keptObject is a line of the file.
type keptObject struct {
	Key     string    `json:"key"`
	At      time.Time `json:"at"`
	Body    []byte    `json:"body"`
	Deleted bool      `json:"deleted,omitempty"`
}

// ErrInUse says that another server keeps a bucket in the file.
var ErrInUse = errors.New("in use by another process")

// KeepBucket makes a bucket without versioning whose objects are kept in a file,
// which is made if there is none, and puts into it what the file has of an
// earlier server. Of the objects only key and body are kept. The error is
// [ErrInUse] while another server has the file.
func (s *Server) KeepBucket(name, path string) error {
	if err := s.CreateBucket(name); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep bucket %s: %w", name, err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("keep bucket %s: %w", name, err)
	}
	// Two writers would cut off each other's lines. A file system without locks is
	// no reason not to begin.
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errors.Join(fmt.Errorf("keep bucket %s in %s: %w", name, path, ErrInUse), file.Close())
	}
	if err := s.restore(name, file); err != nil {
		return errors.Join(fmt.Errorf("keep bucket %s in %s: %w", name, path, err), file.Close())
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.buckets[name].kept = &keeper{file}
	return nil
}

// restore puts what the file has, and leaves it open at its end. A last line
// that was cut off is taken off.
func (s *Server) restore(bucket string, file *os.File) error {
	var whole int64
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var o keptObject
		if err := json.Unmarshal(line, &o); err != nil || o.Key == "" {
			return fmt.Errorf("byte %d: not a line of a kept bucket", whole)
		}
		if err := s.restoreObject(bucket, o); err != nil {
			return err
		}
		whole += int64(len(line))
	}
	if err := file.Truncate(whole); err != nil {
		return err
	}
	_, err := file.Seek(whole, io.SeekStart)
	return err
}

func (s *Server) restoreObject(bucket string, o keptObject) error {
	if o.Deleted {
		if refusal := s.store.delete(bucket, &deletion{key: o.Key}); refusal != nil {
			return fmt.Errorf("delete %q: %s", o.Key, refusal.message)
		}
		return nil
	}
	template := &version{key: o.Key, modified: o.At}
	v, err := s.receive(bytes.NewReader(o.Body), int64(len(o.Body)), template, newDigests(generatedAlgorithm))
	if err != nil {
		return err
	}
	if _, refusal := s.store.put(bucket, v, conditions{}); refusal != nil {
		return fmt.Errorf("put %q: %s", o.Key, refusal.message)
	}
	return nil
}

// put writes an object down before it can be seen. The store's lock is held, so
// that lines have the order of the writes.
func (k *keeper) put(v *version) error {
	if k == nil {
		return nil
	}
	r, err := v.body.open(0, v.size)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	return k.write(keptObject{Key: v.key, At: v.modified.UTC(), Body: text})
}

// delete writes down that an object is gone.
func (k *keeper) delete(key string) error {
	if k == nil {
		return nil
	}
	return k.write(keptObject{Key: key, At: time.Now().UTC(), Deleted: true})
}

func (k *keeper) write(o keptObject) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = k.file.Write(append(line, '\n')) // one write: a killed process leaves whole lines
	return err
}

func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	return k.file.Close()
}
