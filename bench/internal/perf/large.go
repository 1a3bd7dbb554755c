package perf

import (
	"context"
	"fmt"
	"io"
	"strings"

	"fanout/bench/internal/network"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/store"
)

// The folders of the experiment large.
const (
	settleDir = "large-settling" // what a process reads before its memory is compared
	fewDir    = "large-few"
	manyDir   = "large-many"
)

// Sizes of the experiment large.
const (
	fewObjects   = 1000
	settleRuns   = 20 // invocations; the last one's peak memory is the one compared
	fewRuns      = 3  // of few objects for one of many, as short as they are
	mostRounds   = 7  // of many objects, which take long: enough for an interval
	largeWorkers = 32 // at most; more are held up by the bandwidth, another difference than the one asked for
)

// runLarge compares lean at many objects with lean at 1,000 of the same.
func runLarge(ctx context.Context, o *Options, f *failures) (err error) {
	cfg := standard(network.S3Standard, 1769)
	cfg.Corpus.Count = o.Large
	cfg.SpillAll = true // few and many alike: a body from a file comes otherwise than one from memory
	s, err := openSession(ctx, o, f, cfg)
	if err != nil {
		return err
	}
	defer func() { err = s.end(err) }()
	workers, rounds := min(o.Workers, largeWorkers), min(o.Rounds, mostRounds)
	s.header.Plan.Clients, s.header.Plan.Concurrencies, s.header.Plan.Invocations = []string{store.Lean}, []int{workers}, rounds
	many, err := s.runner(ctx)
	if err != nil {
		return err
	}
	l, err := s.newLarge(many)
	if err != nil {
		return err
	}
	return l.measure(ctx, rounds)
}

// large is the experiment under way.
type large struct {
	*session
	fewRunner           *trial.Runner
	settling, few, many *competitor
	thousands           int // of objects read by few, each time the next ones
}

func (s *session) newLarge(runner *trial.Runner) (*large, error) {
	fewRunner := *runner
	fewHeader := s.header
	fewHeader.Corpus.Count, fewHeader.Bytes = fewObjects, s.header.Bytes*fewObjects/int64(s.header.Corpus.Count) // on average
	l := &large{session: s, fewRunner: &fewRunner}
	plan := s.header.Plan
	for _, c := range []struct {
		to          **competitor
		dir         string
		header      trial.Header
		runner      *trial.Runner
		invocations int
	}{
		{&l.settling, settleDir, fewHeader, &fewRunner, settleRuns},
		{&l.few, fewDir, fewHeader, &fewRunner, plan.Invocations * fewRuns},
		{&l.many, manyDir, s.header, runner, plan.Invocations},
	} {
		out, err := s.file(c.dir, c.header)
		if err != nil {
			return nil, err
		}
		setting := trial.Setting{Target: runner.Targets[0], Client: store.Lean, Concurrency: plan.Concurrencies[0]}
		*c.to = s.enter(&competitor{setting: setting, runner: c.runner, out: out}, c.invocations)
	}
	return l, nil
}

func (l *large) measure(ctx context.Context, rounds int) error {
	// A young process has not yet collected its first garbage: its peak would
	// tell its age.
	for i := range settleRuns {
		if err := l.measureFew(ctx, l.settling, i); err != nil {
			return err
		}
	}
	for round := range rounds {
		for i := range fewRuns {
			if err := l.measureFew(ctx, l.few, round*fewRuns+i); err != nil {
				return err
			}
		}
		if err := l.session.measure(ctx, l.many, round); err != nil {
			return err
		}
	}
	return nil
}

// measureFew reads a thousand objects: the keys that begin alike, as
// object-000000 to 000999 do, and each time the next thousand. The same ones
// again would still lie in the processor's cache, on their way from this
// machine's server.
func (l *large) measureFew(ctx context.Context, c *competitor, round int) error {
	spec := l.header.Corpus
	first := spec.Key(l.thousands % (spec.Count / fewObjects) * fewObjects)
	l.fewRunner.Header.Corpus.Prefix = strings.TrimSuffix(first, "000")
	l.fewRunner.Expected = trial.Expected{} // nobody worked it out for each thousand
	l.thousands++
	return l.session.measure(ctx, c, round)
}

type largeRow struct {
	objects   int
	peakMB    float64
	this, few series // of few, one value a round
}

var largeColumns = []table.Column[largeRow]{
	{Label: table.Label{Head: "objects"}, Cell: func(r largeRow) table.Cell { return table.Int(r.objects) }},
	{Label: table.Label{Head: "n"}, Cell: func(r largeRow) table.Cell { return table.Int(len(r.this.wall)) }},
	{Label: table.Label{Head: "CPU", Unit: "µs/object"}, Cell: func(r largeRow) table.Cell { return medianCell(r.this.cpu, 1) }},
	{Label: table.Label{Head: "±"}, Cell: func(r largeRow) table.Cell { return spread(r.this.cpu) }},
	{Label: table.Label{Head: "of few"}, Left: true, Cell: func(r largeRow) table.Cell {
		if r.objects == fewObjects {
			return table.Text("")
		}
		return ratio(r.this, r.few, cpuOf)
	}},
	{Label: table.Label{Head: "peak", Unit: "MB"}, Cell: func(r largeRow) table.Cell {
		return table.Figure(r.peakMB, fmt.Sprintf("%.0f", r.peakMB))
	}},
	{Label: table.Label{Head: "failed"}, Left: true, Cell: func(r largeRow) table.Cell { return r.this.failures() }},
}

// perRound gives the median CPU time of each so many invocations, which are one
// round of another series.
func perRound(s series, runs int) series {
	var all series
	for i := 0; i < len(s.cpu) && i < len(s.rounds); {
		round, k := s.rounds[i]/runs, i
		for k < len(s.cpu) && s.rounds[k]/runs == round {
			k++
		}
		all.cpu, all.rounds = append(all.cpu, median(s.cpu[i:k])), append(all.rounds, round)
		i = k
	}
	return all
}

func printLarge(w io.Writer, dir string) (trial.Header, error) {
	var files [3]trial.File
	for i, name := range []string{settleDir, fewDir, manyDir} {
		var err error
		if files[i], err = read(dir, name); err != nil || files[i].Header.Schema == 0 {
			return trial.Header{}, err
		}
	}
	header := files[2].Header
	heading(w, "Large: lean, %d workers, warm, network %s, 1769 MB", workersOf(header), header.Network)
	settled := peak(only(files[0]))
	few, many := only(files[1]), only(files[2])
	return header, printTable(w, largeColumns, []largeRow{
		{fewObjects, settled, few, series{}},
		{header.Corpus.Count, peak(many), many, perRound(few, fewRuns)},
	})
}

// only gives the series of a file's one setting.
func only(f trial.File) series {
	for _, k := range keys(f) {
		return seriesOf(f, k)
	}
	return series{}
}

// peak is the last invocation's peak memory, in MB: the process's so far.
func peak(s series) float64 {
	if len(s.memoryMB) == 0 {
		return 0
	}
	return s.memoryMB[len(s.memoryMB)-1]
}
