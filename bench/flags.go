package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// corpusFlags adds the flags that describe the seed objects.
func corpusFlags(f *pflag.FlagSet, s *corpus.Spec) {
	*s = corpus.Default()
	f.IntVar(&s.Count, "objects", s.Count, "how many objects")
	f.Int64Var(&s.MinBytes, "min-bytes", s.MinBytes, "smallest object, in bytes")
	f.Int64Var(&s.MaxBytes, "max-bytes", s.MaxBytes, "largest object, in bytes")
	f.Uint64Var(&s.Seed, "corpus-seed", s.Seed, "seed of the objects' sizes and bytes")
	f.StringVar(&s.Needle, "needle", s.Needle, "the string that one object holds")
	f.StringVar(&s.Prefix, "prefix", s.Prefix, "of the objects' keys")
}

// fleet is which functions the sandbox gets.
type fleet struct {
	memoriesMB []int
	archs      []string
	contenders []contender
	timeout    time.Duration
	network    objects.Network
	corpus     corpus.Spec
	seed       uint64
	noLimits   bool
	publicRead bool // the bucket can be read unsigned
	spillAll   bool // bodies are kept in files, all of them

	contenderFlags []string
	networkFlag    string
}

// contender is a bootstrap under a name.
type contender struct {
	name string
	path func(arch string) string
}

// goContender is the name of this repository's own Go functions.
const goContender = "go"

func fleetFlags(f *pflag.FlagSet, fl *fleet, memories []int) {
	f.IntSliceVar(&fl.memoriesMB, "memory", memories, "memory sizes in MB, 128 to 10240; 1769 MB are one vCPU")
	f.StringSliceVar(&fl.archs, "arch", []string{lambda.HostArchitecture()}, "architectures: x86_64, arm64")
	f.StringArrayVar(&fl.contenderFlags, "contender", nil, "another bootstrap beside Go's, as `NAME=PATH`; may be repeated")
	f.DurationVar(&fl.timeout, "timeout", 5*time.Minute, "time limit of a function, 1s to 15m")
	f.StringVar(&fl.networkFlag, "network", string(objects.S3Standard), "the embedded S3's network: s3-standard, s3-express or none")
	f.Uint64Var(&fl.seed, "seed", 1, "of the order of invocations and of the network's latencies")
	f.BoolVar(&fl.noLimits, "no-limits", false, "leave CPU and memory unlimited (memory sizes then mean nothing)")
	corpusFlags(f, &fl.corpus)
}

// parse checks what the flags said, before anything is created.
func (fl *fleet) parse(command string) error {
	help := "see fanout help " + command
	var err error
	if fl.network, err = objects.ParseNetwork(fl.networkFlag); err != nil {
		return hint.Usage(help, "%w", err)
	}
	for _, mb := range fl.memoriesMB {
		if err := lambda.CheckMemory(mb); err != nil {
			return hint.Usage(help, "%w", err)
		}
	}
	for _, a := range fl.archs {
		if err := lambda.CheckArchitecture(a); err != nil {
			return hint.Usage(help, "%w", err)
		}
	}
	if fl.timeout < time.Second || fl.timeout > 15*time.Minute || fl.timeout%time.Second != 0 {
		return hint.Usage(help, "timeout %v: must be 1s to 15m, in whole seconds", fl.timeout)
	}
	if err := fl.corpus.Validate(); err != nil {
		return hint.Usage(help, "%w", err)
	}
	fl.contenders = []contender{{goContender, ownBootstrap}}
	for _, text := range fl.contenderFlags {
		c, err := parseContender(text)
		switch {
		case err == nil && c.name == goContender:
			fl.contenders[0] = c
		case err == nil:
			err = fl.add(c)
		}
		if err != nil {
			return hint.Usage(help, "%w", err)
		}
	}
	fl.memoriesMB, fl.archs = unique(fl.memoriesMB), unique(fl.archs)
	return nil
}

// add takes one more contender, whose name must be its own.
func (fl *fleet) add(c contender) error {
	if slices.Contains(fl.names(), c.name) {
		return fmt.Errorf("contender %q: named twice", c.name)
	}
	fl.contenders = append(fl.contenders, c)
	return nil
}

func (fl *fleet) names() []string {
	names := make([]string, len(fl.contenders))
	for i, c := range fl.contenders {
		names[i] = c.name
	}
	return names
}

// parseContender reads NAME=PATH. A name goes into a function's name.
func parseContender(text string) (contender, error) {
	name, path, ok := strings.Cut(text, "=")
	if !ok || path == "" {
		return contender{}, fmt.Errorf("contender %q: must be NAME=PATH", text)
	}
	if len(name) < 1 || len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return contender{}, fmt.Errorf("contender name %q: 1 to 32 letters, digits, - and _", name)
	}
	return contender{name, func(string) string { return path }}, nil
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

// ownBootstrap is where make build puts this repository's bootstrap: beside
// the folder of the running command.
func ownBootstrap(arch string) string {
	return filepath.Join(buildFolder(), "fetch", arch, "bootstrap")
}

func buildFolder() string { return filepath.Join(filepath.Dir(filepath.Dir(executable())), "build") }
