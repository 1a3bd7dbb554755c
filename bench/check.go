package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fanout/bench/internal/contract"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/term"
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
		Short: "Test a function against the contract, case by case",
		Long: `Test a function, in any language, against the contract: in the sandbox, with
the embedded S3. Each case is a line: pass, fail (with what was expected and
what was answered) or skip. A contender that knows only the published event and
answer is tested for no more than that.

` + contenderHelp + `

The exit status is 1 if a case fails.`,
		Example: `  fanout check
  fanout check --contender rust=functions/rust/target/release/bootstrap
  fanout check --contender mine=app.zip,runtime=python3.13,handler=app.handler`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return cf.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringArrayVar(&cf.contenders, "contender", nil,
		"the function to check, as "+contenderGrammar+"; may be repeated (default this repository's Go)")
	c.Flags().BoolVarP(&cf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
	return c
}

func (cf *checkFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	show := progress.New(stderr)
	defer show.End()
	cfg := contract.Config()
	cfg.Log = newLog(show, cf.verbose)
	if cfg.Contenders, err = parseContenders(cf.contenders); err != nil {
		return hint.Usage("see fanout help check", "%w", err)
	}
	if cfg.Contenders == nil {
		cfg.Contenders = []lab.Contender{ownContender()}
	}
	l, err := startLab(ctx, cfg, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	fixtures, err := contract.Put(ctx, l, cfg.Corpus)
	show.End()
	if err != nil {
		if ctx.Err() != nil {
			return hint.Failed("nothing was checked yet", "interrupted")
		}
		return hint.Failed("check TMPDIR's free space", "put the objects to check with: %w", err)
	}
	var bad []string
	for _, c := range cfg.Contenders {
		counts := map[contract.Verdict]int{}
		err := fixtures.Check(ctx, c.Name, func(o contract.Outcome) {
			counts[o.Verdict]++
			note := o.Note
			if note != "" {
				note = ": " + note
			}
			fmt.Fprintf(stdout, "%s  %s: %s%s\n", o.Verdict, c.Name, o.Case, term.Clean(note))
		})
		if ctx.Err() != nil {
			return hint.Failed("run it again: it keeps nothing", "interrupted")
		}
		if err != nil {
			return hint.Failed("run it with --verbose", "check %s: %w", c.Name, err)
		}
		fmt.Fprintf(stdout, "%s: %d passed, %d failed, %d skipped\n", c.Name, counts[contract.Pass], counts[contract.Fail], counts[contract.Skip])
		if n := counts[contract.Fail]; n > 0 {
			bad = append(bad, fmt.Sprintf("%s fails %d", c.Name, n))
		}
	}
	if bad != nil {
		return hint.Failed("the contract is in docs/architecture.md, under Event and answer", "contract: %s of the cases", bad)
	}
	return nil
}
