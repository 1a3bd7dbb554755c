package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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
	clients    []string // an empty one: the function's own setting
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
		"the function to check (default this repository's Go); may be repeated: "+contenderGrammar)
	c.Flags().StringSliceVar(&cf.clients, "client", []string{""},
		"S3 clients to check one by one, of functions that answer with stats (default the function's own)")
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
		clients := cf.clients
		if c.Clients != nil {
			clients = c.Clients
		}
		for _, client := range clients {
			n, err := checkOne(ctx, stdout, fixtures, c.Name, client)
			if err != nil {
				return err
			}
			if n > 0 {
				bad = append(bad, fmt.Sprintf("%s fails %d", called(c.Name, client), n))
			}
		}
	}
	if bad != nil {
		return hint.Failed("the contract is in docs/architecture.md, under Event and answer",
			"contract: %s of the cases", strings.Join(bad, ", "))
	}
	return nil
}

// called names a contender, and the client it was asked to use, if it was.
func called(contender, client string) string { return strings.TrimSpace(contender + " " + client) }

// checkOne prints a line for each case, and their number, and gives how many fail.
func checkOne(ctx context.Context, stdout io.Writer, fixtures *contract.Fixtures, contender, client string) (failed int, err error) {
	who, counts := called(contender, client), map[contract.Verdict]int{}
	err = fixtures.Check(ctx, contender, client, func(o contract.Outcome) {
		counts[o.Verdict]++
		note := o.Note
		if note != "" {
			note = ": " + note
		}
		fmt.Fprintf(stdout, "%s  %s: %s%s\n", o.Verdict, who, o.Case, term.Clean(note))
	})
	if ctx.Err() != nil {
		return 0, hint.Failed("run it again: it keeps nothing", "interrupted")
	}
	if err != nil {
		return 0, hint.Failed("run it with --verbose", "check %s: %w", who, err)
	}
	fmt.Fprintf(stdout, "%s: %d passed, %d failed, %d skipped\n", who, counts[contract.Pass], counts[contract.Fail], counts[contract.Skip])
	return counts[contract.Fail], nil
}
