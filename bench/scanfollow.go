package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
)

// scanning is a job that this command follows, wherever it runs.
type scanning struct {
	scanOutput
	site    *scanSite
	job     *scan.Job
	header  scan.Header
	pricing *scan.Pricing // nil: no dollars are counted
	locate  bool
	dir     string // of its files
	madeDir bool   // by this command: it goes again with a job that is not started

	file *os.File
	log  *scan.Writer
	last scan.Sample

	outErr error // of standard output, which is no reason not to finish

	show           *progress.Progress
	stdout, stderr io.Writer
}

// results is the path of the result file.
func (s *scanning) results() string { return filepath.Join(s.dir, scan.FileName) }

// matches is the path of the file with the matches.
func (s *scanning) matches() string {
	name := "matches.txt"
	if s.format != scan.Text {
		name = "matches." + s.format
	}
	return filepath.Join(s.dir, name)
}

// page is the path of the page that shows the results.
func (s *scanning) page() string { return filepath.Join(s.dir, pageName) }

// kept is the folder that a job on this machine is kept in, so that it can be
// redriven after the command has ended, however that was.
func (s *scanning) kept() string { return filepath.Join(s.dir, "job") }

// checkFolder refuses a folder that has somebody's files.
func (s *scanning) checkFolder() error {
	for _, there := range []string{s.results(), s.matches(), s.page(), s.kept()} {
		if _, err := os.Lstat(there); err == nil {
			return hint.Usage("give another --out, or remove it", "%s exists already", there)
		}
	}
	return nil
}

// create begins the result file.
func (s *scanning) create() (err error) {
	_, err = os.Lstat(s.dir)
	s.madeDir = s.madeDir || errors.Is(err, os.ErrNotExist)
	if s.file, err = createResults(s.results()); err != nil {
		return err
	}
	s.log, err = scan.NewWriter(s.file, s.header)
	return err
}

// discard takes away what create made, for a job that was not started.
func (s *scanning) discard() {
	if s.file == nil {
		return
	}
	_ = s.file.Close()         // it has a header and nothing else
	_ = os.Remove(s.results()) // which was not there before
	s.removeFolder()
}

// removeFolder takes the folder away that this command made, if it is empty. What
// was there before is the user's: a folder, or a link to one.
func (s *scanning) removeFolder() {
	if s.madeDir {
		_ = os.Remove(s.dir)
	}
}

// local says whether the job ends with this command.
func (s *scanning) local() bool { return s.header.Backend == trial.Sandbox }

// command words another fanout scan command for the job.
func (s *scanning) command(name string) string {
	switch {
	case s.local():
		return fmt.Sprintf("fanout scan %s %s", name, term.ShellWord(s.dir))
	case s.header.Stack != "":
		return fmt.Sprintf("fanout scan %s --stack %s %s", name, term.ShellWord(s.header.Stack), s.job.Name())
	}
	return fmt.Sprintf("fanout scan %s %s", name, s.job.ARN)
}

// linesEvery is how often a line is written where there is no terminal.
const linesEvery = 10 * time.Second

// follow shows the job until it ends, and what it found; did says what was done
// to it before.
func (s *scanning) follow(ctx context.Context, did string) error {
	live := &scan.Live{Began: time.Now(), Local: s.local()}
	if s.header.Corpus != nil {
		live.Expected = int64(s.header.Corpus.Count)
	}
	fmt.Fprintf(s.show, "job %s %s\n", s.job.Name(), did)
	painted := s.show.Show(live.Lines)
	var written time.Time
	f := scan.Follower{
		Job: s.job, Every: scan.PollAWS, Dollars: s.bounds.Dollars, Within: s.bounds.Within,
		Sampler: &scan.Sampler{Parts: s.parts()},
		Price:   s.price, Warn: s.warn,
		Sample: func(sample scan.Sample) error {
			live.Add(sample)
			s.last = sample
			err := s.log.Sample(sample)
			if now := time.Now(); !painted && now.Sub(written) >= linesEvery {
				written = now
				fmt.Fprintln(s.show, live.Line())
			}
			return err
		},
	}
	if s.header.Backend != trial.AWS {
		f.Every = scan.PollHere
	}
	status, err := f.Run(ctx)
	s.show.End()
	var passed *scan.BudgetError
	switch {
	case ctx.Err() != nil && s.local():
		return s.interrupted(ctx)
	case ctx.Err() != nil:
		return s.leave(ctx)
	case errors.As(err, &passed):
		return s.finish(ctx, status, passed)
	case err != nil && s.local():
		return errors.Join(s.end(scan.End{Reason: scan.Failed, Text: err.Error()}),
			hint.Failed(s.command("redrive")+" goes on with it", "follow job %s: %w", s.job.Name(), err))
	case err != nil:
		return errors.Join(s.end(scan.End{Reason: scan.Left, Text: err.Error()}),
			hint.Failed(s.command("status")+" shows it again; the job goes on", "follow job %s: %w", s.job.Name(), err))
	}
	return s.finish(ctx, status, nil)
}

