// Command contender is a bootstrap that nobody here wrote, as far as the tests
// are concerned: it knows the published event and answer only, or, as foreign,
// all of the contract with a client of its own. mode, set by the linker, says
// which, and what is wrong with it.
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

// foreign is the name of a client that this repository knows nothing of.
const foreign = "foreign"

func main() {
	if mode == foreign {
		lambda.Start(fetch.New(fetch.Config{Client: foreign}, func(ctx context.Context, client string) (fetch.Store, error) {
			if client != foreign {
				return nil, &fetch.Error{Type: fetch.InvalidEvent, Message: "event: client " + client + ": must be " + foreign}
			}
			return store.Open(ctx, store.Default)
		}))
	}
	handler := fetch.New(fetch.Config{Client: store.Default}, func(ctx context.Context, client string) (fetch.Store, error) {
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
		case "dropping": // what cannot be read is left out, and nobody is told
			var ev map[string]any
			if err := json.Unmarshal(payload, &ev); err != nil {
				return nil, err
			}
			ev["on_error"] = fetch.OnErrorContinue
			var err error
			if payload, err = json.Marshal(ev); err != nil {
				return nil, err
			}
		case "wrong":
			return answer{"go", mode, "objects/nope", 0.001}, nil
		}
		r, err := handler.Handle(ctx, payload)
		return answer{r.Lang, mode, r.Result, r.Time}, err
	})
}
