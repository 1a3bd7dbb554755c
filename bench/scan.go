package main

import (
	"context"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/scan"
	fn "fanout/functions/scan"
)

func scanCommand() *cobra.Command {
	var sf scanFlags
	c := &cobra.Command{
		Use:   "scan",
		Short: "Search every object of a bucket, however many there are",
		Long: `Search every object of a bucket: a Step Functions Distributed Map lists them and
has the fetch function read them in batches, many at once. Matching keys go to
standard output, everything else to standard error. The result counts only if
every object was read: otherwise the status is 1, and fanout scan redrive reads
what is missing.

With --stack, the state machine of a deployed stack (-c scan=true) does it, with
your AWS configuration. The job is AWS's, and goes on without this command:
Ctrl-C leaves it running, a second Ctrl-C stops it.

Without --stack, no AWS account is needed: the same state machine runs on this
machine, with the functions' real bootstraps and an embedded S3. It ends with
the command.`,
		Example: `  fanout scan --find MyMagicString --objects 20000 --max-bytes 2000
  fanout scan --find 'user-[0-9]+' --regexp --locate --format csv --stack Fanout
  fanout scan --find error --stack Fanout --prefix logs/2026/ --budget 5 --yes
  fanout scan status --stack Fanout scan-20261125-214500-3f9a`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return sf.run(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	sf.add(c.Flags())
	c.AddCommand(scanStatusCommand(), scanResultCommand(), scanRedriveCommand(), scanStopCommand(), scanEstimateCommand())
	return c
}

// run starts a job and follows it to its end. Everything that can be wrong with
// the flags is found before anything is created or called.
func (sf *scanFlags) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	if err := sf.parse(); err != nil {
		return err
	}
	options, err := sf.prices.options("scan")
	if err != nil {
		return err
	}
	now := time.Now()
	if sf.job == "" {
		sf.job = scan.NewName(now)
	}
	s := &scanning{scanOutput: sf.scanOutput, dir: sf.folder(sf.job), locate: sf.locate, stdout: stdout, stderr: stderr}
	if err := s.checkFolder(); err != nil {
		return err
	}
	s.begin(stderr)
	defer s.show.End()
	end, err := sf.open(ctx, s)
	if err != nil {
		return beforeStart(ctx, err)
	}
	defer func() { err = errors.Join(err, end()) }()
	s.header = s.site.header
	in, err := sf.prepare(ctx, s)
	if err != nil {
		return beforeStart(ctx, err)
	}
	s.header.Input, s.header.Budget, s.header.At = in, s.bounds.Dollars, now.UTC()
	if s.pricing, err = s.priced(options.Prices); err != nil {
		return err
	}
	forecast, known, ok := s.forecastOf(sf.scanWhat)
	if ok {
		if err := s.announce(s.show, forecast, known); err != nil {
			return err
		}
	}
	in.Batch, in.Concurrency = s.plan(sf.scanWhat, forecast, ok, runtime.NumCPU())
	s.header.Input = in
	if err := confirm(ctx, s.header.Backend, sf.yes, stdin, stderr); err != nil {
		return err
	}
	// Where there is no room for its results, a job that costs money is not started.
	if s.header.Execution, err = scan.Execution(s.site.machine, sf.job); err != nil {
		return err
	}
	if err := s.create(); err != nil {
		s.discard()
		return err
	}
	if s.job, err = scan.Start(ctx, s.site.states, s.site.machine, sf.job, in); err != nil {
		s.discard()
		if ctx.Err() != nil && !s.local() {
			return hint.Failed("fanout scan status "+s.header.Execution+" says whether it was", "interrupted while job %s was started", sf.job)
		}
		return beforeStart(ctx, err)
	}
	return s.follow(ctx, "started")
}

// beforeStart words an error from before there was a job. What Ctrl-C does to a call is
// no error of AWS.
func beforeStart(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return hint.Failed("no job was started", "interrupted")
	}
	return err
}

// begin makes what shows progress.
func (s *scanning) begin(stderr io.Writer) {
	to := stderr
	if s.quiet {
		to = io.Discard
	}
	s.show = progress.New(to)
}

// open finds the stack, or starts a lab. end takes down what it started.
func (sf *scanFlags) open(ctx context.Context, s *scanning) (end func() error, err error) {
	if sf.stack == "" {
		return sf.openLab(ctx, s)
	}
	end = func() error { return nil }
	if s.site, err = connectScan(ctx, sf.stack, ""); err != nil {
		return nil, err
	}
	return end, s.site.describe(ctx, sf.net)
}

// prepare makes the job's input, and checks what the flags alone could not say.
func (sf *scanFlags) prepare(ctx context.Context, s *scanning) (fn.Input, error) {
	prefix := s.site.prefix
	if sf.given("prefix") {
		prefix = sf.Corpus.Prefix
	}
	if sf.inventoryObject != nil {
		prefix = ""
		if err := s.site.checkInventory(ctx, sf.inventoryObject); err != nil {
			return fn.Input{}, err
		}
	} else if err := s.site.checkResults(sf.job, prefix); err != nil {
		return fn.Input{}, err
	}
	in := sf.input(s.site.bucket, prefix, s.site.results)
	s.header.Job, s.header.Tolerated = sf.job, in.Tolerated
	s.header.Corpus = corpusOf(s.site.corpus, in)
	return in, nil
}
