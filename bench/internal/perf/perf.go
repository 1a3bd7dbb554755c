// Package perf compares the S3 clients with each other, and with what they
// could cost at best. [Run] makes the experiments, invocation by invocation,
// and files every one; [Print] shows what a folder of theirs contains. Nothing
// is printed that is not in the files.
//
// Each experiment fills one or more folders with an ordinary result file, which
// fanout report reads as well: competitors are its settings, rounds its seq.
package perf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// Experiments are their names, in the order in which they are made.
var Experiments = []string{"clients", "floor", "large", "large-objects", "auto"}

// Options is what is measured, and by what.
type Options struct {
	Experiments []string
	Rounds      int   // invocations of each competitor, 1 to MaxRounds
	Workers     int   // goroutines that read, 1 to fetch.MaxConcurrency
	MemoriesMB  []int // of clients and auto; nil: each one's own choice
	Large       int   // objects of the experiment large, 1,000 to corpus.MaxCount
	Seed        uint64

	Own        lab.Contender   // this repository's functions
	Contenders []lab.Contender // others, in the experiment clients

	TransferManager lab.Contender   // of the experiment large-objects
	Sets            []Set           // that it reads
	Networks        []network.Model // that it reads them on
	Dir             string          // takes the result files; must not exist, or be empty
	Header          trial.Header    // of the result files: version, run, host, time

	Log      *slog.Logger
	Progress *progress.Progress

	machine *machine // looks at the machine while Run lasts
}

// MaxRounds is the most invocations of a competitor.
const MaxRounds = 1000

// Validate says what is wrong with o: the field, its value, what is allowed.
func (o *Options) Validate() error {
	for _, name := range o.Experiments {
		if !slices.Contains(Experiments, name) {
			return fmt.Errorf("part %q: must be one of %s", name, strings.Join(Experiments, ", "))
		}
	}
	switch {
	case len(o.Experiments) == 0:
		return fmt.Errorf("parts: give at least one of %s", strings.Join(Experiments, ", "))
	case o.Rounds < 1 || o.Rounds > MaxRounds:
		return fmt.Errorf("rounds %d: must be 1 to %d", o.Rounds, MaxRounds)
	case o.Workers < 1 || o.Workers > fetch.MaxConcurrency:
		return fmt.Errorf("concurrency %d: must be 1 to %d", o.Workers, fetch.MaxConcurrency)
	case o.Large < fewObjects || o.Large > corpus.MaxCount:
		return fmt.Errorf("large %d: must be %d to %d", o.Large, fewObjects, corpus.MaxCount)
	}
	if slices.Contains(o.Experiments, "large-objects") && (len(o.Sets) == 0 || len(o.Networks) == 0) {
		return errors.New("large-objects: give at least one set, and one network")
	}
	for i, n := range o.Networks {
		if slices.ContainsFunc(o.Networks[:i], func(other network.Model) bool { return other.Name == n.Name }) {
			return fmt.Errorf("networks: two have the name %s, by which their results are kept apart", n.Name)
		}
	}
	for _, mb := range o.MemoriesMB {
		if err := lambda.CheckMemory(mb); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("results' folder: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s exists already and is not empty", o.Dir)
	}
	return nil
}

// memories gives the memory sizes asked for, in MB, or else these.
func (o *Options) memories(unlessGiven ...int) []int {
	if len(o.MemoriesMB) > 0 {
		return o.MemoriesMB
	}
	return unlessGiven
}

// Run makes the experiments. A competitor that fails is a line, and the others
// go on; the errors returned are those that end the whole, and, at the very end,
// [ErrFailed].
func Run(ctx context.Context, o Options) (err error) {
	defer o.Progress.End()
	failed := &failures{}
	if o.machine, err = newMachine(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.machine.close()) }()
	for _, e := range []struct {
		name string
		run  func(context.Context, *Options, *failures) error
	}{{"clients", runClients}, {"floor", runFloor}, {"large", runLarge}, {"large-objects", runLargeObjects}, {"auto", runAuto}} {
		if !slices.Contains(o.Experiments, e.name) {
			continue
		}
		if err := e.run(ctx, &o, failed); err != nil {
			if ctx.Err() != nil && failed.of == 0 {
				return hint.Failed("nothing was measured yet", "interrupted")
			}
			if ctx.Err() != nil {
				return hint.Failed("fanout perf --from "+term.ShellWord(o.Dir)+" shows what was measured until then", "interrupted")
			}
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return failed.err()
}

// ErrFailed is that at least one invocation failed.
var ErrFailed = errors.New("failed")

// failures counts the invocations that failed.
type failures struct {
	n, of int
	first string
}

func (f *failures) add(r trial.Result) {
	f.of++
	if r.OK {
		return
	}
	if f.n++; f.n == 1 {
		f.first = fmt.Sprintf("%s: %s: %s", r.Function, r.ErrorType, r.Error)
	}
}

func (f *failures) err() error {
	if f.n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d invocations %w; first %s", f.n, f.of, ErrFailed, f.first)
}

// Print shows what the experiments in a folder measured, an interrupted one up
// to where it came.
func Print(w io.Writer, dir string) error {
	var header trial.Header
	looks, err := readMachine(dir)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for _, show := range []func(io.Writer, string) (trial.Header, error){
		printClients, printFloor, printLarge, printLargeObjects, printAuto,
	} {
		h, err := show(&out, dir)
		if err != nil {
			return err
		}
		if h.Schema != 0 {
			header = h
		}
	}
	if header.Schema == 0 {
		return hint.Usage("name a folder that fanout perf has written", "no experiment of fanout perf in %s", dir)
	}
	if text := quietness(looks); text != "" {
		fmt.Fprintf(w, "%s\n\n", text)
	}
	if bytes.Contains(out.Bytes(), []byte(refused+" (")) {
		fmt.Fprintf(&out, "%s: no ratio is given that could as well be %.1f times as large. Measure again with more --rounds (an interval\n"+
			"needs %d), with nothing else running, and with less steal.\n\n", refused, widest, stats.MinForInterval)
	}
	if _, err := out.WriteTo(w); err != nil {
		return err
	}
	if header.Limits.None() {
		fmt.Fprintf(w, "CPU and memory were not limited (%s): memory sizes mean nothing here.\n", term.Clean(header.Limits.Reason))
	}
	_, err = fmt.Fprintf(w, "Sandbox figures, not AWS figures: %s. ± is half the range over the median. A ratio is the median of\n"+
		"the rounds' own ratios, with its 95%% interval.\n", term.Clean(header.Host))
	return err
}

// read reads the result file of a folder; without one it gives a zero file.
func read(dir ...string) (trial.File, error) {
	path := filepath.Join(append(dir, trial.FileName)...)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return trial.File{}, nil
	}
	return trial.ReadPath(path)
}
