// Command fetch is the Lambda entry point (provided.al2023): build it as
// bootstrap. It answers fetch's event, and the batches and merges of a scan.
// CONCURRENCY and CLIENT set what an event leaves open; BUCKET names the bucket whose
// connections are opened in INIT.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/aws/aws-lambda-go/lambda"

	"fanout/functions/fetch"
	"fanout/functions/scan"
	"fanout/functions/store"
)

func main() {
	handler, err := initialize(context.Background())
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: start the function: %v\nhint: see its environment variables CLIENT and CONCURRENCY\n", err)
		os.Exit(1)
	}
	lambda.Start(scan.New(handler))
}

// initialize runs in INIT, where a small function has a whole vCPU.
func initialize(ctx context.Context) (*fetch.Handler, error) {
	cfg, err := fetch.ConfigFromEnv(os.Getenv, store.Default)
	if err != nil {
		return nil, err
	}
	handler := fetch.New(cfg, func(ctx context.Context, client string) (fetch.Store, error) {
		return store.Open(ctx, client)
	})
	cfg.LimitThreads(os.Getenv)
	if tunesGC(cfg, os.Getenv) {
		limitHeap(cfg.MemoryMB)
		tuneGC(cfg.Client)
		handler.Switched = tuneGC
	}
	return handler, handler.Warm(ctx)
}

// tunesGC says whether the collector is this function's to set: GOGC and GOMEMLIMIT
// go before.
func tunesGC(cfg fetch.Config, getenv func(string) string) bool {
	return cfg.MemoryMB > 0 && getenv("GOGC") == "" && getenv("GOMEMLIMIT") == ""
}

// limitHeap keeps the heap within the memory size: from two fifths of it on, the
// collector runs as often as it must.
func limitHeap(memoryMB int) { debug.SetMemoryLimit(int64(memoryMB) << 20 * 2 / 5) }

// The collector's targets, as GOGC.
const (
	sparingGC = 100 // Go's own
	sdkGC     = 400
)

// tuneGC sets the collector to a client. One that makes a lot of garbage, as the
// SDK does, lets it pile up to five times the live heap, instead of twice: tuned's
// CPU an object went from 243 to 201 and from 246 to 221 µs at 512 MB, and from 279
// to 252 and from 303 to 293 at 1,769 (medians of 9, interleaved, two runs; at 128 MB
// one run said better, one worse). Lean makes next to none; there it would only cost
// memory. An event that names another client than the one before sets it anew, so
// that a run measures each as it is when it is deployed alone.
func tuneGC(client string) {
	percent := sdkGC
	if client == store.Lean {
		percent = sparingGC
	}
	debug.SetGCPercent(percent)
}
