package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/report/page"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/term"
	fn "fanout/functions/scan"
)

// finish adds the parts of a job up that has ended, writes its matches, and
// says what came of it. stopped is the bound that it passed, if any.
func (s *scanning) finish(ctx context.Context, status scan.Status, stopped *scan.BudgetError) error {
	sum, sorted, err := s.collect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = hint.Failed(s.command("result")+" adds them up", "interrupted while reading the parts of job %s", s.job.Name())
		}
		return errors.Join(s.end(scan.End{Reason: scan.Interrupted, Text: "the job had ended, its parts were not added up"}), err)
	}
	sum.Total = s.last.Items.Total
	changed := ""
	if status.Status == types.ExecutionStatusSucceeded && stopped == nil {
		changed = sum.Reconcile(status.Output)
	}
	if s.pricing != nil {
		if sum.Bill, err = s.pricing.Summary(sum); err != nil {
			return err
		}
	}
	var unchecked error
	// To have read nothing is an answer, too, but of a job that was stopped early it is none.
	answered := sum.Missing()+sum.Failed() == 0 && (sum.Keys > 0 || status.Status == types.ExecutionStatusSucceeded)
	if c := s.header.Corpus; c != nil && changed == "" && answered {
		beginObjects(s.show, "checking", *c)
		sum.Expected, unchecked = scan.Expect(ctx, *c, s.header.Input.Event, sum, s.show.Count)
		s.show.End()
	}
	end := reason(status, sum, stopped)
	if changed != "" {
		end = scan.End{Reason: scan.Changed, Text: changed}
	}
	if unchecked != nil {
		end = scan.End{Reason: scan.Interrupted, Text: "before the answer was checked"}
	}
	if err := errors.Join(s.log.Summary(sum), s.end(end)); err != nil {
		return err
	}
	if err := s.summarise(sorted); err != nil {
		return err
	}
	if err := s.outcome(end, sum); err != nil {
		return err
	}
	if s.outErr != nil {
		return fmt.Errorf("write matches to standard output: %w", s.outErr)
	}
	return nil
}

// mostOnTerminal is how many matches a terminal gets; the file has all.
const mostOnTerminal = 20

// collect reads the parts, and writes the matches, if any were looked for.
func (s *scanning) collect(ctx context.Context) (sum scan.Summary, sorted bool, err error) {
	s.show.BeginOf("adding up", int(s.last.Batches.Succeeded), "parts")
	defer s.show.End()
	sorter := scan.Sorter{MostBytes: scan.SortedBytes}
	if s.header.Input.Event.Find != nil {
		var out *matchOutput
		if out, err = s.openMatches(); err != nil {
			return sum, false, err
		}
		defer func() { err = errors.Join(err, out.close()) }()
		sorter.Write = out.write
	}
	parts := 0
	sum, err = s.parts().Collect(ctx, func(matches []fn.Match) error {
		parts++
		s.show.Count(parts, 0)
		return sorter.Add(matches)
	})
	if err != nil {
		return sum, false, err
	}
	s.show.End() // before the matches
	sorted, err = sorter.Close()
	return sum, sorted, err
}

// matchOutput is where matches go: to their file, and to standard output, which
// gets only the first few if it is a terminal.
type matchOutput struct {
	file       *os.File
	all, shown *scan.MatchWriter
	most, n    int64
	of         *scanning
}

func (s *scanning) openMatches() (*matchOutput, error) {
	file, err := os.Create(s.matches())
	if err != nil {
		return nil, hint.Failed("give another --out", "write matches: %w", err)
	}
	o := &matchOutput{
		file: file, all: scan.NewMatchWriter(file, s.format, s.locate), shown: scan.NewMatchWriter(s.stdout, s.format, s.locate),
		most: math.MaxInt64, of: s,
	}
	if term.Is(s.stdout) {
		o.most = mostOnTerminal
	}
	return o, nil
}

func (o *matchOutput) write(m fn.Match) error {
	if o.n++; o.n <= o.most && o.of.outErr == nil {
		o.of.outErr = o.shown.Write(m) // the file gets all of them nevertheless
	}
	return o.all.Write(m)
}

func (o *matchOutput) close() error {
	if o.of.outErr == nil {
		o.of.outErr = o.shown.Close()
	}
	if o.n > o.most {
		fmt.Fprintf(o.of.stderr, "… and %d more in %s\n", o.n-o.most, o.file.Name())
	}
	if err := errors.Join(o.all.Close(), o.file.Close()); err != nil {
		return hint.Failed("check the disk's free space", "write matches: %w", err)
	}
	return nil
}

// summarise says what the file says.
func (s *scanning) summarise(sorted bool) error {
	to := s.stderr
	if s.quiet {
		to = io.Discard
	}
	file, err := scan.ReadPath(s.results())
	if err != nil {
		return err
	}
	if err := scan.WriteText(to, file); err != nil {
		return err
	}
	if !sorted {
		fmt.Fprintln(to, "the matches are not sorted: there are too many to hold in memory")
	}
	if err := writeFile(s.page(), func(w io.Writer) error { return page.WriteScan(w, report.NewScan(file)) }); err != nil {
		return err
	}
	fmt.Fprintf(to, "results: %s\npage: %s\n", s.results(), s.page())
	if s.header.Input.Event.Find != nil {
		fmt.Fprintf(to, "matches: %s\n", s.matches())
	}
	return nil
}

// outcome is the error of a job that did not come to a right and complete end.
func (s *scanning) outcome(end scan.End, sum scan.Summary) error {
	name := s.job.Name()
	redrive := s.command("redrive") + " reads what is missing"
	switch end.Reason {
	case scan.Complete:
		return nil
	case scan.WrongAnswer:
		return hint.Failed("a fast wrong answer is a failure: see expected in "+s.results(),
			"job %s read every object, and found something else than they hold", name)
	case scan.Changed:
		return hint.Failed("parts expire some days after a job, and nobody but its function may write them: scan again",
			"job %s: %s", name, end.Text)
	case scan.Incomplete:
		if gone := sum.Gone(); gone > 0 && gone == sum.Failed()+sum.Missing() {
			redrive = "objects that were removed after they were listed cannot be read: scan again, or put them back: " + redrive
		}
		return hint.Failed(redrive, "job %s: %s", name, end.Text)
	case scan.Interrupted:
		return hint.Failed(s.command("result")+" checks it", "interrupted %s", end.Text)
	case scan.Budget:
		return hint.Failed(redrive, "stopped job %s: %s", name, end.Text)
	case scan.Stopped:
		return hint.Failed(redrive, "job %s was stopped", name)
	}
	return hint.Failed(redrive, "job %s failed: %s: %s", name, end.Error, end.Text)
}

// interrupted ends a job on this machine, which cannot go on without the
// command, and keeps what it has read.
func (s *scanning) interrupted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruptedWithin)
	defer cancel()
	if err := s.job.Stop(ctx, "Ctrl-C"); err != nil {
		return errors.Join(s.end(scan.End{Reason: scan.Interrupted, Text: err.Error()}), err)
	}
	return errors.Join(s.end(scan.End{Reason: scan.Interrupted}),
		hint.Failed(s.command("redrive")+" goes on with it; "+s.command("result")+" shows what it found",
			"interrupted: a job on this machine ends with the command"))
}

// interruptedWithin bounds how long the end of a job takes that was interrupted.
const interruptedWithin = 10 * time.Second
