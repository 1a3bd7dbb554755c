package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// checkFlags is what fanout check was asked for.
type checkFlags struct {
	contenders []string
	verbose    bool
}

func checkCommand() *cobra.Command {
	var cf checkFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Put a bootstrap through the contract, case by case",
		Long: `Put a bootstrap through the contract: in the sandbox, against the embedded S3,
whatever it is written in. Each case is a line: pass, fail (with what was wanted
and what came) or skip. A contender that knows the published event and answer
only is asked for no more than that.

The status is 1 where a case fails.`,
		Example: `  fanout check
  fanout check --contender rust=functions/rust/target/release/bootstrap`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return cf.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringArrayVar(&cf.contenders, "contender", nil, "the bootstrap to check, as `NAME=PATH`; may be repeated (default this repository's Go)")
	c.Flags().BoolVarP(&cf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
	return c
}

// Memory sizes that contenders are checked at.
const (
	checkMemoryMB = 1769 // one vCPU
	checkSmallMB  = 128  // the least there is
)

func (cf *checkFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	cfg := lab.Config{
		MemoriesMB: []int{checkMemoryMB, checkSmallMB}, Architectures: []string{lambda.HostArchitecture()},
		Timeout: 2 * time.Minute, Network: objects.None, Corpus: corpus.Default(), Seed: 1, Log: newLog(stderr, cf.verbose),
	}
	if cfg.Contenders, err = parseContenders(cf.contenders); err != nil {
		return hint.Usage("see fanout help check", "%w", err)
	}
	if cfg.Contenders == nil {
		cfg.Contenders = []lab.Contender{ownContender()}
	}
	show := term.NewProgress(stderr)
	defer show.End()
	l, err := startLab(ctx, cfg, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	fixtures, err := putFixtures(ctx, l, cfg.Corpus)
	show.End()
	if err != nil {
		if ctx.Err() != nil {
			return hint.Failed("nothing was checked yet", "interrupted")
		}
		return hint.Failed("see TMPDIR's free space", "put the objects to check with: %w", err)
	}
	var bad []string
	for _, c := range cfg.Contenders {
		failures, err := checkContender(ctx, l, fixtures, c.Name, stdout)
		if ctx.Err() != nil {
			return hint.Failed("run it again: it keeps nothing", "interrupted")
		}
		if err != nil {
			return hint.Failed("see --verbose", "check %s: %w", c.Name, err)
		}
		if failures > 0 {
			bad = append(bad, fmt.Sprintf("%s fails %d", c.Name, failures))
		}
	}
	if bad != nil {
		return hint.Failed("the contract is in docs/architecture.md, under Event and answer", "contract: %s of the cases", bad)
	}
	return nil
}

// checkContender puts one contender through every case, and gives how many
// failed. The error is one that ends the check: the sandbox's own.
func checkContender(ctx context.Context, l *lab.Lab, f *fixtures, name string, stdout io.Writer) (failures int, err error) {
	k := &checker{lab: l, lambda: l.Client(), fixtures: f, limited: l.Lambda.Limits().Reason == ""}
	for _, t := range l.Targets {
		if t.Contender != name {
			continue
		}
		if t.MemoryMB == checkSmallMB {
			k.small = t.Function
		} else {
			k.function = t.Function
		}
	}
	counts := map[string]int{}
	for _, c := range contract {
		verdict, note := "pass", ""
		switch {
		case c.stats && !k.stats:
			verdict, note = "skip", "it knows the published event and answer only"
		case c.limits && !k.limited:
			verdict, note = "skip", "memory is not limited here: "+l.Lambda.Limits().Reason
		default:
			var broken *violation
			switch err := c.run(ctx, k); {
			case errors.As(err, &broken):
				verdict, note = "fail", broken.Error()
			case err != nil:
				return 0, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		counts[verdict]++
		if note != "" {
			note = ": " + note
		}
		fmt.Fprintf(stdout, "%s  %s: %s%s\n", verdict, name, c.name, note)
	}
	fmt.Fprintf(stdout, "%s: %d passed, %d failed, %d skipped\n", name, counts["pass"], counts["fail"], counts["skip"])
	return counts["fail"], nil
}

// fixtures is what lies in the bucket beside the corpus.
type fixtures struct {
	corpus corpus.Spec
	faulty corpus.Spec // read while things go wrong
	bodies map[string]map[string][]byte
}

// Prefixes of the fixtures; nothing lies under emptyPrefix.
const (
	orderPrefix  = "order/"
	borderPrefix = "border/"
	pagesPrefix  = "pages/"
	oddPrefix    = "odd/"
	largePrefix  = "large/"
	emptyPrefix  = "empty/"
)

// Sizes of the fixtures.
const (
	pageObjects = 2500 // three pages
	orderBytes  = 2 << 20
	largeBytes  = 192 << 20 // more than checkSmallMB
	blockBytes  = 1024      // the longest string to find
	blocks      = 128
)

// oddNames are keys that some program lists, escapes or signs wrong.
var oddNames = []string{
	"plain", "with space", "plus+plus", "percent%41%zz", "ünï/çødé-日本", "/leading", "trailing/", "double//slash",
	"eq=amp&q?hash#;", "quote'(a)!*~$,:@[]", "new\tline\n", "tags <&> \"x\"", "high\u2028\U0001F600", "a/../b/./c", "ctl\x01",
}

// word is a string that is in one place only: the n-th of its kind.
func word(kind string, n int) string { return fmt.Sprintf("<%s-%d>", kind, n) }

// putFixtures makes the objects that the cases read.
func putFixtures(ctx context.Context, l *lab.Lab, spec corpus.Spec) (*fixtures, error) {
	faulty := spec
	faulty.Count, faulty.Prefix = 300, "faults/"
	f := &fixtures{corpus: spec, faulty: faulty, bodies: map[string]map[string][]byte{}}
	put := func(prefix, name string, body []byte) {
		if f.bodies[prefix] == nil {
			f.bodies[prefix] = map[string][]byte{}
		}
		f.bodies[prefix][prefix+name] = body
	}
	for i := range 40 {
		body := []byte("nothing")
		switch i {
		case 7: // the first in list order comes last: its string is at the end of a long body
			body = append(bytes.Repeat([]byte("x"), orderBytes), word("order", 0)...)
		case 30:
			body = []byte(word("order", 0))
		}
		put(orderPrefix, fmt.Sprintf("%02d", i), body)
	}
	var border bytes.Buffer
	for i := range blocks { // no two blocks are alike, nor are any blockBytes in a row
		fmt.Fprintf(&border, "%-*s", blockBytes, word("block", i))
	}
	put(borderPrefix, "body", border.Bytes())
	for i := range pageObjects {
		put(pagesPrefix, fmt.Sprintf("%04d", i), []byte(word("page", i)))
	}
	for i, name := range oddNames {
		put(oddPrefix, name, []byte(word("odd", i)))
	}
	put(oddPrefix, "empty", nil)
	put(largePrefix, "body", append(bytes.Repeat([]byte("0123456789abcdef"), largeBytes/16), word("large", 0)...))

	client := l.S3Client()
	if _, err := faulty.Put(ctx, client, lab.Bucket, nil); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, bodies := range f.bodies {
		for key, body := range bodies {
			g.Go(func() error {
				_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(lab.Bucket), Key: &key, Body: bytes.NewReader(body)})
				return err
			})
		}
	}
	return f, g.Wait()
}

// expect is the right answer for everything under a prefix.
func (f *fixtures) expect(prefix, result string) trial.Expected {
	return expectBodies(f.bodies[prefix], result)
}
