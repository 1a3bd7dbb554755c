package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/progress"
	"fanout/functions/corpus"
)

// seedFlags is what fanout seed was asked for.
type seedFlags struct {
	spec             corpus.Spec
	bucket, endpoint string
	aws, empty       bool
}

func seedCommand() *cobra.Command {
	var sf seedFlags
	c := &cobra.Command{
		Use:   "seed --bucket NAME (--endpoint URL | --aws)",
		Short: "Put the corpus into a bucket, or empty it",
		Long: `Put the corpus into a bucket: objects that exist already are kept, surplus ones
are removed, and an interrupted run continues where it stopped. With --empty,
remove everything under the prefix instead, including all versions.`,
		Example: `  fanout seed --bucket my-bucket --aws
  fanout seed --bucket my-bucket --aws --prefix '' --empty`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return sf.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&sf.bucket, "bucket", "", "name of the bucket (required)")
	c.Flags().StringVar(&sf.endpoint, "endpoint", "", "S3 endpoint `URL` (else AWS_ENDPOINT_URL_S3)")
	c.Flags().BoolVar(&sf.aws, "aws", false, "the bucket is in AWS itself: requests cost money")
	c.Flags().BoolVar(&sf.empty, "empty", false, "remove every object under the prefix, including all versions")
	corpusFlags(c.Flags(), &sf.spec)
	return c
}

func (sf *seedFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	const help = "see fanout help seed"
	explicit := sf.endpoint != "" || os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != ""
	switch {
	case sf.bucket == "":
		return hint.Usage(help, "no bucket: give --bucket")
	case sf.aws && sf.endpoint != "":
		return hint.Usage(help, "--aws and --endpoint are mutually exclusive")
	case !sf.aws && !explicit:
		return hint.Usage("--aws says that AWS itself is meant", "no endpoint: give --endpoint, AWS_ENDPOINT_URL_S3 or --aws")
	}
	if err := sf.spec.Validate(); err != nil {
		return hint.Usage(help, "%w", err)
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return hint.Failed("check your AWS profile and environment", "read the AWS configuration: %w", err)
	}
	client := s3.NewFromConfig(cfg, sf.setEndpoint)
	if !sf.aws && aws.ToString(client.Options().BaseEndpoint) == "" {
		return hint.Usage("give --endpoint; --aws says that AWS itself is meant",
			"no endpoint: that of the environment is ignored, by AWS_IGNORE_CONFIGURED_ENDPOINT_URLS or the profile")
	}
	show := progress.New(stderr)
	defer show.End()
	if sf.empty {
		n, err := corpus.Empty(ctx, client, sf.bucket, sf.spec.Prefix, nil)
		if err != nil {
			return hint.Failed(hint.AWS(err, "run it again: it continues where it stopped"), "empty the bucket, %d removed so far: %w", n, err)
		}
		fmt.Fprintf(stdout, "removed %d objects and versions from s3://%s/%s\n", n, sf.bucket, sf.spec.Prefix)
		return nil
	}
	warnCut(stderr, sf.spec)
	beginObjects(show, "seeding", sf.spec)
	r, err := sf.spec.Put(ctx, client, sf.bucket, show.Count)
	show.End()
	var foreign *corpus.ForeignError
	if errors.As(err, &foreign) {
		return hint.Failed("move them, or choose another --prefix: nothing was changed", "put the corpus: %w", err)
	}
	if err != nil {
		return hint.Failed(hint.AWS(err, "run it again: it continues where it stopped"), "put the corpus: %w", err)
	}
	fmt.Fprintf(stdout, "s3://%s/%s: %d objects put, %d kept, %d removed\n", sf.bucket, sf.spec.Prefix, r.Put, r.Kept, r.Removed)
	return nil
}

// setEndpoint makes --endpoint or --aws count, whatever endpoints the environment
// and a profile have.
func (sf *seedFlags) setEndpoint(o *s3.Options) {
	switch {
	case sf.aws:
		o.BaseEndpoint = nil
	case sf.endpoint != "":
		o.BaseEndpoint = &sf.endpoint
	}
	o.UsePathStyle = o.UsePathStyle || aws.ToString(o.BaseEndpoint) != "" // local ones have no names for buckets
}
