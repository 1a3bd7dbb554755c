package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/term"
)

func sandboxCommand() *cobra.Command {
	var lf labFlags
	var verbose bool
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve Lambda and S3 on loopback until interrupted",
		Long: `Serve the Lambda API and an S3 bucket with the corpus on loopback, until
interrupted. It prints the environment to export; with it the AWS CLI and every
SDK work against this machine.`,
		Example: `  fanout sandbox >env &
  . ./env; aws s3 ls s3://fanout-lab/objects/ | head
  aws lambda invoke --function-name fanout-go-x86_64-512 --log-type Tail \
    --cli-binary-format raw-in-base64-out \
    --payload '{"s3_bucket_name":"fanout-lab","find":"MyMagicString"}' out.json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return serveSandbox(c.Context(), &lf, verbose, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().SortFlags = false
	lf.add(c.Flags())
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "log each request's fate, on standard error")
	return c
}

func serveSandbox(ctx context.Context, lf *labFlags, verbose bool, stdout, stderr io.Writer) (err error) {
	if err := lf.parse("sandbox"); err != nil {
		return err
	}
	lf.Log = newLog(stderr, verbose)
	show := term.NewProgress(stderr)
	defer show.End()
	l, err := startLab(ctx, lf.Config, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	env := l.Exports()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(stdout, "export %s=%s\n", name, env[name])
	}
	fmt.Fprintf(stderr, "bucket %s holds %d objects under %s\n", lab.Bucket, lf.Corpus.Count, lf.Corpus.Prefix)
	for _, t := range l.Targets {
		fmt.Fprintf(stderr, "function %s\n", t.Function)
	}
	if limits := l.Lambda.Limits(); limits.Reason != "" {
		fmt.Fprintf(stderr, "warning: CPU and memory are not limited: %s\n", limits.Reason)
	}
	fmt.Fprintln(stderr, "serving until interrupted (Ctrl-C)")
	<-ctx.Done()
	return nil
}
