package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/term"
	fn "fanout/functions/scan"
)

// finish adds the parts of a job up that has ended, writes its matches, and
// says what came of it. stopped is the bound that it passed, if any.
func (s *scanning) finish(ctx context.Context, status scan.Status, stopped error) error {
	sum, sorted, err := s.collect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = hint.Failed(s.command("result")+" adds them up", "interrupted while reading the parts of job %s", s.job.Name())
		}
		return errors.Join(s.end(scan.End{Reason: scan.Interrupted, Text: "the job had ended, its parts were not added up"}), err)
	}
	sum.Total = s.last.Items.Total
	if s.pricing != nil {
		if sum.Bill, err = s.pricing.Summary(sum); err != nil {
			return err
		}
	}
	if s.header.Corpus != nil && sum.Missing()+sum.Failed() == 0 {
		if err := s.check(ctx, &sum); err != nil {
			return errors.Join(s.end(scan.End{Reason: scan.Interrupted, Text: "the job had ended, its digest was not checked"}), err)
		}
	}
	end := reason(status, sum, stopped)
	if err := errors.Join(s.log.Summary(sum), s.end(end)); err != nil {
		return err
	}
	if err := s.summarise(sorted); err != nil {
		return err
	}
	return s.outcome(end, sum)
}

// check compares what was found with what the seed objects hold.
func (s *scanning) check(ctx context.Context, sum *scan.Summary) (err error) {
	s.show.Begin("computing the right answer from", s.header.Corpus.Count)
	defer s.show.End()
	sum.Expected, err = scan.Expect(ctx, *s.header.Corpus, s.header.Input.Event, *sum, s.show.Count)
	if err != nil {
		return hint.Failed(s.command("result")+" checks it", "interrupted while computing the digest that job %s should have", s.job.Name())
	}
	return nil
}

// mostOnTerminal is how many matches a terminal gets; the file has all.
const mostOnTerminal = 20

// collect reads the parts, and writes the matches to their file and to standard
// output.
func (s *scanning) collect(ctx context.Context) (sum scan.Summary, sorted bool, err error) {
	s.show.BeginOf("adding up", int(s.last.Batches.Succeeded), "parts")
	defer s.show.End()
	file, err := os.Create(s.matches())
	if err != nil {
		return sum, false, hint.Failed("give another --out", "write matches: %w", err)
	}
	defer func() {
		if cerr := file.Close(); err == nil && cerr != nil {
			err = hint.Failed("check the disk's free space", "write matches: %w", cerr)
		}
	}()
	all := scan.NewMatchWriter(file, s.format, s.locate)
	shown, most := scan.NewMatchWriter(s.stdout, s.format, s.locate), int64(-1)
	if term.Is(s.stdout) {
		most = mostOnTerminal
	}
	var n int64
	sorter := scan.Sorter{MostBytes: scan.SortedBytes, Write: func(m fn.Match) error {
		if n++; most < 0 || n <= most {
			if err := shown.Write(m); err != nil {
				return err
			}
		}
		return all.Write(m)
	}}
	parts := 0
	sum, err = s.parts().Collect(ctx, func(matches []fn.Match) error {
		parts++
		s.show.Count(parts, 0)
		return sorter.Add(matches)
	})
	if err != nil {
		return sum, false, err
	}
	sorted, err = sorter.Close()
	s.show.End() // before the matches
	if err = errors.Join(err, shown.Close(), all.Close()); err == nil && most >= 0 && n > most {
		fmt.Fprintf(s.stderr, "… and %d more in %s\n", n-most, s.matches())
	}
	return sum, sorted, err
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
	fmt.Fprintf(to, "results: %s\nmatches: %s\n", s.results(), s.matches())
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
	case scan.Incomplete:
		if gone := sum.Gone(); gone > 0 && gone == sum.Failed()+sum.Missing() {
			redrive = "objects that were removed after they were listed cannot be read: scan again, or put them back: " + redrive
		}
		return hint.Failed(redrive, "job %s: %s", name, end.Text)
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
