package fetch

import (
	"context"
	"errors"
	"testing"
)

// warmStore notes what it was asked to get ready for.
type warmStore struct {
	fakeStore
	bucket      string
	connections int
	err         error
}

func (s *warmStore) Warm(_ context.Context, bucket string, connections int) error {
	s.bucket, s.connections = bucket, connections
	return s.err
}

func TestWarm(t *testing.T) {
	for _, tc := range []struct {
		name        string
		cfg         Config
		err         error
		bucket      string
		connections int
	}{
		{"as many as auto starts with", Config{Client: "fake", Bucket: "b", MemoryMB: 128}, nil, "b", smallShareAuto},
		{"as many as auto starts with at one vCPU", Config{Client: "fake", Bucket: "b", MemoryMB: 1769}, nil, "b", leastAuto},
		{"as many as the function has workers", Config{Client: "fake", Bucket: "b", Concurrency: 7}, nil, "b", 7},
		{"no bucket known", Config{Client: "fake"}, nil, "", 0},
		{"what fails ahead is tried again later", Config{Client: "fake", Bucket: "b"}, errors.New("refused"), "b", leastAuto},
	} {
		s := &warmStore{err: tc.err}
		if err := handlerOver(s, tc.cfg).Warm(t.Context()); err != nil || s.bucket != tc.bucket || s.connections != tc.connections {
			t.Errorf("%s: %d connections to %q, %v", tc.name, s.connections, s.bucket, err)
		}
	}
	// A store that cannot get ready is opened all the same; one that cannot be
	// opened ends INIT.
	if err := handlerOver(&fakeStore{}, Config{Client: "fake", Bucket: "b"}).Warm(t.Context()); err != nil {
		t.Error(err)
	}
	if err := handlerOver(&fakeStore{}, Config{Client: "nope"}).Warm(t.Context()); err == nil {
		t.Error("an unknown client did not end INIT")
	}
}
