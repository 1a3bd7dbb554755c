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
	"fanout/bench/internal/stats"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	"fanout/functions/store"
)

// runFlags is what fanout run was asked for.
type runFlags struct {
	labFlags
	plan          trial.Plan
	concurrencies []string
	out           string
	verbose       bool
	quiet, json   bool
	bounds        boundFlags
	prices        priceFlags

	stack     string   // deployed functions: of this stack,
	functions []string // or these,
	bucket    string   // which read this bucket
	given     func(flag string) bool
}

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
			rf.given = c.Flags().Changed
			return rf.run(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	rf.labFlags.add(f)
	f.StringSliceVar(&rf.plan.Clients, "client", []string{store.Default}, "S3 clients: "+fmt.Sprint(store.Names))
	f.StringSliceVar(&rf.concurrencies, "concurrency", []string{"1", "16", "64"}, "goroutines that read, 1 to 1024, or auto;"+
		" 1 is the sequential baseline, tried with the first client only beside others")
	f.IntVar(&rf.plan.Invocations, "invocations", stats.MinForInterval, "warm invocations a setting; an interval takes 6")
	f.IntVar(&rf.plan.Cold, "cold", 1, "cold starts a setting (none for concurrency 1)")
	f.IntVar(&rf.plan.Sequential, "sequential", 1, "warm invocations a setting of concurrency 1, which take long")
	f.BoolVar(&rf.plan.Count, "count", false, "count the objects instead of finding the needle")
	rf.bounds.add(f)
	f.StringVar(&rf.stack, "stack", "", "measure the deployed functions of this CloudFormation stack: costs money")
	f.StringArrayVar(&rf.functions, "function", nil, "measure this deployed function, by `ARN`: costs money; may be repeated")
	f.StringVar(&rf.bucket, "bucket", "", "bucket for --function to read, under --prefix")
	f.StringVar(&rf.out, "out", "", "`folder` for "+trial.FileName+" and "+pageName+" (default results/DATE-TIME)")
	rf.prices.addTable(f)
	f.BoolVarP(&rf.quiet, "quiet", "q", false, "no progress and no estimate on standard error")
	f.BoolVar(&rf.json, "json", false, "print the report as JSON")
	f.BoolVarP(&rf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
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
	runner.Guard = guard
	runErr := measure(ctx, &runner, path)
	show.End()
	return rf.show(ctx, stdout, stderr, path, options, runErr)
}

// measure runs the runner into a new file.
func measure(ctx context.Context, runner *trial.Runner, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return hint.Failed("give another --out", "make the results' folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return hint.Failed("give another --out", "write results: %w", err)
	}
	runner.Out = file
	err = runner.Run(ctx)
	if closeErr := file.Close(); closeErr != nil {
		err = errors.Join(err, hint.Failed("see the disk's free space", "write results: %w", closeErr))
	}
	return err
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
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	if ctx.Err() != nil {
		return hint.Failed(help, "%w", runErr)
	}
	if errors.Is(runErr, trial.ErrNothingRead) {
		return hint.Failed("name a prefix that has objects: --prefix for --function; for a stack, deploy it again with -c prefix=PREFIX/", "%w", runErr)
	}
	if runErr != nil && !errors.Is(runErr, trial.ErrWrongAnswer) && len(file.Results) == 0 {
		return hint.Failed("nothing was measured: "+file.End.Reason, "%w", runErr)
	}
	if runErr == nil && file.End.Text != "" {
		fmt.Fprintln(stderr, file.End.Text)
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

// parse checks the flags.
func (rf *runFlags) parse() (err error) {
	if err := rf.labFlags.parse("run"); err != nil {
		return err
	}
	const help = "see fanout help run"
	if err := rf.bounds.parse(); err != nil {
		return err
	}
	if rf.bounds.Precision > 0 && !rf.given("invocations") {
		rf.plan.Invocations = precisionInvocations
	}
	if rf.plan.Concurrencies, err = parseConcurrencies(rf.concurrencies); err != nil {
		return hint.Usage(help, "%w", err)
	}
	if rf.deployed() {
		if err := rf.parseDeployed(); err != nil {
			return err
		}
	} else {
		for _, a := range rf.Architectures {
			if a != lambda.HostArchitecture() {
				return hint.Usage("fanout sandbox --arch "+a+" runs it under qemu, for its answers",
					"arch %s: this machine is %s, and an emulated processor's times mean nothing", a, lambda.HostArchitecture())
			}
		}
		if rf.bucket != "" {
			return hint.Usage(help, "--bucket goes with --function")
		}
	}
	rf.plan.Clients = unique(rf.plan.Clients)
	for _, name := range rf.plan.Clients {
		if !store.Known(name) {
			return hint.Usage(help, "client %q: must be one of %v", name, store.Names)
		}
	}
	rf.plan.MemoriesMB, rf.plan.Architectures = rf.MemoriesMB, rf.Architectures
	rf.plan.Contenders, rf.plan.Seed = rf.names(), rf.labFlags.Seed
	if err := rf.plan.Validate(); err != nil {
		return hint.Usage(help, "%w", err)
	}
	return nil
}

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
