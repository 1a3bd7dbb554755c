package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/progress"
)

// sandboxFlags is what fanout sandbox was asked for.
type sandboxFlags struct {
	labFlags

	envFile   string
	inventory bool
	verbose   bool
}

func sandboxCommand() *cobra.Command {
	var sf sandboxFlags
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve Lambda, Step Functions and S3 on loopback until interrupted",
		Long: `Serve the Lambda API, an S3 bucket with the corpus, and Step Functions with the
state machine of fanout scan on loopback, until interrupted. It prints
environment variables for a shell, or writes them to a file that only you can
read. With them the AWS CLI and every SDK use this machine. Read them in a
separate shell: they unset AWS profiles and the like.`,
		Example: `  fanout sandbox --env-file env &
  . ./env; aws s3 ls s3://fanout-lab/objects/ | head
  aws lambda invoke --function-name fanout-go-x86_64-512 --log-type Tail \
    --cli-binary-format raw-in-base64-out \
    --payload '{"s3_bucket_name":"fanout-lab","find":"MyMagicString"}' out.json
  aws stepfunctions start-execution --name job-1 --input file://input.json \
    --state-machine-arn "$ARN"   # as the sandbox prints it`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return sf.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	c.Flags().SortFlags = false
	sf.add(c.Flags())
	c.Flags().IntVar(&sf.Concurrency, "account-concurrency", 0,
		"throttle Lambda (429) beyond this many invocations at once, of all functions; 0: never")
	c.Flags().StringVar(&sf.JobsDir, "jobs", "",
		"keep executions of state machines and their results in this `folder`, for the next sandbox to go on with")
	c.Flags().StringVar(&sf.envFile, "env-file", "",
		"write the environment to this `file`, which only you can read, instead of standard output;"+
			" it exists while the sandbox serves")
	c.Flags().BoolVar(&sf.inventory, "inventory", false, "make an S3 Inventory list of the bucket, too, and print where its manifest.json is")
	c.Flags().BoolVarP(&sf.verbose, "verbose", "v", false, "log each request, on standard error")
	return c
}

func (sf *sandboxFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := sf.parse("sandbox", false); err != nil {
		return err
	}
	if sf.Concurrency < 0 {
		return hint.Usage("see fanout help sandbox", "account-concurrency %d: must be at least 1, or 0 for no limit", sf.Concurrency)
	}
	if sf.envFile != "" {
		if err := checkEnvFile(sf.envFile); err != nil {
			return err
		}
	} else if readableByOthers(stdout) {
		fmt.Fprintln(stderr, "warning: standard output is a file that others can read, and it gets keys:"+
			" --env-file FILE makes one that they cannot")
	}
	show := progress.New(stderr)
	defer show.End()
	sf.Log, sf.Jobs = newLog(show, sf.verbose), true
	warnCut(stderr, sf.Corpus)
	l, err := startLab(ctx, sf.Config, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	fmt.Fprintf(stderr, "bucket %s contains %d objects under %s\n", lab.Bucket, sf.Corpus.Count, sf.Corpus.Prefix)
	if sf.inventory {
		show.Begin("making an inventory of", sf.Corpus.Count)
		bucket, key, err := l.Inventory(ctx, show.Count)
		show.End()
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "inventory s3://%s/%s\n", bucket, key)
	}
	for _, t := range l.Targets {
		fmt.Fprintf(stderr, "function %s\n", t.Function)
	}
	for _, m := range l.Machines {
		fmt.Fprintf(stderr, "state machine %s\n", m.ARN)
	}
	warnUnlimited(stderr, l.Lambda.Limits(), sf.Log)
	if sf.envFile == "" {
		_, err = io.WriteString(stdout, l.Shell())
	} else {
		err = writePrivate(sf.envFile, l.Shell())
		defer func() {
			if text, err := os.ReadFile(sf.envFile); err == nil && string(text) == l.Shell() {
				_ = os.Remove(sf.envFile) // its keys are worth nothing any more
			}
		}()
	}
	if err != nil {
		return hint.Failed("give another --env-file", "write the environment: %w", err)
	}
	fmt.Fprintln(stderr, "serving until interrupted (Ctrl-C)")
	<-ctx.Done()
	return nil
}

// checkEnvFile refuses a file that is somebody's own: the environment takes its
// place, and is removed in the end. An empty one, as mktemp makes it, and one
// that a killed sandbox left are none.
func checkEnvFile(path string) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return hint.Usage("create the folder first", "env-file %s: its folder does not exist", path)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var text []byte
	if err == nil && info.Mode().IsRegular() {
		if text, err = os.ReadFile(path); err == nil && (len(text) == 0 || lab.IsShell(string(text))) {
			return nil
		}
	}
	if err != nil {
		return hint.Usage("give another --env-file", "env-file: %w", err)
	}
	return hint.Usage("give another --env-file, or remove it", "env-file %s exists already, and no sandbox wrote it", path)
}

// readableByOthers says whether out is a file that other users can read.
func readableByOthers(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0
}

// writePrivate makes a file that only its owner can read. It is there as a
// whole, or not at all.
func writePrivate(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
	}
	return err
}
