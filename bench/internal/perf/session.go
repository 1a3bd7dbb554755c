package perf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// session is a lab on which one experiment is made.
type session struct {
	*lab.Lab
	options     *Options
	failures    *failures
	header      trial.Header
	expected    trial.Expected
	files       []io.Closer
	writers     []*trial.Writer
	competitors []*competitor
	step        trial.Step
	before      time.Time // when the last invocation ended
}

// openSession starts a lab in which everybody may read, and puts the corpus. What
// cfg leaves out is every experiment's. The caller ends the session.
func openSession(ctx context.Context, o *Options, f *failures, cfg lab.Config) (_ *session, err error) {
	cfg.Contenders = append([]lab.Contender{o.Own}, cfg.Contenders...)
	cfg.Architectures, cfg.Timeout = []string{lambda.HostArchitecture()}, 15*time.Minute
	cfg.Seed, cfg.PublicRead, cfg.Log = o.Seed, true, o.Log
	l, err := lab.Start(cfg)
	if err != nil {
		return nil, err
	}
	s := &session{Lab: l, options: o, failures: f, header: o.Header}
	defer func() {
		if err != nil {
			err = s.end(err)
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o755); err != nil { // before what takes long
		return nil, hint.Failed("give another --out", "create the results folder: %w", err)
	}
	if err := o.machine.open(o.Dir); err != nil {
		return nil, err
	}
	o.Progress.Begin("working out the answer", cfg.Corpus.Count)
	s.expected, err = trial.ExpectWithin(ctx, cfg.Corpus, false, o.Progress.Count)
	o.Progress.End()
	if err != nil {
		return nil, err
	}
	o.Progress.Begin("seeding", cfg.Corpus.Count)
	err = l.Seed(ctx, o.Progress.Count)
	o.Progress.End()
	if err != nil {
		return nil, err
	}
	s.header.Backend, s.header.Network, s.header.Limits = trial.Sandbox, cfg.Network.Name, l.Lambda.Limits()
	if _, builtIn := network.Named(cfg.Network.Name); !builtIn { // then it is from a model file
		s.header.Model = &cfg.Network
	}
	if cfg.Network.Quota {
		s.header.Bandwidth = lambda.QuotaBandwidth
	}
	s.header.Corpus, s.header.Bytes = cfg.Corpus, s.expected.Bytes
	s.header.Plan = trial.Plan{
		MemoriesMB: cfg.MemoriesMB, Architectures: cfg.Architectures, Concurrencies: []int{o.Workers}, Invocations: o.Rounds, Seed: o.Seed,
	}
	for _, c := range cfg.Contenders {
		s.header.Plan.Contenders = append(s.header.Plan.Contenders, c.Name)
	}
	return s, nil
}

// runner gives a runner of the session's functions, which knows by an
// invocation of each contender what that can be asked.
func (s *session) runner(ctx context.Context) (*trial.Runner, error) {
	return s.runnerOf(ctx, s.Targets, s.expected, nil)
}

// runnerOf gives a runner of some of the functions, who answer alike.
// sample may be nil.
func (s *session) runnerOf(
	ctx context.Context, targets []trial.Target, expected trial.Expected, sample *trial.Sample,
) (*trial.Runner, error) {
	r := &trial.Runner{
		Lambda: s.Client(), Header: s.header, Targets: targets, Bucket: lab.Bucket, Expected: expected,
		Sample: sample, KeepGoing: true, // a contender that fails is a row
	}
	return r, r.Probe(ctx)
}

// file makes a result file in a folder of this name, with the header as it
// stands by then. The session's end closes it.
func (s *session) file(name string, header trial.Header) (*trial.Writer, error) {
	out, err := s.create(name, trial.FileName)
	if err != nil {
		return nil, err
	}
	w, err := trial.NewWriter(out, header)
	s.writers = append(s.writers, w)
	return w, err
}

func (s *session) create(name, file string) (*os.File, error) {
	dir := filepath.Join(s.options.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, hint.Failed("give another --out", "create the results folder: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(dir, file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, hint.Failed("give another --out", "write results: %w", err)
	}
	s.files = append(s.files, out)
	return out, nil
}

// end closes the lab, and the files with a line that says why they end: with
// err, which is part of what it returns.
func (s *session) end(err error) error {
	errs := []error{err}
	for _, w := range s.writers {
		errs = append(errs, w.End(err))
	}
	errs = append(errs, s.Close())
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// competitor is measured once a round, or more often.
type competitor struct {
	setting trial.Setting
	runner  *trial.Runner
	out     *trial.Writer
	ahead   int // invocations to come
	took    []time.Duration
	wall    []float64 // ms, of those that went well
	failed  int       // in a row
}

// giveUpAfter is how many invocations of a competitor in a row may fail: it is
// not tried further then, and its row says how it failed.
const giveUpAfter = 2

// enter adds a competitor who will be invoked so often.
func (s *session) enter(c *competitor, invocations int) *competitor {
	c.ahead = invocations
	s.competitors = append(s.competitors, c)
	s.step.Total += invocations
	return c
}

// measure invokes a competitor once, warm, and files the result.
func (s *session) measure(ctx context.Context, c *competitor, round int) error {
	if c.ahead == 0 {
		return nil
	}
	if err := s.options.machine.between(); err != nil {
		return err
	}
	if s.before.IsZero() {
		s.before = time.Now()
	}
	s.step.Setting, s.step.Start, s.step.Last, s.step.Left = c.setting, trial.Warm, nil, s.left()
	s.options.Progress.Step(s.step)
	results, err := c.runner.Measure(ctx, c.setting, trial.Warm, round)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	for _, r := range results {
		if err := c.out.Result(r); err != nil {
			return err
		}
	}
	last := results[len(results)-1]
	s.failures.add(last)
	now := time.Now()
	c.took = append(c.took, now.Sub(s.before))
	s.before = now
	s.step.Done++
	c.ahead--
	if c.failed++; last.OK {
		c.failed = 0
		c.wall = append(c.wall, last.DurationMS)
	}
	if c.failed >= giveUpAfter {
		s.drop(c)
	}
	s.step.Last, s.step.Left = &last, s.left()
	s.options.Progress.Step(s.step)
	return nil
}

// drop passes over what is ahead of a competitor.
func (s *session) drop(c *competitor) {
	s.step.Done += c.ahead
	c.ahead = 0
}

// left forecasts the time to go: of each competitor by its own mean so far, of
// one that was not measured yet by the others'. 0: nothing is known yet.
func (s *session) left() time.Duration {
	var all time.Duration
	n := 0
	for _, c := range s.competitors {
		all += sum(c.took)
		n += len(c.took)
	}
	if n == 0 {
		return 0
	}
	var left time.Duration
	for _, c := range s.competitors {
		mean := all / time.Duration(n)
		if len(c.took) > 0 {
			mean = sum(c.took) / time.Duration(len(c.took))
		}
		left += mean * time.Duration(c.ahead)
	}
	return left
}

func sum(all []time.Duration) time.Duration {
	var total time.Duration
	for _, d := range all {
		total += d
	}
	return total
}

// standard is a lab's configuration for lean alone, at these memory sizes.
func standard(on network.Model, memories ...int) lab.Config {
	return lab.Config{Network: on, MemoriesMB: memories, Corpus: corpus.Default()}
}

// heading is what stands above a table.
func heading(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "%s\n\n", term.Clean(fmt.Sprintf(format, args...)))
}
