package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/report"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

func runCommand() *cobra.Command {
	var rf runFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Measure settings and write one result line per invocation",
		Long: `Measure settings and write one JSON line per invocation, and in the end a page
that presents the results.

Without --stack and --function, no AWS account is needed: the functions' real
bootstraps run on this machine, against an embedded S3. Each is limited to the
CPU and memory of its memory size. These times are the sandbox's, not AWS's.

` + contenderHelp + `

With --stack or --function, deployed functions are measured, with your AWS
configuration. Cold starts are forced by changing the functions' description,
which is changed back in the end, even after Ctrl-C. --memory and --arch then
select from the deployed functions.`,
		Example: `  fanout run
  fanout run --memory 512 --concurrency 64 --client stock,tuned
  fanout run --memory 128,1769 --contender rust=build/rust/x86_64/bootstrap
  fanout run --contender mine=app.zip,runtime=python3.13,handler=app.handler
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
	for _, there := range []string{path, filepath.Join(rf.out, pageName)} {
		if _, err := os.Lstat(there); err == nil {
			return hint.Usage("give another --out, or remove it", "%s exists already", there)
		}
	}
	if err := checkOut(rf.out); err != nil {
		return err
	}
	progressTo := stderr
	if rf.quiet {
		progressTo = io.Discard
	}
	show := progress.New(progressTo)
	defer show.End()
	rf.Log = newLog(show, rf.verbose)
	if rf.quiet {
		rf.Log = newLog(stderr, rf.verbose)
	}
	runner := trial.Runner{
		Header: trial.Header{
			Version: version, Run: now.UTC().Format("20060102T150405.000Z"), Host: host(), Prices: options.Prices.Date, At: now.UTC(),
		},
		Progress: show.Step, KeepGoing: rf.keepGoing,
	}
	end, err := rf.open(ctx, &runner, show, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	guard, err := rf.bounds.guard(options, &runner)
	if err != nil {
		return err
	}
	fmt.Fprintln(progressTo, guard.Estimate())
	if err := confirm(ctx, runner.Header.Backend, rf.bounds.yes, stdin, stderr); err != nil {
		return err
	}
	guard.Begin()
	file, err := createResults(path)
	if err != nil {
		return err
	}
	runner.Guard, runner.Out = guard, file
	runErr := runner.Run(ctx)
	show.End()
	if err := file.Close(); err != nil {
		return hint.Failed("check the disk's free space", "write results: %w", err)
	}
	return rf.show(ctx, stdout, stderr, path, options, runErr)
}

// open finds the deployed functions, or starts a lab with some, and tells the
// runner of them. end takes down what it started.
func (rf *runFlags) open(
	ctx context.Context, runner *trial.Runner, show *progress.Progress, stderr io.Writer,
) (end func() error, err error) {
	end = func() error { return nil }
	if rf.deployed() {
		err = rf.connect(ctx, runner, show, stderr)
	} else {
		var l *lab.Lab
		warnCut(stderr, rf.Corpus)
		if l, err = rf.startLab(ctx, runner, show); err == nil {
			end = l.Close
		}
	}
	if err != nil {
		return nil, err
	}
	warnUnlimited(stderr, runner.Header.Limits, rf.Log)
	if !rf.deployed() {
		warnOtherMachine(stderr, rf.Network)
	}
	if _, express := lambda.DirectoryBucket(runner.Bucket); express {
		runner.Header.Class = string(cost.Express)
	}
	return end, nil
}

// warnUnlimited says, where nothing is limited, what that means and what to do
// about it; only the log says what stood in the way.
func warnUnlimited(stderr io.Writer, l lambda.Limits, log *slog.Logger) {
	const what = "warning: CPU and memory are not limited"
	switch {
	case !l.None():
	case l.Reason == lambda.SwitchedOff:
		fmt.Fprintf(stderr, "%s, as --no-limits says: memory sizes mean nothing in this run\n", what)
	default:
		log.Debug("CPU and memory cannot be limited", "why", l.Reason)
		fmt.Fprintf(stderr, "%s: memory sizes mean nothing in this run\nhint: %s\n", what, report.HowToLimit)
	}
}

// startLab starts the functions on this machine and tells the runner of them.
func (rf *runFlags) startLab(ctx context.Context, runner *trial.Runner, show *progress.Progress) (*lab.Lab, error) {
	l, err := startLab(ctx, rf.Config, show)
	if err != nil {
		return nil, err
	}
	runner.Lambda, runner.Targets, runner.Bucket = l.Client(), l.Targets, lab.Bucket
	h := &runner.Header
	if runner.Events = rf.list; rf.own() {
		for i := range runner.Targets {
			runner.Targets[i].Published = true
		}
	} else if runner.Expected, err = expect(ctx, rf.Corpus, rf.plan.Count, show); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	h.Backend, h.Limits = trial.Sandbox, l.Lambda.Limits()
	h.Network, h.Model, h.Bandwidth = describe(rf.Network)
	h.Plan, h.Corpus, h.Bytes = rf.plan, rf.Corpus, runner.Expected.Bytes
	return l, nil
}

// longAnswer is from how many bytes on it is shown how far the right answer is:
// half a second on two cores.
const longAnswer = 1_000_000_000

// expect works out the right answer of a corpus, while show says how far that is
// where it takes a while.
func expect(ctx context.Context, spec corpus.Spec, count bool, show *progress.Progress) (trial.Expected, error) {
	var note func(done, total int)
	if spec.MeanBytes() > longAnswer/int64(spec.Count) {
		beginObjects(show, "computing the right answer from", spec)
		defer show.End()
		note = show.Count
	}
	expected, err := trial.ExpectWithin(ctx, spec, count, note)
	if err != nil {
		return expected, hint.Failed("nothing was measured yet", "interrupted")
	}
	return expected, nil
}
