package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fanout/bench/internal/bootstrap"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
	"fanout/functions/store"
)

// perfFlags is what fanout perf was asked for.
type perfFlags struct {
	rounds     int
	workers    int
	memories   []int
	parts      []string
	contenders []string
	seed       uint64
	large      int
	verbose    bool
}

// Parts of the comparison, and what each takes on two cores of 2024.
var perfParts = []string{"clients", "floor", "large", "auto"}

func perfCommand() *cobra.Command {
	var pf perfFlags
	c := &cobra.Command{
		Use:   "perf",
		Short: "Compare the S3 clients with each other, and with the best case",
		Long: `Compare the S3 clients, interleaved in rounds, one process tree:

  clients  stock, tuned, lean and a net/http baseline that does not sign, at
           several memory sizes: CPU an object, wall time, ratios
  floor    lean beside wrk, which neither signs nor waits, on network none
           (left out where wrk is not installed: apt-get install wrk)
  large    lean at 1,000 objects and at 100,000
  auto     concurrency auto beside fixed ones, at four memory sizes and on three
           networks

make perf runs the first three. Ratios are of medians, and beside each stands
the spread of the rounds' own ratios.`,
		Example: "  fanout perf --parts clients,floor,large\n  fanout perf --parts clients --contender mine=path/to/bootstrap",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return pf.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringSliceVar(&pf.parts, "parts", perfParts[:3], "what to compare: "+strings.Join(perfParts, ", "))
	f.IntVar(&pf.rounds, "rounds", 9, "invocations of each")
	f.IntVar(&pf.workers, "concurrency", 64, "goroutines that read")
	f.IntSliceVar(&pf.memories, "memory", nil, "memory sizes in MB, for clients (128, 512 and 1769 unless given) and auto (3008 too)")
	f.IntVar(&pf.large, "large", 100_000, "objects of the large part")
	f.StringArrayVar(&pf.contenders, "contender", nil, "another bootstrap for the clients part, as `NAME=PATH`; may be repeated")
	f.Uint64Var(&pf.seed, "seed", 1, "of the order and of the network's latencies")
	f.BoolVarP(&pf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
	return c
}

func (pf *perfFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	const help = "see fanout help perf"
	for _, part := range pf.parts {
		if !slices.Contains(perfParts, part) {
			return hint.Usage(help, "part %q: must be one of %s", part, strings.Join(perfParts, ", "))
		}
	}
	switch {
	case pf.rounds < 1 || pf.rounds > 1000:
		return hint.Usage(help, "rounds %d: must be 1 to 1000", pf.rounds)
	case pf.workers < 1 || pf.workers > fetch.MaxConcurrency:
		return hint.Usage(help, "concurrency %d: must be 1 to %d", pf.workers, fetch.MaxConcurrency)
	case pf.large < 1000 || pf.large > corpus.MaxCount:
		return hint.Usage(help, "large %d: must be 1000 to %d", pf.large, corpus.MaxCount)
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, io.Writer, io.Writer) error
	}{{"clients", pf.clients}, {"floor", pf.floor}, {"large", pf.largePart}, {"auto", pf.auto}} {
		if !slices.Contains(pf.parts, part.name) {
			continue
		}
		if err := part.run(ctx, stdout, stderr); err != nil {
			if ctx.Err() != nil {
				return hint.Failed("run it again: it keeps nothing", "interrupted")
			}
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	fmt.Fprintf(stdout, "\nSandbox figures, not AWS figures: %s. ± is half the range over the median.\n", host())
	return nil
}

// sizes gives the memory sizes asked for, in MB, or else these.
func (pf *perfFlags) sizes(unlessGiven ...int) []int {
	if len(pf.memories) > 0 {
		return pf.memories
	}
	return unlessGiven
}

// perfLab is a lab with a runner, for measuring invocation by invocation.
type perfLab struct {
	*lab.Lab
	runner trial.Runner
}

// open starts a lab in which everybody may read, and puts the corpus.
func (pf *perfFlags) open(ctx context.Context, stderr io.Writer, network objects.Network, memories []int, spec corpus.Spec, change func(*labFlags)) (*perfLab, error) {
	lf := labFlags{
		Config: lab.Config{
			MemoriesMB: memories, Architectures: []string{lambda.HostArchitecture()}, Timeout: 15 * time.Minute,
			Corpus: spec, Seed: pf.seed, PublicRead: true, Log: newLog(stderr, pf.verbose),
		},
		network: string(network),
	}
	if change != nil {
		change(&lf)
	}
	if err := lf.parse("perf"); err != nil {
		return nil, err
	}
	l, err := startLab(ctx, lf.Config, term.NewProgress(stderr))
	if err != nil {
		return nil, err
	}
	p := &perfLab{Lab: l, runner: trial.Runner{
		Lambda: l.Client(), Targets: l.Targets, Bucket: lab.Bucket, Expected: trial.Expect(spec, false),
		Header: trial.Header{Backend: trial.Sandbox, Corpus: spec},
	}}
	return p, p.runner.Probe(ctx)
}

// series is what was measured of one competitor: µs of CPU an object and ms of
// wall time, an entry a round.
type series struct {
	cpu, wall, memory []float64
	workers           int // what the last one read with; 0: it did not say
}

// measure adds a warm invocation to a series.
func (p *perfLab) measure(ctx context.Context, s trial.Setting, round int, to *series) error {
	results, err := p.runner.Measure(ctx, s, trial.Warm, round)
	if err != nil {
		return err
	}
	r := results[len(results)-1]
	if !r.OK {
		return hint.Failed("see --verbose", "%s, %d MB: %s: %s", r.Function, r.MemoryMB, r.ErrorType, r.Error)
	}
	if r.ProcessMS == nil {
		return errors.New("the sandbox said nothing of CPU time")
	}
	objects := p.runner.Expected.Objects
	to.cpu = append(to.cpu, *r.ProcessMS*1000/float64(objects))
	to.wall = append(to.wall, r.DurationMS)
	to.memory = append(to.memory, float64(r.MaxMemoryMB))
	if r.Stats != nil {
		to.workers = r.Stats.Concurrency
	}
	return nil
}

// clients compares the clients at several memory sizes.
func (pf *perfFlags) clients(ctx context.Context, stdout, stderr io.Writer) (err error) {
	memories := pf.sizes(128, 512, 1769)
	p, err := pf.open(ctx, stderr, objects.S3Standard, memories, corpus.Default(), func(lf *labFlags) {
		lf.contenders = append([]string{"baseline=" + bootstrap.Path("baseline")}, pf.contenders...)
	})
	if p != nil {
		defer func() { err = errors.Join(err, p.Close()) }()
	}
	if err != nil {
		return err
	}
	type competitor struct {
		name    string
		setting trial.Setting
		series  series
	}
	var all []*competitor
	for _, t := range p.runner.Targets {
		names := []string{store.Stock, store.Tuned, store.Lean}
		if t.Contender != outputs.GoContender {
			names = []string{t.Contender}
		}
		for _, name := range names {
			s := trial.Setting{Target: t, Client: name, Concurrency: pf.workers}
			switch {
			case t.Published:
				s = trial.Setting{Target: t}
			case t.Contender != outputs.GoContender:
				s.Client = "" // its own
			}
			all = append(all, &competitor{name: name, setting: s})
		}
	}
	rng := rand.New(rand.NewPCG(pf.seed, 1))
	for round := range pf.rounds {
		rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		for i, c := range all {
			note(stderr, "clients: round %d of %d, %d of %d: %s at %d MB", round+1, pf.rounds, i+1, len(all), c.name, c.setting.Target.MemoryMB)
			if err := p.measure(ctx, c.setting, round, &c.series); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(all, func(a, b *competitor) int {
		return a.setting.Target.MemoryMB*100 + slices.Index(clientOrder, a.name) - b.setting.Target.MemoryMB*100 - slices.Index(clientOrder, b.name)
	})
	fmt.Fprintf(stdout, "Clients: 1,000 objects, %d workers, warm, network s3-standard, n=%d\n\n", pf.workers, pf.rounds)
	fmt.Fprintf(stdout, "MEMORY  CLIENT        CPU/OBJECT        lean is     WALL              lean is\n")
	for _, mb := range memories {
		var lean *competitor
		for _, c := range all {
			if c.setting.Target.MemoryMB == mb && c.name == store.Lean {
				lean = c
			}
		}
		for _, c := range all {
			if c.setting.Target.MemoryMB != mb {
				continue
			}
			cpu, wall := "", ""
			if c != lean {
				cpu, wall = ratio(lean.series.cpu, c.series.cpu), ratio(lean.series.wall, c.series.wall)
			}
			line := fmt.Sprintf("%6d  %-10s %7.1f µs %5s  %-14s %6.0f ms %5s  %s", mb, c.name,
				median(c.series.cpu), spread(c.series.cpu), cpu, median(c.series.wall), spread(c.series.wall), wall)
			fmt.Fprintln(stdout, strings.TrimRight(line, " "))
		}
	}
	return nil
}

// clientOrder is how the table lists them; contenders come first.
var clientOrder = []string{store.Stock, store.Tuned, "baseline", store.Lean}

// floor compares lean with wrk.
func (pf *perfFlags) floor(ctx context.Context, stdout, stderr io.Writer) (err error) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		fmt.Fprintf(stdout, "\nFloor: left out, since wrk is not installed (apt-get install wrk)\n")
		return nil
	}
	spec := corpus.Default()
	p, err := pf.open(ctx, stderr, objects.None, []int{1769}, spec, nil)
	if p != nil {
		defer func() { err = errors.Join(err, p.Close()) }()
	}
	if err != nil {
		return err
	}
	script := filepath.Join(p.Dir, "wrk.lua")
	lua := fmt.Sprintf("local i = 0\nrequest = function()\n  i = (i + 1) %% %d\n  return wrk.format('GET', string.format('/%s/%sobject-%%06d', i))\nend\n",
		spec.Count, lab.Bucket, spec.Prefix)
	if err := os.WriteFile(script, []byte(lua), 0o600); err != nil {
		return fmt.Errorf("write wrk's script: %w", err)
	}
	var lean, floor series
	setting := trial.Setting{Target: p.runner.Targets[0], Client: store.Lean, Concurrency: pf.workers}
	for round := range pf.rounds {
		note(stderr, "floor: round %d of %d", round+1, pf.rounds)
		if err := p.measure(ctx, setting, round, &lean); err != nil {
			return err
		}
		// As long as ten thousand requests or so take.
		cmd := exec.CommandContext(ctx, wrk, "-t1", "-c"+strconv.Itoa(pf.workers), "-d2s", "-s", script, p.S3.URL())
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("wrk: %w: %s", err, bytes.TrimSpace(out))
		}
		found := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
		if found == nil || bytes.Contains(out, []byte("Non-2xx")) {
			return fmt.Errorf("wrk read nothing, or not well: %s", out)
		}
		requests, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil || requests == 0 {
			return fmt.Errorf("wrk made no request: %s", out)
		}
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		floor.cpu = append(floor.cpu, float64(used.Microseconds())/requests)
	}
	fmt.Fprintf(stdout, "\nFloor: network none, %d workers, n=%d; wrk does not sign, search or check\n\n", pf.workers, pf.rounds)
	fmt.Fprintf(stdout, "  1769  wrk        %7.1f µs %5s\n", median(floor.cpu), spread(floor.cpu))
	fmt.Fprintf(stdout, "  1769  lean       %7.1f µs %5s  %s of wrk\n", median(lean.cpu), spread(lean.cpu), ratio(lean.cpu, floor.cpu))
	return nil
}

// settleRuns is how many invocations of 1,000 objects a process makes before
// its peak memory is compared.
const settleRuns = 20

// largePart compares lean at many objects with lean at 1,000 of the same.
func (pf *perfFlags) largePart(ctx context.Context, stdout, stderr io.Writer) (err error) {
	spec := corpus.Default()
	spec.Count = pf.large
	p, err := pf.open(ctx, stderr, objects.S3Standard, []int{1769}, spec, func(lf *labFlags) {
		lf.SpillAll = true // few and many alike: a body from a file comes otherwise than one from memory
	})
	if p != nil {
		defer func() { err = errors.Join(err, p.Close()) }()
	}
	if err != nil {
		return err
	}
	// So few that neither is held up by the bandwidth, which would be another
	// difference than the one asked for.
	workers := min(pf.workers, 32)
	setting := trial.Setting{Target: p.runner.Targets[0], Client: store.Lean, Concurrency: workers}
	// A thousand are the keys that begin alike, as object-000000 to 000999 do, and
	// each time the next thousand: the same ones again would still lie in the
	// processor's cache, on their way from this machine's server.
	few := *p
	next := 0
	measureFew := func(round int, to *series) error {
		few.runner.Header.Corpus.Prefix = fmt.Sprintf("%sobject-%03d", spec.Prefix, next%(pf.large/1000))
		few.runner.Expected = trial.Expected{}
		next++
		return few.measure(ctx, setting, round, to)
	}
	var many, thousand series
	rounds := min(pf.rounds, 3)
	// A young process has not yet collected its first garbage: its peak would
	// tell its age.
	note(stderr, "large: settling")
	for range settleRuns {
		if err := measureFew(0, &thousand); err != nil {
			return err
		}
	}
	settled := thousand.memory[settleRuns-1]
	thousand = series{}
	for round := range rounds {
		note(stderr, "large: round %d of %d", round+1, rounds)
		for range 3 { // as short as these are
			if err := measureFew(round, &thousand); err != nil {
				return err
			}
		}
		if err := p.measure(ctx, setting, round, &many); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "\nLarge: lean, network s3-standard, %d workers, n=%d and %d\n\n", workers, len(thousand.cpu), rounds)
	fmt.Fprintf(stdout, "  1769     1000 objects %7.1f µs %5s  peak %3.0f MB\n", median(thousand.cpu), spread(thousand.cpu), settled)
	fmt.Fprintf(stdout, "  1769  %7d objects %7.1f µs %5s  peak %3.0f MB  CPU an object %.2f×, memory %.2f×\n", pf.large,
		median(many.cpu), spread(many.cpu), many.memory[len(many.memory)-1],
		median(many.cpu)/median(thousand.cpu), many.memory[len(many.memory)-1]/settled)
	return nil
}

// auto compares concurrency auto with fixed ones.
func (pf *perfFlags) auto(ctx context.Context, stdout, stderr io.Writer) error {
	for _, network := range []objects.Network{objects.S3Standard, objects.S3Express, objects.None} {
		if err := pf.autoOn(ctx, stdout, stderr, network); err != nil {
			return err
		}
	}
	return nil
}

// autoFixed are the concurrencies that auto is compared with.
var autoFixed = []int{8, 16, 32, 64, 128, 256}

// A fixed concurrency that is hopeless times as slow as the best one after
// hopelessRounds is not tried further: it takes longest, and can't win.
const (
	hopeless       = 1.5
	hopelessRounds = 3
)

func (pf *perfFlags) autoOn(ctx context.Context, stdout, stderr io.Writer, network objects.Network) (err error) {
	p, err := pf.open(ctx, stderr, network, pf.sizes(128, 512, 1769, 3008), corpus.Default(), nil)
	if p != nil {
		defer func() { err = errors.Join(err, p.Close()) }()
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nAuto: lean, warm, network %s, n=%d, %d where over %g times the best; wall in ms\n\nMEMORY",
		network, pf.rounds, hopelessRounds, hopeless)
	for _, c := range autoFixed {
		fmt.Fprintf(stdout, " %6d", c)
	}
	fmt.Fprintf(stdout, "   auto  chose  auto/best\n")
	for _, t := range p.runner.Targets {
		concurrencies := append([]int{trial.Auto}, autoFixed...)
		got := map[int]*series{}
		for _, c := range concurrencies {
			got[c] = &series{}
		}
		rng := rand.New(rand.NewPCG(pf.seed, 2))
		for round := range pf.rounds {
			if round == hopelessRounds {
				best := fastest(got)
				concurrencies = slices.DeleteFunc(concurrencies, func(c int) bool {
					return c != trial.Auto && median(got[c].wall) > hopeless*best
				})
			}
			rng.Shuffle(len(concurrencies), func(i, k int) { concurrencies[i], concurrencies[k] = concurrencies[k], concurrencies[i] })
			for _, c := range concurrencies {
				note(stderr, "auto: network %s, %d MB, round %d of %d", network, t.MemoryMB, round+1, pf.rounds)
				if err := p.measure(ctx, trial.Setting{Target: t, Client: store.Lean, Concurrency: c}, round, got[c]); err != nil {
					return err
				}
			}
		}
		fmt.Fprintf(stdout, "%6d", t.MemoryMB)
		for _, c := range autoFixed {
			fmt.Fprintf(stdout, " %6.0f", median(got[c].wall))
		}
		auto := median(got[trial.Auto].wall)
		fmt.Fprintf(stdout, " %6.0f %6d  %.2f×\n", auto, got[trial.Auto].workers, auto/fastest(got))
	}
	return nil
}

// fastest is the lowest median that a fixed concurrency has, in ms.
func fastest(got map[int]*series) float64 {
	best := math.Inf(1)
	for _, c := range autoFixed {
		best = min(best, median(got[c].wall))
	}
	return best
}

// note says what is under way, on a line of its own that the next one
// replaces on a terminal.
func note(w io.Writer, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if term.Is(w) {
		fmt.Fprintf(w, "\r\x1b[K%s", text)
		return
	}
	fmt.Fprintln(w, text)
}

func median(v []float64) float64 { return stats.Summarise(v).Median }

// spread is half the range over the median, as ±N%.
func spread(v []float64) string {
	s := stats.Summarise(v)
	return fmt.Sprintf("±%.0f%%", (s.Highest-s.Lowest)/2/s.Median*100)
}

// ratio is that of the medians, and the lowest and highest of the rounds' own.
func ratio(a, b []float64) string {
	own := make([]float64, min(len(a), len(b)))
	for i := range own {
		own[i] = a[i] / b[i]
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(a)/median(b), slices.Min(own), slices.Max(own))
}