// warn tells of a call that failed and is tried again.
func (s *scanning) warn(err error) {
	fmt.Fprintf(s.show, "warning: %s; trying again\n", term.CleanLines(err.Error()))
}

func (s *scanning) parts() scan.Parts {
	return scan.Parts{Client: s.site.s3, Bucket: s.header.Input.Results.Bucket, Job: s.job.Name()}
}

// price gives the dollars so far.
func (s *scanning) price(sample scan.Sample) float64 {
	if s.pricing == nil {
		return 0
	}
	bill, err := s.pricing.Sample(sample)
	if err != nil {
		return 0 // tried before the start
	}
	return bill.Total()
}

// secondCtrlC is how long a second Ctrl-C is waited for.
const secondCtrlC = 3 * time.Second

// leave ends the command and leaves the job running, unless a second Ctrl-C
// comes.
func (s *scanning) leave(ctx context.Context) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, endings()...)
	defer signal.Stop(again)
	fmt.Fprintf(s.stderr, "the job goes on; Ctrl-C within %v stops it\n", secondCtrlC)
	timer := time.NewTimer(secondCtrlC)
	defer timer.Stop()
	select {
	case <-timer.C:
		return errors.Join(s.end(scan.End{Reason: scan.Left}),
			hint.Failed(s.command("status --follow")+" comes back to it", "interrupted: job %s goes on", s.job.Name()))
	case <-again:
	}
	ctx = context.WithoutCancel(ctx)
	if err := s.job.Stop(ctx, "Ctrl-C"); err != nil {
		return errors.Join(s.end(scan.End{Reason: scan.Left, Text: err.Error()}), err)
	}
	return errors.Join(s.end(scan.End{Reason: scan.Stopped, Text: "Ctrl-C"}),
		hint.Failed(s.command("redrive")+" goes on with it; "+s.command("result")+" shows what it found", "stopped job %s", s.job.Name()))
}

// end writes the closing line and closes the file.
func (s *scanning) end(e scan.End) error {
	e.At = time.Now().UTC()
	if err := errors.Join(s.log.End(e), s.file.Close()); err != nil {
		return hint.Failed("check the disk's free space", "write results: %w", err)
	}
	return nil
}

// reason says why a job ended that has this status, and whose parts add up to a
// sum.
func reason(status scan.Status, sum scan.Summary, stopped *scan.BudgetError) scan.End {
	unread := sum.Missing() + sum.Failed()
	switch {
	case stopped != nil:
		return scan.End{Reason: scan.Budget, Text: stopped.Why}
	case status.Status == types.ExecutionStatusAborted:
		return scan.End{Reason: scan.Stopped, Text: status.Cause, Error: status.Error}
	case unread > 0:
		return scan.End{Reason: scan.Incomplete, Text: scan.Unread(unread), Error: status.Error}
	case status.Status != types.ExecutionStatusSucceeded:
		return scan.End{Reason: scan.Failed, Text: status.Cause, Error: status.Error}
	case sum.Expected != nil && !sum.Expected.Right:
		return scan.End{Reason: scan.WrongAnswer}
	}
	return scan.End{Reason: scan.Complete}
}
