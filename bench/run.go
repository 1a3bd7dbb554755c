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

	"fanout/bench/internal/report"
	"fanout/bench/internal/trial"
	"fanout/functions/store"
)

// runFlags is what fanout run was asked for.
type runFlags struct {
	fleet
	plan          trial.Plan
	concurrencies []string
	out           string
	verbose       bool
}

func runCommand() *cobra.Command {
	var rf runFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Measure settings, one result line for each invocation",
		Long: `Measure settings and write one JSON line for each invocation.

Without an AWS account: the functions' real bootstraps run on this machine, each
held to its memory's share of CPU and memory, against an embedded S3. Those
times are the sandbox's, not AWS's.`,
		Example: `  fanout run
  fanout run --memory 512 --concurrency 64 --client stock,tuned
  fanout run --memory 128,1769 --contender rust=target/lambda/bootstrap`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return rf.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	fleetFlags(f, &rf.fleet, []int{128, 512, 1769})
	f.StringSliceVar(&rf.plan.Clients, "client", []string{store.Default}, "S3 clients: "+fmt.Sprint(store.Names))
	f.StringSliceVar(&rf.concurrencies, "concurrency", []string{"1", "16", "64"}, "goroutines that read, 1 to 1024, or auto; 1 is the sequential baseline")
	f.IntVar(&rf.plan.Invocations, "invocations", 5, "warm invocations a setting")
	f.IntVar(&rf.plan.Cold, "cold", 1, "cold starts a setting (none for concurrency 1)")
	f.IntVar(&rf.plan.Sequential, "sequential", 1, "warm invocations a setting of concurrency 1, which take long")
	f.BoolVar(&rf.plan.Count, "count", false, "count the objects instead of finding the needle")
	f.StringVar(&rf.out, "out", "", "`folder` for "+trial.FileName+" (default results/DATE-TIME)")
	f.BoolVarP(&rf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
	return c
}

// run measures. Everything that can be wrong with the flags is found before
// anything is created.
func (rf *runFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := rf.parse("run"); err != nil {
		return err
	}
	hint := "see fanout help run"
	if rf.plan.Concurrencies, err = parseConcurrencies(rf.concurrencies); err != nil {
		return usage(hint, "%w", err)
	}
	for _, a := range rf.archs {
		if a != hostArch() {
			return usage("fanout sandbox --arch "+a+" runs it under qemu, for its answers",
				"arch %s: this machine is %s, and an emulated processor's times mean nothing", a, hostArch())
		}
	}
	rf.plan.Clients = unique(rf.plan.Clients)
	for _, name := range rf.plan.Clients {
		if !store.Known(name) {
			return usage(hint, "client %q: must be one of %v", name, store.Names)
		}
	}
	rf.plan.MemoriesMB, rf.plan.Architectures = rf.memoriesMB, rf.archs
	rf.plan.Contenders, rf.plan.Seed = rf.names(), rf.seed
	if err := rf.plan.Validate(); err != nil {
		return usage(hint, "%w", err)
	}
	now := time.Now()
	if rf.out == "" {
		rf.out = filepath.Join("results", now.Format("20060102-150405"))
	}
	path := filepath.Join(rf.out, trial.FileName)
	if _, err := os.Stat(path); err == nil {
		return usage("give another --out, or remove it", "%s is there already", path)
	}

	log := slog.New(slog.DiscardHandler)
	if rf.verbose {
		log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	l, err := startLab(&rf.fleet, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	show := newProgress(stderr)
	defer show.close()
	expected, err := l.prepare(ctx, &rf.fleet, show)
	if err != nil {
		return err
	}

	if err := os.MkdirAll(rf.out, 0o755); err != nil {
		return failed("give another --out", "make the results' folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return failed("give another --out", "write results: %w", err)
	}
	limits := l.lambda.Limits()
	header := trial.Header{
		Version: version, Run: now.UTC().Format("20060102T150405.000Z"), Backend: trial.Sandbox, Host: host(),
		Network: string(rf.network), Limits: limits.Kind, Plan: rf.plan, Corpus: rf.corpus, Bytes: expected.Bytes, At: now.UTC(),
	}
	if limits.Reason != "" {
		header.Limits += ": " + limits.Reason
		fmt.Fprintf(stderr, "warning: CPU and memory are not limited (%s): memory sizes mean nothing in this run\n", limits.Reason)
	}
	runner := trial.Runner{
		Lambda: l.client(), Header: header, Targets: l.targets, Bucket: labBucket,
		Expected: expected, Out: file, Progress: show.step,
	}
	runErr := runner.Probe(ctx)
	if runErr == nil {
		runErr = runner.Run(ctx)
	}
	show.close()
	if err := file.Close(); err != nil {
		return failed("see the disk's free space", "write results: %w", err)
	}
	if ctx.Err() != nil {
		return failed("fanout report "+rf.out+" shows what was measured until then", "interrupted")
	}
	if runErr != nil && !errors.Is(runErr, trial.ErrWrongAnswer) {
		return failed("fanout report "+rf.out+" shows what was measured until then", "%w", runErr)
	}
	results, err := trial.ReadPath(path)
	if err != nil {
		return err
	}
	if err := report.Text(stdout, results); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "results: %s\n", path)
	if runErr != nil {
		return failed("a fast wrong answer is a failure: see error_type in "+path, "%w", runErr)
	}
	return nil
}

// prepare puts the corpus and works out the right answer.
func (l *lab) prepare(ctx context.Context, fl *fleet, show *progress) (trial.Expected, error) {
	show.begin("seeding", fl.corpus.Count)
	if err := l.seed(ctx, fl, show.count); err != nil {
		if ctx.Err() != nil {
			return trial.Expected{}, failed("nothing was measured yet", "interrupted")
		}
		return trial.Expected{}, failed("see TMPDIR's free space", "seed the bucket: %w", err)
	}
	show.end()
	return trial.Expect(fl.corpus), nil
}
