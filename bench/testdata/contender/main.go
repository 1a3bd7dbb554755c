// Command contender is a bootstrap that nobody here wrote, as far as the tests
// are concerned: it knows the published event and answer only. mode, set by
// the linker, says what is wrong with it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"fanout/functions/fetch"
	"fanout/functions/store"
	_ "fanout/functions/store/sdk" // has tuned
)

var mode = "published"

// event is the published one; anything more is an error.
type event struct {
	Bucket string  `json:"s3_bucket_name"`
	Folder string  `json:"folder"`
	Find   *string `json:"find"`
}

// answer is the published one.
type answer struct {
	Lang   string  `json:"lang"`
	Detail string  `json:"detail"`
	Result string  `json:"result"`
	Time   float64 `json:"time"`
}

var hog [][]byte

func main() {
	handler := fetch.New(fetch.Config{Client: store.Tuned}, func(ctx context.Context, client string) (fetch.Store, error) {
		return store.Open(ctx, client)
	})
	lambda.Start(func(ctx context.Context, payload json.RawMessage) (any, error) {
		dec := json.NewDecoder(bytes.NewReader(payload))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&event{}); err != nil {
			return nil, err
		}
		switch mode {
		case "hungry": // at 128 MB only: grows past its memory
			for os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") == "128" {
				hog = append(hog, bytes.Repeat([]byte{1}, 1<<20))
			}
		case "wrong":
			return answer{"go", mode, "objects/nope", 0.001}, nil
		}
		r, err := handler.Handle(ctx, payload)
		return answer{r.Lang, mode, r.Result, r.Time}, err
	})
}
