package fetch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
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

// TestWarmEnds: a bucket that does not answer takes no more of INIT than
// warmWithin.
func TestWarmEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := handlerOver(&deafStore{}, Config{Client: "fake", Bucket: "b"}).Warm(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// deafStore waits for ever for its connections.
type deafStore struct{ fakeStore }

func (*deafStore) Warm(ctx context.Context, _ string, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestAutoStart: with the connections that INIT has opened, auto starts with more
// workers on a small share; without them, with as many as anywhere.
func TestAutoStart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		store  Store
		bucket string // the function's
		want   int
	}{
		{"the function's bucket", &warmStore{}, "b", smallShareAuto},
		{"another bucket", &warmStore{}, "c", leastAuto},
		{"a client that cannot get ready", &fakeStore{}, "b", leastAuto},
	} {
		h := handlerOver(tc.store, Config{Client: "fake", Bucket: tc.bucket, MemoryMB: 128})
		got, err := h.Handle(t.Context(), []byte(`{"s3_bucket_name":"b"}`))
		if err != nil || got.Stats.Concurrency != tc.want {
			t.Errorf("%s: %d workers, %v, want %d", tc.name, got.Stats.Concurrency, err, tc.want)
		}
	}
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
