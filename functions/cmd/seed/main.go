// Command seed is the Lambda function behind the stack's custom resource
// Custom::FanoutObjects. CloudFormation asks it to put the seed objects, to
// change them, and in the end to empty the bucket.
//
// Resource properties, all text: Bucket, Prefix, Objects (their number),
// MinBytes, MaxBytes, Seed, Needle.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"fanout/functions/corpus"
)

func main() {
	s := &seeder{
		store:    &s3Store{},
		callback: &http.Client{Timeout: 10 * time.Second},
		log:      slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}
	lambda.Start(s.handle)
}

// s3Attempts is more than the SDK's three: a single object that could not be
// put fails a whole deployment.
const s3Attempts = 8

// s3Store is the store in S3. Its client is made with the first request, so
// that CloudFormation gets to hear of it when there is something wrong.
type s3Store struct{ made *s3.Client }

func (st *s3Store) client(ctx context.Context) (*s3.Client, error) {
	if st.made == nil {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("load the AWS configuration: %w", err)
		}
		st.made = s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.Retryer = retry.AddWithMaxAttempts(retry.NewStandard(), s3Attempts)
		})
	}
	return st.made, nil
}

func (st *s3Store) put(ctx context.Context, spec corpus.Spec, bucket string, progress func(done, total int)) error {
	client, err := st.client(ctx)
	if err != nil {
		return err
	}
	_, err = spec.Put(ctx, client, bucket, progress)
	return err
}

func (st *s3Store) empty(ctx context.Context, bucket, prefix string, progress func(deleted int)) error {
	client, err := st.client(ctx)
	if err != nil {
		return err
	}
	_, err = corpus.Empty(ctx, client, bucket, prefix, progress)
	return err
}
