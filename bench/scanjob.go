package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/term"
)

// jobFlags is which job is meant, and what of it is shown.
type jobFlags struct {
	scanOutput
	stack  string
	follow bool
	reads  bool // the objects, too
	prices priceFlags
}

// jobAction does something with a job that was found.
type jobAction func(ctx context.Context, s *scanning) error

// jobCommand makes a subcommand about a job that there is.
func jobCommand(jf *jobFlags, c *cobra.Command, do jobAction) *cobra.Command {
	c.Use += " JOB"
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return hint.Usage("see fanout help scan "+c.Name(), "scan %s: give the name of one job, or the ARN of its execution", c.Name())
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := jf.parse(); err != nil {
			return err
		}
		return jf.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr(), do)
	}
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&jf.stack, "stack", "", "the CloudFormation stack that the job belongs to; not needed with the ARN"+
		" of the job's execution, or with the folder of a job on this machine")
	return c
}

func scanStatusCommand() *cobra.Command {
	var jf jobFlags
	c := jobCommand(&jf, &cobra.Command{
		Use:   "status",
		Short: "Show how far a job is",
		Long: `Show how far a job is: one line. With --follow it is shown until the job ends,
and then what it found, as fanout scan does.`,
		Example: `  fanout scan status --stack Fanout scan-20261125-214500-3f9a
  fanout scan status --stack Fanout --follow scan-20261125-214500-3f9a`,
	}, func(ctx context.Context, s *scanning) error {
		if jf.follow {
			return s.resume(ctx)
		}
		return s.status(ctx)
	})
	c.Flags().BoolVarP(&jf.follow, "follow", "f", false, "show it until the job ends, and then the result")
	jf.add(c.Flags())
	jf.prices.addTable(c.Flags())
	return c
}

func scanResultCommand() *cobra.Command {
	var jf jobFlags
	c := jobCommand(&jf, &cobra.Command{
		Use:   "result",
		Short: "Show what a job found that has ended",
		Long: `Add up the parts of a job that has ended, also of one that was stopped or
failed: matching keys go to standard output. The status is 1 if not every object
was read.`,
		Example: `  fanout scan result --stack Fanout scan-20261125-214500-3f9a >matches.txt`,
	}, func(ctx context.Context, s *scanning) error { return s.result(ctx) })
	jf.add(c.Flags())
	jf.prices.addTable(c.Flags())
	return c
}

func scanRedriveCommand() *cobra.Command {
	jf := jobFlags{reads: true}
	c := jobCommand(&jf, &cobra.Command{
		Use:   "redrive",
		Short: "Read what a job has not read",
		Long: `Start a job again where it failed or was stopped, within 14 days: the batches
that failed are read again, then every key that could not be read. It is then
followed to its end, as by fanout scan.`,
		Example: `  fanout scan redrive --stack Fanout scan-20261125-214500-3f9a
  fanout scan redrive results/scan-20261125-214500-3f9a`,
	}, func(ctx context.Context, s *scanning) error { return s.redrive(ctx) })
	jf.add(c.Flags())
	jf.prices.addTable(c.Flags())
	return c
}

func scanStopCommand() *cobra.Command {
	var jf jobFlags
	return jobCommand(&jf, &cobra.Command{
		Use:     "stop",
		Short:   "Stop a job",
		Long:    `Stop a job. What it has read stays: fanout scan redrive goes on with it.`,
		Example: `  fanout scan stop --stack Fanout scan-20261125-214500-3f9a`,
	}, func(ctx context.Context, s *scanning) error {
		status, err := s.job.Describe(ctx)
		if err != nil {
			return err
		}
		if !status.Running() {
			return hint.Usage(s.command("result")+" shows what it found", "job %s has ended already: %s", s.job.Name(), status.Status)
		}
		if err := s.job.Stop(ctx, "fanout scan stop"); err != nil {
			return err
		}
		fmt.Fprintf(s.stderr, "stopped job %s; %s goes on with it\n", s.job.Name(), s.command("redrive"))
		return nil
	})
}

// parse checks the flags. A subcommand without an output has the defaults.
func (jf *jobFlags) parse() error {
	if jf.format == "" {
		jf.format = scan.Formats[0]
	}
	return jf.scanOutput.parse()
}

