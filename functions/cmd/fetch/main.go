// Command fetch is the Lambda entry point (provided.al2023): build it as
// bootstrap. CONCURRENCY and CLIENT set what an event leaves open; BUCKET names
// the bucket whose connections are opened in INIT.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"fanout/functions/fetch"
	"fanout/functions/store"
)

func main() {
	handler, err := initialize(context.Background())
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: start the function: %v\nhint: see its environment variables CLIENT and CONCURRENCY\n", err)
		os.Exit(1)
	}
	lambda.Start(handler)
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
	return handler, handler.Warm(ctx)
}
