package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
)

// corpusFlags adds the flags that describe the seed objects.
func corpusFlags(f *pflag.FlagSet, s *corpus.Spec) {
	*s = corpus.Default()
	f.IntVar(&s.Count, "objects", s.Count, "number of objects")
	f.Var(&sizeFlag{"min-bytes", &s.MinBytes}, "min-bytes", "smallest object, in bytes or with a unit: 25kB, 25KiB")
	f.Var(&sizeFlag{"max-bytes", &s.MaxBytes}, "max-bytes", "largest object, likewise")
	f.Var(&shapeFlag{s, f, corpus.ReadShapeFile, exportSizes}, "shape", "sizes like those in this `FILE`, instead of the bounds: JSON of aws"+
		" s3api list-objects-v2, S3 Inventory's CSV, or plain numbers; gzipped or not")
	f.Var(&shapeFlag{s, f, corpus.ParseLognormal, ""}, "lognormal", "log-normally distributed sizes with this `MEDIAN,P99` in bytes or with"+
		" units, such as 12kB,400kB, instead of the bounds")
	f.Uint64Var(&s.Seed, "corpus-seed", s.Seed, "seed of the objects' sizes and bytes")
	f.StringVar(&s.Needle, "needle", s.Needle, "the string that one object contains")
	f.StringVar(&s.Prefix, "prefix", s.Prefix, "prefix of the objects' keys")
}

// shapeFlag is a flag that sets the distribution of the seed objects' sizes.
type shapeFlag struct {
	spec  *corpus.Spec
	flags *pflag.FlagSet
	read  func(text string) (corpus.Shape, error)
	next  string // the hint of what cannot be read; empty: the command's help
}

// exportSizes makes a file that --shape takes.
const exportSizes = "aws s3api list-objects-v2 --bucket BUCKET --query 'Contents[].Size' >sizes.json makes such a file"

func (s *shapeFlag) String() string { return "" }
func (s *shapeFlag) Type() string   { return "string" }

// Set reads the shape. Bounds that come after it are refused by the Spec's own
// Validate.
func (s *shapeFlag) Set(text string) error {
	if !s.spec.Shape.IsZero() {
		return valueError("--shape and --lognormal: give one of them, once")
	}
	if s.flags.Changed("min-bytes") || s.flags.Changed("max-bytes") {
		return valueError("--min-bytes and --max-bytes mean nothing with --shape and --lognormal: leave them out")
	}
	shape, err := s.read(text)
	if err != nil && s.next != "" {
		return hint.Usage(s.next, "%w", err)
	}
	if err != nil {
		return valueError(err.Error())
	}
	*s.spec = s.spec.WithShape(shape)
	return nil
}

// labFlags is which functions run on this machine, and what they read.
type labFlags struct {
	lab.Config

	contenders []string // as contenderGrammar says
	env        []string // NAME=VALUE
	net        networkFlags
}

func (lf *labFlags) add(f *pflag.FlagSet) {
	memoryVar(f, &lf.MemoriesMB, []int{128, 512, 1769}, "memory sizes in MB (or with a unit: 2GB), 128 to 10240; 1769 MB is one vCPU")
	f.StringSliceVar(&lf.Architectures, "arch", []string{lambda.HostArchitecture()}, "architectures: x86_64, arm64")
	f.StringArrayVar(&lf.contenders, "contender", nil, "another function besides Go's; may be repeated: "+contenderGrammar)
	f.StringArrayVar(&lf.env, "env", nil, "an environment variable of the contenders, as `NAME=VALUE`; may be repeated")
	f.DurationVar(&lf.Timeout, "timeout", 5*time.Minute, "time limit of a function, 1s to 15m")
	lf.net.add(f)
	f.Uint64Var(&lf.Seed, "seed", 1, "seed of the order of invocations and of the network's latencies")
	f.BoolVar(&lf.NoLimits, "no-limits", false, "leave CPU and memory unlimited (memory sizes then mean nothing)")
	corpusFlags(f, &lf.Corpus)
}

// parse checks what the flags said, before anything is created. Own are
// functions of the caller's own: they need no objects, and no other beside them.
func (lf *labFlags) parse(command string, own bool) error {
	help := "see fanout help " + command
	var err error
	if lf.Network, err = lf.net.parse(help); err != nil {
		return err
	}
	if lf.Env, err = parseEnv(lf.env); err != nil {
		return hint.Usage(help, "%w", err)
	}
	if err := lf.Validate(); err != nil {
		return hint.Usage(help, "%w", err)
	}
	if err := lf.Corpus.Validate(); err != nil && !own {
		return hint.Usage(help, "%w", err)
	}
	if lf.Contenders, err = parseContenders(lf.contenders); err != nil {
		return hint.Usage(help, "%w", err)
	}
	if !own && !slices.Contains(lf.names(), outputs.GoContender) {
		lf.Contenders = slices.Insert(lf.Contenders, 0, ownContender())
	}
	lf.MemoriesMB, lf.Architectures = unique(lf.MemoriesMB), unique(lf.Architectures)
	return nil
}

// names are the contenders'.
func (lf *labFlags) names() []string {
	names := make([]string, len(lf.Contenders))
	for i, c := range lf.Contenders {
		names[i] = c.Name
	}
	return names
}

// startLab starts a lab and puts its corpus, while show says how far that is.
func startLab(ctx context.Context, cfg lab.Config, show *progress.Progress) (*lab.Lab, error) {
	l, err := lab.Start(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Corpus.Count == 0 { // a function of the caller's own needs none
		return l, nil
	}
	beginObjects(show, "seeding", cfg.Corpus)
	defer show.End()
	if err := l.Seed(ctx, show.Count); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// beginObjects starts a phase of all objects of a corpus, and says how large they
// are: "seeding 20 objects, 51 GB".
func beginObjects(show *progress.Progress, what string, spec corpus.Spec) {
	const summed = 1_000_000 // up to which the sizes are summed, in 0.1 s; of more the mean tells as well
	bytes := float64(spec.MeanBytes()) * float64(spec.Count)
	if spec.Count <= summed {
		bytes = float64(spec.TotalBytes())
	}
	show.BeginSized(what, spec.Count, scan.Size(bytes))
}

// warnCut says if some of the sizes that the objects' are drawn from are larger
// than a seed object can be.
func warnCut(stderr io.Writer, spec corpus.Spec) {
	if warning := spec.Shape.CutWarning(); warning != "" {
		fmt.Fprintf(stderr, "warning: %s\n", term.Clean(warning))
	}
}

// newLog gives what the lab logs to: nothing, or everything to w.
func newLog(w io.Writer, verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// parseConcurrencies reads numbers and "auto".
func parseConcurrencies(texts []string) ([]int, error) {
	var all []int
	for _, t := range texts {
		if t == "auto" {
			all = append(all, trial.Auto)
			continue
		}
		n, err := strconv.Atoi(t)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("concurrency %q: must be auto or a number from 1", t)
		}
		all = append(all, n)
	}
	return unique(all), nil
}

// unique keeps the first of equal values, and the order.
func unique[T comparable](values []T) []T {
	var kept []T
	for _, v := range values {
		if !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept
}
