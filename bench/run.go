package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/report"
	"fanout/bench/internal/report/page"
	"fanout/bench/internal/report/write"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
)

func runCommand() *cobra.Command {
	var rf runFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Measure settings, one result line for each invocation",
		Long: `Measure settings and write one JSON line for each invocation, and in the end a
page that shows what they say.

Without an AWS account: the functions' real bootstraps run on this machine, each
held to its memory's share of CPU and memory, against an embedded S3. Those
times are the sandbox's, not AWS's.

With --stack or --function: deployed functions, by your AWS configuration.
Cold starts are made by changing the functions' description, and it is changed
back in the end, after Ctrl-C too. --memory and --arch then choose among the
functions there are.`,
		Example: `  fanout run
  fanout run --memory 512 --concurrency 64 --client stock,tuned
  fanout run --memory 128,1769 --contender rust=build/rust/x86_64/bootstrap
  fanout run --precision 5% --budget 20m
  fanout run --stack Fanout --arch arm64 --concurrency 64 --budget 0.50,20m`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return rf.run(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	rf.add(c.Flags())
	return c
}

// run measures. Everything that can be wrong with the flags is found before
// anything is created or called.
func (rf *runFlags) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	if err := rf.parse(); err != nil {
		return err
	}
	options, err := rf.prices.options("run")
	if err != nil {
		return err
	}
	now := time.Now()
	if rf.out == "" {
		rf.out = filepath.Join("results", now.Format("20060102-150405"))
	}
	path := filepath.Join(rf.out, trial.FileName)
	if _, err := os.Stat(path); err == nil {
		return hint.Usage("give another --out, or remove it", "%s is there already", path)
	}
	progressTo := stderr
	if rf.quiet {
		progressTo = io.Discard
	}
	show := term.NewProgress(progressTo)
	defer show.End()
	rf.Log = newLog(show, rf.verbose)
	if rf.quiet {
		rf.Log = newLog(stderr, rf.verbose)
	}
	runner := trial.Runner{
		Header: trial.Header{
			Version: version, Run: now.UTC().Format("20060102T150405.000Z"), Host: host(), Prices: options.Prices.Date, At: now.UTC(),
		},
		Progress: show.Step,
	}
	if rf.deployed() {
		err = rf.connect(ctx, &runner, stderr)
	} else {
		var l *lab.Lab
		if l, err = rf.startLab(ctx, &runner, show); l != nil {
			defer func() { err = errors.Join(err, l.Close()) }()
		}
	}
	if err != nil {
		return err
	}
	if l := runner.Header.Limits; l.None() {
		fmt.Fprintf(stderr, "warning: CPU and memory are not limited (%s): memory sizes mean nothing in this run\n", l.Reason)
	}
	if _, express := lambda.DirectoryBucket(runner.Bucket); express {
		runner.Header.Class = string(cost.Express)
	}
	guard, err := rf.bounds.guard(options, &runner)
	if err != nil {
		return err
	}
	fmt.Fprintln(progressTo, guard.Estimate())
	if err := confirm(ctx, runner.Header.Backend, rf.bounds.yes, stdin, stderr); err != nil {
		return err
	}
	file, err := createResults(path)
	if err != nil {
		return err
	}
	runner.Guard, runner.Out = guard, file
	runErr := runner.Run(ctx)
	show.End()
	if err := file.Close(); err != nil {
		return hint.Failed("see the disk's free space", "write results: %w", err)
	}
	return rf.show(ctx, stdout, stderr, path, options, runErr)
}

// createResults makes a new result file, and its folder.
func createResults(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, hint.Failed("give another --out", "make the results' folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, hint.Failed("give another --out", "write results: %w", err)
	}
	return file, nil
}

// show prints what the file says was measured, and how the run ended, and
// writes the page, whether or not standard output takes the report. runErr is
// what ended the run.
func (rf *runFlags) show(ctx context.Context, stdout, stderr io.Writer, path string, o report.Options, runErr error) error {
	help := "fanout report " + filepath.Dir(path) + " shows what was measured until then"
	file, err := trial.ReadPath(path)
	if err != nil {
		return errors.Join(runErr, err)
	}
	for _, w := range file.End.Warnings {
		fmt.Fprintf(stderr, "warning: %s\n", term.Clean(w))
	}
	if ctx.Err() != nil {
		return hint.Failed(help, "%w", runErr)
	}
	if errors.Is(runErr, trial.ErrNothingRead) {
		return hint.Failed("name a prefix that has objects: --prefix for --function; for a stack, deploy it again with -c prefix=PREFIX/",
			"%w", runErr)
	}
	if runErr != nil && !errors.Is(runErr, trial.ErrWrongAnswer) && len(file.Results) == 0 {
		return hint.Failed("nothing was measured: "+file.End.Reason, "%w", runErr)
	}
	if runErr == nil && file.End.Text != "" {
		fmt.Fprintln(stderr, term.CleanLines(file.End.Text))
	}
	r := report.New(file, o)
	pagePath := filepath.Join(filepath.Dir(path), pageName)
	pageErr := writeFile(pagePath, func(w io.Writer) error { return page.Write(w, r) })
	show := write.Text
	if rf.json {
		show = write.JSON
	}
	err = show(stdout, r)
	if err == nil && !rf.json {
		_, err = fmt.Fprintf(stdout, "results: %s\npage: %s\n", path, pagePath)
	}
	switch {
	case errors.Is(runErr, trial.ErrWrongAnswer):
		return hint.Failed("a fast wrong answer is a failure: see error_type in "+path, "%w", runErr)
	case runErr != nil:
		return hint.Failed(help, "%w", runErr)
	case pageErr != nil:
		return pageErr
	case err != nil:
		return hint.Failed("the report is in "+pagePath, "write the report to standard output: %w", err)
	}
	return nil
}

// pageName is what the page is called, beside the results.
const pageName = "report.html"

// startLab starts the functions on this machine and tells the runner of them.
func (rf *runFlags) startLab(ctx context.Context, runner *trial.Runner, show *term.Progress) (*lab.Lab, error) {
	l, err := startLab(ctx, rf.Config, show)
	if err != nil {
		return nil, err
	}
	runner.Lambda, runner.Targets, runner.Bucket = l.Client(), l.Targets, lab.Bucket
	runner.Expected = trial.Expect(rf.Corpus, rf.plan.Count)
	h := &runner.Header
	h.Backend, h.Network, h.Limits = trial.Sandbox, string(rf.Network), l.Lambda.Limits()
	h.Plan, h.Corpus, h.Bytes = rf.plan, rf.Corpus, runner.Expected.Bytes
	return l, nil
}
