package main

import (
	"context"
	"runtime/debug"
	"testing"

	"fanout/functions/fetch"
	"fanout/functions/store"
)

func TestTunesGC(t *testing.T) {
	for _, tt := range []struct {
		name     string
		memoryMB int
		env      map[string]string
		want     bool
	}{
		{"in Lambda", 128, nil, true},
		{"not in Lambda", 0, nil, false},
		{"the user's own target", 128, map[string]string{"GOGC": "50"}, false},
		{"the user's own limit", 128, map[string]string{"GOMEMLIMIT": "50MiB"}, false},
	} {
		got := tunesGC(fetch.Config{MemoryMB: tt.memoryMB}, func(name string) string { return tt.env[name] })
		if got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// empty is a store of an empty bucket.
type empty struct{ fetch.Store }

func (empty) List(context.Context, string, string, func([]fetch.Object) error) error { return nil }
func (empty) Connections() int64                                                     { return 0 }

// The collector follows the client that an event names, there and back.
func TestTuneGCFollows(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	h := fetch.New(fetch.Config{Client: store.Lean}, func(context.Context, string) (fetch.Store, error) { return empty{}, nil })
	h.Switched = tuneGC
	tuneGC(store.Lean)
	for _, tt := range []struct {
		client string
		want   int
	}{{"", sparingGC}, {store.Tuned, sdkGC}, {store.Tuned, sdkGC}, {"", sparingGC}, {store.Stock, sdkGC}, {store.Lean, sparingGC}} {
		if _, err := h.Handle(t.Context(), []byte(`{"s3_bucket_name":"b","client":"`+tt.client+`"}`)); err != nil {
			t.Fatal(err)
		}
		got := debug.SetGCPercent(100)
		debug.SetGCPercent(got)
		if got != tt.want {
			t.Errorf("client %q: a target of %d%%, want %d%%", tt.client, got, tt.want)
		}
	}
}

// Only a change of the client is told: setting the collector stops the process.
func TestSwitchedOnce(t *testing.T) {
	h := fetch.New(fetch.Config{Client: store.Lean}, func(context.Context, string) (fetch.Store, error) { return empty{}, nil })
	n := 0
	h.Switched = func(string) { n++ }
	for _, client := range []string{"", store.Lean, store.Tuned, store.Tuned, store.Lean} {
		if _, err := h.Handle(t.Context(), []byte(`{"s3_bucket_name":"b","client":"`+client+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Errorf("told %d times, want 2", n)
	}
}
