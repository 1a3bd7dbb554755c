// Command seed is the Lambda function behind the stack's custom resource
// Custom::FanoutObjects. CloudFormation asks it to put the seed objects, to
// change them, and in the end to take them away.
//
// It deletes seed objects only. Where somebody else's object is in the way, a
// request is refused and nothing is changed; a delete of the last thing in a
// bucket that holds such objects is refused, too, unless EmptyBucket is true.
//
// Resource properties, all text: Bucket, Prefix, Objects (their number),
// MinBytes, MaxBytes, ShapeJSON (if there is one), Seed, NeedleJSON, EmptyBucket.
//
// For the custom resource Custom::FanoutResults, which stands for the results
// of scans, it only deletes: what is under Prefix in Bucket, if there is nothing
// else in it, or everything if EmptyBucket is true.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
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

// http1 keeps a transport to HTTP/1.1, the only version that S3 speaks. A server
// that offers HTTP/2, as a local AWS may, can end a connection in the middle of
// requests, which the SDK does not try again.
func http1(t *http.Transport) {
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig != nil {
		t.TLSClientConfig.NextProtos = nil // what an earlier use of the transport has offered
	}
}

func (st *s3Store) client(ctx context.Context) (*s3.Client, error) {
	if st.made == nil {
		cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(http1)))
		if err != nil {
			return nil, fmt.Errorf("load the AWS configuration: %w", err)
		}
		st.made = s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.Retryer = retry.AddWithMaxAttempts(retry.NewStandard(), s3Attempts)
		})
	}
	return st.made, nil
}

func (st *s3Store) replace(
	ctx context.Context, bucket string, spec corpus.Spec, earlier []corpus.Spec, progress func(done, total int),
) error {
	client, err := st.client(ctx)
	if err != nil {
		return err
	}
	_, err = spec.Replace(ctx, client, bucket, earlier, progress)
	return err
}

func (st *s3Store) remove(ctx context.Context, bucket string, specs []corpus.Spec, progress func(deleted int)) error {
	client, err := st.client(ctx)
	if err != nil {
		return err
	}
	_, err = corpus.Remove(ctx, client, bucket, specs, progress)
	return err
}

func (st *s3Store) emptyOnly(ctx context.Context, bucket, prefix string, progress func(deleted int)) error {
	client, err := st.client(ctx)
	if err != nil {
		return err
	}
	_, err = corpus.EmptyOnly(ctx, client, bucket, prefix, progress)
	return err
}

func (st *s3Store) empty(ctx context.Context, bucket string, progress func(deleted int)) error {
	client, err := st.client(ctx)
	if err != nil {
		return err
	}
	_, err = corpus.Empty(ctx, client, bucket, "", progress)
	return err
}