// run finds the job and does something with it.
func (jf *jobFlags) run(ctx context.Context, job string, stdout, stderr io.Writer, do jobAction) (err error) {
	if jf.prices.weight == "" {
		jf.prices.weight = "0.5" // the flag is another subcommand's
	}
	options, err := jf.prices.options("scan")
	if err != nil {
		return err
	}
	s := &scanning{scanOutput: jf.scanOutput, stdout: stdout, stderr: stderr}
	s.begin(stderr)
	defer s.show.End()
	end, err := jf.find(ctx, job, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := s.known(ctx, options); err != nil {
		return err
	}
	return do(ctx, s)
}

// find finds the job, by its name, its ARN, or the folder of one on this
// machine.
func (jf *jobFlags) find(ctx context.Context, job string, s *scanning) (end func() error, err error) {
	region := ""
	if filepath.Base(job) == scan.FileName && isScanFolder(filepath.Dir(job)) { // the file, as for report
		job = filepath.Dir(job)
	}
	switch {
	case strings.HasPrefix(job, "arn:"):
		arn, err := scan.ParseARN(job)
		if err != nil {
			return nil, hint.Usage("give the job's name, or the ARN of its execution", "%w", err)
		}
		region = arn.Region
	case jf.stack == "" && isScanFolder(job):
		return jf.openFolder(ctx, job, s)
	case jf.stack == "":
		return nil, hint.Usage("give --stack NAME, the ARN of the job's execution, or the folder of a job on this machine",
			"job %q: there is no such folder of a job on this machine, and no stack is named", job)
	}
	if s.site, err = connectScan(ctx, jf.stack, region); err != nil {
		return nil, err
	}
	arn, err := scan.Execution(s.site.machine, job)
	if err != nil {
		return nil, err
	}
	s.job = &scan.Job{Client: s.site.states, ARN: arn}
	return func() error { return nil }, nil
}

// known notes what the execution says of the job.
func (s *scanning) known(ctx context.Context, options report.Options) error {
	status, err := s.job.Describe(ctx)
	if err != nil {
		return err
	}
	if s.site.machine == "" {
		s.site.machine = status.Machine
	}
	if s.site.header.Function.Name == "" {
		if err := s.site.describe(ctx, networkFlags{}); err != nil {
			fmt.Fprintf(s.show, "warning: dollars are not counted: %s\n", term.CleanLines(err.Error()))
		}
	}
	s.header = s.site.header
	h := &s.header
	h.Job, h.Execution, h.Input, h.Tolerated = s.job.Name(), s.job.ARN, status.Input, status.Input.Tolerated
	h.Corpus, h.At = corpusOf(s.site.corpus, status.Input), status.Started
	s.job.Command = s.command
	s.locate = status.Input.Event.Locate
	if s.dir == "" {
		s.dir = s.folder(s.job.Name())
	}
	s.pricing, err = s.priced(options.Prices)
	return err
}

// status prints one line.
func (s *scanning) status(ctx context.Context) error {
	status, err := s.job.Describe(ctx)
	if err != nil {
		return err
	}
	sample, err := s.job.Look(ctx, status)
	if err != nil {
		return err
	}
	sampler := scan.Sampler{Parts: s.parts()}
	sampler.Estimate(ctx, &sample)
	sample.USD = s.price(sample)
	live := scan.Live{Began: status.Started, Ended: status.Stopped, Local: s.local()}
	live.Add(sample)
	line := strings.TrimPrefix(live.Line(), scan.Ended+": ") // the execution's status says how
	fmt.Fprintf(s.stdout, "job %s %s: %s\n", s.job.Name(), strings.ToLower(string(status.Status)), line)
	switch {
	case status.Running():
		fmt.Fprintf(s.stdout, "%s shows it until it ends\n", s.command("status --follow"))
	case status.Redrivable:
		fmt.Fprintf(s.stdout, "%s reads what is missing; %s shows what it found\n", s.command("redrive"), s.command("result"))
	default:
		fmt.Fprintf(s.stdout, "%s shows what it found\n", s.command("result"))
	}
	return nil
}

// resume follows a job that there is, and completes its files.
func (s *scanning) resume(ctx context.Context) error {
	if _, err := s.reopen(); err != nil {
		return err
	}
	return s.follow(ctx, "found")
}

// redrive starts the job again where it failed, and follows it. Its files come
// first: where they cannot be completed, nothing is started.
func (s *scanning) redrive(ctx context.Context) error {
	made, err := s.reopen()
	if err == nil {
		err = s.job.Redrive(ctx)
	}
	if err != nil {
		if made {
			s.discard()
		}
		return err
	}
	if err := s.log.Mark(scan.Redriven, time.Now().UTC()); err != nil {
		return err
	}
	return s.follow(ctx, scan.Redriven)
}

// result adds up the parts of a job that has ended.
func (s *scanning) result(ctx context.Context) error {
	status, err := s.job.Describe(ctx)
	if err != nil {
		return err
	}
	if status.Running() {
		return hint.Usage(s.command("status --follow")+" shows it until it ends", "job %s is running", s.job.Name())
	}
	if s.last, err = s.job.Look(ctx, status); err != nil {
		return err
	}
	if _, err := s.reopen(); err != nil {
		return err
	}
	if err := s.log.Sample(s.last); err != nil {
		return err
	}
	return s.finish(ctx, status, nil)
}

// reopen goes on with the result file of the job, or begins one; made says that it did.
func (s *scanning) reopen() (made bool, err error) {
	file, err := scan.ReadPath(s.results())
	if os.IsNotExist(err) || err != nil && strings.Contains(err.Error(), "no such file") {
		return true, s.create()
	}
	if err != nil || file.Header.Execution != s.job.ARN {
		return false, hint.Usage("give another --out", "%s exists already, and is not of job %s", s.results(), s.job.Name())
	}
	s.header = file.Header
	if s.file, err = os.OpenFile(s.results(), os.O_APPEND|os.O_RDWR, 0); err == nil {
		err = endLine(s.file)
	}
	if err != nil {
		return false, hint.Failed("give another --out", "write results: %w", err)
	}
	s.log = scan.Continue(s.file)
	return false, nil
}

// endLine ends a last line that was cut off, as on a full disk, so that the next one
// is a line of its own.
func endLine(f *os.File) error {
	end, err := f.Seek(-1, io.SeekEnd)
	if err != nil {
		return err
	}
	var last [1]byte
	if _, err = f.ReadAt(last[:], end); err == nil && last[0] != '\n' {
		_, err = f.WriteString("\n")
	}
	return err
}
