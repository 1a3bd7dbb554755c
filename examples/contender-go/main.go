// Command contender-go is a Lambda function of one's own that reads with lean,
// and the least that fanout asks of a contender: it takes the published event
// and gives the published answer. See README.md.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"golang.org/x/sync/errgroup"

	"fanout/functions/fetch"
	"fanout/functions/store/lean"
)

// workers is how many objects are read at once.
const workers = 64

// event is the published one.
type event struct {
	Bucket string  `json:"s3_bucket_name"`
	Folder string  `json:"folder"` // prefix of the keys
	Find   *string `json:"find"`   // nil: count the objects
}

// answer is the published one.
type answer struct {
	Lang   string  `json:"lang"`
	Detail string  `json:"detail"`
	Result string  `json:"result"` // first matching key in list order, "None", or the count
	Time   float64 `json:"time"`   // seconds
}

func main() {
	config, err := lean.ConfigFromEnv(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	client, err := lean.New(config) // one for the life of the process: it keeps its connections
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(func(ctx context.Context, ev event) (answer, error) {
		start := time.Now()
		result, err := read(ctx, client, ev)
		return answer{"go", "example", result, time.Since(start).Seconds()}, err
	})
}

// read lists the objects and reads them while it lists. Every object is read
// to its end: a failed one fails the whole.
func read(ctx context.Context, client *lean.Client, ev event) (result string, err error) {
	switch {
	case ev.Bucket == "":
		return "", errors.New("event: s3_bucket_name is missing")
	case ev.Find != nil && *ev.Find == "":
		return "", errors.New("event: find is empty; null counts the objects")
	}
	var (
		mu       sync.Mutex
		count    int
		first    = -1 // place in the list of the first match so far
		firstKey = "None"
	)
	readers, readCtx := errgroup.WithContext(ctx)
	readers.SetLimit(workers)
	listErr := client.List(readCtx, ev.Bucket, ev.Folder, func(page []fetch.Object) error {
		for _, object := range page {
			place := count
			count++
			readers.Go(func() error { // waits while all workers are busy
				var body bytes.Buffer // a Sink: lean resets it where it reads anew
				if _, err := client.Get(readCtx, ev.Bucket, object.Key, &body); err != nil {
					return fmt.Errorf("read %q: %w", object.Key, err)
				}
				if ev.Find == nil || !bytes.Contains(body.Bytes(), []byte(*ev.Find)) {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if first < 0 || place < first {
					first, firstKey = place, object.Key
				}
				return nil
			})
		}
		return nil
	})
	if err := readers.Wait(); err != nil { // first: it is why the listing was cut off
		return "", err
	}
	if listErr != nil {
		return "", fmt.Errorf("list s3://%s/%s: %w", ev.Bucket, ev.Folder, listErr)
	}
	if ev.Find == nil {
		return strconv.Itoa(count), nil
	}
	return firstKey, nil
}
