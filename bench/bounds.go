package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/pflag"

	"fanout/bench/internal/budget"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
)

// boundFlags is how far a run goes.
type boundFlags struct {
	budget.Bounds

	precision, budget string
	yes               bool
}

// precisionInvocations is the most warm invocations a setting with an aim,
// unless --invocations says otherwise.
const precisionInvocations = 50

func (b *boundFlags) add(f *pflag.FlagSet) {
	f.StringVar(&b.precision, "precision", "", "continue until the interval of every setting's warm median is within this share,"+
		" such as 5%; at most --invocations times (then 50 by default), at least 6")
	f.StringVar(&b.budget, "budget", "", "stop before this many dollars or minutes are spent, such as 0.50,20m")
	f.BoolVarP(&b.yes, "yes", "y", false, "do not ask before invocations that cost money")
}

func (b *boundFlags) parse() (err error) {
	const help = "see fanout help run"
	if b.Bounds, err = budget.Parse(b.budget); err != nil {
		return hint.Usage(help, "%w", err)
	}
	if b.precision != "" {
		if b.Precision, err = parseShare(b.precision); err != nil {
			return hint.Usage(help, "precision %w", err)
		}
		if b.Precision == 0 {
			return hint.Usage(help, "precision %q: must be above 0, such as 5%%", b.precision)
		}
	}
	return nil
}

// guard makes what holds the runner to the bounds. A bound in dollars needs the
// prices of the run's region.
func (b *boundFlags) guard(o report.Options, runner *trial.Runner) (*budget.Guard, error) {
	class := report.ClassOf(runner.Header)
	region := runner.Header.Region
	if region == "" {
		region = report.DefaultRegion
	}
	prices, err := o.Prices.Prices(region)
	if err == nil {
		return budget.New(b.Bounds, &prices, class, runner), nil
	}
	if b.Dollars > 0 {
		return nil, hint.Usage("bound the run by time: --budget 20m", "budget: %w", err)
	}
	return budget.New(b.Bounds, nil, class, runner), nil
}

// confirm asks before money is spent: on AWS, unless --yes was given.
func confirm(ctx context.Context, backend string, yes bool, in io.Reader, stderr io.Writer) error {
	if yes || backend != trial.AWS {
		return nil
	}
	ok, err := term.Confirm(ctx, in, stderr, "Go on?")
	switch {
	case errors.Is(err, term.ErrNobodyToAsk):
		return hint.Usage("give --yes, with or without a --budget", "cannot ask whether to spend money: %w", err)
	case err != nil:
		return hint.Failed("nothing was measured yet", "interrupted")
	case !ok:
		return hint.Failed("nothing was spent; a smaller plan or a --budget costs less", "not confirmed")
	}
	return nil
}
